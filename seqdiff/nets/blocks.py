"""Blocks of the U-Nets: group norm, convolutions, residual blocks, embeddings.

All take images (B, H, W, C), one image per frame: frames are folded into the
batch before. `dtype` is the type of the computation; parameters, statistics of
the norms and outputs of the networks are float32.

Sources: DiffSDA (arXiv:2510.05717) and its released code for layer order,
initialisation (Xavier-uniform in residual blocks, gain 1e-5 at the end of a
U-Net), group norm with 32 groups and epsilon 1e-5, and dropout 0.1.
"""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

XAVIER = nn.initializers.variance_scaling(1.0, 'fan_avg', 'uniform')
# Uniform in +-1/sqrt(fan_in): PyTorch's weights of linear layers.
FAN_IN = nn.initializers.variance_scaling(1.0 / 3.0, 'fan_in', 'uniform')
# Xavier's of queries, keys and values as one kernel: PyTorch's attention.
STACKED = nn.initializers.variance_scaling(0.5, 'fan_avg', 'uniform')
# Xavier-uniform with gain 1e-5 (a variance of 1e-10).
NEAR_ZERO = nn.initializers.variance_scaling(1e-10, 'fan_avg', 'uniform')
ZERO = nn.initializers.zeros


class GroupNorm(nn.Module):
  """Group normalisation, optionally followed by scale and shift.

  Reduces over space first and over the channels of a group then, with the mean
  subtracted before squaring: as accurate as two passes and fast on every
  backend. The affine map and the modulation are applied as one multiply-add.

  Attributes:
    groups: number of groups; divides the number of channels.
    epsilon: added to the variance.
    dtype: type of the result.
  """

  groups: int = 32
  epsilon: float = 1e-5
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      scale: jax.Array | None = None,
      shift: jax.Array | None = None,
  ) -> jax.Array:
    """Returns norm(x) * scale + shift.

    Args:
      x: (B, H, W, C).
      scale: (B, C), None = 1. Multiplies the normalised and affine x.
      shift: (B, C), None = 0.

    Raises:
      ValueError: if the groups do not divide the channels.
    """
    channels = x.shape[-1]
    if channels % self.groups:
      raise ValueError(
          f'GroupNorm: {channels} channels cannot form {self.groups} groups. '
          'Choose channels (times each multiplier) divisible by the groups.'
      )
    gamma = self.param('scale', nn.initializers.ones, (channels,))
    beta = self.param('bias', nn.initializers.zeros, (channels,))
    x32 = x.astype(jnp.float32)

    def by_group(a):  # (B, C) -> the mean of its group, for each channel.
      a = a.reshape(a.shape[0], self.groups, -1).mean(axis=-1)
      return jnp.repeat(a, channels // self.groups, axis=-1)

    mean = by_group(x32.mean(axis=(1, 2)))
    centred = x32 - mean[:, None, None]
    variance = by_group(jnp.square(centred).mean(axis=(1, 2)))
    a = jax.lax.rsqrt(variance + self.epsilon) * gamma[None]
    b = jnp.broadcast_to(beta, a.shape)
    if scale is not None:
      a, b = a * scale, b * scale
    if shift is not None:
      b = b + shift
    return (centred * a[:, None, None] + b[:, None, None]).astype(self.dtype)


def conv(
    features: int,
    *,
    name: str,
    kernel: int = 3,
    stride: int = 1,
    pad: int | None = None,
    dtype: Any = jnp.float32,
    init: nn.initializers.Initializer = XAVIER,
) -> nn.Conv:
  """A convolution padded by `pad`, or else kernel // 2, on each side."""
  pad = kernel // 2 if pad is None else pad
  return nn.Conv(
      features, (kernel, kernel), (stride, stride), padding=((pad, pad),) * 2,
      kernel_init=init, dtype=dtype, name=name, conv_general_dilated=_convolve)


def _convolve(x, kernel, strides, padding, **kwargs):
  """`lax.conv_general_dilated`, but for pictures on a CPU.

  There, XLA's strided convolution of few channels takes four times as long as
  one product of all patches.
  """
  few_channels = x.shape[-1] <= 4 and strides[0] > 1
  if not few_channels or jax.default_backend() != 'cpu':
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, **kwargs)
  x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
  rows, columns = (
      [slice(i, x.shape[axis] - k + i + 1, step) for i in range(k)]
      for axis, k, step in zip((1, 2), kernel.shape[:2], strides))
  patches = jnp.concatenate([x[:, r, c] for r in rows for c in columns], -1)
  return patches @ kernel.reshape(-1, kernel.shape[-1])


