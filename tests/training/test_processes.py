"""Training on two processes of four devices each, against one process."""

import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from seqdiff.training import writer
from tests.training import toys
from tests.training import worker


def _start(workdir, scenario):
  """Starts the two processes of `worker.py`."""
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{s.getsockname()[1]}'
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '4'}
  return [
      subprocess.Popen(
          [sys.executable, '-m', worker.__name__, str(workdir), address,
           str(index), scenario], cwd=pathlib.Path(__file__).parents[2],
          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
      for index in range(2)]


def _ended(processes):
  """What each of them has printed, when they have ended."""
  try:
    return [p.communicate(timeout=300) for p in processes]
  finally:
    for process in processes:
      process.kill()


def _printed(processes):
  """The last line of each as JSON; fails unless all ended well."""
  ended = _ended(processes)
  assert [p.returncode for p in processes] == [0, 0], ended
  return [json.loads(out.splitlines()[-1]) for out, _ in ended]


@pytest.fixture(scope='module')
def fresh(tmp_path_factory):
  """The run directories, and what the processes printed.

  Those called `<driver>_continued` had 4 steps of one process before.
  """
  workdir = tmp_path_factory.mktemp('two')
  toys.train(workdir / 'one', 4, batches=_batches, driver=_driver('mesh', 8))
  for name in worker.DRIVERS:
    shutil.copytree(workdir / 'one', workdir / f'{name}_continued')
  (workdir / 'empty' / '9').mkdir(parents=True)
  return workdir, _printed(_start(workdir, 'fresh'))


def _batches(start):
  return worker.batches(start)


def _driver(name, count):
  return worker.DRIVERS[name](devices=jax.devices()[:count])


def _losses(workdir):
  rows = writer.read_metrics(workdir / 'metrics.jsonl')
  return {row['step']: row['loss'] for row in rows}


def _assert_same_losses(one, two, steps):
  assert list(one) == list(two) == steps
  np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-5)


@pytest.mark.parametrize('name', worker.DRIVERS)
@pytest.mark.parametrize('count', [1, 8])
def test_losses_are_those_of_one_process(fresh, tmp_path, name, count):
  workdir, _ = fresh
  driver = _driver(name, count)
  toys.train(tmp_path / 'a', 6, batches=_batches, driver=driver)
  one = _losses(tmp_path / 'a')
  for folder in (workdir / name, workdir / f'{name}_continued'):
    _assert_same_losses(one, _losses(folder), [2, 4, 6])
  # Two processes began, one goes on.
  shutil.copytree(workdir / name, tmp_path / 'b')
  for folder in (tmp_path / 'a', tmp_path / 'b'):
    toys.train(folder, 10, batches=_batches, driver=driver)
  _assert_same_losses(
      _losses(tmp_path / 'a'), _losses(tmp_path / 'b'), [2, 4, 6, 8, 10])


def test_sigterm_to_one_stops_both_at_one_step_and_both_go_on(
    fresh, tmp_path):
  workdir, stopped = fresh
  assert [s['interrupted'] for s in stopped] == [True, True]
  assert stopped[0]['step'] == stopped[1]['step'] < worker.NUM_STEPS
  continued = _printed(_start(workdir, 'again'))
  assert [c['step'] for c in continued] == [worker.NUM_STEPS] * 2
  assert not any(c['interrupted'] for c in continued)
  saved = {int(p.name) for p in (workdir / 'stopped/checkpoints').iterdir()}
  assert saved == {stopped[0]['step'], worker.NUM_STEPS}
  toys.train(tmp_path, worker.NUM_STEPS, batches=_batches)
  one, two = _losses(tmp_path), _losses(workdir / 'stopped')
  np.testing.assert_allclose(
      [two[step] for step in one], list(one.values()), rtol=1e-4)


def test_all_processes_refuse_another_config_or_run_directory_of_one(fresh):
  for printed in fresh[1]:
    config, workdir, steps, *_ = printed['messages']
    assert 'process 1 got another config than process 0' in config
    assert 'Process 1 does not see' in workdir and '--workdir' in workdir
    assert 'Process 1 does not see checkpoints of steps [8, 4]' in steps


def test_all_processes_refuse_a_checkpoint_that_one_cannot_read(fresh):
  for printed, eio, damaged in zip(
      fresh[1], ('by process 1', 'OSError: .*the disk'),
      ('by process 1', 'RuntimeError: damaged'), strict=True):
    *_, now, _, whole = printed['messages']
    assert re.search(f'checkpoints/4 cannot be read now .{eio}', now)
    assert re.search(
        f'is whole .step 4: params is unreadable .{damaged}', whole)


def test_a_file_that_only_one_misses_is_no_damage(fresh):
  for printed, why in zip(
      fresh[1], ('by process 1', 'FileNotFoundError: late'), strict=True):
    assert re.search(
        f'checkpoints/4 cannot be read now .{why}.*wait until the disk',
        printed['messages'][-2])


def test_process_0_says_from_which_checkpoint_all_go_on(fresh):
  assert [printed['steps'] for printed in fresh[1]] == [[5], [5]]


def test_empty_steps_are_removed_before_any_process_counts_them(fresh):
  assert [printed['counted'] for printed in fresh[1]] == [[], []]


def test_samples_of_all_processes_are_those_of_one(fresh):
  expected = worker.sample()
  for printed in fresh[1]:
    np.testing.assert_allclose(printed['sampled'], expected, atol=1e-6)


@pytest.mark.parametrize('scenario, code', [
    ('killed', -signal.SIGKILL), ('interrupted', 130), *(
        pytest.param(*case, marks=pytest.mark.slow) for case in (
            ('killed_first', -signal.SIGKILL), ('failed', 2)))])
def test_a_process_that_ends_alone_ends_the_other_within_the_heartbeat(
    tmp_path, scenario, code):
  processes = _start(tmp_path, scenario)
  one = processes.pop(worker.ENDS[scenario][0])
  one.wait(timeout=120)
  gone = time.monotonic()
  (_, said), _ = _ended([one, *processes])
  assert one.returncode == code
  assert ('process 1 cannot read its data' in said) == (scenario == 'failed')
  assert processes[0].returncode != 0
  assert time.monotonic() - gone < 5 + 15  # The heartbeat, a slow machine.
