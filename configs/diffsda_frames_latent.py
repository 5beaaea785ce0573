"""DiffSDA on latents of your own videos: configs/diffsda_voxceleb.py, small.

  python -m seqdiff.main --config=configs/autoencoder_frames.py
  python -m seqdiff.data.encode_latents \\
      --config=configs/diffsda_frames_latent.py
  python -m seqdiff.main --config=configs/diffsda_frames_latent.py

`data` as in configs/diffsda_frames.py. Not tuned. For films of 256 pixels take
the networks of configs/diffsda_voxceleb.py and a published autoencoder.
"""

import ml_collections

from configs import diffsda_frames
from configs.common import small_latent


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  return small_latent.on_latents(
      diffsda_frames.get_config(), 'autoencoder_frames')
