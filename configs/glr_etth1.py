"""GLR on the transformer of ETTh1, with the networks for air quality.

  python -m seqdiff.data.prepare --dataset=etth --split=blocked \\
      --manual_dir=raw --data_dir=data
  python -m seqdiff.main --config=configs/glr_etth1.py

No score is known yet. GLR was not published on these data: networks and
training are those of configs/glr_air_quality.py, samples and splits those of
configs/diffsda_etth1.py, `:months` included.
"""

import ml_collections

from configs import diffsda_etth1
from configs.common import glr
from seqdiff.core import errors


def get_config(variant: str = 'blocked') -> ml_collections.ConfigDict:
  """The config; variant 'blocked' or 'months'."""
  if variant not in ('blocked', 'months'):
    raise errors.unknown_name('variant', variant, ('blocked', 'months'))
  config = glr.get_config(diffsda_etth1.get_config(variant))
  share = int(0.3 * config.data.num_frames)
  config.method.update(global_frames=share, read_frames=share)
  config.method.min_measured = 3  # As 4 of 10.
  samples = 120 if variant == 'blocked' else 14
  config.train.num_steps = 250 * samples // 10  # 250 epochs.
  return config
