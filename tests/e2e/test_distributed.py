"""--distributed: a whole run of two processes, and what a user gets wrong."""

import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from seqdiff.evaluation import results
from seqdiff.training import writer

_CONNECT = """
import sys
from seqdiff import cli, distributed
sys.argv[1:], (given, timeout) = [], sys.argv[1:]
cli.run(lambda: distributed.connect(given, timeout=float(timeout)))
"""


def _address():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return f'127.0.0.1:{s.getsockname()[1]}'


def _connect(value, timeout=3.0):
  return subprocess.run(
      [sys.executable, '-c', _CONNECT, value, str(timeout)], text=True,
      capture_output=True,
      env={**os.environ, 'JAX_PLATFORMS': 'cpu'}, timeout=120)


@pytest.mark.parametrize('value, expected', [
    ('on', 'expected off; auto'),
    ('10.0.0.2,2,0', '<host:port>,<n>,<i>'),
    ('10.0.0.2:8476,2', '<host:port>,<n>,<i>'),
    ('10.0.0.2:8476,2,2', 'process 2 of 2'),
    ('10.0.0.2:8476,0,0', 'process 0 of 0'),
    ('localhost:99999,2,0', 'JAX cannot connect')])
def test_malformed_value_is_refused(cli, small, value, expected):
  ended = cli(*small, f'--distributed={value}')
  assert ended.code == 2
  assert f'--distributed={value}' in ended.err and expected in ended.err


@pytest.mark.parametrize('index, what', [
    (0, 'start every process'), (1, 'process 0 runs at the address')])
def test_process_without_the_others_ends_in_words(index, what):
  value = f'{_address()},2,{index}'
  ended = _connect(value)
  assert ended.returncode == 2, ended.stderr
  assert f'error: --distributed={value}: after 3 s not all' in ended.stderr
  assert what in ended.stderr


def test_port_in_use_ends_in_words():
  with socket.socket() as taken:
    taken.bind(('127.0.0.1', 0))
    taken.listen()
    value = f'127.0.0.1:{taken.getsockname()[1]},1,0'
    ended = _connect(value, timeout=60.0)
  assert ended.returncode == 2, ended.stderr
  said = ended.stderr.splitlines()[-1]
  assert said.startswith(f'error: --distributed={value}: JAX cannot connect (')
  assert 'port that nothing else uses' in said


def test_auto_outside_a_cluster_names_the_other_forms():
  ended = _connect('auto')
  assert ended.returncode == 2, ended.stderr
  assert 'no TPU pod and no job' in ended.stderr
  assert '<host:port>,<n>,<i>' in ended.stderr


def _two(flags):
  """Ends of two processes with the flags of each: codes, (stdout, stderr)."""
  value = f'{_address()},2'
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '4'}
  processes = [
      subprocess.Popen(
          [sys.executable, '-m', 'seqdiff.main', *flags(index),
           f'--distributed={value},{index}'],
          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
      for index in range(2)]
  try:
    ended = [p.communicate(timeout=900) for p in processes]
  finally:
    for process in processes:
      process.kill()
  return [p.returncode for p in processes], ended


@pytest.mark.parametrize('mode, flag', [
    ('train', 'config.seed'), ('evaluate', 'workdir')])
def test_processes_that_were_given_different_things_all_end_in_words(
    small, tmp_path, mode, flag):
  codes, ended = _two(lambda index: (
      *small, f'--mode={mode}', f'--workdir={tmp_path / "run"}',
      f'--{flag}={index if flag == "config.seed" else tmp_path / str(index)}'))
  assert codes == [2, 2], ended
  for _, said in ended:
    assert 'error: --distributed: process 1 got another config' in said
  assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize('driver', [
    (), ('--config.train.parallel=mesh', '--config.train.fsdp=True')])
def test_run_of_two_processes_is_that_of_one(cli, small, tmp_path, driver):
  one, two = tmp_path / 'one', tmp_path / 'two'
  codes, ended = _two(lambda index: (*small, *driver, f'--workdir={two}'))
  assert codes == [0, 0], ended
  assert ['swap: ' in out for out, _ in ended] == [True, False]
  assert cli(*small, *driver, f'--workdir={one}').code == 0
  for a, b in zip(*(writer.read_metrics(home / 'metrics.jsonl')
                    for home in (one, two)), strict=True):
    np.testing.assert_allclose(
        [b[k] for k in sorted(b) if k != 'clips/s'],
        [a[k] for k in sorted(a) if k != 'clips/s'], rtol=1e-3)
  names = lambda home: sorted(
      p.relative_to(home) for p in home.glob('*/*')
      if p.is_file() and p.parent.name != 'tensorboard')
  assert names(one) == names(two)
  for path in (one / 'results').iterdir():
    a, b = (results.read(home / 'results' / path.name) for home in (one, two))
    assert a.config == b.config and a.counts == b.counts
    assert b.hardware['device_count'] == 8
    assert a.metrics.keys() == b.metrics.keys()
  mse = [results.read(home / 'results/reconstruction.json').metrics['mse']
         for home in (one, two)]
  np.testing.assert_allclose(*mse, rtol=1e-2)
  before = results.read(two / 'results/swap.json')
  codes, ended = _two(lambda index: (
      *small, *driver, f'--workdir={two}', '--mode=evaluate'))
  assert codes == [0, 0], ended
  after = results.read(two / 'results/swap.json')
  assert after.metrics == before.metrics
  assert after.wall_seconds != before.wall_seconds
