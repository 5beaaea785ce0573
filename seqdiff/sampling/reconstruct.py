"""Reconstruction: a clip decoded from its own factors."""

from collections.abc import Callable
import functools

import jax

from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.methods import base
from seqdiff.methods import latent
from seqdiff.sampling import devices
from seqdiff.sampling import noise


@functools.lru_cache  # The same function again compiles nothing.
def make_reconstruct(
    method: base.Method, *, x_T: str = 'fresh'
) -> Callable[[types.Params, types.Batch, types.Key], jax.Array]:
  """Returns the jitted function (params, batch, key) -> clips (B, T, ...).

  Args:
    method: the method.
    x_T: 'fresh', 'fresh_shared', or 'encoded': the clip's own x_T by the
      reverse ODE. Then a small error shows that the ODE is inverted, not that
      the factors hold the clip.

  Raises:
    ValueError: for an unknown x_T.
  """
  noise.check(x_T, ('encoded',))

  @jax.jit
  def reconstruct(params, batch, key):
    factors = base.encode(method, params, batch)
    if x_T == 'encoded':
      x_init = noise.encoded(method, params, factors, batch, key)
    else:
      x_init = noise.fresh(x_T, key, batch['index'], batch['x'].shape[1:])
    return data_batch.in_range(method.decode(params, factors, x_init))

  return devices.over_devices(reconstruct)


@functools.lru_cache  # See above.
def make_first_stage(method: latent.Latent) -> Callable[..., jax.Array]:
  """Returns the jitted function (params, batch, None) -> clips (B, T, ...).

  They go through the first stage of a method of latents alone.
  """

  @jax.jit
  def first_stage(params, batch, key):
    del key
    return method.through_first_stage(
        params, data_batch.to_float(batch['x']))

  return devices.over_devices(first_stage)
