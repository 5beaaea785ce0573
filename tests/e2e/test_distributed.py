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
sys.argv[1:], given = [], sys.argv[1]
cli.run(lambda: distributed.connect(given, timeout=3.0))
"""


def _address():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return f'127.0.0.1:{s.getsockname()[1]}'


def _connect(value):
  return subprocess.run(
      [sys.executable, '-c', _CONNECT, value], text=True, capture_output=True,
      env={**os.environ, 'JAX_PLATFORMS': 'cpu'}, timeout=120)


@pytest.mark.parametrize('value, expected', [
    ('on', 'expected off; auto'),
    ('10.0.0.2,2,0', '<host:port>,<n>,<i>'),
    ('10.0.0.2:8476,2', '<host:port>,<n>,<i>'),
    ('10.0.0.2:8476,2,2', 'process 2 of 2'),
    ('10.0.0.2:8476,0,0', 'process 0 of 0')])
def test_malformed_value_is_refused(cli, small, value, expected):
  ended = cli(*small, f'--distributed={value}')
  assert ended.code == 2
  assert f'--distributed={value}' in ended.err and expected in ended.err


def test_other_modes_run_in_one_process(cli, small):
  ended = cli(*small, '--mode=swap', '--distributed=auto')
  assert ended.code == 2
  assert 'expected --mode=train' in ended.err


@pytest.mark.parametrize('index, what', [
    (0, 'start every process'), (1, 'process 0 runs at the address')])
def test_process_without_the_others_ends_in_words(index, what):
  value = f'{_address()},2,{index}'
  ended = _connect(value)
  assert ended.returncode == 2, ended.stderr
  assert f'error: --distributed={value}: after 3 s not all' in ended.stderr
  assert what in ended.stderr


def test_auto_outside_a_cluster_names_the_other_forms():
  ended = _connect('auto')
  assert ended.returncode == 2, ended.stderr
  assert 'no TPU pod and no job' in ended.stderr
  assert '<host:port>,<n>,<i>' in ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize('driver', [
    (), ('--config.train.parallel=mesh', '--config.train.fsdp=True')])
def test_run_of_two_processes_is_that_of_one(cli, small, tmp_path, driver):
  one, two, value = tmp_path / 'one', tmp_path / 'two', f'{_address()},2'
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '4'}
  processes = [
      subprocess.Popen(
          [sys.executable, '-m', 'seqdiff.main', *small, *driver,
           f'--workdir={two}', f'--distributed={value},{index}'],
          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
      for index in range(2)]
  try:
    ended = [p.communicate(timeout=900) for p in processes]
  finally:
    for process in processes:
      process.kill()
  assert [p.returncode for p in processes] == [0, 0], ended
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
