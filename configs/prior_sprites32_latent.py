"""`prior_sprites32` of the codes of `diffsda_sprites32_latent`.

  python -m seqdiff.main --config=configs/prior_sprites32_latent.py
  python -m seqdiff.main --config=configs/prior_sprites32_latent.py \\
      --mode=explore

Results are in configs/results/prior_sprites32_latent.
"""

import ml_collections

from configs import prior_sprites32


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = prior_sprites32.get_config()
  config.model.workdir = 'runs/diffsda_sprites32_latent'
  return config
