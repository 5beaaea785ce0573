"""DiffSDA on TaiChi-HD at 64x64, with the published networks.

  python -m seqdiff.data.prepare --dataset=taichi_hd --manual_dir=taichi-png \\
      --data_dir=data
  python -m seqdiff.main --config=configs/diffsda_taichi.py

Not run: no score is known. Published (Tables 2 and 3): swap AED .326, AKD
2.143; reconstruction AED .001, AKD .10, MSE 2e-7. Source: arXiv:2510.05717,
Tables 6-7, and released code. Departures: the released code mirrors clips,
plays them backwards and shifts their colours; the paper does not say so.
Training draws its frames from the first 64 of a video, the released code from
all of it; `--num_frames=1024` in the first command keeps all, for more disk.
"""

import ml_collections

from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = video.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='taichi_hd',
      data_dir='data',  # As given to seqdiff.data.prepare.
      size=64,  # Pixels.
      num_frames=10,
      stride=4,
      take='shrinking',  # Short clips have a smaller stride.
      batch_size=16,
      eval_batch_size=64,
  ))
  config.method.update(static_dim=512, dynamic_dim=64, hidden=1024)
  config.sampler.num_steps = 32  # NFE 63.
  # 40 epochs, each of 150 passes over 90 % of 3,081 clips.
  config.train.num_steps = 40 * 150 * 2773 // 16
  config.eval.protocols = ('reconstruction',)  # No label of the motion.
  return config
