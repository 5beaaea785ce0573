"""A VAE on the air of Beijing: the plain row beside DiffSDA.

  python -m seqdiff.data.prepare --dataset=air_quality --manual_dir=raw \\
      --data_dir=data
  python -m seqdiff.main --config=configs/vae_air_quality.py

One seed of `:pool` is in configs/results/vae_air_quality-pool; no other score
is known yet. All but the method as in configs/diffsda_air_quality.py, with
`:pool` as there.
"""

import ml_collections

from configs import diffsda_air_quality
from configs.common import vae


def get_config(variant: str = 'default') -> ml_collections.ConfigDict:
  """The config; variant 'default' or 'pool'."""
  return vae.get_config(
      diffsda_air_quality.get_config, variant, ('default', 'pool'))
