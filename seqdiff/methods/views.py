"""Views of clips that keep one factor and change the other.

Colours tell who somebody is and not what he does. A dynamic code that is read
from a clip in random colours cannot hold them. Source of the idea: C-DSVAE
(Bai et al. 2021, arXiv:2110.11340), which contrasts such views; here they are
what the dynamic encoder sees in training.
"""

import jax
import jax.numpy as jnp

from seqdiff.core import keys
from seqdiff.core import types

_GAMMA = 2.0  # Brightness u in [0, 1] becomes u^g, 1/2 < g < 2.


def random_colours(
    key: types.Key, index: types.Array, channels: int
) -> tuple[jax.Array, jax.Array]:
  """How each clip is recoloured: averages (B, C, C) and gammas (B, C).

  Every channel becomes a random average of all channels, mixed with itself.
  Nothing changed, the identity and 1, lies within what can be drawn.
  """

  def draw(key):
    mix_key, amount_key, gamma_key = jax.random.split(key, 3)
    mix = jax.random.dirichlet(mix_key, jnp.ones(channels), (channels,))
    amount = jax.random.uniform(amount_key)
    gamma = _GAMMA ** jax.random.uniform(
        gamma_key, (channels,), minval=-1.0, maxval=1.0)
    return amount * mix + (1.0 - amount) * jnp.eye(channels), gamma

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
  mix, gamma = random_colours(key, index, x.shape[-1])
  brightness = jnp.clip((x + 1.0) / 2.0, 1e-3, 1.0)
  mixed = jnp.einsum('bthwc,bdc->bthwd', brightness, mix)
  return 2.0 * mixed ** gamma[:, None, None, None] - 1.0
