"""GLR on series that are drawn: a trend and a season, minutes on two CPU cores.

  python -m seqdiff.main --config=configs/glr_simulation.py

No score is known yet. Source: Tonekaboni et al. 2022 (arXiv:2202.02262),
released code, with its simulation; nothing has to be prepared.
"""

import ml_collections

from configs.common import glr
from configs.common import series


def get_config(variant: str = 'default') -> ml_collections.ConfigDict:
  """The config; variant 'default' or 'as_published'."""
  config = glr.get_config(series.get_config(), variant)
  del config.data['data_dir']
  config.data.update(
      name='glr_simulation', num_frames=100, batch_size=20, eval_batch_size=32)
  config.data.missing = 0.0  # Share of the values; 0.3 is the code's default.
  config.method.update(
      variables=1, static_dim=1, dynamic_dim=1, window=10, global_frames=30,
      read_frames=50, min_measured=1, kernels=('rbf',), num_scales=1,
      length_scale=1.0, noise_draws=5)
  config.method.local_encoder.sizes = (2,)
  config.method.global_encoder.sizes = (2,)
  config.method.decoder.sizes = (4, 2)
  config.optim.learning_rate = 1e-2
  config.train.num_steps = 100 * 340 // 20  # 100 epochs.
  config.eval.protocols = ('leakage',)
  return config
