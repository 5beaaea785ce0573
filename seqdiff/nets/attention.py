"""Attention: of pixels of one image, to the codes it is made from, over time.

Source: latent diffusion (Rombach et al. 2022, arXiv:2112.10752) for the spatial
transformer, as DiViD (arXiv:2507.13934, Sec. 3.2) uses it.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import shapes
from seqdiff.nets import blocks


def implementation(dtype: Any, head_size: int, lengths: tuple[int, int]) -> str:
  """What computes attention here: 'cudnn' where it can, else 'xla'.

  cuDNN never keeps the weights of all pairs of tokens. It takes 16-bit types,
  heads of up to 128 channels and even numbers of tokens, on NVIDIA GPUs from
  Ampere on.
  """
  device = jax.devices()[0]
  if (device.platform == 'gpu' and device.device_kind.startswith('NVIDIA')
      and int(device.compute_capability.split('.')[0]) >= 8
      and dtype in (jnp.bfloat16, jnp.float16)
      and head_size <= 128 and head_size % 8 == 0
      and not any(n % 2 for n in lengths)):
    return 'cudnn'
  return 'xla'


class Attention(nn.Module):
  """Multi-head attention of tokens to a context.

  Attributes:
    heads: number of heads; divides the channels.
    bias: whether queries, keys and values have biases; the result has one.
    zero_init: whether the result starts at zero.
    dtype: type of the computation.
  """

  heads: int = 1
  bias: bool = True
  zero_init: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
    """Tokens (B, N, C), context (B, K, D) -> (B, N, C).

    Raises:
      ValueError: if the heads do not divide the channels.
    """
    channels = x.shape[-1]
    if channels % self.heads:
      raise ValueError(
          f'Attention: {channels} channels cannot form {self.heads} heads. '
          'Choose channels (times each multiplier) divisible by the heads.')

    def project(name, tokens):
      y = nn.Dense(channels, use_bias=self.bias, kernel_init=blocks.XAVIER,
                   dtype=self.dtype, name=name)(tokens)
      return y.reshape(*y.shape[:2], self.heads, -1)

    y = jax.nn.dot_product_attention(
        project('q', x), project('k', context), project('v', context),
        implementation=implementation(
            self.dtype, channels // self.heads, (x.shape[1], context.shape[1])))
    return blocks.dense(
        channels, name='out', dtype=self.dtype,
        init=blocks.ZERO if self.zero_init else blocks.XAVIER)(
            y.reshape(x.shape))


class SelfAttention(nn.Module):
  """Residual attention over the pixels of one image.

  Attributes:
    heads: number of heads.
    groups: groups of the norm.
    zero_init: whether it starts as the identity.
    dtype: type of the computation.
  """

  heads: int = 1
  groups: int = 32
  zero_init: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(B, H, W, C) -> (B, H, W, C)."""
    y = blocks.GroupNorm(self.groups, dtype=self.dtype, name='norm')(x)
    y = y.reshape(x.shape[0], -1, x.shape[-1])
    y = Attention(self.heads, zero_init=self.zero_init, dtype=self.dtype,
                  name='attention')(y, y)
    return x + y.reshape(x.shape)


class TemporalAttention(nn.Module):
  """Residual attention of each pixel to the same pixel of all frames.

  It starts as the identity, so that a net without it goes on as it was.
  Departure: neither paper has it; DiffSDA (arXiv:2510.05717) names flicker as a
  limit of drawing frames one by one. Frames that are padding are seen too.

  Attributes:
    heads: number of heads.
    groups: groups of the norm.
    dtype: type of the computation.
  """

  heads: int = 1
  groups: int = 32
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, num_frames: int) -> jax.Array:
    """(B * T, H, W, C), T -> (B * T, H, W, C)."""
    channels = x.shape[-1]
    y = blocks.GroupNorm(self.groups, dtype=self.dtype, name='norm')(x)
    y = shapes.split_frames(y.reshape(len(x), -1, channels), num_frames)
    place = blocks.sinusoids(jnp.arange(num_frames), channels)
    y = jnp.swapaxes(y, 1, 2) + place[None, None].astype(y.dtype)
    seen = Attention(self.heads, zero_init=True, dtype=self.dtype,
                     name='attention')(*2 * (shapes.merge_frames(y),))
    seen = jnp.swapaxes(seen.reshape(y.shape), 1, 2)
    return x + seen.reshape(x.shape)


class SpatialTransformer(nn.Module):
  """Residual transformer block over the pixels, which see a context too.

  Self-attention, attention to the context and a GEGLU perceptron of four times
  the width, each after a layer norm and residual; all between two 1x1
  convolutions, of which the last starts at zero.

  Attributes:
    heads: number of heads.
    groups: groups of the norm before.
    dtype: type of the computation.
  """

  heads: int = 8
  groups: int = 32
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, context: jax.Array) -> jax.Array:
    """(B, H, W, C), context (B, K, D) -> (B, H, W, C)."""
    channels = x.shape[-1]
    dense = lambda size, name, **kw: blocks.dense(
        size, name=name, dtype=self.dtype, **kw)
    norm = lambda name: nn.LayerNorm(
        epsilon=1e-5, dtype=self.dtype, name=name)
    attend = lambda name: Attention(
        self.heads, bias=False, dtype=self.dtype, name=name)
    context = context.astype(self.dtype)
    h = blocks.GroupNorm(
        self.groups, epsilon=1e-6, dtype=self.dtype, name='norm')(x)
    h = dense(channels, 'project_in')(h.reshape(x.shape[0], -1, channels))
    y = norm('norm_1')(h)
    h = h + attend('self_attention')(y, y)
    h = h + attend('cross_attention')(norm('norm_2')(h), context)
    value, gate = jnp.split(
        dense(8 * channels, 'gate')(norm('norm_3')(h)), 2, axis=-1)
    h = h + dense(channels, 'shrink')(value * nn.gelu(gate, approximate=False))
    h = dense(channels, 'project_out', init=blocks.ZERO)(h)
    return x + h.reshape(x.shape)
