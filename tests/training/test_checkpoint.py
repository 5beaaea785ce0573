"""Tests of `training.checkpoint`: damage is seen, and nothing good is lost."""

import errno
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

import seqdiff
from seqdiff.training import checkpoint
from seqdiff.training import item
from seqdiff.training import loop
from seqdiff.training import state as train_state


def _state(step, *, ema=True, width=64):
  """A state of which every leaf is a known function of `step`."""
  rng = np.random.default_rng(step)
  tree = lambda: {'w': jnp.asarray(rng.normal(size=(32, width)), jnp.float32)}
  return train_state.TrainState(
      step=jnp.asarray(step, jnp.int32),
      seed=jnp.asarray(7, jnp.uint32),
      params=tree(),
      ema_params=tree() if ema else None,
      opt_state=(tree(), {'count': jnp.asarray(step, jnp.int32)}),
  )


def _abstract(tree):
  return jax.eval_shape(lambda: tree)


def _save(directory, steps, **kwargs):
  checkpointer = checkpoint.Checkpointer(directory, keep_last=3)
  for step in steps:
    checkpointer.save(
        _state(step, **kwargs), config={'a': (1, 2)}, data={'next_index': step})
  checkpointer.close()


def _restore(directory):
  checkpointer = checkpoint.Checkpointer(directory, keep_last=3)
  try:
    return checkpointer.restore_latest(_abstract(_state(0)))
  finally:
    checkpointer.close()


def _array_file(directory, step, item):
  """The file that holds the bytes of the arrays of one item."""
  files = (directory / str(step) / item).rglob('d/*')
  return max(files, key=lambda p: p.stat().st_size)


def _flip(directory, step, item):
  """Changes one byte in the middle of an item's arrays."""
  path = _array_file(directory, step, item)
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 1
  path.write_bytes(data)


def _truncate(directory, step, item):
  path = _array_file(directory, step, item)
  path.write_bytes(path.read_bytes()[:100])


def _remove(directory, step, item):
  shutil.rmtree(directory / str(step) / item)


def _edit_meta(directory, step, item):
  del item
  (path,) = (p for p in (directory / str(step) / 'meta').iterdir()
             if '"next_index"' in p.read_text())
  path.write_text(path.read_text().replace('"next_index":', '"next_inde_":'))


def _assert_equal(actual, expected):
  assert jax.tree.structure(actual) == jax.tree.structure(expected)
  jax.tree.map(np.testing.assert_array_equal, actual, expected)


@pytest.mark.parametrize('ema', [True, False])
def test_newest_state_comes_back_with_its_config_and_position(tmp_path, ema):
  _save(tmp_path, [1, 2], ema=ema)
  checkpointer = checkpoint.Checkpointer(tmp_path)
  restored = checkpointer.restore_latest(_abstract(_state(0, ema=ema)))
  checkpointer.close()
  _assert_equal(restored.state, _state(2, ema=ema))
  assert restored.skipped == {}
  assert restored.meta['step'] == 2
  assert restored.meta['config'] == {'a': [1, 2]}
  assert restored.meta['data'] == {'next_index': 2}
  assert restored.meta['versions']['jax'] == jax.__version__


def test_only_the_last_ones_are_kept(tmp_path):
  _save(tmp_path, [1, 2, 3, 4, 5])
  assert sorted(p.name for p in tmp_path.iterdir()) == ['3', '4', '5']


def test_all_are_kept_if_none_is_to_go(tmp_path):
  checkpointer = checkpoint.Checkpointer(
      tmp_path, keep_last=loop.Plan(
          seed=0, num_steps=3, log_every=1, save_every=1,
          keep_last=None).keep_last)
  for step in (1, 2, 3):
    checkpointer.save(_state(step), config={}, data={})
  checkpointer.close()
  assert sorted(p.name for p in tmp_path.iterdir()) == ['1', '2', '3']


def test_no_checkpoint_restores_nothing(tmp_path):
  assert _restore(tmp_path / 'new') is None


@pytest.mark.parametrize('damage, item, why', [
    (_flip, 'params', 'params was changed after it was written: w$'),
    (_flip, 'ema', 'ema was changed'),
    (_flip, 'opt', 'opt was changed.*opt_state/0/w'),
    (_truncate, 'params', 'params is unreadable'),
    (_remove, 'opt', 'opt is unreadable'),
    (_remove, 'meta', 'meta is unreadable'),
    (_edit_meta, 'meta', 'meta was changed after it was written'),
])
def test_damage_is_seen_and_the_one_before_is_used(
    tmp_path, damage, item, why):
  _save(tmp_path, [2, 4, 6])
  damage(tmp_path, 6, item)
  restored = _restore(tmp_path)
  _assert_equal(restored.state, _state(4))
  assert list(restored.skipped) == ['6.broken']
  with pytest.raises(ValueError, match=why):
    raise ValueError(restored.skipped['6.broken'])
  assert (tmp_path / '6.broken').is_dir()  # Set aside, not deleted.


def _name(error):
  return type(error).__name__


