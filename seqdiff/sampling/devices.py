"""Samplers on all devices of all processes: each takes some of the clips."""

from collections.abc import Callable
import functools
from typing import Any
import weakref

import jax
from jax.experimental import multihost_utils
import numpy as np

from seqdiff.core import types


def over_devices(sampler: Callable[..., Any]) -> Callable[..., Any]:
  """Splits the batches of a jitted sampler over the devices.

  Args:
    sampler: (params, *batches, key) -> clips, jitted. Batches and clips are
      trees of arrays, of as many examples each; the key may be None.

  Returns:
    The same function. Several processes call it together, with the same
    batches, and get all clips. A batch that the devices do not divide evenly is
    filled up with its own examples, and what comes of these is cut off.
  """

  split = jax.sharding.PartitionSpec('clips')
  whole = jax.sharding.PartitionSpec()

  @functools.cache
  def shared(mesh, num_batches):
    # Of a loop over frames, as that of an autoencoder, `jit` alone would give
    # each device all turns.
    return jax.jit(jax.shard_map(
        sampler, mesh=mesh, in_specs=(whole, *[split] * num_batches, whole),
        out_specs=split, check_vma=False))

  @functools.wraps(sampler)
  def spread(
      params: types.Params, *args: types.Batch | types.Key | None
  ) -> Any:
    *batches, key = args
    devices, count = jax.local_devices(), jax.device_count()
    if count == 1:
      return sampler(params, *args)
    mesh = jax.sharding.Mesh(np.array(devices), ('clips',))
    put = lambda tree, axes=whole: jax.device_put(
        tree, jax.sharding.NamedSharding(mesh, axes))
    size = len(jax.tree.leaves(batches)[0])
    own = np.split(np.arange(size + -size % count) % size,
                   jax.process_count())[jax.process_index()]
    clips = shared(mesh, len(batches))(
        _COPIES.of(params, put),
        *put(jax.tree.map(lambda a: np.asarray(a)[own], batches), split),
        put(key))
    if jax.process_count() > 1:
      clips = multihost_utils.process_allgather(clips, tiled=True)
    return jax.tree.map(lambda a: a[:size], clips) if size % count else clips

  return spread


def in_batches(function: Callable[..., Any], given: Any, size: int) -> Any:
  """What a function of examples gives for all of them, `size` at a time.

  Args:
    function: (*batches) -> tree of arrays, of as many examples each.
    given: what it takes: trees of arrays, of one or more examples.
    size: examples at once, at most.
  """
  parts, count = [], len(jax.tree.leaves(given)[0])
  for start in range(0, count, size):
    # The last batch begins anew with the first ones: all have one size.
    index = np.arange(start, start + min(size, count)) % count
    parts.append(jax.device_get(function(*jax.tree.map(
        lambda a, index=index: np.asarray(a)[index], given))))
  return jax.tree.map(lambda *a: np.concatenate(a)[:count], *parts)


class _Copies:
  """Remembers what parameters were put, while these are alive."""

  def __init__(self):
    self._kept = {}  # What was put, and references to the originals.

  def of(self, params: types.Params, put: Callable[[Any], Any]) -> Any:
    """`put(params)`, which is not done again for the same arrays."""
    leaves, form = jax.tree.flatten(params)
    if not all(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in leaves):
      return put(params)  # Plain numbers are as quick to send.
    key = form, *map(id, leaves)  # No other array has these while they live.
    if key not in self._kept:
      forget = lambda _: self._kept.pop(key, None)
      self._kept[key] = put(params), [
          weakref.ref(leaf, forget) for leaf in leaves]
    return self._kept[key][0]


_COPIES = _Copies()  # Of all samplers: those of a model have one set.
