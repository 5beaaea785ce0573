"""The quickstart with one of the options that change its cost, for benchmarks.

  python -m seqdiff.benchmark --config=configs/quickstart_speed.py:remat \\
      --beside=configs/quickstart.py --jobs=train_step --out=...
  python -m seqdiff.benchmark --config=configs/quickstart_speed.py:nfe63 \\
      --beside=configs/quickstart.py --variants=eager --jobs=swap --out=...
  python -m seqdiff.benchmark --config=configs/quickstart_speed.py:choices \\
      --choices=group_norm,lstm,frames,product,dropout,batched,donation,uint8 \\
      --jobs= --out=...

What was expected of each on a CPU, in steps or swaps per second over those of
the quickstart, before it was measured (configs/results/quickstart_speed-*):

  remat       0.75: a second forward pass beside one forward and one backward of
              twice its cost; less memory
  dots        between remat and 1: convolutions are kept
  parts       1, or a little less: the same work in four parts; a third of the
              memory, as parameters and their averages stay
  bfloat16    below 1: CPUs convert to float32 and back
  mesh        1: the same program
  all_frames  0.25: 12 frames are decoded in place of 2, all are encoded anyway
  nfe63       0.127: 63 evaluations of the network in place of 8

`choices` changes nothing: its result is what seqdiff/benchmark/choices.py
measures, of sizes of its own.
"""

import ml_collections

from configs import quickstart
from seqdiff.core import errors

ROWS = {
    'remat': {'method.remat': True},
    'dots': {'method.remat': 'dots_saveable'},
    'parts': {'train.num_parts': 4},
    'bfloat16': {'method.dtype': 'bfloat16'},
    'mesh': {'train.parallel': 'mesh'},
    'all_frames': {'method.frames_per_step': None},
    'nfe63': {'sampler.name': 'heun', 'sampler.num_steps': 32},
    'choices': {},
}


def get_config(row: str = 'remat') -> ml_collections.ConfigDict:
  """The config of a row of `ROWS`."""
  if row not in ROWS:
    raise errors.unknown_name('row', row, ROWS)
  config = quickstart.get_config()
  with config.ignore_type():  # A policy of remat is a name.
    config.update_from_flattened_dict(ROWS[row])
  return config
