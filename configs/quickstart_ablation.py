"""The quickstart in the time of 500 steps, one lever set back to the paper's.

  python -m seqdiff.main --config=configs/quickstart_ablation.py:recolour

The names are in configs/common/levers.py; `none` sets nothing back. Results are
in configs/results/quickstart_ablation-*, those of two seeds merged.

`unshared`, `d32` and `d32_unshared` are Tables 10 and 11 of DiffSDA, small: one
static code per frame, larger dynamic codes, or both. They set `static_frames`
back too and stand beside that row: a static code of each frame cannot be read
from two others.
"""

import ml_collections

from configs import quickstart
from configs.common import levers

_CODES = {
    'unshared': {'method.shared_static': False},
    'd32': {'method.dynamic_dim': 32},
    'd32_unshared': {'method.shared_static': False, 'method.dynamic_dim': 32},
}
_ROWS = {**levers.LEVERS, **{
    row: {**levers.LEVERS['static_frames'], **codes}
    for row, codes in _CODES.items()}}
# Train steps per second over those of `none`, as measured by the benchmark;
# the other levers make no difference beyond its spread. Those of other codes
# are not measured: they take as many steps as the row beside them.
_SPEEDS = {'aggregator': 0.87, 'static_frames': 0.91, 'centre': 1.07,
           'recolour': 1.16, **dict.fromkeys(_CODES, 0.91)}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config of one row."""
  return levers.set_back(
      quickstart.get_config(), lever, num_steps=500, speeds=_SPEEDS, rows=_ROWS)
