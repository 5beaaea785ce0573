"""The networks of GLR: encoders of windows and of series, decoder of windows.

Source: Tonekaboni et al. 2022 (arXiv:2202.02262) and its released code, whose
sizes are in configs/common/glr.py: each is an LSTM of the first size, and
linear layers with ReLU of the others. Initial values are those of Keras.
Departure: no batch norm before the first layer of the decoder. In the released
code it was never told that it trains, which makes it one more linear layer.
"""

from collections.abc import Sequence

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.nets import blocks
from seqdiff.nets import recurrent


class LocalEncoder(nn.Module):
  """A window -> mean of its code, and its part of the precision.

  Attributes:
    dim: size D of the code.
    sizes: of the layers.
  """

  dim: int
  sizes: Sequence[int] = (32, 64, 64)

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Reads windows.

    Args:
      x: (N, w, F) windows.
      mask: (N, w), which of their steps are read.

    Returns:
      Means, and the diagonal and the values above it of the bidiagonal matrix
      of `losses.gaussian_process`: (N, D) each.
    """
    # The sigmoid stands where an LSTM has tanh: as released.
    _, h = recurrent.Recurrence(
        self.sizes[0], keras=True, activation='sigmoid', name='lstm')(x, mask)
    h = _layers(self.sizes, h)
    mean = blocks.dense(self.dim, name='mean_head')(h)
    precision = nn.softplus(
        blocks.dense(2 * self.dim, name='precision_head')(h))
    diagonal, above = jnp.split(precision, 2, axis=-1)
    return mean, 1.0 + diagonal, above


class GlobalEncoder(nn.Module):
  """A sub-sequence -> mean of the code of its series.

  Attributes:
    dim: size D of the code.
    sizes: of the layers.
  """

  dim: int
  sizes: Sequence[int] = (32, 64, 64)

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
    """(N, n, F), mask (N, n) of the steps that are read -> (N, D)."""
    _, h = recurrent.Recurrence(
        self.sizes[0], keras=True, name='lstm')(x, mask)
    return blocks.dense(self.dim, name='mean_head')(_layers(self.sizes, h))


class WindowDecoder(nn.Module):
  """Codes of a window -> mean and standard deviation of its values.

  The codes are the first state of an LSTM that gets no input.

  Attributes:
    window: steps w of a window.
    out_features: size F of a step.
    sizes: of the layers.
  """

  window: int
  out_features: int
  sizes: Sequence[int] = (64, 32)

  @nn.compact
  def __call__(self, codes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(N, D) -> (N, w, F) twice; standard deviations are below 0.5."""
    start = jnp.tanh(blocks.dense(self.sizes[0], name='start')(codes))
    nothing = jnp.zeros((len(codes), self.window, 1))
    h, _ = recurrent.Recurrence(self.sizes[0], keras=True, name='lstm')(
        nothing, jnp.ones(nothing.shape[:2], bool), start)
    h = _layers(self.sizes, h)
    mean = blocks.dense(self.out_features, name='mean_head')(h)
    std = 0.5 * nn.sigmoid(blocks.dense(self.out_features, name='std_head')(h))
    return mean, std


def _layers(sizes, h):
  """The linear layers after an LSTM, inside a module's `__call__`."""
  for i, size in enumerate(sizes[1:]):
    h = nn.relu(blocks.dense(size, name=f'layer_{i}')(h))
  return h
