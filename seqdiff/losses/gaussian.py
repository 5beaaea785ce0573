"""Divergences between diagonal Gaussians."""

import jax
import jax.numpy as jnp

from seqdiff.core import types


def kl_to_unit(mean: types.Array, log_var: types.Array) -> jax.Array:
  """KL(N(mean, exp(log_var)) | N(0, I)) in nats, summed over the last axis.

  Kingma and Welling 2014, arXiv:1312.6114, App. B.

  Args:
    mean: (..., D).
    log_var: (..., D) logarithm of the variance.

  Returns:
    (...,)
  """
  return 0.5 * jnp.sum(
      jnp.square(mean) + jnp.exp(log_var) - 1.0 - log_var, axis=-1)
