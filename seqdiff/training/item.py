"""The items of a checkpoint: how they are read, and known again.

An item that cannot be read is damaged, or it cannot be read now: there is no
memory, no right, or a disk that fails. So it is with a file that only some
processes miss: a shared disk may be late. Only what is damaged may be set
aside. All processes come to the same verdict, for else one of them would wait
for ever where the others do not come.
"""

from collections.abc import Callable, Iterator, Mapping
import json
import re
from typing import Any
import zlib

from etils import epath
import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from seqdiff.training import agreement

# What TensorStore says in a ValueError when it is not the file that is wrong.
# Error 2: there is no such file.
_NOT_NOW = re.compile(
    '^(RESOURCE_EXHAUSTED|PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|'
    "DEADLINE_EXCEEDED):|os_error_code='(?!2')")
# What it says if there is no file; the last one, if it is one of data.
_MISSING = re.compile(
    "^NOT_FOUND:|os_error_code='2'|Truncated Zstd-compressed stream; at byte 0")
_READ, _MISSES, _DAMAGED, _NOT_READABLE = range(4)  # Verdicts.


class BrokenCheckpointError(ValueError):
  """A checkpoint whose contents are not what was saved."""


def read_meta(path: epath.Path) -> dict[str, Any]:
  """The JSON item of the checkpoint at `path`.

  Raises:
    BrokenCheckpointError: it is missing or not as it was written.
    ValueError: it cannot be read now.
  """

  def load():
    alone = _alone()
    with ocp.Checkpointer(
        ocp.JsonCheckpointHandler(multiprocessing_options=alone),
        multiprocessing_options=alone,
    ) as reader:
      meta = reader.restore(path / 'meta')
    return meta, meta.pop('crc32')

  meta, saved = _together(load, 'meta', path)
  _require(crc32(meta) == saved, 'meta was changed after it was written')
  return meta


def read(
    path: epath.Path, name: str, abstract: Any, meta: Mapping[str, Any]
) -> Any:
  """One item of the checkpoint at `path`, whose digests are compared.

  Args:
    path: the checkpoint.
    name: the item.
    abstract: its shapes; leaves without a sharding go to one device.
    meta: its JSON item.

  Raises:
    BrokenCheckpointError: it is missing or not as it was written.
    ValueError: it cannot be read now.
  """
  one = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
  target = jax.tree.map(
      lambda a: jax.ShapeDtypeStruct(
          a.shape, a.dtype, sharding=getattr(a, 'sharding', None) or one
      ),
      abstract,
  )

  def load():
    with ocp.StandardCheckpointer(multiprocessing_options=_alone()) as reader:
      return reader.restore(path / name, target)

  tree = _together(load, name, path)
  complete = all(isinstance(a, jax.Array) for a in jax.tree.leaves(tree))
  _require(complete, f'{name} is not complete')
  found, saved = describe(tree), meta['leaves'][name]
  changed = [leaf for leaf in saved if found.get(leaf) != saved[leaf]]
  _require(
      not changed,
      f'{name} was changed after it was written: {", ".join(changed)}',
  )
  return tree


@jax.jit
def digest(tree: Any) -> Any:
  """One uint32 per leaf that changes if any one element changes.

  A weighted sum of the bits of the elements, modulo 2^32; the weights are odd
  and so have an inverse. The sharding of a leaf makes no difference.
  """

  def one(leaf):
    if leaf.dtype == jnp.bool_:
      leaf = leaf.astype(jnp.uint8)
    unsigned = jnp.dtype(f'uint{8 * leaf.dtype.itemsize}')
    bits = jax.lax.bitcast_convert_type(leaf, unsigned).reshape(-1)
    weights = 2 * jax.lax.iota(jnp.uint32, leaf.size) + 1
    return jnp.sum(bits.astype(jnp.uint32) * weights, dtype=jnp.uint32)

  return jax.tree.map(one, tree)


