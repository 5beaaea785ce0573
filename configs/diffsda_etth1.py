"""DiffSDA on the transformer of ETTh1, with the published networks.

  python -m seqdiff.data.prepare --dataset=etth --split=blocked \\
      --manual_dir=raw --data_dir=data
  python -m seqdiff.main --config=configs/diffsda_etth1.py

`:pool` was run with three seeds, `:short` with two, `:months` with one; nothing
else was.

Source: arXiv:2510.05717, Tables 6-7. Samples are weeks, and all seasons are in
all splits; `:short` is a quarter of that training. `:months` has the published
samples (prepared by --split=as_published), whose tests are in warmer months
than the training; `:as_published` has these and the switches of the released
code (configs/common/series.py). `:pool` has the weeks, means in place of
recurrences (see there), and dynamic codes that are read from what differs from
the mean of the week. Departure: a step decodes 64 hours of each sample only, at
a fraction of the cost; the estimate of the loss is unbiased.
"""

import ml_collections

from configs.common import series


def get_config(variant: str = 'blocked') -> ml_collections.ConfigDict:
  """The config; see above for the variants besides 'blocked'."""
  blocked = variant in ('blocked', 'short', 'pool')
  config = series.get_config()
  config.data.update(
      name='etth', split='blocked' if blocked else 'as_published')
  config.method.variables = 6
  config.method.encoder.width = 4 * 256
  config.method.denoiser.width = 4 * 128
  config.method.frames_per_step = 64
  if blocked:
    config.data.num_frames = 168  # A week.
  config.train.num_steps = 200 * (120 if blocked else 14) // 10  # 200 epochs.
  config.eval.protocols = ('oil_temperature',) if blocked else (
      'oil_temperature_as_published',)
  return series.vary(
      config, variant, ('blocked', 'months'), short=600, roll=10 * 14, read=24)
