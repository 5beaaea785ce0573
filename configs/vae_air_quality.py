"""A VAE on the air of Beijing: the plain row beside DiffSDA.

  python -m seqdiff.data.prepare --dataset=air_quality --manual_dir=raw \\
      --data_dir=data
  python -m seqdiff.main --config=configs/vae_air_quality.py

No score is known yet. All but the method as in configs/diffsda_air_quality.py.
"""

import ml_collections

from configs import diffsda_air_quality
from configs.common import vae


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  return vae.get_config(diffsda_air_quality.get_config())
