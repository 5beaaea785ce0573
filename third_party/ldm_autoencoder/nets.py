"""The autoencoders of latent diffusion models (LDM) in Flax.

Rombach et al. 2022, arXiv:2112.10752, and the configurations of its model zoo.
An encoder of residual blocks halves an image between its levels, a 1x1
convolution makes the latent; a decoder mirrors it with one more block per level
and nearest-neighbour upsampling. The latent is Gaussian ('kl'), or each pixel
of it is replaced by its nearest code ('vq'). The latents that a diffusion model
works on are those before quantisation, or the means.

All norms have an epsilon of 1e-6; attention has one head. A convolution that
halves is padded at the right and at the bottom only. The networks have no
statistics over images, so that they take images of any size. They start from
this house's initialisation (Xavier-uniform) and, for the codes, from U(-1/K,
1/K) as published.
"""

from collections.abc import Sequence
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.losses import quantisation
from seqdiff.nets import blocks

_EPSILON = 1e-6
_LOG_VAR_RANGE = (-30.0, 20.0)


class Attention(nn.Module):
  """Residual single-head attention over the pixels of an image."""

  groups: int = 32
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(N, H, W, C) -> (N, H, W, C)."""
    n, height, width, c = x.shape
    project = lambda name: blocks.conv(
        c, kernel=1, name=name, dtype=self.dtype)
    y = _norm('norm', self.groups, self.dtype)(x)
    q, k, v = (project(name)(y).reshape(n, height * width, 1, c)
               for name in 'qkv')
    y = jax.nn.dot_product_attention(q, k, v).reshape(x.shape)
    return x + project('out')(y)


class Encoder(nn.Module):
  """Image -> features at the resolution of the last level.

  Attributes: as of `Autoencoder`, and
    features: channels of the result.
  """

  features: int
  channels: int
  multipliers: Sequence[int]
  num_blocks: int
  attention_levels: Sequence[int]
  groups: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """(N, H, W, C) -> (N, h, w, features) float32.

    Raises:
      ValueError: if H or W cannot be halved between all levels.
    """
    del train
    top = len(self.multipliers) - 1
    if any(n % 2**top for n in x.shape[1:3]):
      raise ValueError(
          f'Autoencoder: images of {x.shape[1]}x{x.shape[2]} pixels cannot be '
          f'halved {top} times; expected multiples of {2**top}. Resize the '
          'data or use fewer levels.')
    h = blocks.conv(self.channels, name='head', dtype=self.dtype)(x)
    for level, multiplier in enumerate(self.multipliers):
      h = _level(self, h, 'down', level, multiplier, self.num_blocks)
      if level < top:
        h = jnp.pad(h, ((0, 0), (0, 1), (0, 1), (0, 0)))
        h = blocks.conv(h.shape[-1], stride=2, pad=0, dtype=self.dtype,
                        name=f'down_{level}_stride')(h)
    return _tail(self, _middle(self, h))


class Decoder(nn.Module):
  """Latent -> image.

  Attributes: as of `Encoder`.
  """

  features: int
  channels: int
  multipliers: Sequence[int]
  num_blocks: int
  attention_levels: Sequence[int]
  groups: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, z: jax.Array) -> jax.Array:
    """(N, h, w, C) -> (N, H, W, features) float32."""
    width = self.channels * self.multipliers[-1]
    h = blocks.conv(width, name='head', dtype=self.dtype)(z)
    h = _middle(self, h)
    for level in reversed(range(len(self.multipliers))):
      h = _level(
          self, h, 'up', level, self.multipliers[level], self.num_blocks + 1)
      if level > 0:
        h = blocks.conv(h.shape[-1], dtype=self.dtype, name=f'up_{level}_conv')(
            blocks.upsample(h))
    return _tail(self, h)


class Autoencoder(nn.Module):
  """Encoder, regularised latent and decoder.

  Attributes:
    channels: channels of level 0.
    multipliers: channels of each level, in units of `channels`.
    num_blocks: residual blocks per level of the encoder.
    attention_levels: indices of the levels with attention. (The published
      files name resolutions, of images of 256 pixels.)
    z_channels: channels between the encoder and its 1x1 convolution.
    embed_dim: channels of the latent.
    regulariser: 'vq' or 'kl'.
    codebook_size: number of codes K ('vq' only).
    groups: groups of the norms.
    image_channels: channels of the images.
    dtype: type of the computation; results are float32.
  """

  channels: int = 128
  multipliers: Sequence[int] = (1, 2, 4)
  num_blocks: int = 2
  attention_levels: Sequence[int] = ()
  z_channels: int = 3
  embed_dim: int = 3
  regulariser: str = 'vq'
  codebook_size: int = 8192
  groups: int = 32
  image_channels: int = 3
  dtype: Any = jnp.float32

  def setup(self):
    """Makes the parts; their names are those of the parameters."""
    shared = {name: getattr(self, name) for name in (
        'channels', 'multipliers', 'num_blocks', 'attention_levels', 'groups',
        'dtype')}
    double = 2 if self.regulariser == 'kl' else 1
    self.encoder = Encoder(double * self.z_channels, **shared)
    self.decoder = Decoder(self.image_channels, **shared)
    self.quant_conv = blocks.conv(
        double * self.embed_dim, kernel=1, name='quant_conv')
    self.post_quant_conv = blocks.conv(
        self.z_channels, kernel=1, name='post_quant_conv')
    if self.regulariser == 'vq':
      k = self.codebook_size
      uniform = lambda key, shape: jax.random.uniform(
          key, shape, minval=-1.0 / k, maxval=1.0 / k)
      self.codebook = self.param('codebook', uniform, (k, self.embed_dim))

  @property
  def factor(self) -> int:
    """Pixels of the image per pixel of the latent, in each direction."""
    return 2 ** (len(self.multipliers) - 1)

  def __call__(self, x: jax.Array) -> jax.Array:
    """Images (N, H, W, C) -> their reconstructions."""
    return self.decode(self.encode(x)[0])

  def encode(self, x: jax.Array) -> tuple[jax.Array, jax.Array | None]:
    """Images -> latents (N, h, w, embed_dim) before quantisation, or means.

    Returns:
      The latents, and None ('vq') or their log variance ('kl').
    """
    z = self.quant_conv(self.encoder(x))
    if self.regulariser == 'vq':
      return z, None
    mean, log_var = jnp.split(z, 2, axis=-1)
    return mean, jnp.clip(log_var, *_LOG_VAR_RANGE)

  def quantise(self, z: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Latents -> their nearest codes, shaped alike, and the codes' indices."""
    indices = quantisation.nearest(z, self.codebook)
    return self.codebook[indices], indices

  def decode(self, z: jax.Array) -> jax.Array:
    """Latents as of `encode` -> images; 'vq' quantises them first."""
    return self.render(
        self.quantise(z)[0] if self.regulariser == 'vq' else z)

  def render(self, z: jax.Array) -> jax.Array:
    """Latents that are quantised already -> images (N, H, W, C)."""
    return self.decoder(self.post_quant_conv(z))


