"""GLR on patients in intensive care, with the published networks.

  python -m seqdiff.data.prepare --dataset=physionet2012 --manual_dir=raw \\
      --data_dir=data
  python -m seqdiff.main --config=configs/glr_physionet.py

`:short`, a quarter of the training, was run with one seed; nothing else was.
Source: Tonekaboni et al. 2022 (arXiv:2202.02262), released code; samples
and splits as in configs/diffsda_physionet.py.
`:as_published` has the losses of the released code (configs/common/glr.py).
"""

import ml_collections

from configs import diffsda_physionet
from configs.common import glr


def get_config(variant: str = 'default') -> ml_collections.ConfigDict:
  """The config; variant 'default', 'as_published' or 'short'."""
  config = glr.get_config(diffsda_physionet.get_config(), variant, ('short',))
  config.data.batch_size = 20
  # 30 % of a sample in training, 60 % of it afterwards.
  config.method.update(
      window=4, global_frames=24, read_frames=48, noise_draws=10)
  config.method.local_encoder.sizes = (32, 64, 32)
  config.method.global_encoder.sizes = (32, 64, 32)
  config.method.decoder.sizes = (32, 64, 32)
  config.train.num_steps = (
      3000 if variant == 'short' else 200 * 1189 // 20)  # 200 epochs.
  return config
