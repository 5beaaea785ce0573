"""Likelihoods of diagonal Gaussians, and divergences between them."""

import math

import jax
import jax.numpy as jnp

from seqdiff.core import types


def nll(
    x: types.Array, mean: types.Array, std: types.Array | float = 1.0
) -> jax.Array:
  """-log N(x; mean, std^2) of each value, in nats.

  Args:
    x: (...).
    mean: (...).
    std: (...), or one number for all.

  Returns:
    (...)
  """
  return (0.5 * jnp.square((x - mean) / std) + jnp.log(std)
          + 0.5 * math.log(2.0 * math.pi))


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
