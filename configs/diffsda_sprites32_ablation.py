"""DiffSDA on Sprites with 2,000 steps and one lever set back to the paper's.

  python -m seqdiff.main --config=configs/diffsda_sprites32_ablation.py:noise \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The names are in configs/common/levers.py; `none` sets nothing back. Results are
in configs/results/diffsda_sprites32_ablation-*, those of two seeds merged.
"""

import ml_collections

from configs import diffsda_sprites32
from configs.common import levers


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config without one lever."""
  return levers.set_back(
      diffsda_sprites32.get_config(), lever, num_steps=2000)
