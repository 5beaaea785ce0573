"""A small autoencoder of Sprites at 32x32, on CPUs.

  python -m seqdiff.main --config=configs/autoencoder_sprites32.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not tuned; half an hour on one slow core. Results of one run are in
configs/results/autoencoder_sprites32.
"""

import ml_collections

from configs import diffsda_sprites32
from configs.common import small_latent


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = small_latent.autoencoder(diffsda_sprites32.get_config().data)
  config.data.batch_size = 16
  return config
