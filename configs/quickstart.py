"""DiffSDA on the embedded `puppets`: minutes on two CPU cores.

  python -m seqdiff.main --config=configs/quickstart.py

Results are in configs/results/quickstart. Departures from the paper (whose
values are in configs/common/video.py): a strided convolutional encoder with a
norm and pooling instead of a U-Net and recurrences; codes with a little KL,
read in training from two views of the clip, the static code from two of its
frames and the dynamic codes from what changes, in random colours; a U-Net on
patches of 2x2 pixels with coordinates; few decoded frames per clip and step;
more noise, in training and at the end of sampling, from a start that all frames
share; a larger step size with an average of the weights.
"""

import ml_collections

from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config of the quickstart."""
  config = video.get_config()
  config.data.name = 'puppets'
  config.data.num_frames = 12
  config.data.batch_size = 32
  config.data.size = 16  # Pixels.
  config.data.num_train = 4096  # Clips.
  config.data.num_test = 512

  config.method.static_dim = 32
  config.method.dynamic_dim = 8
  config.method.aggregator = 'pool'
  config.method.feature_norm = True
  config.method.static_kl = 2e-4
  config.method.dynamic_kl = 1e-4
  config.method.static_frames = 2
  config.method.recolour = True
  config.method.centre = True
  config.method.frames_per_step = 2
  config.method.encoder = ml_collections.ConfigDict(dict(
      kind='convnet', channels=16, features=128))
  config.method.denoiser.update(
      channels=32, multipliers=(1, 2), num_blocks=1, attention_levels=(),
      groups=8, dropout=0.0, patch_size=2, coordinates=True)
  # Much noise, under which a frame can only be known by its codes.
  config.method.diffusion.p_mean = 1.5
  config.method.diffusion.p_std = 1.2

  config.optim.learning_rate = 2e-3
  config.optim.warmup_steps = 100
  config.optim.ema_decay = 0.995
  config.train.num_steps = 1200
  config.train.save_every = 400

  config.sampler.name = 'dpmpp_2m'
  config.sampler.num_steps = 8
  # From here the last step goes to 0: lower noise is hardly trained.
  config.sampler.sigma_min = 2.0
  config.sampler.x_T = 'fresh_shared'

  config.eval.num_pairs = 128
  config.eval.num_clips = 96
  config.eval.judge.update(
      num_steps=1200, learning_rate=2e-3, channels=16, hidden=32, max_shift=1)
  return config