# Names and sizes of the model zoo.
PRESETS = {
    'vq-f4': Autoencoder(),
    'vq-f8': Autoencoder(
        multipliers=(1, 2, 2, 4), attention_levels=(3,), z_channels=4,
        embed_dim=4, codebook_size=16384),
    'vq-f8-n256': Autoencoder(
        multipliers=(1, 2, 2, 4), attention_levels=(3,), z_channels=4,
        embed_dim=4, codebook_size=256),
    'kl-f8': Autoencoder(
        multipliers=(1, 2, 4, 4), z_channels=4, embed_dim=4, regulariser='kl'),
}


def _norm(name, groups, dtype):
  return blocks.GroupNorm(groups, _EPSILON, dtype, name=name)


def _block(net, features, name):
  return blocks.ResBlock(
      features, net.groups, dropout=0.0, epsilon=_EPSILON, dtype=net.dtype,
      name=name)


def _level(net, h, side, level, multiplier, num_blocks):
  """The blocks of one level, each followed by attention or not."""
  for i in range(num_blocks):
    h = _block(net, multiplier * net.channels, f'{side}_{level}_block_{i}')(h)
    if level in net.attention_levels:
      h = Attention(
          net.groups, net.dtype, name=f'{side}_{level}_attention_{i}')(h)
  return h


def _middle(net, h):
  """Block, attention, block."""
  h = _block(net, h.shape[-1], 'middle_block_0')(h)
  h = Attention(net.groups, net.dtype, name='middle_attention')(h)
  return _block(net, h.shape[-1], 'middle_block_1')(h)


def _tail(net, h):
  """Norm, SiLU, convolution to the result, in float32."""
  h = nn.silu(_norm('tail_norm', net.groups, jnp.float32)(h))
  return blocks.conv(net.features, name='tail')(h)
