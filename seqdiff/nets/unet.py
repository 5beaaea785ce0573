"""The one U-Net skeleton: plain as an encoder, modulated as a denoiser.

Layout of DiffSDA (arXiv:2510.05717, App. A and released code): a head
convolution, levels of residual blocks with strided convolutions between them,
two blocks in the middle, and back up over concatenated skips (one more block
per level), a tail of norm, SiLU and convolution that starts at almost zero.
"""

from collections.abc import Sequence
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.nets import blocks


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
    patch_size: 1, or p to work on p x p patches folded into channels.
      Departure: the paper has 1; p is p * p times cheaper at level 0.
    coordinates: whether pixel coordinates are added to the input channels.
      Departure: the paper has none.
    remat: whether blocks are recomputed in the backward pass to save memory.
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
  patch_size: int = 1
  coordinates: bool = False
  remat: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      modulation: tuple[jax.Array, ...] = (),
      *,
      train: bool = False,
  ) -> jax.Array:
    """Images (B, H, W, C), embeddings (B, E) -> (B, H, W, out_channels).

    Raises:
      ValueError: if H or W cannot be halved once per level.
    """
    block_type = nn.remat(blocks.ResBlock, static_argnums=(3,)) if (
        self.remat) else blocks.ResBlock

    def block(h, features, attention, name):
      module = block_type(
          features * self.channels, attention=attention, groups=self.groups,
          dropout=self.dropout, as_published=self.as_published,
          dtype=self.dtype, name=name)
      return module(h, modulation, train)

    convolve = lambda features, name, **kwargs: blocks.conv(
        features, name=name, dtype=self.dtype, **kwargs)
    top = len(self.multipliers) - 1
    h = convolve(self.channels, 'head')(self._fold(x))
    skips = [h]
    for level, multiplier in enumerate(self.multipliers):
      attention = level in self.attention_levels
      for i in range(self.num_blocks):
        h = block(h, multiplier, attention, f'down_{level}_block_{i}')
        skips.append(h)
      if level < top:
        h = convolve(h.shape[-1], f'down_{level}_stride', stride=2)(h)
        skips.append(h)
    h = block(h, self.multipliers[-1], True, 'middle_block_0')
    h = block(h, self.multipliers[-1], False, 'middle_block_1')
    for level in range(top, -1, -1):
      multiplier = self.multipliers[level]
      attention = level in self.attention_levels
      for i in range(self.num_blocks + 1):
        h = jnp.concatenate([h, skips.pop()], axis=-1)
        h = block(h, multiplier, attention, f'up_{level}_block_{i}')
      if level > 0:
        h = convolve(h.shape[-1], f'up_{level}_conv')(blocks.upsample(h))
    h = nn.silu(blocks.GroupNorm(self.groups, name='tail_norm')(h))
    h = blocks.conv(self.out_channels * self.patch_size**2, name='tail',
                    init=blocks.NEAR_ZERO)(h)
    return self._unfold(h)

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