def dense(
    features: int,
    *,
    name: str,
    dtype: Any = jnp.float32,
    init: nn.initializers.Initializer = XAVIER,
) -> nn.Dense:
  """A linear layer, by default Xavier-uniform, with zero bias."""
  return nn.Dense(features, kernel_init=init, dtype=dtype, name=name,
                  dot_general=lambda x, kernel, *_, **__: product(x, kernel))


@jax.custom_vjp
def product(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """(..., D) @ (D, E) -> (..., E), without forward-mode derivatives."""
  return x @ kernel


def kernel_gradient(x: jax.Array, dy: jax.Array) -> jax.Array:
  """Of the kernel of y = x @ kernel: (..., D), (..., E) -> (D, E).

  On a CPU, XLA's product over the rows of two matrices takes longer than that
  with a transposed copy of the first.
  """
  x, dy = (a.reshape(-1, a.shape[-1]) for a in (x, dy))
  x = x.T
  if jax.default_backend() == 'cpu':
    x = jax.lax.optimization_barrier(x)
  return x @ dy


product.defvjp(
    lambda x, kernel: (x @ kernel, (x, kernel)),
    lambda given, dy: (dy @ given[1].T, kernel_gradient(given[0], dy)))


class Dropout(nn.Module):
  """Dropout with one random word for two values, which is what it costs.

  The rate is rounded to a multiple of 2^-16, and what is kept is scaled by the
  rounded one.

  Attributes:
    rate: share of the values that become 0.
    deterministic: whether nothing is done.
  """

  rate: float
  deterministic: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """(..., C) -> (..., C)."""
    if self.deterministic or not self.rate:
      return x
    kept, channels = 2**16 - round(self.rate * 2**16), x.shape[-1]
    words = jax.random.bits(
        self.make_rng('dropout'), (*x.shape[:-1], (channels + 1) // 2),
        jnp.uint32)
    halves = jnp.concatenate([words >> 16, words & 0xFFFF], axis=-1)
    return jnp.where(
        halves[..., :channels] < kept, x * (2**16 / max(kept, 1)), 0)


def upsample(x: jax.Array) -> jax.Array:
  """Nearest-neighbour upsampling by 2: (B, H, W, C) -> (B, 2H, 2W, C)."""
  return jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)


def downsample(x: jax.Array) -> jax.Array:
  """Mean of 2 x 2 pixels: (B, 2H, 2W, C) -> (B, H, W, C)."""
  b, h, w, c = x.shape
  return x.reshape(b, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))


