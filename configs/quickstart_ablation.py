"""The quickstart in the time of 500 steps, one lever set back to the paper's.

  python -m seqdiff.main --config=configs/quickstart_ablation.py:recolour

The names are in configs/common/levers.py; `none` sets nothing back. Results are
in configs/results/quickstart_ablation-*, those of two seeds merged.
"""

import ml_collections

from configs import quickstart
from configs.common import levers

# Train steps per second over those of `none`, as measured by the benchmark;
# the other levers make no difference beyond its spread.
_SPEEDS = {'aggregator': 0.87, 'static_frames': 0.91, 'centre': 1.07,
           'recolour': 1.16}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config without one lever."""
  return levers.set_back(
      quickstart.get_config(), lever, num_steps=500, speeds=_SPEEDS)
