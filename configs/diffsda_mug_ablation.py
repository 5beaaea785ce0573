"""`diffsda_mug` with other codes: Table 11 of DiffSDA.

  python -m seqdiff.main --config=configs/diffsda_mug_ablation.py:d64

The rows are d64, d256, d64_unshared and d256_unshared: the size of the dynamic
codes, and whether the static code is one per clip or one per frame. Not run.
Published (identity kept, expression kept, %): 95.59, 80.08; 92.12, 81.28;
99.69, 16.71; 99.83, 18.18.
"""

import ml_collections

from configs import diffsda_mug
from configs.common import sizes


def get_config(row: str = 'd64') -> ml_collections.ConfigDict:
  """The config of one row."""
  return sizes.vary(diffsda_mug.get_config(), row, dynamic_dims=(64, 256))
