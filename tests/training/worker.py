"""One of two processes of a training, see test_processes.py.

  python -m tests.training.worker <folder> <address> <0|1> <scenario>

Scenarios: fresh, again, killed, killed_first, failed, interrupted. The last
line that it prints is JSON.
"""

import errno
import functools
import json
import pathlib
import signal
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from seqdiff import cli
from seqdiff import distributed
from seqdiff.core import keys
from seqdiff.sampling import devices
from seqdiff.training import agreement
from seqdiff.training import checkpoint
from seqdiff.training import parallel
from seqdiff.training import writer
from tests.training import toys

NUM_STEPS = 200  # Of the run that SIGTERM stops, soon after step 2.
DRIVERS = {
    'pmap': parallel.Pmap,
    'mesh': parallel.Mesh,
    'fsdp': lambda **kwargs: parallel.Mesh(
        fsdp=True, min_split_size=1, **kwargs),
}


def _fail():
  raise OSError('process 1 cannot read its data')


def _ctrl_c():
  # In the background of a shell a program starts without this handler.
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.raise_signal(signal.SIGINT)


_kill = lambda: signal.raise_signal(signal.SIGKILL)
# What ends one of the two; the other one must not wait for it.
ENDS = {'killed': (1, _kill), 'killed_first': (0, _kill), 'failed': (1, _fail),
        'interrupted': (1, _ctrl_c)}


def batches(start, *, process=0, count=1, end=None):
  """One process's rows of the batches, slowed down if it is to be stopped.

  Every third example is none, so that the processes have unequal numbers.

  Args:
    start: the first step.
    process: this process.
    count: of so many.
    end: (process, what it does after step 2).
  """
  for step, batch in enumerate(toys.make_batches(start, width=16), start=start):
    if end is not None and step >= 2:
      if step == 2 and process == end[0]:
        end[1]()
      time.sleep(0.05)
    batch['example_mask'] = np.arange(8) % 3 != step % 3
    yield {k: v[process::count] for k, v in batch.items()}


def sample():
  """16 samples, on all devices of all processes."""

  @jax.jit
  def sampler(params, batch, key):
    return params * batch['x'] + keys.normal(key, batch['index'], (3,))

  batch = {'x': np.arange(48, dtype=np.float32).reshape(16, 3),
           'index': np.arange(16, dtype=np.int32)}
  return np.asarray(devices.over_devices(sampler)(
      jnp.float32(2.0), batch, jax.random.key(0)))


def unread(workdir, process, error, **kwargs):
  """A run that `process` cannot continue, as `error` ends its reading."""

  def restore(self, *args):
    raise error

  with pytest.MonkeyPatch.context() as patch:
    if jax.process_index() == process:
      patch.setattr(ocp.StandardCheckpointer, 'restore', restore)
    toys.train(workdir, 6, **kwargs)


def manager_steps(directory):
  """What Orbax counts as saved if process 0 is slow to remove empty steps."""
  remove = checkpoint._remove_empty_steps
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(checkpoint, '_remove_empty_steps',
                  lambda directory: [time.sleep(2.0), remove(directory)])
    checkpointer = checkpoint.Checkpointer(directory)
  counted = list(checkpointer._manager.all_steps())
  checkpointer.close()
  return counted


def main(workdir, address, index, scenario):
  """Plays one scenario; see the tests."""
  workdir, index = pathlib.Path(workdir), int(index)
  distributed.connect(
      f'{address},2,{index}', heartbeat=5 if scenario in ENDS else 100)
  rows = lambda end=None: lambda start: batches(
      start, process=index, count=2, end=end)
  if scenario in ENDS:
    toys.train(workdir, 10**6, batches=rows(ENDS[scenario]),
               driver=DRIVERS['mesh']())
  messages = []
  seen = [8, 4] if index == 0 else [4]
  unreadable = functools.partial(
      unread, workdir / 'mesh_continued', 1, batches=rows(),
      driver=DRIVERS['mesh']())
  for refused in (
      lambda: distributed.check_same({'seed': index}),
      lambda: writer.claim_workdir(workdir / str(index), {'seed': 0}),
      lambda: agreement.on_steps(seen, workdir),
      lambda: unreadable(OSError(errno.EIO, 'the disk')),
      lambda: unreadable(FileNotFoundError('late')),
      lambda: unreadable(RuntimeError('damaged'))):
    try:
      refused()
    except ValueError as error:
      messages.append(str(error))
  if scenario == 'fresh':
    for name, driver in DRIVERS.items():
      for folder in (workdir / name, workdir / f'{name}_continued'):
        toys.train(folder, 6, batches=rows(), driver=driver())
  stop = lambda: signal.raise_signal(signal.SIGTERM)
  result = toys.train(
      workdir / 'stopped', NUM_STEPS, driver=DRIVERS['pmap'](),
      batches=rows((1, stop) if scenario == 'fresh' else None),
      save_every=10**6)
  steps = agreement.on_steps([[5], [9, 5, 1]][index], workdir)
  print(json.dumps({
      'steps': steps, 'step': result.step, 'interrupted': result.interrupted,
      'messages': messages, 'sampled': sample().tolist(),
      'counted': manager_steps(workdir / 'empty')}))


if __name__ == '__main__':
  sys.argv[1:], words = [], sys.argv[1:]
  cli.run(functools.partial(main, *words))
