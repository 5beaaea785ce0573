"""A small autoencoder of your own videos; minutes on two CPU cores.

  python -m seqdiff.main --config=configs/autoencoder_frames.py

`data` as in configs/diffsda_frames.py. Not tuned.
"""

import ml_collections

from configs import diffsda_frames
from configs.common import small_latent


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  return small_latent.autoencoder(diffsda_frames.get_config().data)
