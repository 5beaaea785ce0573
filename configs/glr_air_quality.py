"""GLR on the air of Beijing, with the published networks.

  python -m seqdiff.data.prepare --dataset=air_quality --manual_dir=raw \\
      --data_dir=data
  python -m seqdiff.main --config=configs/glr_air_quality.py

No score is known yet. Source: Tonekaboni et al. 2022 (arXiv:2202.02262),
released code; samples and splits as in configs/diffsda_air_quality.py.
`:as_published` has the losses of the released code (configs/common/glr.py).
"""

import ml_collections

from configs import diffsda_air_quality
from configs.common import glr


def get_config(variant: str = 'default') -> ml_collections.ConfigDict:
  """The config; variant 'default' or 'as_published'."""
  config = glr.get_config(diffsda_air_quality.get_config(), variant)
  config.train.num_steps = 250 * 367 // 10  # 250 epochs.
  return config
