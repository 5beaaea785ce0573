"""Checkpoints that can be trusted.

A checkpoint is one Orbax step directory with up to four items:

  params  the parameters
  ema     their moving average, if one is kept
  opt     step, seed and the state of the optimizer
  meta    JSON: step, config, data position, versions, and for each leaf of
          the other items its shape, type and digest

Orbax writes a step under another name and renames it when it is complete; in a
bucket it marks it then with a file. So a killed run leaves no half checkpoint
behind. It does not notice changed bytes: the digests do. Samplers restore `ema`
(or `params`) alone.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import importlib.metadata
import json
import os
from typing import Any

from absl import logging
from etils import epath
import jax
from jax.experimental import multihost_utils
import numpy as np
import orbax.checkpoint as ocp

from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.training import agreement
from seqdiff.training import full_disk
from seqdiff.training import item
from seqdiff.training import state as train_state

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


@dataclasses.dataclass(frozen=True)
class Restored:
  """What `Checkpointer.restore_latest` found.

  Attributes:
    state: the plain state.
    meta: the JSON item, see above.
    skipped: why newer checkpoints were not used, by the names that their
      directories have now.
  """

  state: train_state.TrainState
  meta: dict[str, Any]
  skipped: Mapping[str, str]


class Checkpointer:
  """Saves and restores the states of one run; saving goes on in background."""

  def __init__(
      self, directory: str | os.PathLike, *, keep_last: int | None = 2
  ):
    """Keeps the `keep_last` newest checkpoints in `directory`; None: all."""
    self.directory = storage.absolute(directory)
    self.directory.mkdir(parents=True, exist_ok=True)
    if jax.process_index() == 0:
      _remove_empty_steps(self.directory)
    # Waits for process 0 to come here before it lists the steps.
    self._manager = ocp.CheckpointManager(
        self.directory,
        options=ocp.CheckpointManagerOptions(
            max_to_keep=keep_last, cleanup_tmp_directories=True
        ),
    )

  def save(
      self,
      state: train_state.TrainState,
      *,
      config: Mapping[str, Any],
      data: Mapping[str, Any],
  ) -> None:
    """Saves a plain state; returns while the files are still being written.

    Args:
      state: the state, without an axis of copies.
      config: the full configuration, as JSON can hold it.
      data: position of the data iterator.

    Raises:
      ValueError: a checkpoint of this or a later step exists.
    """
    step = int(state.step)
    items = _items_of(state)
    meta = {
        'step': step,
        'config': config,
        'data': data,
        'versions': {p: importlib.metadata.version(p) for p in _PACKAGES},
        'leaves': {name: item.describe(tree) for name, tree in items.items()},
    }
    meta = json.loads(json.dumps(meta))  # The same before and after a restore.
    saves = {k: ocp.args.StandardSave(jax.tree.map(_one_copy, v))
             for k, v in items.items()}
    saves['meta'] = ocp.args.JsonSave({**meta, 'crc32': item.crc32(meta)})
    if not self._manager.save(step, args=ocp.args.Composite(**saves)):
      raise ValueError(
          f'The checkpoint of step {step} was refused: {self.directory} holds'
          f' steps {sorted(self._manager.all_steps())}. Expected a later step'
          ' than all of these: use another directory or resume from it.'
      )

  def restore_latest(
      self, abstract: train_state.TrainState
  ) -> Restored | None:
    """Restores the newest checkpoint that is whole.

    Broken newer ones are renamed to `<step>.broken`, for else later saves
    would be refused.

    Args:
      abstract: the plain state as shapes with shardings.

    Returns:
      The state and what was skipped; None if there is no checkpoint.

    Raises:
      ValueError: the newest checkpoint belongs to another model or cannot be
        read now, there are checkpoints and none of them is whole, or not all
        processes see them.
    """
    self.wait()
    items, broken = _items_of(abstract), {}
    for step in steps(self.directory):
      try:
        meta = item.read_meta(self.directory / str(step))
        _check_match(items, meta, self.directory / str(step))
        restored = {
            name: item.read(self.directory / str(step), name, tree, meta)
            for name, tree in items.items()
        }
      except item.BrokenCheckpointError as e:
        broken[step] = str(e)
        continue
      skipped = self._set_aside(broken)
      return Restored(_state_of(restored), meta, skipped)
    if broken:
      raise _none_whole(self.directory, broken)
    return None

  def wait(self) -> None:
    """Returns when everything saved so far is on the disk."""
    self._manager.wait_until_finished()

  def close(self) -> None:
    """Waits and releases the threads of Orbax."""
    # There may be more to say.
    with full_disk.in_words(self.directory), storage.in_words(self.directory):
      self._manager.close()

  def _set_aside(self, broken: Mapping[int, str]) -> dict[str, str]:
    """Renames broken steps, so that Orbax no longer counts them."""
    skipped = {}
    for step, why in broken.items():
      target = self.directory / f'{step}.broken'
      while target.exists():
        target = target.with_name(target.name + '_')
      if jax.process_index() == 0:
        (self.directory / str(step)).rename(target)
      skipped[target.name] = why
      logging.warning('Skipped a checkpoint, now %s: %s', target, why)
    if broken:
      multihost_utils.sync_global_devices('set aside')
      self._manager.reload()
    return skipped


def steps(directory: str | os.PathLike) -> list[int]:
  """Steps of the checkpoints in a directory, newest first.

  Raises:
    ValueError: not all processes see those that process 0 sees.
  """
  directory = storage.absolute(directory)
  return agreement.on_steps(_complete_steps(directory), directory)


def restore_params(
    directory: str | os.PathLike,
    abstract_params: types.Params,
    *,
    step: int | None = None,
) -> tuple[types.Params, dict[str, Any]]:
  """Restores the parameters to evaluate, and nothing else; changes no file.

  Args:
    directory: the directory of a `Checkpointer`.
    abstract_params: the parameters as shapes, as `jax.eval_shape` of the
      method's `init` gives them. Leaves without a sharding go to one device.
    step: which checkpoint; by default the newest that is whole.

  Returns:
    The moving average if the run keeps one, else the parameters; and the
    checkpoint's `meta` (with `step` and `config`).

  Raises:
    ValueError: no such checkpoint, none is whole, it cannot be read now, or it
      is another model's.
  """
  directory = storage.absolute(directory)
  known = steps(directory)
  if not known or (step is not None and step not in known):
    wanted = 'checkpoint' if step is None else f'checkpoint of step {step}'
    raise ValueError(
        f'There is no {wanted} in {directory}; it holds steps {known}. Train'
        ' first, or name the run directory of a run that has saved.'
    )
  broken = {}
  for candidate in known if step is None else [step]:
    path = directory / str(candidate)
    try:
      meta = item.read_meta(path)
      name = 'ema' if 'ema' in meta['leaves'] else 'params'
      target = {name: _with_type(abstract_params, meta['leaves'][name])}
      _check_match(target, {'leaves': {name: meta['leaves'][name]}}, path)
      return item.read(path, name, target[name], meta), meta
    except item.BrokenCheckpointError as e:
      logging.warning('Skipped checkpoint %s: %s', path, e)
      broken[candidate] = str(e)
  raise _none_whole(directory, broken)


def fingerprint(params: types.Params) -> int:
  """A number by which these parameters are told from others."""
  return item.crc32(item.describe(params))


def _items_of(state: train_state.TrainState) -> dict[str, Any]:
  """The items of a checkpoint."""
  rest = {'step': state.step, 'seed': state.seed, 'opt_state': state.opt_state}
  items = {'params': state.params, 'opt': rest}
  if state.ema_params is not None:
    items['ema'] = state.ema_params
  return items


def _one_copy(leaf: Any) -> Any:
  """A leaf that all devices of one process hold, as one of them has it.

  Else each device writes a part, and Orbax compiles for each shape how to cut
  it.
  """
  if jax.process_count() > 1 or not isinstance(leaf, jax.Array) or (
      not leaf.is_fully_replicated):
    return leaf
  return leaf.addressable_data(0)


def _state_of(items: Mapping[str, Any]) -> train_state.TrainState:
  """The inverse of `_items_of`."""
  return train_state.TrainState(
      params=items['params'], ema_params=items.get('ema'), **items['opt']
  )


def _complete_steps(directory: epath.Path) -> list[int]:
  """Steps of the complete and non-empty step directories, newest first."""
  if not directory.is_dir():
    return []
  found = (p for p in directory.iterdir() if p.name.isdecimal() and p.is_dir())
  return sorted((int(p.name) for p in found if any(p.iterdir())
                 and ocp.utils.is_checkpoint_finalized(p)), reverse=True)


def _remove_empty_steps(directory: epath.Path) -> None:
  """Removes empty step directories, which Orbax would count as saved."""
  if not directory.is_dir():
    return  # A bucket has no empty folders.
  for path in directory.iterdir():
    if path.name.isdecimal() and path.is_dir() and not any(path.iterdir()):
      path.rmdir()


def _with_type(abstract: Any, saved: Mapping[str, Sequence[Any]]) -> Any:
  """`abstract` with the types that were saved: an average is float32."""
  dtypes = {path: np.dtype(dtype) for path, (_, dtype, _) in saved.items()}
  leaves = [
      jax.ShapeDtypeStruct(
          a.shape, dtypes.get(path, a.dtype),
          sharding=getattr(a, 'sharding', None),
      )
      for path, a in item.paths(abstract)
  ]
  return jax.tree.unflatten(jax.tree.structure(abstract), leaves)


def _check_match(
    items: Mapping[str, Any], meta: Mapping[str, Any], path: epath.Path
) -> None:
  """Raises a ValueError unless the leaves are those of the checkpoint."""
  describe = lambda shape, dtype: f'{dtype}{list(shape)}'
  wanted = {
      f'{name}/{leaf}': describe(a.shape, a.dtype)
      for name, tree in items.items()
      for leaf, a in item.paths(tree)
  }
  saved = {
      f'{name}/{leaf}': describe(shape, dtype)
      for name, leaves in meta['leaves'].items()
      for leaf, (shape, dtype, _) in leaves.items()
  }
  for leaf in sorted(wanted.keys() | saved.keys()):
    given, expected = saved.get(leaf, 'absent'), wanted.get(leaf, 'absent')
    if given != expected:
      raise ValueError(
          f'The checkpoint {path} is of another model: {leaf} is {given} there'
          f' and {expected} in this configuration. Use the configuration that'
          ' the checkpoint was trained with (config.json of its run'
          ' directory), or another --workdir.'
      )


def _none_whole(
    directory: epath.Path, broken: Mapping[int, str]
) -> ValueError:
  reasons = '; '.join(f'step {step}: {why}' for step, why in broken.items())
  return ValueError(
      f'No checkpoint in {directory} is whole ({reasons}). Restore one from a'
      ' backup, or remove the directory to train from the start.'
  )
