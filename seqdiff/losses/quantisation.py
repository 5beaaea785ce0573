"""Vector quantisation: nearest codes, their gradient and their loss.

van den Oord et al. 2017, arXiv:1711.00937, Eq. 2 and 3.
"""

import jax
import jax.numpy as jnp

from seqdiff.core import types


def nearest(z: types.Array, codebook: types.Array) -> jax.Array:
  """Which code is nearest to each pixel, the first one of equals.

  Differences are squared as they are, not expanded into products that cancel.
  The rows of the images take turns, for all distances at once would be large.

  Args:
    z: (N, H, W, D).
    codebook: (K, D).

  Returns:
    (N, H, W) int32 in 0..K-1. Nothing has a gradient.
  """
  z, codebook = jax.lax.stop_gradient((z, codebook))

  def of_row(row):  # (N, W, D) -> (N, W)
    distance = sum(
        jnp.square(row[..., i, None] - codebook[None, None, :, i])
        for i in range(codebook.shape[-1]))
    return jnp.argmin(distance, axis=-1)

  return jnp.moveaxis(jax.lax.map(of_row, jnp.moveaxis(z, 1, 0)), 0, 1)


def straight_through(z: types.Array, quantised: types.Array) -> jax.Array:
  """The value of `quantised` with the gradient of `z`; shapes are equal."""
  return jax.lax.stop_gradient(quantised) + (z - jax.lax.stop_gradient(z))


def codebook_loss(
    z: types.Array, quantised: types.Array, *, beta: float = 0.25
) -> jax.Array:
  """mean |sg(z) - e|^2 + beta mean |z - sg(e)|^2, with e = `quantised`.

  The first term moves codes to the latents, the second (the commitment)
  latents to the codes. Departure: latent diffusion's released code has beta on
  the first term by default, which its authors call a bug.

  Args:
    z: (N, ...) latents.
    quantised: (N, ...) the codes chosen for them.
    beta: weight of the commitment.

  Returns:
    (N,)
  """
  stop = jax.lax.stop_gradient
  square = jnp.square(stop(z) - quantised) + beta * jnp.square(
      z - stop(quantised))
  return jnp.mean(square, axis=tuple(range(1, square.ndim)))


def perplexity(
    codes: types.Array, weight: types.Array, num_codes: int
) -> jax.Array:
  """How many codes each example uses: the exponential of their entropy.

  It is 1 if all latents share one code, and `num_codes` if all codes are used
  alike; it cannot exceed the number of latents.

  Args:
    codes: (N, M) integers in 0..num_codes-1.
    weight: (N, M); latents with 0 do not count.
    num_codes: K.

  Returns:
    (N,)
  """
  count = lambda codes, weight: jnp.zeros(num_codes).at[codes].add(weight)
  counts = jax.vmap(count)(codes, weight.astype(jnp.float32))
  p = counts / jnp.maximum(jnp.sum(counts, axis=1, keepdims=True), 1.0)
  log_p = jnp.log(jnp.where(p > 0.0, p, 1.0))
  return jnp.exp(-jnp.sum(p * log_p, axis=1))
