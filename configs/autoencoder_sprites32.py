"""A small autoencoder of Sprites at 32x32, on CPUs.

  python -m seqdiff.main --config=configs/autoencoder_sprites32.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not tuned, and not run to the end: half a batch took more than a second per step
on one core.
"""

import ml_collections

from configs import diffsda_sprites32
from configs.common import small_latent


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  return small_latent.autoencoder(diffsda_sprites32.get_config().data)
