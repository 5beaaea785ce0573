"""Defaults of DiffSDA on time series, each with its unit and source.

Source unless noted: DiffSDA (arXiv:2510.05717), Tables 6-7 and released code,
the air-quality row; what does not differ is as in configs/common/video.py.
"""

from collections.abc import Sequence

import ml_collections

from configs.common import video
from seqdiff.core import errors


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
      noise_draws=1,  # 10: released code.
      read_padding=False,  # True: released code, see nets/encoders.py.
      encoder=dict(width=4 * 128, layers=5, dropout=0.1),
      denoiser=dict(width=4 * 256, layers=5, dropout=0.1),
  )
  # sigma_data stays 0.5 (code), though series have unit variance.
  config.method.diffusion.update(p_mean=-0.4, p_std=1.0)
  config.data.update(
      data_dir='data',  # As given to seqdiff.data.prepare.
      roll=0,  # Hour that series begin at, labels not; see data/batch.py.
      num_frames=672,  # Hours.
      batch_size=10,
      eval_batch_size=16,
  )
  config.sampler.num_steps = 32  # NFE 63 (paper; its code has 16).
  return config


def vary(
    config: ml_collections.ConfigDict,
    variant: str,
    others: Sequence[str],
    *,
    short: int,
    roll: int,
    read: int,
    decode: int = 16,
    centre: bool = True,
) -> ml_collections.ConfigDict:
  """The config as published, short, pooled, or as it is.

  `as_published` has the switches of the released code. It is then judged by
  published protocols only: where its series are shifted, labels of days are of
  others.

  `short` trains a quarter as long, with four times the step size.

  `pool` has no recurrences: the static code is read from the mean of features
  of single hours, a dynamic code from its own hour. A step reads some hours at
  random and decodes a few others, at a fraction of the cost. The step size is
  ten to twenty times that of the paper, and clips are sampled in 16 evaluations
  in place of 63.

  Args:
    config: the config.
    variant: 'as_published', 'short', 'pool' or one of `others`.
    others: names of variants that need nothing more.
    short: steps of `short`.
    roll: hour at which series begin in the released code, and the hours
      before it at their end.
    read: hours of a series that `pool` reads in a step.
    decode: hours that it decodes.
    centre: whether its dynamic codes are read from what differs from the mean.

  Raises:
    ValueError: for another variant.
  """
  if variant == 'as_published':
    config.data.roll = roll
    config.method.update(count_missing=True, noise_draws=10, read_padding=True,
                         frames_per_step=None)
    config.eval.protocols = tuple(
        p for p in config.eval.protocols if p.endswith('_as_published'))
  elif variant == 'short':
    config.train.num_steps = short
    config.optim.learning_rate *= 4
  elif variant == 'pool':
    config.method.update(
        aggregator='pool', static_frames=read, frames_per_step=decode,
        centre=centre)
    config.optim.update(learning_rate=1e-3, warmup_steps=50)
    config.train.update(num_steps=1500, save_every=500)
    config.sampler.update(name='dpmpp_2m', num_steps=16)
  elif variant not in others:
    raise errors.unknown_name(
        'variant', variant, (*others, 'as_published', 'short', 'pool'))
  return config


def in_both_forms(*protocols: str) -> tuple[str, ...]:
  """Names of protocols, and of their published forms."""
  return tuple(
      name + form for name in protocols for form in ('', '_as_published'))
