"""--distributed: a whole run of two processes, and what a user gets wrong."""

import json
import os
import socket
import subprocess
import sys

import numpy as np
import pytest

from seqdiff.data import encode_latents
from seqdiff.evaluation import results
from seqdiff.training import writer
from tests.e2e import test_prior_main

_CONNECT = """
import sys
from seqdiff import cli, distributed
sys.argv[1:], (given, timeout) = [], sys.argv[1:]
cli.run(lambda: distributed.connect(given, timeout=float(timeout)))
"""

# Several commands, for it takes long to start; they connect once.
_COMMANDS = """
import functools, json, sys
from seqdiff import distributed
from tests.e2e import conftest
distributed.connect = functools.cache(distributed.connect)
for command in json.loads(sys.argv[1]):
  if code := conftest.call(None, *command).code:
    sys.exit(code)
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
  return _ended(lambda index, flag: ['-m', 'seqdiff.main', *flags(index), flag])


def _ended(arguments):
  """Ends of two of Python with `arguments(index, '--distributed=...')`."""
  value = f'{_address()},2'
  env = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '4',
         'JAX_DISABLE_MOST_OPTIMIZATIONS': 'true'}  # As here.
  processes = [
      subprocess.Popen(
          [sys.executable,
           *arguments(index, f'--distributed={value},{index}')],
          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
      for index in range(2)]
  try:
    ended = [p.communicate(timeout=1800) for p in processes]
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


def _latent_and_prior(small, home, model):
  """A model on cached latents, a prior of the run `model`, its exploration."""
  prior = ('--config=configs/prior.py', *test_prior_main.SMALL,
           f'--config.model.workdir={model}', f'--workdir={home / "prior"}')
  return [
      (*_of_latents(small, home.parent), f'--workdir={home / "model"}'), prior,
      (*prior, '--mode=explore')]


def _of_latents(small, home):
  return ('--config=configs/diffsda_puppets_latent.py', *small[1:],
          '--config.method.denoiser.patch_size=1',
          '--config.eval.protocols=()',
          f'--config.first_stage.workdir={home / "stage"}',
          f'--config.first_stage.cache={home / "latents"}')


@pytest.mark.slow
def test_latents_prior_and_exploration_of_two_processes_are_those_of_one(
    cli, small, tmp_path):
  one, two = tmp_path / 'one', tmp_path / 'two'
  stage = [flag for flag in small if flag.startswith(tuple(
      f'--config.{part}' for part in ('data', 'optim', 'train')))]
  assert cli('--config=configs/autoencoder_puppets.py', *stage,
             '--config.method.net.channels=8',
             '--config.method.net.multipliers=(1,2)',
             '--config.eval.protocols=()',
             f'--workdir={tmp_path / "stage"}').code == 0
  assert cli(*_of_latents(small, tmp_path),
             program=encode_latents.main).code == 0
  for command in _latent_and_prior(small, one, one / 'model'):
    ended = cli(*command)
    assert ended.code == 0, ended.err
  codes, ended = _ended(lambda _, flag: ['-c', _COMMANDS, json.dumps([
      (*command, flag)
      for command in _latent_and_prior(small, two, one / 'model')])])
  assert codes == [0, 0], ended
  assert ['exploration: ' in out for out, _ in ended] == [True, False]
  files = lambda home: sorted(
      p.relative_to(home) for p in home.rglob('*')
      if p.is_file() and not {'checkpoints', 'tensorboard'} & set(p.parts))
  assert files(one) == files(two)
  for name in 'model', 'prior':
    a, b = ([row['loss'] for row in writer.read_metrics(
        home / name / 'metrics.jsonl')] for home in (one, two))
    np.testing.assert_allclose(b, a, rtol=1e-3)
  for name in 'codes', 'directions':
    a, b = (np.load(home / f'prior/{name}.npz') for home in (one, two))
    for key in sorted({*a} - {'identity'}):
      np.testing.assert_allclose(
          b[key], a[key], rtol=1e-3, atol=1e-4, err_msg=key)
  a, b = (results.read(results.path_of(home / 'prior', 'exploration'))
          for home in (one, two))
  assert a.counts == b.counts
  assert b.metrics == pytest.approx(a.metrics, rel=1e-3, abs=1e-4)
