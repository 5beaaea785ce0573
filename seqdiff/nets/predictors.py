"""Small networks that predict a label of a series from its two codes.

Source: Tonekaboni et al. 2022 (GLR, arXiv:2202.02262) and Naiman et al.
(DBSE; DiffSDA, arXiv:2510.05717, App. B) with their released codes. Each maps
static codes (B, Ds), dynamic codes (B, T, Dd) and mask (B, T) to outputs.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.nets import blocks
from seqdiff.nets import recurrent


class LastState(nn.Module):
  """An LSTM over the dynamic codes; its last state and the static code decide.

  Attributes:
    early: read the state after a quarter of the series (released code, a left-
      over of codes of 4 hours each); else after its last step.
  """

  early: bool = False

  @nn.compact
  def __call__(
      self,
      static: jax.Array,
      dynamic: jax.Array,
      mask: jax.Array,
      *,
      train: bool = False,
  ) -> jax.Array:
    """-> logits (B, 1)."""
    length = jnp.sum(mask, axis=1, keepdims=True)
    if self.early:
      steps = jnp.arange(mask.shape[1])[None]
      mask = mask & (steps < jnp.maximum(length // 4, 1))
    _, last = recurrent.Recurrence(32)(dynamic, mask)
    h = nn.relu(nn.Dense(16)(jnp.concatenate([last, static], axis=-1)))
    h = blocks.Dropout(0.5, deterministic=not train)(h)
    return nn.Dense(1)(h)


class StaticOnly(nn.Module):
  """Two layers on the static code, both as wide as there are classes."""

  num_classes: int

  @nn.compact
  def __call__(
      self,
      static: jax.Array,
      dynamic: jax.Array,
      mask: jax.Array,
      *,
      train: bool = False,
  ) -> jax.Array:
    """-> logits (B, num_classes)."""
    del dynamic, mask, train
    h = nn.relu(nn.Dense(self.num_classes)(static))
    return nn.Dense(self.num_classes)(h)


class WindowMean(nn.Module):
  """A value for each step from both codes, averaged over windows.

  Attributes:
    window: steps of a window.
    rest: whether steps that fill no window make a shorter one (released code),
      or are not used.
    linear: whether values are unbounded; False: a leaky rectifier, which
      hardly allows what is below 0 (released code).
  """

  window: int
  linear: bool = True
  rest: bool = False

  @nn.compact
  def __call__(
      self,
      static: jax.Array,
      dynamic: jax.Array,
      mask: jax.Array,
      *,
      train: bool = False,
  ) -> jax.Array:
    """-> means (B, windows), see `window_means`."""
    del mask, train
    shape = dynamic.shape[:2] + static.shape[-1:]
    static = jnp.broadcast_to(static[:, None], shape)
    h = jnp.concatenate([dynamic, static], axis=-1)
    for size in 32, 8:
      h = nn.leaky_relu(nn.Dense(size)(h))
    h = nn.Dense(1)(h)[..., 0]
    return window_means(
        h if self.linear else nn.leaky_relu(h), self.window, rest=self.rest)


def window_means(
    values: jax.Array, window: int, *, rest: bool = False
) -> jax.Array:
  """Means over windows: (B, T) -> (B, T // window), the rest left out.

  With `rest` it is one window more, if there is any.
  """
  count = values.shape[1] // window
  means = values[:, :count * window].reshape(-1, count, window).mean(axis=-1)
  if not rest or values.shape[1] == count * window:
    return means
  last = values[:, count * window:].mean(axis=1, keepdims=True)
  return jnp.concatenate([means, last], axis=1)
