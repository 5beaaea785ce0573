"""The one U-Net skeleton: plain as an encoder, conditioned as a denoiser.

Layout of DiffSDA (arXiv:2510.05717, App. A and released code): a head
convolution, levels of residual blocks with strided convolutions between them,
two blocks in the middle, and back up over concatenated skips (one more block
per level), a tail of norm, SiLU and convolution that starts at almost zero.

DiViD (arXiv:2507.13934, Sec. 4.1, as in latent diffusion) has the same skeleton
with residual blocks of two convolutions that start as the identity, `resample`
by residual blocks, and spatial transformers for `attention`.
"""

from collections.abc import Sequence
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import errors
from seqdiff.nets import attention
from seqdiff.nets import blocks

# Of `jax.checkpoint_policies`: kept are results of products and convolutions,
# of products without a batch, none, all.
POLICIES = ('dots_saveable', 'dots_with_no_batch_dims_saveable',
            'nothing_saveable', 'everything_saveable')


class UNet(nn.Module):
  """U-Net over images.

  Attributes:
    out_channels: channels of the result.
    channels: channels of level 0.
    multipliers: channels of each level, in units of `channels`.
    num_blocks: residual blocks per level on the way down.
    attention_levels: indices of the levels with attention (not resolutions).
    groups: groups of the norms.
    dropout: dropout rate.
    as_published: see `blocks.ResBlock`.
    third_conv: see `blocks.ResBlock`.
    zero_init: whether residual blocks and attention start as the identity and
      the result as zero.
    resample: what changes the size between levels: 'conv' (strided, or after
      the nearest pixel) or 'block' (a residual block).
    attention: 'self' (the pixels of one image), or 'cross' (spatial
      transformers, which see a context too).
    heads: heads of the attention.
    temporal: whether attention over the frames of a clip follows each other
      one. Departure: the papers draw each frame on its own.
    patch_size: 1, or p to work on p x p patches folded into channels.
      Departure: the paper has 1; p is p * p times cheaper at level 0.
    coordinates: whether pixel coordinates are added to the input channels.
      Departure: the paper has none.
    remat: whether blocks are recomputed in the backward pass to save memory;
      True, or one of `POLICIES`, which says what is kept all the same.
    dtype: type of the computation; the result is float32.
  """

  out_channels: int
  channels: int
  multipliers: Sequence[int] = (1, 2, 2, 2)
  num_blocks: int = 2
  attention_levels: Sequence[int] = (2,)
  groups: int = 32
  dropout: float = 0.1
  as_published: bool = False
  third_conv: bool = True
  zero_init: bool = False
  resample: str = 'conv'
  attention: str = 'self'
  heads: int = 1
  temporal: bool = False
  patch_size: int = 1
  coordinates: bool = False
  remat: bool | str = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      modulation: tuple[jax.Array, ...] = (),
      context: jax.Array | None = None,
      *,
      num_frames: int = 1,
      train: bool = False,
  ) -> jax.Array:
    """Maps images to images.

    Args:
      x: (B, H, W, C).
      modulation: embeddings (B, E), see `blocks.ResBlock`.
      context: (B, K, D) tokens, for attention 'cross' only.
      num_frames: T, if the images are the frames of B / T clips in order.
      train: whether dropout is active.

    Returns:
      (B, H, W, out_channels) float32.

    Raises:
      ValueError: if H or W cannot be halved once per level.
    """
    block = functools.partial(self._block, modulation=modulation, train=train)
    attend = functools.partial(
        self._attend, context=context, num_frames=num_frames)
    resize = functools.partial(self._resize, block=block)
    top = len(self.multipliers) - 1
    h = blocks.conv(self.channels, name='head', dtype=self.dtype)(
        self._fold(x))
    skips = [h]
    widths = [m * self.channels for m in self.multipliers]
    for level, width in enumerate(widths):
      for i in range(self.num_blocks):
        h = block(h, width, f'down_{level}_block_{i}')
        if level in self.attention_levels:
          h = attend(h, f'down_{level}_attention_{i}')
        skips.append(h)
      if level < top:
        h = resize(h, f'down_{level}', 'down')
        skips.append(h)
    h = attend(block(h, widths[-1], 'middle_block_0'), 'middle_attention_0')
    h = block(h, widths[-1], 'middle_block_1')
    for level in range(top, -1, -1):
      for i in range(self.num_blocks + 1):
        h = jnp.concatenate([h, skips.pop()], axis=-1)
        h = block(h, widths[level], f'up_{level}_block_{i}')
        if level in self.attention_levels:
          h = attend(h, f'up_{level}_attention_{i}')
      if level > 0:
        h = resize(h, f'up_{level}', 'up')
    h = nn.silu(blocks.GroupNorm(self.groups, name='tail_norm')(h))
    h = blocks.conv(self.out_channels * self.patch_size**2, name='tail',
                    init=blocks.ZERO if self.zero_init else blocks.NEAR_ZERO)(
                        h)
    return self._unfold(h)

  def _block(self, h, features, name, *, modulation, train, resample=None):
    """A residual block."""
    return self._remat(blocks.ResBlock, static_argnums=(3,))(
        features, groups=self.groups, dropout=self.dropout,
        as_published=self.as_published, third_conv=self.third_conv,
        zero_init=self.zero_init, resample=resample, dtype=self.dtype,
        name=name)(h, modulation, train)

  def _resize(self, h, name, how, *, block):
    """Half the sides ('down') or twice the sides ('up')."""
    if self.resample == 'block':
      return block(h, h.shape[-1], f'{name}_block', resample=how)
    h, name, stride = (h, f'{name}_stride', 2) if how == 'down' else (
        blocks.upsample(h), f'{name}_conv', 1)
    return blocks.conv(
        h.shape[-1], name=name, stride=stride, dtype=self.dtype)(h)

  def _attend(self, h, name, *, context, num_frames):
    """Attention over the pixels, to the context if it is 'cross', over time."""
    kwargs = dict(heads=self.heads, groups=self.groups, dtype=self.dtype,
                  name=name)
    if self.attention == 'cross':
      h = self._remat(attention.SpatialTransformer)(**kwargs)(h, context)
    else:
      h = self._remat(attention.SelfAttention)(
          zero_init=self.zero_init, **kwargs)(h)
    if self.temporal:
      h = attention.TemporalAttention(
          **{**kwargs, 'name': f'{name}_over_time'})(h, num_frames)
    return h

  def _remat(self, module, **kwargs):
    """`module`, recomputed in the backward pass as `remat` says."""
    if not self.remat:
      return module
    if self.remat is not True and self.remat not in POLICIES:
      raise errors.unknown_name('remat', self.remat, POLICIES)
    policy = None if self.remat is True else getattr(
        jax.checkpoint_policies, self.remat)
    return nn.remat(module, policy=policy, **kwargs)

  def _fold(self, x):
    """Checks the size, folds patches and adds the coordinates."""
    p, (b, height, width, c) = self.patch_size, x.shape
    unit = p * 2 ** (len(self.multipliers) - 1)
    if height % unit or width % unit:
      raise ValueError(
          f'U-Net: images of {height}x{width} cannot be halved at each of '
          f'{len(self.multipliers)} levels; expected multiples of {unit}. '
          'Resize the data or use fewer levels.')
    x = x.reshape(b, height // p, p, width // p, p, c)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    x = x.reshape(b, height // p, width // p, p * p * c)
    if self.coordinates:
      axes = [np.linspace(-1.0, 1.0, n, dtype=np.float32) for n in x.shape[1:3]]
      grid = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1)
      grid = jnp.broadcast_to(grid, (b,) + grid.shape)
      x = jnp.concatenate([x, grid.astype(x.dtype)], axis=-1)
    return x.astype(self.dtype)

  def _unfold(self, x):
    """Inverse of the patches of `_fold`."""
    p, (b, height, width, _) = self.patch_size, x.shape
    x = x.reshape(b, height, width, p, p, self.out_channels)
    x = x.transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, height * p, width * p, self.out_channels)