def describe(tree: Any) -> dict[str, list[Any]]:
  """Shape, type and digest of each leaf by its path."""
  digests = jax.tree.leaves(jax.device_get(digest(tree)))
  return {
      path: [list(leaf.shape), str(leaf.dtype), int(number)]
      for (path, leaf), number in zip(paths(tree), digests, strict=True)
  }


def paths(tree: Any) -> list[tuple[str, Any]]:
  """The leaves of `tree` with their paths, such as 'params/dense/kernel'."""
  leaves = jax.tree_util.tree_leaves_with_path(tree)
  name = lambda p: jax.tree_util.keystr(p, simple=True, separator='/')
  return [(name(path), leaf) for path, leaf in leaves]


def crc32(meta: Mapping[str, Any]) -> int:
  """A number that changes with the content."""
  return zlib.crc32(json.dumps(meta, sort_keys=True).encode())


def _alone() -> ocp.options.MultiprocessingOptions:
  """Orbax waits for no other process, which may have failed."""
  index = jax.process_index()
  return ocp.options.MultiprocessingOptions(
      primary_host=index, active_processes={index})


def _together(load: Callable[[], Any], name: str, path: epath.Path) -> Any:
  """What `load()` returns, if it does so on all processes.

  Args:
    load: reads an item, and waits for no other process.
    name: the item.
    path: the checkpoint.

  Raises:
    BrokenCheckpointError: on all processes, if it is damaged for one or all
      miss a file.
    ValueError: on all processes, if one cannot read it now, or only some miss
      a file.
  """
  result = error = None
  try:
    result = load()
  except Exception as e:  # Orbax raises bare exceptions for damaged files.
    error = e
  verdict = _verdict(error)
  verdicts = agreement.verdicts(verdict)
  worst = max(verdicts)
  why = (_brief(error) if worst == verdict else
         f'by process {verdicts.index(worst)}')
  late = worst == _MISSES and _READ in verdicts
  if worst in (_MISSES, _DAMAGED) and not late:
    raise BrokenCheckpointError(f'{name} is unreadable ({why})') from error
  if worst != _READ:
    advice = (
        'Other processes see all files: wait until the disk that they share'
        ' shows them to all' if late else
        'Free memory, or see to the disk and the rights to read it')
    raise ValueError(
        f'{name} of the checkpoint {path} cannot be read now ({why}). It may'
        ' be whole: nothing was changed, and no older one is taken.'
        f' {advice}, and run the same command again.'
    ) from error
  return result


def _require(whole: bool, otherwise: str) -> None:
  """Raises BrokenCheckpointError on all processes unless all find it whole."""
  broken = agreement.verdicts(int(not whole))
  if any(broken):
    raise BrokenCheckpointError(
        f'{otherwise} (found by process {broken.index(1)})' if whole
        else otherwise)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
  """An error, what caused it, and so on."""
  while error is not None:
    yield error
    error = error.__cause__


def _verdict(error: Exception | None) -> int:
  """What an error of reading says of an item."""
  if error is None:
    return _READ
  if _not_now(error):
    return _NOT_READABLE
  missing = any(isinstance(e, FileNotFoundError)
                or _MISSING.search(str(e)) is not None for e in _causes(error))
  return _MISSES if missing else _DAMAGED


def _not_now(error: Exception) -> bool:
  """Whether an error of reading says nothing of what is in the files."""
  return any(
      isinstance(e, (MemoryError, jax.errors.JaxRuntimeError))
      or (isinstance(e, OSError) and not isinstance(e, FileNotFoundError))
      or _NOT_NOW.search(str(e)) is not None
      for e in _causes(error)
  )


def _brief(error: Exception) -> str:
  """Types and first lines of an error and of what caused it."""
  first = lambda e: (str(e).splitlines() or [''])[0][:240]
  return ', from '.join(
      f'{type(e).__name__}: {first(e)}' for e in _causes(error))
