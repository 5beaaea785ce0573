"""DiffSDA on Sprites at 32x32, sized for a CPU.

  python -m seqdiff.main --config=configs/diffsda_sprites32.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not run to the end yet: configs/results/diffsda_sprites32 holds the scores of
an early checkpoint (its step is in the files); nothing is tuned. Departures
from the paper as in configs/quickstart.py. The action is constant within a
clip, so it is time-invariant and fits into a static code: the codes are small
and pay for what they hold.
"""

import ml_collections

from configs import quickstart


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = quickstart.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='sprites',
      data_dir=ml_collections.config_dict.placeholder(str),
      size=32,  # Pixels.
      num_frames=8,
      stride=1,
      batch_size=16,
      eval_batch_size=64,
  ))
  config.method.static_dim = 24
  config.method.static_kl = 3e-4
  config.method.dynamic_dim = 6
  config.method.frames_per_step = 2
  config.method.encoder.channels = 24
  config.method.denoiser.multipliers = (1, 2, 2)

  config.optim.learning_rate = 1.5e-3
  config.train.num_steps = 3000

  config.eval.num_pairs = 128
  config.eval.num_clips = 128
  config.eval.judge.update(num_judges=2, num_steps=800, max_shift=2)
  return config
