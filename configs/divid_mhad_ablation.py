"""`divid_mhad` with one part changed: the rows of Table 2 of DiViD.

  python -m seqdiff.main --config=configs/divid_mhad_ablation.py:no_orth <paths>

The rows are in configs/common/divid.py; `full` changes nothing. Paths as for
configs/divid_mhad.py. Not run. Published (static, dynamic, joint in %):
no_orth 100.0, 13.4, 13.4; lstm 52.0, 3.0, 1.0; adagn 98.0, 24.3, 23.8; linear
100.0, 22.3, 22.3; full 98.5, 31.2, 30.2.
"""

import ml_collections

from configs import divid_mhad
from configs.common import divid


def get_config(row: str = 'full') -> ml_collections.ConfigDict:
  """The config of one row."""
  return divid.ablate(divid_mhad.get_config(), row)
