"""Perceptrons whose layers see the input again: the networks of series.

Source: DiffSDA (arXiv:2510.05717, App. A) and its released code.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.nets import blocks

# The released code: He-normal where an activation follows, else PyTorch's own,
# U(-1/sqrt(n), 1/sqrt(n)) for n inputs.
_HE = nn.initializers.he_normal()
_LINEAR = nn.initializers.variance_scaling(1.0 / 3.0, 'fan_in', 'uniform')


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
  """

  out_features: int | None
  width: int
  layers: int = 5
  dropout: float = 0.1
  channels: int = 64

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      modulation: tuple[jax.Array, ...] = (),
      *,
      train: bool = False,
  ) -> jax.Array:
    """Steps (N, F), embeddings (N, E) -> (N, out_features) float32."""
    drop = nn.Dropout(self.dropout, deterministic=not train)
    norm = lambda i, h: nn.LayerNorm(epsilon=1e-5, name=f'norm_{i}')(h)
    h, last = x, self.layers - 1
    for i in range(last):
      h = blocks.dense(self.width, name=f'layer_{i}', init=_HE)(h)
      for j, embedding in enumerate(modulation):
        scale, shift = jnp.split(blocks.dense(
            2 * self.width, name=f'modulation_{i}_{j}')(nn.silu(embedding)),
                                 2, axis=-1)
        h = h * (1.0 + scale) + shift
      h = drop(nn.silu(norm(i, h)))
      h = jnp.concatenate([h, x], axis=-1)
    size = self.width if self.out_features is None else self.out_features
    h = blocks.dense(size, name=f'layer_{last}', init=_LINEAR)(h)
    return norm(last, h) if self.out_features is None else h