@pytest.mark.parametrize('reader', ['Checkpointer', 'StandardCheckpointer'])
@pytest.mark.parametrize('error', [
    jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory'),
    MemoryError(),
    OSError(errno.EIO, os.strerror(errno.EIO)),
    PermissionError(errno.EACCES, os.strerror(errno.EACCES)),
    # As TensorStore 0.1.86 says it when no more files may be opened.
    ValueError('RESOURCE_EXHAUSTED: Failed to open: "/d/0": Too many open files'
               " [os_error_code='24']"),
    ValueError('Failed to read: "/d/0": Input/output error '
               "[os_error_code='5']"),
], ids=_name)
def test_what_cannot_be_read_now_is_no_damage(
    tmp_path, monkeypatch, reader, error):
  _save(tmp_path, [2, 4])

  def restore(self, directory, *args, **kwargs):
    raise Exception('reading failed') from error  # As Orbax does.

  monkeypatch.setattr(ocp, reader, type(
      'Reader', (getattr(ocp, reader),), {'restore': restore}))
  for call in (
      lambda: _restore(tmp_path),
      lambda: checkpoint.restore_params(
          tmp_path, _abstract(_state(0).params))):
    with pytest.raises(ValueError, match=(
        f'/4 cannot be read now .Exception: reading failed, from {_name(error)}'
        '.*may be whole.*run the same command again')) as told:
      call()
    assert 'remove' not in str(told.value)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['2', '4']


def test_why_an_item_is_damaged_is_what_was_the_cause(tmp_path):
  _save(tmp_path, [2, 4])
  _truncate(tmp_path, 4, 'params')
  assert re.search(
      'is unreadable .Exception: .*, from ValueError: OUT_OF_RANGE: .*size 100',
      _restore(tmp_path).skipped['4.broken'])


def test_training_goes_on_after_damage_and_can_be_damaged_again(tmp_path):
  _save(tmp_path, [2, 4, 6])
  for _ in range(2):
    _flip(tmp_path, 6, 'params')
    checkpointer = checkpoint.Checkpointer(tmp_path, keep_last=3)
    assert checkpointer.restore_latest(_abstract(_state(0))).meta['step'] == 4
    for step in (5, 6):
      checkpointer.save(_state(step), config={}, data={})
    checkpointer.close()
    assert _restore(tmp_path).meta['step'] == 6
    shutil.rmtree(tmp_path / '5')
  assert {'6', '6.broken', '6.broken_'} < {p.name for p in tmp_path.iterdir()}


def test_all_damaged_stops_and_touches_nothing(tmp_path):
  _save(tmp_path, [1, 2])
  for step in (1, 2):
    _flip(tmp_path, step, 'params')
  message = 'whole .step 2: params was changed.*; step 1: .*backup'
  with pytest.raises(ValueError, match=message):
    _restore(tmp_path)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['1', '2']


def test_empty_step_directory_is_no_checkpoint(tmp_path):
  (tmp_path / '3').mkdir()
  assert _restore(tmp_path) is None
  (tmp_path / '3').mkdir()
  _save(tmp_path, [1, 2])  # Orbax alone would refuse these silently.
  assert _restore(tmp_path).meta['step'] == 2


def test_older_step_is_refused_in_words(tmp_path):
  _save(tmp_path, [4])
  with pytest.raises(ValueError, match=r'step 3 was refused.*steps \[4\]'):
    _save(tmp_path, [3])


@pytest.mark.parametrize('wanted, message', [
    (_state(0, width=65),
     r'another model: ema/w is float32\[32, 64\] there and float32\[32, 65\]'
     '.*config.json'),
    (_state(0, ema=False), 'ema/w is .* there and absent in this'),
    (_state(0).replace(opt_state=()), 'opt/opt_state/0/w is .* and absent'),
])
def test_other_model_is_refused_and_the_checkpoint_stays(
    tmp_path, wanted, message):
  _save(tmp_path, [2])
  checkpointer = checkpoint.Checkpointer(tmp_path)
  with pytest.raises(ValueError, match=message):
    checkpointer.restore_latest(_abstract(wanted))
  checkpointer.close()
  _assert_equal(_restore(tmp_path).state, _state(2))


def test_digest_sees_every_bit_and_ignores_the_sharding():
  leaf = jnp.arange(64, dtype=jnp.float32)
  base = int(item.digest(leaf))
  bits = np.asarray(leaf).view(np.uint32)
  for position in (0, 13, 63):
    for bit in (0, 15, 31):
      changed = bits.copy()
      changed[position] ^= np.uint32(1) << np.uint32(bit)
      assert int(item.digest(changed.view(np.float32))) != base
  assert int(item.digest(leaf[::-1])) != base
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:8]), ('data',))
  spec = jax.sharding.PartitionSpec('data')
  sharding = jax.sharding.NamedSharding(mesh, spec)
  assert int(item.digest(jax.device_put(leaf, sharding))) == base


def test_what_all_devices_hold_is_saved_by_one_without_cutting_it(
    tmp_path, caplog):
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:8]), ('data',))
  on_all = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
  state = jax.device_put(_state(1, width=72), on_all)  # New to the compiler.
  checkpointer = checkpoint.Checkpointer(tmp_path)
  with jax.log_compiles():
    checkpointer.save(state, config={}, data={})
  restored = checkpointer.restore_latest(_abstract(state))
  checkpointer.close()
  assert 'jit(digest)' in caplog.text
  assert 'jit(slice)' not in caplog.text
  _assert_equal(restored.state, state)


