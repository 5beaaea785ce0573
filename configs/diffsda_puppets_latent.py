"""The quickstart on latents: the way of configs/diffsda_voxceleb.py, small.

  python -m seqdiff.main --config=configs/autoencoder_puppets.py
  python -m seqdiff.data.encode_latents \\
      --config=configs/diffsda_puppets_latent.py
  python -m seqdiff.main --config=configs/diffsda_puppets_latent.py

Not tuned; its clips are so small that latents save no time.
"""

import ml_collections

from configs import quickstart
from configs.common import small_latent


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  return small_latent.on_latents(
      quickstart.get_config(), 'autoencoder_puppets')
