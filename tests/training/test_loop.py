"""Tests of `training.loop`: resume, interruption and bad numbers."""

import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.training import checkpoint
from seqdiff.training import full_disk
from seqdiff.training import loop
from seqdiff.training import parallel
from seqdiff.training import writer


def _saved(workdir):
  steps = os.listdir(workdir / 'checkpoints')
  return sorted(int(name) for name in steps if name.isdecimal())


def _rows(workdir, *, without=('clips/s',)):
  rows = writer.read_metrics(workdir / 'metrics.jsonl')
  return [{k: v for k, v in r.items() if k not in without} for r in rows]


def _failing(toy, at, action):
  """Batches where `action(batch)` happens to batch number `at`."""

  def make_batches(start):
    for step, batch in enumerate(toy.make_batches(start), start=start):
      if step == at:
        action(batch)
      yield batch

  return make_batches


def _terminate(batch):
  del batch
  os.kill(os.getpid(), signal.SIGTERM)


def _raise(batch):
  raise KeyboardInterrupt


def test_the_row_of_a_checkpoint_is_there_before_it(toy, tmp_path):
  with pytest.raises(KeyboardInterrupt):
    toy.train(tmp_path, 10, batches=_failing(toy, 4, _raise))
  assert _saved(tmp_path) == [4]
  toy.train(tmp_path, 10)
  assert [r['step'] for r in _rows(tmp_path)] == [2, 4, 6, 8, 10]


@pytest.mark.parametrize('ema_decay', [0.9, None])
@pytest.mark.parametrize('name, fsdp', [
    ('pmap', False), ('mesh', False), ('mesh', True)])
def test_resumed_run_equals_uninterrupted_bit_for_bit(
    toy, tmp_path, name, fsdp, ema_decay):
  settings = lambda: {
      'driver': parallel.make_parallel(name, fsdp=fsdp),
      'ema_decay': ema_decay,
  }
  whole = toy.train(tmp_path / 'whole', 10, **settings())
  with pytest.raises(KeyboardInterrupt):
    toy.train(tmp_path / 'parts', 10, **settings(),
              batches=_failing(toy, 7, _raise))
  assert _saved(tmp_path / 'parts') == [4]
  with (tmp_path / 'parts' / 'metrics.jsonl').open('a') as f:
    f.write('{"step": 8, "lo')
  resumed = toy.train(tmp_path / 'parts', 10, **settings())
  assert resumed.step == whole.step == int(resumed.state.step) == 10
  assert not resumed.interrupted
  assert toy.sha(resumed.state) == toy.sha(whole.state)
  assert [r['step'] for r in _rows(tmp_path / 'parts')] == [2, 4, 6, 8, 10]
  assert _rows(tmp_path / 'parts') == _rows(tmp_path / 'whole')


def test_a_run_may_go_on_with_another_driver(toy, tmp_path):
  whole = toy.train(tmp_path / 'whole', 6)
  toy.train(tmp_path / 'parts', 3, driver=parallel.Pmap())
  mesh = parallel.Mesh(fsdp=True, devices=jax.devices()[:4], min_split_size=1)
  resumed = toy.train(tmp_path / 'parts', 6, driver=mesh)
  assert len(resumed.state.params['w'].addressable_shards[0].data) == 1
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6),
      jax.device_get(resumed.state), jax.device_get(whole.state))


def test_a_finished_run_is_returned_as_it_is(toy, tmp_path):
  first = toy.train(tmp_path, 5)
  before = (tmp_path / 'metrics.jsonl').read_text()
  again = toy.train(tmp_path, 5)
  assert toy.sha(again.state) == toy.sha(first.state)
  assert (again.step, again.interrupted) == (5, False)
  assert (tmp_path / 'metrics.jsonl').read_text() == before


def test_saves_and_rows_come_when_asked_for_and_at_the_end(toy, tmp_path):
  state = toy.train(
      tmp_path, 7, log_every=3, save_every=2, config={'a': 5}).state
  assert _saved(tmp_path) == [6, 7]  # 2 and 4 made room.
  assert [r['step'] for r in _rows(tmp_path)] == [3, 6, 7]
  checkpointer = checkpoint.Checkpointer(tmp_path / 'checkpoints')
  meta = checkpointer.restore_latest(jax.eval_shape(lambda: state)).meta
  checkpointer.close()
  assert (meta['config'], meta['data']) == ({'a': 5}, {'next_index': 7})


