"""Samplers on all devices of this process: each takes some of the clips."""

from collections.abc import Callable
import functools

import jax
import numpy as np

from seqdiff.core import types


def over_devices(
    sampler: Callable[..., jax.Array]
) -> Callable[..., jax.Array]:
  """Splits the batches of a jitted sampler over the local devices.

  Args:
    sampler: (params, *batches, key) -> clips, jitted.

  Returns:
    The same function. A batch that the devices do not divide evenly is left to
    one of them.
  """

  @functools.wraps(sampler)
  def spread(
      params: types.Params, *args: types.Batch | types.Key
  ) -> jax.Array:
    *batches, key = args
    devices = jax.local_devices()
    sizes = [len(a) for batch in batches for a in batch.values()]
    if len(devices) == 1 or any(n % len(devices) for n in sizes):
      return sampler(params, *args)
    mesh = jax.sharding.Mesh(np.array(devices), ('clips',))
    put = lambda tree, *axes: jax.device_put(tree, jax.sharding.NamedSharding(
        mesh, jax.sharding.PartitionSpec(*axes)))
    return sampler(
        put(params), *(put(batch, 'clips') for batch in batches), put(key))

  return spread