class ResBlock(nn.Module):
  """Residual block of two convolutions, or of three with AdaGN.

  Without `modulation`: norm, SiLU, conv; norm, SiLU, dropout, conv.
  With it the second norm is adaptive (AdaGN): for embeddings e_1, e_2, ... in
  order, h -> h * (1 + scale_i) + shift_i with (scale_i, shift_i) =
  Linear(SiLU(e_i)). In DiffSDA (App. A) a third norm, SiLU, dropout, conv
  follows, in DiViD (as in latent diffusion) not.

  Attributes:
    features: channels of the result.
    groups: groups of the norms.
    dropout: dropout rate.
    as_published: AdaGN as DiffSDA's paper writes it, e_2_scale *
      (e_1_scale * h + e_1_shift). Default: as its released code has it, see
      above.
    third_conv: whether a third convolution follows a modulated norm.
    zero_init: whether the last convolution starts at zero.
    resample: None, 'down' or 'up': the mean of 2 x 2 pixels or the nearest one,
      for the input of the first convolution and for the shortcut.
    epsilon: of the norms.
    dtype: type of the computation.
  """

  features: int
  groups: int = 32
  dropout: float = 0.1
  as_published: bool = False
  third_conv: bool = True
  zero_init: bool = False
  resample: str | None = None
  epsilon: float = 1e-5
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      modulation: tuple[jax.Array, ...] = (),
      train: bool = False,
  ) -> jax.Array:
    """(B, H, W, C), embeddings (B, E) -> (B, H, W, features)."""
    norm = lambda name: GroupNorm(
        self.groups, self.epsilon, dtype=self.dtype, name=name)
    drop = Dropout(self.dropout, deterministic=not train)
    resample = {None: lambda a: a, 'down': downsample, 'up': upsample}[
        self.resample]
    last = 3 if modulation and self.third_conv else 2

    def convolve(number, h):
      init = ZERO if self.zero_init and number == last else XAVIER
      return conv(self.features, name=f'conv_{number}', dtype=self.dtype,
                  init=init)(h)

    h = convolve(1, resample(nn.silu(norm('norm_1')(x))))
    h = nn.silu(norm('norm_2')(h, *self._scale_and_shift(modulation)))
    h = convolve(2, drop(h))
    if last == 3:
      h = convolve(3, drop(nn.silu(norm('norm_3')(h))))
    x = resample(x)
    if x.shape[-1] != self.features:
      x = conv(self.features, kernel=1, name='shortcut', dtype=self.dtype)(x)
    return x + h

  def _scale_and_shift(self, modulation):
    """Composes the modulations into one: (scale, shift), each (B, C)."""
    if not modulation:
      return None, None
    scale, shift = 1.0, 0.0
    for i, embedding in enumerate(modulation):
      scales_only = self.as_published and i == len(modulation) - 1
      size = self.features * (1 if scales_only else 2)
      affine = dense(size, name=f'modulation_{i + 1}')(nn.silu(embedding))
      factor, offset = (affine, 0.0) if scales_only else jnp.split(
          affine, 2, axis=-1)
      factor = factor if self.as_published else 1.0 + factor
      scale, shift = scale * factor, shift * factor + offset
    return scale, shift


class NoiseEmbedding(nn.Module):
  """Random Fourier features of c_noise and two linear layers.

  The frequencies, N(0, 16^2), are constants drawn from a fixed seed: they are
  no parameters and are not averaged or decayed.

  Attributes:
    channels: number of Fourier features; the result has four times as many.
    scale: standard deviation of the frequencies.
  """

  channels: int
  scale: float = 16.0

  @nn.compact
  def __call__(self, c_noise: jax.Array) -> jax.Array:
    """(B,) -> (B, 4 * channels)."""
    frequencies = np.random.RandomState(0).randn(self.channels // 2)
    phase = 2.0 * np.pi * c_noise[:, None] * jnp.asarray(
        self.scale * frequencies, jnp.float32)[None]
    h = jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)
    h = nn.silu(dense(4 * self.channels, name='linear_1')(h))
    return nn.silu(dense(4 * self.channels, name='linear_2')(h))


class TimeEmbedding(nn.Module):
  """Sinusoids of a step and two linear layers (Ho et al. 2020, App. B).

  Attributes:
    channels: number of sinusoids.
    features: size of the result; None: 4 * channels.
  """

  channels: int
  features: int | None = None

  @nn.compact
  def __call__(self, t: jax.Array) -> jax.Array:
    """(B,) -> (B, features)."""
    size = self.features or 4 * self.channels
    h = sinusoids(t, self.channels)
    h = nn.silu(dense(size, name='linear_1')(h))
    return dense(size, name='linear_2')(h)


def sinusoids(t: jax.Array, size: int) -> jax.Array:
  """cos and then sin of t at size / 2 frequencies from 1 to 1e-4.

  Vaswani et al. 2017, arXiv:1706.03762, Sec. 3.5, in the order of latent
  diffusion.

  Args:
    t: (...,) steps.
    size: even number of values.

  Returns:
    (..., size) float32.
  """
  half = size // 2
  frequencies = 1e4 ** (-np.arange(half) / half)
  phase = jnp.tensordot(
      t.astype(jnp.float32), frequencies.astype(np.float32), axes=0)
  return jnp.concatenate([jnp.cos(phase), jnp.sin(phase)], axis=-1)
