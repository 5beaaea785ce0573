"""A config of small pixel video, on the latents of a small autoencoder."""

import ml_collections

from configs import autoencoder_puppets
from configs.common import first_stage


def autoencoder(
    data: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """The autoencoder of `configs/autoencoder_puppets.py`, for other data."""
  config = autoencoder_puppets.get_config()
  config.data = data
  config.data.num_frames = 2  # So that a batch shows many clips.
  return config


def on_latents(
    config: ml_collections.ConfigDict, autoencoder_name: str
) -> ml_collections.ConfigDict:
  """`config` on latents of `runs/<autoencoder_name>`, four times smaller."""
  config.first_stage = first_stage.get_config()
  config.first_stage.workdir = f'runs/{autoencoder_name}'
  config.first_stage.cache = f'runs/{autoencoder_name}_latents'
  config.method.image_channels = 4  # Of the latents.
  config.method.recolour = False  # Latents have no colours.
  config.method.denoiser.patch_size = 1
  return config
