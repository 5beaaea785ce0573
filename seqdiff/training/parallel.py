"""Two drivers for one step body: `Pmap` and `Mesh`.

Both offer the same methods and give the same numbers on any number of
devices, but for masks of dropout, which are drawn for the clips of a device
(`core.keys.of_batch`). `Pmap` is plain data parallelism: each device holds a
copy of the state and its share of the batch, and the body sums over the axis
'data'.
`Mesh` is `jit` over sharded arrays: the body sees the whole batch, and with
`fsdp` each device holds only its part of the parameters and the optimizer.

A driver keeps the state in its own layout. `plain` gives the state without
an axis of copies, as checkpoints and samplers want it; `place` goes back.
"""

import abc
from collections.abc import Callable, Sequence
import functools
from typing import Any

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
import numpy as np

from seqdiff.core import errors
from seqdiff.core import types

_AXIS = 'data'


def make_parallel(
    name: str,
    *,
    fsdp: bool = False,
    devices: Sequence[jax.Device] | None = None,
) -> 'Parallel':
  """Returns the driver called 'pmap' or 'mesh'.

  Args:
    name: 'pmap' or 'mesh'.
    fsdp: split the state over the devices; 'mesh' only.
    devices: the devices to use; all of them by default.

  Raises:
    ValueError: unknown name, or `fsdp` with 'pmap'.
  """
  if name == 'mesh':
    return Mesh(fsdp=fsdp, devices=devices)
  if name != 'pmap':
    raise errors.unknown_name('train.parallel', name, ('pmap', 'mesh'))
  if fsdp:
    raise ValueError(
        "train.fsdp is True with train.parallel 'pmap', which keeps a whole"
        " copy of the state on each device. Set train.parallel to 'mesh', or"
        ' train.fsdp to False.'
    )
  return Pmap(devices=devices)


class Parallel(abc.ABC):
  """What both drivers share."""

  def __init__(self, devices: Sequence[jax.Device] | None = None):
    """Spreads over `devices`, all of them by default."""
    self.devices = tuple(jax.devices() if devices is None else devices)
    # `jax.make_mesh` would make explicit axes, on which `nn.RNN` fails.
    self._mesh = jax.sharding.Mesh(np.array(self.devices), (_AXIS,))

  def check_batch_size(
      self, batch_size: int, *, num_parts: int = 1, name: str = 'batch size'
  ) -> None:
    """Raises a ValueError if a global batch cannot be divided evenly.

    Args:
      batch_size: examples of a step.
      num_parts: each device takes its share in so many parts.
      name: what is so large.
    """
    count = len(self.devices) * num_parts
    if batch_size % count == 0 and batch_size > 0:
      return
    below = batch_size // count * count
    sizes = f'{below} or {below + count}' if below else f'{count}'
    parts = f' of {num_parts} parts (train.num_parts)' if num_parts > 1 else ''
    raise ValueError(
        f'The {name} is {batch_size} and there are {len(self.devices)}'
        f' devices{parts}. Expected a multiple of {count}: set the batch size'
        f' to {sizes}, or use fewer devices{" or parts" if parts else ""}.'
    )

  def put(self, batch: types.Batch) -> types.Batch:
    """Moves this process's rows of a batch to its devices.

    Raises:
      ValueError: the rows cannot be divided evenly.
    """
    self.check_batch_size(len(batch['x']) * jax.process_count())
    return {k: self._put(np.asarray(v)) for k, v in batch.items()}

  def abstract(self, create: Callable[[], Any]) -> Any:
    """The plain state that `create()` makes, as shapes with shardings."""
    with_sharding = lambda a: jax.ShapeDtypeStruct(
        a.shape, a.dtype, sharding=self._plain_sharding(a)
    )
    return jax.tree.map(with_sharding, jax.eval_shape(create))

  def init(self, create: Callable[[], Any]) -> Any:
    """Runs `create()` under `jit`; returns the state in this layout."""
    shardings = jax.tree.map(lambda a: a.sharding, self.abstract(create))
    # What runs once need not be fast: compiling it for a CPU takes a fifth.
    options = {'xla_backend_optimization_level': 0} if (
        self.devices[0].platform == 'cpu') else None
    return self.place(jax.jit(
        create, out_shardings=shardings, compiler_options=options)())

  def host(self, state: Any) -> Any:
    """The plain state as numpy arrays."""
    return jax.device_get(self.plain(state))

  @abc.abstractmethod
  def compile_train(self, body: Callable[..., Any]) -> Callable[..., Any]:
    """`(state, batch) -> (state, metrics)`; the old state is consumed.

    The body is called with `axis_name`, see `training.step.train_step`.
    """

  @abc.abstractmethod
  def plain(self, state: Any) -> Any:
    """The state without an axis of copies, still on the devices."""

  @abc.abstractmethod
  def place(self, plain: Any) -> Any:
    """A plain state, sharded as `abstract` says, in this layout."""

  @abc.abstractmethod
  def _put(self, rows: np.ndarray) -> jax.Array:
    """Moves this process's rows of one array to its devices."""

  def _plain_sharding(self, leaf: Any) -> jax.sharding.NamedSharding:
    """How one leaf of a plain state lies on the devices."""
    del leaf
    return self._sharding()

  def _sharding(self, *axes: str | None) -> jax.sharding.NamedSharding:
    spec = jax.sharding.PartitionSpec(*axes)
    return jax.sharding.NamedSharding(self._mesh, spec)


