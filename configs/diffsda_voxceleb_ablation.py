"""`diffsda_voxceleb` with other codes: Table 10 of DiffSDA.

  python -m seqdiff.main --config=configs/diffsda_voxceleb_ablation.py:d16

The rows are d16, d128, d16_unshared and d128_unshared: the size of the dynamic
codes, and whether the static code is one per clip or one per frame. Not run.
Published (verification %, AED, AKD): 64.36, .925, 2.882; 18.03, 1.054, 2.077;
56.75, .898, 12.64; 48.41, .980, 12.28.
"""

import ml_collections

from configs import diffsda_voxceleb
from configs.common import sizes


def get_config(row: str = 'd16') -> ml_collections.ConfigDict:
  """The config of one row."""
  config = diffsda_voxceleb.get_config()
  config.method.static_dim = 128
  return sizes.vary(config, row, dynamic_dims=(16, 128))
