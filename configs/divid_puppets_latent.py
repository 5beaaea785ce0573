"""DiViD on latents of the embedded `puppets`: the way of configs/divid_mhad.py.

  python -m seqdiff.main --config=configs/autoencoder_puppets.py
  python -m seqdiff.data.encode_latents --config=configs/divid_puppets_latent.py
  python -m seqdiff.main --config=configs/divid_puppets_latent.py

Not run to the end; its clips are so small that latents save no time.
"""

import ml_collections

from configs import divid_puppets
from configs.common import divid


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid_puppets.get_config()
  config.first_stage = divid.first_stage()
  config.first_stage.workdir = 'runs/autoencoder_puppets'
  config.first_stage.cache = 'runs/autoencoder_puppets_latents'
  config.method.image_channels = 4  # Of the latents, 4 x 4 pixels.
  config.method.backbone = ml_collections.ConfigDict(dict(kind='flat'))
  config.method.recolour = False  # Latents have no colours.
  config.method.denoiser.patch_size = 1
  config.sampler.clip = None
  return config
