"""The peer as a process that takes orders, for `seqdiff.benchmark`.

  python -m tests.peers.worker FOLDER eager|compile cpu|gpu

FOLDER holds config.json and, for each job, its batch as <job>.npz. Each line on
stdin is a job and a number of repeats, `train_step 5`; the answer is one JSON
line with the seconds that they took.
"""

import functools
import json
import pathlib
import resource
import sys
import time

import ml_collections
import numpy as np
import torch

from tests.peers import torch_build
from tests.peers import torch_conditional
from tests.peers import torch_train


def main() -> None:
  """Answers until stdin is closed."""
  folder, variant, platform = sys.argv[1:]
  folder = pathlib.Path(folder)
  config = ml_collections.ConfigDict(
      json.loads((folder / 'config.json').read_text()))
  batches = {}
  for job in 'train_step', 'swap':
    with np.load(folder / f'{job}.npz') as file:
      batches[job] = dict(file)
  device = 'cuda' if platform == 'gpu' else 'cpu'
  torch.backends.cudnn.benchmark = True
  # As JAX on a GPU.
  torch.set_float32_matmul_precision('high')
  with torch.device(device):
    # Tensor cores want channels last; oneDNN on a CPU does not gain by it.
    model = torch_build.from_config(
        config, image_size=batches['train_step']['x'].shape[2],  # Or unused.
        channels_last=device == 'cuda')
    trainer = torch_train.Trainer(model, config)
  if variant == 'compile':
    torch_train.compile_model(model)

  def train_step(batch):
    model.train()
    return float(trainer.step(*_tensors(batch, device))['loss'])

  def swap(batch):
    model.eval()
    clips, mask, _ = _tensors(batch, device)
    other = None if mask is None else mask.flip(0)
    return float(model.swap(
        clips, clips.flip(0), mask_a=mask, mask_b=other).mean())

  jobs = {job.__name__: functools.partial(job, batches[job.__name__])
          for job in (train_step, swap)}
  print(json.dumps({}), flush=True)  # Ready.
  for line in sys.stdin:
    job, repeats = line.split()
    start = time.perf_counter()
    for _ in range(int(repeats)):
      jobs[job]()
    seconds = time.perf_counter() - start
    memory = (torch.cuda.max_memory_allocated() if device == 'cuda' else
              resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    print(json.dumps({'seconds': seconds, 'memory': memory}), flush=True)


def _tensors(batch, device):
  """Clips, mask and `observed`, which are None if nothing is missing."""
  mask, observed = batch['mask'], batch.get('observed')
  # Without padding there is no need for the slower recurrences of packed clips.
  mask = None if mask.all() else torch.as_tensor(mask, device=device)
  if observed is not None:
    observed = torch.as_tensor(observed, device=device)
  return torch_conditional.to_clips(batch['x'], device), mask, observed


if __name__ == '__main__':
  main()
