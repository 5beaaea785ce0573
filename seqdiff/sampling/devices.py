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
  copies = _Copies()

  @functools.wraps(sampler)
  def spread(
      params: types.Params, *args: types.Batch | types.Key | None
  ) -> Any:
    *batches, key = args
    devices, count = jax.local_devices(), jax.device_count()
    if count == 1:
      return sampler(params, *args)
    mesh = jax.sharding.Mesh(np.array(devices), ('clips',))
    put = lambda tree, *axes: jax.device_put(tree, jax.sharding.NamedSharding(
        mesh, jax.sharding.PartitionSpec(*axes)))
    size = len(jax.tree.leaves(batches)[0])
    own = np.split(np.arange(size + -size % count) % size,
                   jax.process_count())[jax.process_index()]
    clips = sampler(
        copies.of(params, put),
        *put(jax.tree.map(lambda a: np.asarray(a)[own], batches), 'clips'),
        put(key))
    if jax.process_count() > 1:
      clips = multihost_utils.process_allgather(clips, tiled=True)
    return jax.tree.map(lambda a: a[:size], clips) if size % count else clips

  return spread


class _Copies:
  """Remembers the last parameters that were put, while these are alive."""

  def __init__(self):
    self._originals, self._put = [], None

  def of(self, params: types.Params, put: Callable[[Any], Any]) -> Any:
    """`put(params)`, which is not done again for the same arrays."""
    leaves = jax.tree.leaves(params)
    if not all(isinstance(leaf, (jax.Array, np.ndarray)) for leaf in leaves):
      return put(params)  # Plain numbers are as quick to send.
    known = [original() for original in self._originals]
    if len(leaves) != len(known) or any(
        a is not b for a, b in zip(leaves, known)):
      self._put = put(params)
      self._originals = [weakref.ref(leaf, self._forget) for leaf in leaves]
    return self._put

  def _forget(self, original: weakref.ref) -> None:
    # One of an earlier tree may go later.
    if any(original is one for one in self._originals):
      self._originals, self._put = [], None
