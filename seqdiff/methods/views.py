"""Views of clips that keep one factor and hide the other.

A few frames tell who somebody is as well as all do; what he does at another
time they do not tell. Colours tell who he is and not what he does, and so does
all that stays the same for a whole clip. So a static code may be read from
other frames than those it has to explain, and dynamic codes from a clip in
random colours, or without its mean frame. Sources of the ideas: C-DSVAE (Bai et
al. 2021, arXiv:2110.11340) contrasts views of a clip, DiViD (ICCV-W 2025) reads
dynamic codes from residuals.
"""

import jax
import jax.numpy as jnp

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types

_KNOTS = 4  # K, of a tone curve.


def random_order(
    key: types.Key, index: types.Array, mask: types.Array
) -> jax.Array:
  """Frame numbers (B, T) of each clip in random order, padding last."""
  score = jax.vmap(lambda k: jax.random.uniform(k, mask.shape[1:]))(
      keys.per_example(key, index))
  return jnp.argsort(score + 2.0 * (1 - mask), axis=1)


def last_real(
    order: types.Array, mask: types.Array, count: int
) -> jax.Array:
  """Which real frames come last in an order, repeated if there are fewer.

  Args:
    order: (B, T) frame numbers, padding last.
    mask: (B, T).
    count: number of frames.

  Returns:
    (B, count) frame numbers, rising.
  """
  real = jnp.maximum(jnp.sum(mask, axis=1, keepdims=True), 1)
  places = (real - 1 - jnp.arange(count)[None]) % real
  return jnp.sort(jnp.take_along_axis(order, places, axis=1), axis=1)


def take_frames(a: types.Array, frames: types.Array) -> jax.Array:
  """Frames (B, n) of an array (B, T, ...): (B, n, ...)."""
  return jnp.take_along_axis(
      a, frames.reshape(frames.shape + (1,) * (a.ndim - 2)), axis=1)


def random_colours(
    key: types.Key, index: types.Array, channels: int
) -> tuple[jax.Array, jax.Array]:
  """How each clip is recoloured: averages (B, C, C) and curves (B, C, K).

  Every channel becomes a random average of all channels, and then the value of
  a random curve, which need not rise: linear between its values at the
  brightnesses 1/K, 2/K, ..., 1, and 0 at 0.
  """

  def draw(key):
    mix_key, curve_key = jax.random.split(key)
    mix = jax.random.dirichlet(mix_key, jnp.ones(channels), (channels,))
    return mix, jax.random.uniform(curve_key, (channels, _KNOTS))

  return jax.vmap(draw)(keys.per_example(key, index))


def recolour(key: types.Key, index: types.Array, x: types.Array) -> jax.Array:
  """Each clip in other colours, the same in all of its frames; black stays.

  Args:
    key: of the draw.
    index: (B,) numbers of the examples, by which the draws are keyed.
    x: (B, T, H, W, C) in [-1, 1].

  Returns:
    (B, T, H, W, C) in [-1, 1].
  """
  mix, curves = random_colours(key, index, x.shape[-1])
  mixed = jnp.einsum('bthwc,bdc->bthwd', (x + 1.0) / 2.0, mix)
  # Linear interpolation: the weight of a knot falls from 1 to 0 at the next.
  toned = sum(
      curves[:, None, None, None, :, k - 1]
      * jnp.maximum(0.0, 1.0 - jnp.abs(_KNOTS * mixed - k))
      for k in range(1, _KNOTS + 1))
  return 2.0 * toned - 1.0


def centre(x: types.Array, mask: types.Array) -> jax.Array:
  """Clips (B, T, H, W, C) minus the mean of their real frames (B, T)."""
  weight = shapes.expand_like(mask, x)
  total = jnp.sum(x * weight, axis=1, keepdims=True)
  return x - total / jnp.maximum(jnp.sum(weight, axis=1, keepdims=True), 1)


def drop(
    key: types.Key, index: types.Array, codes: types.Array, rate: float
) -> jax.Array:
  """Codes (B, ...) of which a share `rate` of the examples (B,) is all 0."""
  draw = lambda k: jax.random.bernoulli(k, 1.0 - rate)
  kept = jax.vmap(draw)(keys.per_example(key, index))
  return codes * shapes.expand_like(kept, codes)
