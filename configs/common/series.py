"""Defaults of DiffSDA on time series, each with its unit and source.

Source unless noted: DiffSDA (arXiv:2510.05717), Tables 6-7 and released code,
the air-quality row; what does not differ is as in configs/common/video.py.
"""

import ml_collections

from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config that others start from; it names no data set."""
  config = video.get_config()
  for name in 'image_channels', 'as_published', 'encoder', 'denoiser':
    del config.method[name]
  config.method.update(
      variables=10,
      static_dim=16,
      dynamic_dim=4,
      hidden=512,  # Of the recurrences.
      count_missing=False,  # True: released code, see methods/diffsda.py.
      encoder=dict(width=4 * 128, layers=5, dropout=0.1),
      denoiser=dict(width=4 * 256, layers=5, dropout=0.1),
  )
  config.method.diffusion.update(p_mean=-0.4, p_std=1.0)
  config.data.update(num_frames=672, batch_size=10)  # Hours; samples.
  config.sampler.num_steps = 32  # NFE 63 (paper; its code has 16).
  return config
