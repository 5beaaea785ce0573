"""DiffSDA on the embedded `puppets`: minutes on two CPU cores.

  python -m seqdiff.main --config=configs/quickstart.py

Departures from the paper, all for speed on a CPU (configs/common/video.py has
the paper's values): a strided convolutional encoder with pooling instead of a
U-Net and recurrences, patches of 4x4 pixels, coordinates, unit-scale codes,
two decoded frames per clip and step, more noise (p_mean), and a larger step
size with an average of the weights.
"""

import ml_collections

from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config of the quickstart."""
  config = video.get_config()
  config.data.name = 'puppets'
  config.data.num_frames = 8
  config.data.batch_size = 16
  config.data.size = 32  # Pixels.
  config.data.num_train = 4096  # Clips.
  config.data.num_test = 512

  config.method.static_dim = 32
  config.method.dynamic_dim = 6
  config.method.aggregator = 'pool'
  config.method.feature_norm = True
  config.method.unit_codes = True
  config.method.frames_per_step = 2
  config.method.encoder = ml_collections.ConfigDict(
      dict(kind='convnet', channels=16, features=128))
  config.method.denoiser.update(
      channels=32, multipliers=(1, 2), num_blocks=1, attention_levels=(),
      groups=8, dropout=0.0, patch_size=4, coordinates=True)
  config.method.diffusion.p_mean = 1.0

  config.optim.learning_rate = 1e-3
  config.optim.warmup_steps = 100
  config.optim.ema_decay = 0.995
  config.train.num_steps = 2000

  config.sampler.name = 'dpmpp_2m'
  config.sampler.num_steps = 12
  config.sampler.x_T = 'fresh_shared'

  config.eval.num_pairs = 256
  config.eval.num_clips = 256
  config.eval.judge.update(
      num_steps=900, learning_rate=2e-3, channels=12, hidden=32, max_shift=1)
  return config