@pytest.mark.parametrize('ema', [True, False])
def test_samplers_read_the_average_or_parameters_and_nothing_else(
    tmp_path, ema):
  _save(tmp_path, [1, 2], ema=ema)
  _remove(tmp_path, 2, 'opt')
  if ema:
    _remove(tmp_path, 2, 'params')
  abstract = _abstract(_state(0).params)
  for step in (1, 2):
    params, meta = checkpoint.restore_params(tmp_path, abstract, step=step)
    _assert_equal(params, _state(step, ema=ema).eval_params)
    assert meta['step'] == step
  _, meta = checkpoint.restore_params(tmp_path, abstract)
  assert meta['step'] == 2


def test_samplers_get_the_float32_average_of_low_precision_parameters(
    tmp_path):
  half = lambda tree: jax.tree.map(lambda a: a.astype(jnp.bfloat16), tree)
  state = _state(1)
  checkpointer = checkpoint.Checkpointer(tmp_path)
  checkpointer.save(
      state.replace(params=half(state.params)), config={}, data={})
  checkpointer.close()
  params, _ = checkpoint.restore_params(
      tmp_path, _abstract(half(state.params)))
  _assert_equal(params, state.ema_params)


def test_samplers_see_damage_and_leave_the_files_alone(tmp_path):
  _save(tmp_path, [1, 2])
  _flip(tmp_path, 2, 'ema')
  abstract = _abstract(_state(0).params)
  params, meta = checkpoint.restore_params(tmp_path, abstract)
  _assert_equal(params, _state(1).ema_params)
  assert meta['step'] == 1
  with pytest.raises(ValueError, match='whole .step 2: ema was changed'):
    checkpoint.restore_params(tmp_path, abstract, step=2)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['1', '2']


def test_samplers_name_the_leaf_of_another_model(tmp_path):
  _save(tmp_path, [1])
  wanted = _abstract(_state(0, width=65).params)
  message = r'ema/w is float32\[32, 64\] there and float32\[32, 65\]'
  with pytest.raises(ValueError, match=message):
    checkpoint.restore_params(tmp_path, wanted)


def test_samplers_say_what_there_is(tmp_path):
  abstract = _abstract(_state(0).params)
  with pytest.raises(ValueError, match='no checkpoint in .*none.*Train first'):
    checkpoint.restore_params(tmp_path / 'none', abstract)
  _save(tmp_path, [1, 2])
  with pytest.raises(ValueError, match=r'of step 3 in .*steps \[2, 1\]'):
    checkpoint.restore_params(tmp_path, abstract, step=3)


_SAVE_TEN = """
import sys
sys.path.insert(0, sys.argv[1])
import test_checkpoint as t
c = t.checkpoint.Checkpointer(sys.argv[2], keep_last=3)
last = c.restore_latest(t._abstract(t._state(0)))
first = 1 if last is None else last.meta['step'] + 1
for step in range(first, first + 10):
  c.save(t._state(step), config={}, data={})
  print('started', step, flush=True)
  if step % 2:
    c.wait()
    print('complete', step, flush=True)
c.close()
"""


def _kill_while_saving(directory, num_lines, delay):
  """Saves in another process, killed `delay` s after `num_lines` of output."""
  root = pathlib.Path(seqdiff.__file__).parents[1]
  process = subprocess.Popen(
      [sys.executable, '-c', _SAVE_TEN, os.path.dirname(__file__), directory],
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
      env={**os.environ, 'PYTHONPATH': str(root), 'JAX_PLATFORMS': 'cpu'})
  lines = [process.stdout.readline() for _ in range(num_lines)]
  time.sleep(delay)
  process.send_signal(signal.SIGKILL)
  output, errors = process.communicate(timeout=60)
  assert process.returncode == -signal.SIGKILL, errors
  lines += output.splitlines()
  steps_of = lambda word: [int(s.split()[1]) for s in lines if word in s]
  return max(steps_of('complete'), default=0), max(steps_of('started'))


def _check_kills(directory, kills):
  last = 0
  for num_lines, delay in kills:
    complete, started = _kill_while_saving(directory, num_lines, delay)
    restored = _restore(directory)
    step = 0 if restored is None else restored.meta['step']
    # A save may be complete on the disk before the process could say so.
    assert max(last, complete) <= step <= started
    if restored is not None:
      _assert_equal(restored.state, _state(step))
      assert restored.skipped == {}
    last = step
  assert last > 0


def test_kill_while_saving_loses_no_complete_checkpoint(tmp_path):
  _check_kills(tmp_path, [(1, 0.02), (3, 0.01)])


@pytest.mark.slow
def test_kill_at_many_points_loses_no_complete_checkpoint(tmp_path):
  rng = random.Random(0)
  kills = [(rng.randint(1, 12), rng.uniform(0.0, 0.1)) for _ in range(10)]
  _check_kills(tmp_path, kills)
