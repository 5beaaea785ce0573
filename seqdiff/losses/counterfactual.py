"""How sure a code of a counterfactual is of the code that it came from."""

import jax
import jax.numpy as jnp

from seqdiff.core import types


def likelihood_ratio(
    read: types.Array, original: types.Array, drawn: types.Array
) -> jax.Array:
  """q(s | x') / q(s' | x'), the counterfactual term of GLR.

  Tonekaboni et al. 2022 (arXiv:2202.02262), Sec. 3: x' is decoded from a drawn
  s' in place of the code s of the series; it should be s' that is read from it.
  As in the released code the ratio is a mean over the values of the code. The
  posterior has unit variance.

  Args:
    read: (B, D) mean of the posterior q of x'.
    original: (B, D) s.
    drawn: (B, D) s'.

  Returns:
    (B,)
  """
  log_ratio = 0.5 * (jnp.square(drawn - read) - jnp.square(original - read))
  return jnp.mean(jnp.exp(log_ratio), axis=-1)
