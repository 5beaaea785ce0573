"""Clips to factors and back, on all devices."""

from collections.abc import Callable
import functools

import jax

from seqdiff.methods import base
from seqdiff.sampling import devices


@functools.lru_cache  # The same function again compiles nothing.
def make_encode(method: base.Method) -> Callable[..., base.Factors]:
  """Returns the jitted function (params, batch, None) -> factors."""

  @jax.jit
  def encode(params, batch, key):
    del key
    return base.encode(method, params, batch)

  return devices.over_devices(encode)


@functools.lru_cache  # See above.
def make_decode(method: base.Method) -> Callable[..., jax.Array]:
  """Returns the jitted function (params, factors, x_init, None) -> clips."""

  @jax.jit
  def decode(params, factors, x_init, key):
    del key
    return method.decode(params, factors, x_init)

  return devices.over_devices(decode)
