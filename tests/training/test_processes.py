"""Training on two processes of two devices each, against one process."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

import seqdiff
from seqdiff.training import parallel
from seqdiff.training import writer

_NUM_STEPS = 200  # Of the run that SIGTERM stops, soon after step 2.

_WORKER = """
import json, os, pathlib, signal, sys, time
sys.path.insert(0, sys.argv[1])
import conftest as toy
from seqdiff import distributed
from seqdiff.training import parallel, writer

workdir, address, index, kill = sys.argv[2:]
index, workdir, messages = int(index), pathlib.Path(workdir), []
distributed.connect(f'{address},2,{index}')
distributed.check_same({'seed': 0})
for refused in (
    lambda: distributed.check_same({'seed': index}),
    lambda: writer.claim_workdir(workdir / str(index), {'seed': 0})):
  try:
    refused()
  except ValueError as error:
    messages.append(str(error))

def batches(start):
  for step, batch in enumerate(toy.make_batches(start), start=start):
    if kill == 'kill' and stopping and step >= 2:
      if step == 2 and index == 1:
        os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(0.05)
    yield {k: v[index::2] for k, v in batch.items()}

stopping = False
for name in ('pmap', 'mesh'):
  toy.train(workdir / name, 6, batches=batches,
            driver=parallel.make_parallel(name))
stopping = True
result = toy.train(workdir / 'stopped', NUM_STEPS, batches=batches,
                   driver=parallel.make_parallel('pmap'), save_every=10**6)
print(json.dumps({'step': result.step, 'interrupted': result.interrupted,
                  'messages': messages}))
""".replace('NUM_STEPS', str(_NUM_STEPS))


def _two_processes(workdir, *, kill):
  """Runs the lines above twice at once; returns what each one printed last."""
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{s.getsockname()[1]}'
  root = pathlib.Path(seqdiff.__file__).parents[1]
  env = {**os.environ, 'PYTHONPATH': str(root), 'JAX_PLATFORMS': 'cpu',
         'JAX_NUM_CPU_DEVICES': '2'}
  processes = [
      subprocess.Popen(
          [sys.executable, '-c', _WORKER, os.path.dirname(__file__),
           str(workdir), address, str(index), 'kill' if kill else 'go on'],
          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
      for index in range(2)]
  try:
    ended = [p.communicate(timeout=300) for p in processes]
  finally:
    for process in processes:
      process.kill()
  assert [p.returncode for p in processes] == [0, 0], ended
  return [json.loads(out.splitlines()[-1]) for out, _ in ended]


@pytest.fixture(scope='module')
def ended(tmp_path_factory):
  """The run directories, and what the processes printed: stopped, continued."""
  workdir = tmp_path_factory.mktemp('two')
  stopped = _two_processes(workdir, kill=True)
  return workdir, stopped, _two_processes(workdir, kill=False)


def _losses(workdir):
  rows = writer.read_metrics(workdir / 'metrics.jsonl')
  return {row['step']: row['loss'] for row in rows}


@pytest.mark.parametrize('name', ['pmap', 'mesh'])
@pytest.mark.parametrize('count', [1, 4])
def test_losses_are_those_of_one_process(toy, ended, tmp_path, name, count):
  driver = parallel.make_parallel(name, devices=jax.devices()[:count])
  toy.train(tmp_path, 6, driver=driver)
  one, two = _losses(tmp_path), _losses(ended[0] / name)
  assert list(one) == list(two) == [2, 4, 6]
  np.testing.assert_allclose(list(two.values()), list(one.values()), rtol=1e-5)


def test_sigterm_to_one_stops_both_at_one_step_and_both_go_on(
    toy, ended, tmp_path):
  workdir, stopped, continued = ended
  assert [s['interrupted'] for s in stopped] == [True, True]
  assert stopped[0]['step'] == stopped[1]['step'] < _NUM_STEPS
  assert [c['step'] for c in continued] == [_NUM_STEPS] * 2
  assert not any(c['interrupted'] for c in continued)
  saved = {int(p.name) for p in (workdir / 'stopped/checkpoints').iterdir()}
  assert saved == {stopped[0]['step'], _NUM_STEPS}
  toy.train(tmp_path, _NUM_STEPS)
  one, two = _losses(tmp_path), _losses(workdir / 'stopped')
  np.testing.assert_allclose(
      [two[step] for step in one], list(one.values()), rtol=1e-4)


def test_all_processes_refuse_another_config_or_run_directory_of_one(ended):
  for printed in ended[1]:
    config, workdir = printed['messages']
    assert 'process 1 got another config than process 0' in config
    assert 'Process 1 does not see' in workdir and '--workdir' in workdir
