"""A small autoencoder of `puppets`, on CPUs.

  python -m seqdiff.main --config=configs/autoencoder_puppets.py

Scores are not committed yet.
"""

import ml_collections

from configs import quickstart
from configs.common import autoencoder


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = autoencoder.get_config()
  config.data = quickstart.get_config().data
  config.data.num_frames = 2

  config.method.kl_weight = 1e-4
  config.method.net.update(
      channels=16, multipliers=(1, 2, 4), num_blocks=1, z_channels=4,
      embed_dim=4, regulariser='kl', groups=8)

  config.optim.learning_rate = 2e-3
  config.optim.b1 = 0.9
  config.optim.b2 = 0.99
  config.optim.clip_norm = 1.0
  config.optim.warmup_steps = 100
  config.optim.schedule = 'cosine'
  config.optim.ema_decay = 0.995
  config.train.num_steps = 1500
  config.train.save_every = 500
  config.eval.num_clips = 128
  return config