def test_sigterm_saves_and_returns_and_the_run_can_go_on(toy, tmp_path):
  former = signal.getsignal(signal.SIGTERM)
  whole = toy.train(tmp_path / 'whole', 10)
  stopped = toy.train(
      tmp_path / 'parts', 10, batches=_failing(toy, 4, _terminate),
      save_every=100)
  assert (stopped.step, stopped.interrupted) == (5, True)
  assert _saved(tmp_path / 'parts') == [5]
  assert signal.getsignal(signal.SIGTERM) is former
  resumed = toy.train(tmp_path / 'parts', 10)
  assert not resumed.interrupted
  assert toy.sha(resumed.state) == toy.sha(whole.state)


def test_sigterm_while_saving_is_not_forgotten(toy, tmp_path, monkeypatch):
  save = checkpoint.Checkpointer.save

  def save_and_terminate(self, state, **kwargs):
    save(self, state, **kwargs)
    if int(state.step) == 4:
      _terminate(None)

  monkeypatch.setattr(checkpoint.Checkpointer, 'save', save_and_terminate)
  stopped = toy.train(tmp_path, 10)
  assert stopped.interrupted
  assert _saved(tmp_path) == [4, stopped.step]


def test_sigterm_while_the_last_save_goes_on_does_not_end_it(
    toy, tmp_path, monkeypatch):
  wait, close = checkpoint.Checkpointer.wait, writer.MetricWriter.close
  came, waits = [], []

  def terminate_and(function):
    def changed(self):
      if _saved(tmp_path) or isinstance(self, writer.MetricWriter):
        waits.append(function)
        _terminate(None)
      function(self)
    return changed

  monkeypatch.setattr(checkpoint.Checkpointer, 'wait', terminate_and(wait))
  monkeypatch.setattr(writer.MetricWriter, 'close', terminate_and(close))
  former = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
  try:
    assert toy.train(tmp_path, 5).step == 5
  finally:
    signal.signal(signal.SIGTERM, former)
  assert waits == [close, wait] and not came
  assert _saved(tmp_path) == [4, 5]


def test_training_works_outside_the_main_thread(toy, tmp_path):
  steps = []
  thread = threading.Thread(
      target=lambda: steps.append(toy.train(tmp_path, 2).step))
  thread.start()
  thread.join()
  assert steps == [2]


@pytest.mark.parametrize('log_every, save_every, message, saved', [
    (2, 4, r'step 6: loss nan.*steps 5 to 6\..*step 4 in', [4]),
    (3, 2, r'step 6: loss nan.*steps 5 to 6\..*step 4 in', [2, 4]),
    (3, 9, r'step 6: loss nan.*steps 4 to 6\..*step 0 in', []),
])
def test_loss_that_is_not_a_number_stops_with_the_range_of_steps(
    toy, tmp_path, log_every, save_every, message, saved):
  # The update after 5 updates, number 6, is the first with a bad loss.
  with pytest.raises(loop.NonFiniteLossError, match=message):
    toy.train(
        tmp_path, 20, method=toy.Target(nan_from=5), log_every=log_every,
        save_every=save_every)
  assert _saved(tmp_path) == saved
  if saved:
    resumed = toy.train(tmp_path, 5, method=toy.Target())
    assert np.isfinite(np.asarray(resumed.state.params['w'])).all()
  assert all(np.isfinite(r['loss']) for r in _rows(tmp_path))


def test_parameters_that_are_not_finite_are_never_saved(toy, tmp_path):
  rate = lambda step: jnp.where(step < 3, 0.1, jnp.inf)
  message = r'step 4: loss \d.*param_norm (inf|nan).*steps 3 to 4\.'
  with pytest.raises(loop.NonFiniteLossError, match=message):
    toy.train(tmp_path, 9, tx=optax.sgd(rate), log_every=50, save_every=2)
  assert _saved(tmp_path) == [2]


def test_bad_number_in_the_data_names_the_example(toy, tmp_path):

  def spoil(batch):
    batch['x'][3, 1, 2] = np.nan
    batch['x'][6, 0, 0] = np.inf

  # Batch number 5 holds the examples 40 to 47.
  with pytest.raises(ValueError, match=r'example \[43, 46\].*update 6.*mask'):
    toy.train(tmp_path, 10, batches=_failing(toy, 5, spoil))
  assert _saved(tmp_path) == [4]


def test_data_that_ends_is_an_error(toy, tmp_path):
  few = lambda start: (b for b, _ in zip(toy.make_batches(start), range(3)))
  with pytest.raises(ValueError, match='ended after 3 batches.*repeat'):
    toy.train(tmp_path, 10, batches=few)


