r"""Imputation: what was not observed of a series, sampled given what was.

The encoder reads the series with a guess where nothing is known. While codes
are decoded, known values are replaced at each noise level sigma by their noised
versions, x0 + sigma eps (Song et al. 2021, arXiv:2011.13456, App. I.2; RePaint,
Lugmayr et al. 2022, arXiv:2201.09865, Eq. 8, without its resampling). With one
eps for all levels this is a straight line, on which the solvers of
`diffusion.samplers` stay without error if the denoiser knows where it ends:

  D'(x, sigma) = x0 where known, D(x, sigma) elsewhere.

The last call of D' gives the known values back as they are.

Limits. Decoders go step by step: known values steer the others of their own
step only, and less than they should (the replacement is approximate, resampling
would cost many times as much); a step of which nothing is known is decoded from
its codes alone. These are read from the guess: an encoder that has met no gaps
takes it for measurements. The result is a sample, not a mean.
"""

from collections.abc import Callable
import functools

import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import types
from seqdiff.diffusion import samplers
from seqdiff.methods import base
from seqdiff.sampling import devices
from seqdiff.sampling import noise

GUESSES = ('interpolation', 'zero')


@functools.lru_cache  # The same function again compiles nothing.
def make_impute(
    method: base.Method,
    *,
    guess: str = 'interpolation',
    x_T: str = 'fresh_shared',
) -> Callable[[types.Params, types.Batch, types.Key], jax.Array]:
  """Returns the jitted function (params, batch, key) -> series (B, T, D).

  Where `batch['observed']` is True the result is x; there alone x is read.

  Args:
    method: the method. One without `denoise_fn` and `solver` decodes the codes
      at once; known values then steer nothing.
    guess: what the encoder reads elsewhere: 'interpolation' in time, or 'zero',
      the mean, as in training.
    x_T: 'fresh' or 'fresh_shared'.

  Raises:
    ValueError: for an unknown guess or x_T.
  """
  noise.check(x_T, ())
  if guess not in GUESSES:
    raise errors.unknown_name('guess', guess, GUESSES)

  @jax.jit
  def impute(params, batch, key):
    known = batch['observed']
    x0 = jnp.where(known, batch['x'], 0.0)
    seen = x0 if guess == 'zero' else jnp.where(
        batch['mask'][..., None], interpolate(x0, known), 0.0)
    factors = method.encode(params, seen, batch['mask'])
    x_init = noise.fresh(x_T, key, batch['index'], x0.shape[1:])
    if not hasattr(method, 'denoise_fn'):
      return jnp.where(known, x0, method.decode(params, factors, x_init))
    denoise, sigmas = method.denoise_fn(params, factors), method.solver.sigmas
    return samplers.solver(method.solver.name)(
        lambda x, sigma: jnp.where(known, x0, denoise(x, sigma)),
        x0 + sigmas[0] * x_init, sigmas)

  return devices.over_devices(impute)


def interpolate(x: types.Array, known: types.Array) -> jax.Array:
  """Linear interpolation in time between known values, for each variable.

  Args:
    x: (B, T, D).
    known: (B, T, D) bool.

  Returns:
    (B, T, D) float32. Before the first and after the last known value it is
    that value, and 0, the mean, for a variable of which nothing is known.
  """
  length = x.shape[1]
  steps = jnp.broadcast_to(jnp.arange(length)[None, :, None], x.shape)
  before = jax.lax.cummax(jnp.where(known, steps, -1), axis=1)
  after = jax.lax.cummin(
      jnp.where(known, steps, length), axis=1, reverse=True)
  low = jnp.where(before < 0, after, before)
  high = jnp.where(after == length, before, after)
  at = lambda places: jnp.take_along_axis(
      jnp.asarray(x), jnp.clip(places, 0, length - 1), axis=1)
  weight = (steps - low) / jnp.maximum(high - low, 1)
  found = at(low) + weight * (at(high) - at(low))
  return jnp.where(jnp.any(known, axis=1, keepdims=True), found, 0.0)
