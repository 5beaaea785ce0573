"""DiffSDA on MUG at 64x64, with the published networks.

  python -m seqdiff.data.prepare --dataset=mug --manual_dir=MUG --data_dir=data
  python -m seqdiff.main --config=configs/diffsda_mug.py

Not run: no score is known. Published (Tables 2, 3 and 9): swap AED .751, AKD
.802; reconstruction AED .11, AKD .06, MSE 3e-7; judge 81.15 %. Source:
arXiv:2510.05717, Tables 6-7, and released code. `:small` has the codes of
another released model (static 128, dynamic 16, 256 units).
"""

import ml_collections

from configs.common import video
from seqdiff.core import errors


def get_config(variant: str = 'default') -> ml_collections.ConfigDict:
  """The config; variant 'default' or 'small'."""
  if variant not in ('default', 'small'):
    raise errors.unknown_name('variant', variant, ('default', 'small'))
  config = video.get_config()
  config.data.update(
      name='mug',
      data_dir='data',  # As given to seqdiff.data.prepare.
      size=64,  # Pixels.
  )
  if variant == 'small':
    config.method.update(static_dim=128, dynamic_dim=16, hidden=256)
  config.train.num_steps = 1600 * 2572 // 8  # 1600 epochs of 75 % of 3,429.
  return config
