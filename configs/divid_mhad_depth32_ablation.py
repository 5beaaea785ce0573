"""`divid_mhad_depth32` in short, with one part changed: Table 2 on depth.

  python -m seqdiff.main --config=configs/divid_mhad_depth32_ablation.py:lstm \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The rows are in configs/common/divid.py; `full` changes nothing. Results are in
configs/results/divid_mhad_depth32_ablation-*.
"""

import ml_collections

from configs import divid_mhad_depth32
from configs.common import divid


def get_config(row: str = 'full') -> ml_collections.ConfigDict:
  """The config of one row."""
  config = divid_mhad_depth32.get_config()
  config.train.num_steps = 1500
  return divid.ablate(config, row)
