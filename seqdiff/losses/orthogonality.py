"""How far the static code and the dynamic codes are from orthogonal."""

import jax
import jax.numpy as jnp

from seqdiff.core import types


def squared_products(
    static: types.Array, dynamic: types.Array, *, normalised: bool = False
) -> jax.Array:
  """(s^T d_i)^2, the terms of DiViD's L_orth (arXiv:2507.13934, Eq. 4).

  It falls when a code shrinks as well as when it turns.

  Args:
    static: (B, D).
    dynamic: (B, T, D).
    normalised: whether products are divided by the lengths of the codes, which
      leaves the squared cosines. Departure: the paper does not.

  Returns:
    (B, T)
  """
  squares = jnp.square(jnp.einsum('bd,btd->bt', static, dynamic))
  if not normalised:
    return squares
  power = lambda a: jnp.sum(jnp.square(a), axis=-1)
  return squares / jnp.maximum(
      power(static)[:, None] * power(dynamic), 1e-12)
