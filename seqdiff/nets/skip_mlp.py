"""Perceptrons whose layers see the input again: of series, and of codes.

Source: DiffSDA (arXiv:2510.05717, App. A) and its released code; that of codes
is the MLPSkipNet of Preechakul et al. 2022 (arXiv:2111.15640).
"""

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.nets import blocks

# The released code: He-normal where an activation follows, else PyTorch's own,
# U(-1/sqrt(n), 1/sqrt(n)) for n inputs. Departures: biases start at 0, there
# like those of PyTorch; modulations are Xavier-uniform, as in the U-Nets.
_HE = nn.initializers.he_normal()
_LINEAR = nn.initializers.variance_scaling(1.0 / 3.0, 'fan_in', 'uniform')


class _Joint(nn.Module):
  """A linear layer of [a, b, ...], which would take time to put together."""

  features: int
  init: nn.initializers.Initializer

  @nn.compact
  def __call__(self, *parts):
    sizes = [part.shape[-1] for part in parts]
    kernel = self.param('kernel', self.init, (sum(sizes), self.features))
    bias = self.param('bias', nn.initializers.zeros, (self.features,))
    kernels = jnp.split(kernel, np.cumsum(sizes)[:-1])
    return sum(map(blocks.product, parts, kernels)) + bias[None]


class SkipMLP(nn.Module):
  """Linear layers, each but the first of [h, x], on the values of one step.

  Each layer but the last is followed by modulations as in `blocks.ResBlock`
  (but before the norm, not after it), LayerNorm, SiLU and dropout.

  Attributes:
    out_features: size of the result; None: `width`, and a LayerNorm at the end,
      as of an encoder.
    width: size of the hidden layers.
    layers: number of layers.
    dropout: dropout rate.
    channels: a fourth of the size of the embeddings that modulate.
    shift: whether an embedding shifts; else it scales only.
  """

  out_features: int | None
  width: int
  layers: int = 5
  dropout: float = 0.1
  channels: int = 64
  shift: bool = True

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      modulation: tuple[jax.Array, ...] = (),
      *,
      train: bool = False,
  ) -> jax.Array:
    """Steps (N, F), embeddings (N, E) -> (N, out_features) float32."""
    drop = blocks.Dropout(self.dropout, deterministic=not train)
    norm = lambda i, h: nn.LayerNorm(epsilon=1e-5, name=f'norm_{i}')(h)
    parts, last = (x,), self.layers - 1
    for i in range(last):
      h = _Joint(self.width, _HE, name=f'layer_{i}')(*parts)
      for j, embedding in enumerate(modulation):
        scale_shift = blocks.dense(
            (1 + self.shift) * self.width, name=f'modulation_{i}_{j}')(
                nn.silu(embedding))
        h = h * (1.0 + scale_shift[:, :self.width])
        if self.shift:
          h += scale_shift[:, self.width:]
      parts = drop(nn.silu(norm(i, h))), x
    size = self.width if self.out_features is None else self.out_features
    h = _Joint(size, _LINEAR, name=f'layer_{last}')(*parts)
    return norm(last, h) if self.out_features is None else h


class CodeDenoiser(nn.Module):
  """The network of the prior: a code and its step -> the noise in the code.

  Attributes:
    layers: number of layers.
    expand: hidden layers are so many times as wide as the code (released code:
      4; the widths in Table 8 of the paper are 1, 4.3, 4 and 4 times).
    dropout: dropout rate.
    parts: sizes of parts of the code that have networks of their own, which do
      not see each other; one part is the whole code.
  """

  layers: int = 10
  expand: int = 4
  dropout: float = 0.1
  parts: tuple[int, ...] = ()

  @nn.compact
  def __call__(
      self, z: jax.Array, t: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """Codes (B, D), steps (B,) -> (B, D)."""
    bounds = np.cumsum(self.parts)[:-1]
    outputs = []
    for k, part in enumerate(jnp.split(z, bounds, axis=-1)):
      size = part.shape[-1]
      embedding = blocks.TimeEmbedding(64, size, name=f'time_embedding_{k}')(t)
      outputs.append(SkipMLP(
          size, self.expand * size, self.layers, self.dropout, shift=False,
          name=f'part_{k}')(part, (embedding,), train=train))
    return jnp.concatenate(outputs, axis=-1)
