"""The first stage vq-f4 for MEAD at 128x128, trained from scratch.

  python -m seqdiff.main --config=configs/autoencoder_mead.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not run. All is as in configs/autoencoder_mhad.py.
"""

import ml_collections

from configs import autoencoder_mhad


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = autoencoder_mhad.get_config()
  del config.data.modality
  config.data.name = 'mead'
  return config
