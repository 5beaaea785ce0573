"""Samplers on all devices of all processes: each takes some of the clips."""

from collections.abc import Callable
import functools

import jax
from jax.experimental import multihost_utils
import numpy as np

from seqdiff.core import types


def over_devices(
    sampler: Callable[..., jax.Array]
) -> Callable[..., jax.Array]:
  """Splits the batches of a jitted sampler over the devices.

  Args:
    sampler: (params, *batches, key) -> clips, jitted.

  Returns:
    The same function. Several processes call it together, with the same
    batches, and get all clips. A batch that the devices do not divide evenly is
    left to one of them, in each process.
  """

  @functools.wraps(sampler)
  def spread(
      params: types.Params, *args: types.Batch | types.Key
  ) -> jax.Array:
    *batches, key = args
    devices, count = jax.local_devices(), jax.device_count()
    sizes = [len(a) for batch in batches for a in batch.values()]
    if count == 1 or any(n % count for n in sizes):
      return sampler(params, *args)
    mesh = jax.sharding.Mesh(np.array(devices), ('clips',))
    put = lambda tree, *axes: jax.device_put(tree, jax.sharding.NamedSharding(
        mesh, jax.sharding.PartitionSpec(*axes)))
    share = lambda a: np.split(a, jax.process_count())[jax.process_index()]
    clips = sampler(
        put(params), *(put(jax.tree.map(share, batch), 'clips')
                       for batch in batches), put(key))
    if jax.process_count() == 1:
      return clips
    return multihost_utils.process_allgather(clips, tiled=True)

  return spread