class Pmap(Parallel):
  """Data parallelism by `pmap`: arrays have a leading axis of devices."""

  def __init__(self, devices: Sequence[jax.Device] | None = None):
    """Spreads over `devices`, all of them by default."""
    super().__init__(devices)
    count = len(self.devices)
    first = lambda a: a[0]
    copies = lambda a: jnp.broadcast_to(a, (count,) + a.shape)
    # Made once, or every call would compile again.
    self._first = jax.jit(
        lambda tree: jax.tree.map(first, tree), out_shardings=self._sharding()
    )
    self._copies = jax.jit(
        lambda tree: jax.tree.map(copies, tree),
        out_shardings=self._sharding(_AXIS),
    )

  def compile_train(self, body: Callable[..., Any]) -> Callable[..., Any]:
    """See `Parallel`."""
    return jax.pmap(
        functools.partial(body, axis_name=_AXIS), axis_name=_AXIS,
        devices=self.devices, out_axes=(0, None), donate_argnums=0)

  def plain(self, state: Any) -> Any:
    """See `Parallel`."""
    # Of several processes, `pmap` gives each one the copies on its devices.
    spec = jax.sharding.PartitionSpec(_AXIS)
    to_global = multihost_utils.host_local_array_to_global_array
    return self._first(to_global(state, self._mesh, spec))

  def place(self, plain: Any) -> Any:
    """See `Parallel`."""
    return self._copies(plain)

  def _put(self, rows: np.ndarray) -> jax.Array:
    count = len(self.devices) // jax.process_count()
    rows = rows.reshape((count, -1) + rows.shape[1:])
    return jax.make_array_from_process_local_data(self._sharding(_AXIS), rows)


class Mesh(Parallel):
  """Data parallelism by `jit` on a mesh, with split state if asked for."""

  def __init__(
      self,
      *,
      fsdp: bool = False,
      min_split_size: int = 2**10,
      devices: Sequence[jax.Device] | None = None,
  ):
    """Spreads over `devices`, all of them by default.

    Args:
      fsdp: split the state over the devices instead of copying it.
      min_split_size: leaves with fewer elements are copied all the same.
      devices: the devices to use.
    """
    super().__init__(devices)
    self._fsdp = fsdp
    self._min_split_size = min_split_size

  def compile_train(self, body: Callable[..., Any]) -> Callable[..., Any]:
    """See `Parallel`."""

    def pinned(state, batch):
      shardings = jax.tree.map(self._plain_sharding, state)
      # Were the new state to lie elsewhere, the next call would compile again.
      outputs = body(state, batch, axis_name=None)
      return jax.lax.with_sharding_constraint(
          outputs, (shardings, self._sharding())
      )

    return jax.jit(pinned, donate_argnums=0)

  def plain(self, state: Any) -> Any:
    """The state itself: this layout has no axis of copies."""
    return state

  def place(self, plain: Any) -> Any:
    """The state itself."""
    return plain

  def _put(self, rows: np.ndarray) -> jax.Array:
    return jax.make_array_from_process_local_data(self._sharding(_AXIS), rows)

  def _plain_sharding(self, leaf: Any) -> jax.sharding.NamedSharding:
    """Splits the longest axis that the devices divide; else copies."""
    count = len(self.devices)
    sizes = [s if s % count == 0 else 0 for s in leaf.shape]
    if not self._fsdp or leaf.size < self._min_split_size or not any(sizes):
      return self._sharding()
    return self._sharding(*[None] * int(np.argmax(sizes)), _AXIS)
