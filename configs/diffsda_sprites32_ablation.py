"""DiffSDA on Sprites in the time of 2,000 steps, one lever set back.

  python -m seqdiff.main --config=configs/diffsda_sprites32_ablation.py:noise \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The names are in configs/common/levers.py; `none` sets nothing back. Results are
in configs/results/diffsda_sprites32_ablation-*, those of two seeds merged.
"""

import ml_collections

from configs import diffsda_sprites32
from configs.common import levers

# Train steps per second over those of `none`, as measured by the benchmark;
# the other levers make no difference beyond its spread.
_SPEEDS = {'aggregator': 0.54, 'static_frames': 0.56, 'centre': 1.19,
           'recolour': 1.28}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config without one lever."""
  return levers.set_back(
      diffsda_sprites32.get_config(), lever, num_steps=2000, speeds=_SPEEDS)
