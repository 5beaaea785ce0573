"""The quickstart with 500 steps and one lever set back to the paper's value.

  python -m seqdiff.main --config=configs/quickstart_ablation.py:recolour

The names are in configs/common/levers.py; `none` sets nothing back. Results are
in configs/results/quickstart_ablation-*, those of two seeds merged.
"""

import ml_collections

from configs import quickstart
from configs.common import levers


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config without one lever."""
  return levers.set_back(quickstart.get_config(), lever, num_steps=500)
