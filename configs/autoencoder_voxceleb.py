"""The first stage vq-f8-n256 for faces at 256x256, trained from scratch.

  python -m seqdiff.main --config=configs/autoencoder_voxceleb.py

Not run. What configs/autoencoder_mhad.py says of the recipe holds; the weights
of the model zoo (third_party/ldm_autoencoder) cost nothing.
"""

import ml_collections

from configs import diffsda_voxceleb
from configs.common import autoencoder


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = autoencoder.get_config()
  config.data = diffsda_voxceleb.get_config().data
  config.data.update(num_frames=1, take='window', stride=1)
  config.method.net.update(  # vq-f8-n256.
      multipliers=(1, 2, 2, 4), attention_levels=(3,), z_channels=4,
      embed_dim=4, codebook_size=256)
  config.optim.learning_rate = 4.5e-6 * 16  # Images per batch.
  return config
