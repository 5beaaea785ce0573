"""The scripts of launch/: whole, and what they would do, by --dry_run."""

import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import sys
import time

import pytest

from seqdiff.core import preemption

LAUNCH = pathlib.Path(__file__).resolve().parents[1] / 'launch'
SCRIPTS = sorted([*LAUNCH.rglob('*.sh'), *LAUNCH.rglob('*.sbatch')])
POD = ('--name=my-pod', '--zone=europe-west4-b')
RUN = ('--config=configs/quickstart.py', '--workdir=/mnt/a folder')
VALUE = "--config.method.denoiser.multipliers=(1,2)"


def _bash(*args, code=0):
  ended = subprocess.run(
      ['bash', *map(str, args)], capture_output=True, text=True, timeout=60)
  assert ended.returncode == code, ended.stderr
  return ended.stdout if code == 0 else ended.stderr


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.name)
def test_scripts_are_bash_and_stop_at_the_first_error(path):
  _bash('-n', path)
  lines = path.read_text().splitlines()
  assert lines[0] == '#!/usr/bin/env bash'
  assert 'set -euo pipefail' in lines


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda p: p.name)
def test_shellcheck_finds_nothing(path):
  beside = pathlib.Path(sys.executable).with_name('shellcheck')
  program = beside if beside.exists() else shutil.which('shellcheck')
  if program is None:
    pytest.skip('shellcheck is not installed (extra `test`)')
  ended = subprocess.run(
      [program, '-x', path], cwd=LAUNCH.parent, capture_output=True, text=True,
      check=False)
  assert ended.returncode == 0, ended.stdout


@pytest.mark.parametrize('name, flags, what', [
    ('create', ('--type=v5litepod-16', '--spot'),
     ('--accelerator-type=v5litepod-16', '--spot', 'create',
      '--runtime-version=v2-alpha-tpuv5-lite')),
    ('create', ('--type=v5p-8',),
     ('--accelerator-type=v5p-8', '--runtime-version=v2-alpha-tpuv5')),
    ('create', ('--type=v6e-8',),
     ('--accelerator-type=v6e-8', '--runtime-version=v2-alpha-tpuv6e')),
    ('create', ('--type=v4-8', '--version=tpu-ubuntu2204-base'),
     ('--accelerator-type=v4-8', '--runtime-version=tpu-ubuntu2204-base')),
    ('setup', (), ('--worker=all', 'scp', 'ssh')),
    ('run', RUN, ('--worker=all', 'ssh')),
    ('logs', ('--worker=3',), ('--worker=3', 'ssh')),
    ('delete', (), ('delete', '--force'))])
def test_dry_run_prints_commands_for_the_pod(name, flags, what):
  printed = _bash(LAUNCH / f'tpu/{name}.sh', *POD, '--dry_run', *flags)
  commands = [shlex.split(line) for line in printed.splitlines()]
  words = sum(commands, [])
  assert set(what) <= set(words)
  pods = [c for c in commands if c[0] == 'gcloud']
  assert pods
  for command in pods:
    assert '--zone=europe-west4-b' in command
    assert any(word.partition(':')[0] == 'my-pod' for word in command)


def test_flags_of_the_training_reach_its_command_as_they_were_given():
  printed = _bash(LAUNCH / 'tpu/run.sh', *POD, *RUN, VALUE, '--dry_run')
  command, = [word.removeprefix('--command=')
              for word in shlex.split(printed) if '--command=' in word]
  words = shlex.split(command)  # The shell of a worker.
  train = shlex.split(words[words.index('-c') + 1])  # The one that it starts.
  assert train[-4:] == ['--platform=tpu', *RUN, VALUE]
  assert '--distributed=auto' in train
  assert not any('CACHE' in word for word in train)
  printed = _bash(
      LAUNCH / 'slurm/train.sbatch', *RUN, VALUE, '--dry_run')
  assert shlex.split(printed)[-4:] == ['--platform=gpu', *RUN, VALUE]


def test_folder_of_compiled_programs_reaches_the_workers(monkeypatch):
  monkeypatch.setenv('JAX_COMPILATION_CACHE_DIR', 'gs://bucket/a b')
  printed = _bash(LAUNCH / 'tpu/run.sh', *POD, *RUN, '--dry_run')
  command, = [word.removeprefix('--command=')
              for word in shlex.split(printed) if '--command=' in word]
  words = shlex.split(command)
  train = shlex.split(words[words.index('-c') + 1])
  assert train[:4] == [
      'exec', 'env', 'JAX_COMPILATION_CACHE_DIR=gs://bucket/a b',
      '.venv/bin/python']


