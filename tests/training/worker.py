"""One of two processes of a training, see test_processes.py.

  python -m tests.training.worker <folder> <address> <0|1> fresh|again|killed

The last line that it prints is JSON.
"""

import json
import os
import pathlib
import signal
import sys
import time

from seqdiff import distributed
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


def batches(start, *, process=0, count=1, send=None):
  """One process's rows of the batches, slowed down if it is to be stopped.

  Args:
    start: the first step.
    process: this process.
    count: of so many.
    send: signal that process 1 sends itself after step 2.
  """
  for step, batch in enumerate(toys.make_batches(start, width=16), start=start):
    if send is not None and step >= 2:
      if step == 2 and process == 1:
        os.kill(os.getpid(), send)
      time.sleep(0.05)
    yield {k: v[process::count] for k, v in batch.items()}


def main(workdir, address, index, scenario):
  """Plays one scenario; see the tests."""
  workdir, index = pathlib.Path(workdir), int(index)
  distributed.connect(
      f'{address},2,{index}', heartbeat=5 if scenario == 'killed' else 100)
  rows = lambda send=None: lambda start: batches(
      start, process=index, count=2, send=send)
  if scenario == 'killed':
    toys.train(workdir / scenario, 10**6, batches=rows(signal.SIGKILL),
              driver=DRIVERS['mesh']())
  messages = []
  for refused in (
      lambda: distributed.check_same({'seed': index}),
      lambda: writer.claim_workdir(workdir / str(index), {'seed': 0})):
    try:
      refused()
    except ValueError as error:
      messages.append(str(error))
  if scenario == 'fresh':
    for name, driver in DRIVERS.items():
      for folder in (workdir / name, workdir / f'{name}_continued'):
        toys.train(folder, 6, batches=rows(), driver=driver())
  send = signal.SIGTERM if scenario == 'fresh' else None
  result = toys.train(workdir / 'stopped', NUM_STEPS, batches=rows(send),
                     driver=DRIVERS['pmap'](), save_every=10**6)
  print(json.dumps({'step': result.step, 'interrupted': result.interrupted,
                    'messages': messages}))


if __name__ == '__main__':
  main(*sys.argv[1:])
