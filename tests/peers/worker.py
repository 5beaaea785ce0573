"""The peer as a process that takes orders, for `seqdiff.benchmark`.

  python -m tests.peers.worker CONFIG.json eager|compile cpu|gpu

Each line on stdin is a job and a number of repeats, `train_step 5`; the answer
is one JSON line with the seconds that they took.
"""

import json
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
  path, variant, platform = sys.argv[1:]
  with open(path) as file:
    config = ml_collections.ConfigDict(json.load(file))
  device = 'cuda' if platform == 'gpu' else 'cpu'
  torch.backends.cudnn.benchmark = True
  # As JAX on a GPU.
  torch.set_float32_matmul_precision('high')
  d = config.data
  with torch.device(device):
    # Tensor cores want channels last; oneDNN on a CPU does not gain by it.
    model = torch_build.from_config(config, channels_last=device == 'cuda')
    trainer = torch_train.Trainer(model, config)
  if variant == 'compile':
    torch_train.compile_model(model)
  size = (d.num_frames, d.size, d.size, config.method.image_channels)
  random = lambda count: np.random.default_rng(0).integers(
      0, 256, (count, *size), dtype=np.uint8)
  train, swap = random(d.batch_size), random(d.eval_batch_size)

  def train_step():
    model.train()
    clips = torch_conditional.to_clips(train, device)
    return float(trainer.step(clips)['loss'])

  def swap_clips():
    model.eval()
    clips = torch_conditional.to_clips(swap, device)
    return float(model.swap(clips, clips.flip(0)).mean())

  jobs = {'train_step': train_step, 'swap': swap_clips}
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


if __name__ == '__main__':
  main()