@pytest.mark.parametrize('name', ['pmap', 'mesh'])
def test_indivisible_batch_stops_at_the_start(toy, tmp_path, name):
  driver = parallel.make_parallel(name, devices=jax.devices()[:8])
  with pytest.raises(ValueError, match='batch size is 6.*8 devices.*to 8'):
    toy.train(tmp_path, 10, driver=driver,
              batches=lambda start: toy.make_batches(start, 6))
  assert not (tmp_path / 'metrics.jsonl').exists()


def test_damaged_newest_checkpoint_costs_only_the_steps_since(toy, tmp_path):
  whole = toy.train(tmp_path / 'whole', 10)
  toy.train(tmp_path / 'parts', 6)
  newest = tmp_path / 'parts' / 'checkpoints' / '6' / 'meta'
  for path in newest.iterdir():
    path.write_bytes(path.read_bytes()[:10])
  resumed = toy.train(tmp_path / 'parts', 10)
  assert toy.sha(resumed.state) == toy.sha(whole.state)
  assert (tmp_path / 'parts' / 'checkpoints' / '6.broken').is_dir()
  steps = [r['step'] for r in _rows(tmp_path / 'parts')]
  assert steps == [2, 4, 6, 8, 10]


@pytest.fixture
def small_disk(tmp_path):
  """A folder on a disk of its own, with 1.5 MB of space."""
  path = tmp_path / 'disk'
  path.mkdir()
  mount = ['mount', '-t', 'tmpfs', '-o', 'size=1500k', 'tmpfs', str(path)]
  if not subprocess.run(mount, capture_output=True, check=False).returncode:
    yield path
    subprocess.run(['umount', '--lazy', str(path)], check=True)
    return
  if shutil.which('unshare') is None:
    pytest.skip('only root may mount a disk, and there is no `unshare`')
  # Who is not root may where only this process sees it, until it ends.
  with subprocess.Popen(
      ['unshare', '-rm', 'sh', '-c', '"$@" && echo there && read _', 'sh',
       *mount], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
      stderr=subprocess.PIPE, text=True) as owner:
    if owner.stdout.readline() != 'there\n':
      pytest.skip(
          f'neither `mount` nor `unshare -rm` may: {owner.stderr.read()}')
    yield pathlib.Path(f'/proc/{owner.pid}/root{path}')
    owner.stdin.close()


@pytest.mark.parametrize('space', [300_000, 10_000, 0])
def test_full_disk_stops_in_words_and_costs_only_the_steps_since(
    toy, small_disk, tmp_path, space):
  filler = small_disk / 'filler'

  def batches(start):
    wide = toy.make_batches(start, width=20_000)  # 320 kB in a checkpoint.
    for step, batch in enumerate(wide, start=start):
      if step == 6:
        while not (small_disk / 'run/checkpoints/4').exists():
          time.sleep(0.01)
        free = shutil.disk_usage(small_disk).free
        filler.write_bytes(bytes(free - space))
      yield batch

  with pytest.raises(full_disk.FullDiskError, match=(
      'disk of .*disk/run/checkpoints is full.*Whole checkpoints.*make space'
      '.*same command continues')):
    toy.train(small_disk / 'run', 10, batches=batches)
  filler.unlink()
  steps = []

  def rest(start):
    steps.append(start)
    return toy.make_batches(start, width=20_000)

  result = toy.train(small_disk / 'run', 10, batches=rest)
  assert steps[-1] == 4
  whole = toy.train(tmp_path / 'whole', 10, batches=rest)
  assert toy.sha(result.state) == toy.sha(whole.state)


def test_speed_counts_the_clips_of_all_devices_without_compilation(
    toy, tmp_path, monkeypatch):
  now = iter(range(0, 1000, 4))
  clock = types.SimpleNamespace(perf_counter=lambda: next(now))
  monkeypatch.setattr(loop, 'time', clock)
  toy.train(tmp_path, 5, driver=parallel.Pmap(devices=jax.devices()[:4]))
  speeds = [r.get('clips/s') for r in _rows(tmp_path, without=())]
  # 8 clips a step; the clock is read after update 1 and then for each row:
  # 1, 2 and 1 steps in 4 s each.
  assert speeds == [2.0, 4.0, 2.0]


def test_plan_must_have_steps():
  with pytest.raises(ValueError, match='train.save_every is 0. Expected 1 or'):
    loop.Plan(seed=0, num_steps=1, log_every=1, save_every=0)