@pytest.mark.parametrize('script, flags, message', [
    ('tpu/create.sh', (*POD, '--type=v4-8'), '--version'),
    ('tpu/create.sh', ('--name=my-pod', '--type=v6e-8'), '--zone'),
    ('tpu/create.sh', POD, '--type'),
    ('tpu/delete.sh', (*POD, '--nmae=x'), '--nmae=x'),
    ('tpu/run.sh', (*POD, RUN[0]), '--workdir'),
    ('slurm/train.sbatch', RUN[1:], '--config')])
def test_missing_and_unknown_flags_are_named(script, flags, message):
  error = _bash(LAUNCH / script, *flags, '--dry_run', code=2)
  assert error.startswith('error: ') and message in error


# A fake Slurm: `srun` trains until TERM, by `scancel`, ends it with $CODE.
FAKES = {
    'srun': """
trap 'echo "$SAYS"; exit "$CODE"' TERM
echo "$@" > srun; echo $$ > pid
while true; do sleep 0.05; done""",
    'scancel': """
echo "$@" >> scancel; kill -TERM $(cat pid); exit 1""",
    'scontrol': """
if [[ "$1" == show ]]; then echo "   JobState=$STATE Reason=None"
else echo "$@" >> requeued; fi"""}


@pytest.fixture
def slurm(tmp_path, monkeypatch):
  """A job of the script under a Slurm that is not there: (job, folder)."""
  for name, script in FAKES.items():
    (tmp_path / name).mkdir()
    path = tmp_path / name / name
    path.write_text(f'#!/usr/bin/env bash{script}\n')
    path.chmod(0o755)
    monkeypatch.setenv('PATH', str(path.parent), prepend=os.pathsep)
  folder = tmp_path / 'job'
  folder.mkdir()
  jobs = []

  def start(code, state='RUNNING', **env):
    env = {**os.environ, 'SLURM_JOB_ID': '17', 'CODE': str(code),
           'STATE': state, 'SAYS': '', **env}
    jobs.append(subprocess.Popen(
        ['bash', LAUNCH / 'slurm/train.sbatch', *RUN], cwd=folder, env=env))
    while not (folder / 'pid').exists():
      time.sleep(0.01)
    return jobs[-1], folder

  yield start
  for job in jobs:
    job.kill()


@pytest.mark.parametrize('code, state, requeued', [
    (0, 'RUNNING', True),  # Saved.
    (143, 'RUNNING', True),  # It came before the training watched.
    (0, 'PREEMPTED', True),
    (0, 'CANCELLED', False), (1, 'RUNNING', False), (2, 'RUNNING', False)])
@pytest.mark.parametrize('which', [signal.SIGUSR1, signal.SIGTERM])
def test_job_that_is_stopped_is_queued_again_unless_it_failed_or_was_cancelled(
    slurm, code, state, requeued, which):
  job, folder = slurm(code, state)
  job.send_signal(which)
  assert job.wait(timeout=60) == code
  assert (folder / 'scancel').read_text() == '--signal=TERM 17\n'
  assert (folder / 'requeued').exists() == requeued
  if requeued:
    assert (folder / 'requeued').read_text() == 'requeue 17\n'


@pytest.mark.parametrize('says, requeued', [
    (f'Stopped by SIGTERM; {preemption.CONTINUES}.', True),
    ('Training is done.', False)])
def test_training_that_alone_was_told_is_queued_again_if_it_can_go_on(
    slurm, says, requeued):
  job, folder = slurm(0, SAYS=says)
  os.kill(int((folder / 'pid').read_text()), signal.SIGTERM)
  assert job.wait(timeout=60) == 0
  assert (folder / 'requeued').exists() == requeued


def test_each_task_of_a_job_gets_its_cores_and_failing_does_not_requeue(slurm):
  job, folder = slurm(1, SLURM_CPUS_PER_TASK='12')
  os.kill(int((folder / 'pid').read_text()), signal.SIGTERM)
  assert job.wait(timeout=60) == 1
  assert '--cpus-per-task=12 .venv/bin/python' in (folder / 'srun').read_text()
  assert not (folder / 'requeued').exists()
