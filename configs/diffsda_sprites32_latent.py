"""`diffsda_sprites32` on latents: the way of configs/diffsda_voxceleb.py.

  python -m seqdiff.main --config=configs/autoencoder_sprites32.py <data>
  python -m seqdiff.data.encode_latents \\
      --config=configs/diffsda_sprites32_latent.py <data>
  python -m seqdiff.main --config=configs/diffsda_sprites32_latent.py <data>
  python -m seqdiff.main --config=configs/prior_sprites32_latent.py
  python -m seqdiff.main --config=configs/prior_sprites32_latent.py \\
      --mode=explore

with <data> = --config.data.data_dir=<folder given to seqdiff.data.prepare>.
Results are in configs/results/diffsda_sprites32_latent, of one seed; not tuned.
"""

import ml_collections

from configs import diffsda_sprites32
from configs.common import small_latent


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = small_latent.on_latents(
      diffsda_sprites32.get_config(), 'autoencoder_sprites32')
  config.train.num_steps = 6000
  return config
