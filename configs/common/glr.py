"""GLR on the data of another config, each value with its unit and source.

Source unless noted: Tonekaboni et al. 2022 (arXiv:2202.02262), released code
(configs.json, main.py), the air-quality row. Data and protocols, and with them
the splits, are those of the other config.
"""

from collections.abc import Sequence

import ml_collections

from seqdiff.core import errors


def get_config(
    row: ml_collections.ConfigDict,
    variant: str = 'default',
    others: Sequence[str] = (),
) -> ml_collections.ConfigDict:
  """The config `row` with GLR as its method.

  Args:
    row: a config of series; its training counts steps of its own method.
    variant: 'default', or 'as_published' with the reductions of the losses of
      the released code, see methods/glr.py; or one of `others`.
    others: names of variants that change the training alone.

  Raises:
    ValueError: for another variant.
  """
  known = ('default', 'as_published', *others)
  if variant not in known:
    raise errors.unknown_name('variant', variant, known)
  config = ml_collections.ConfigDict(row)
  config.method = ml_collections.ConfigDict(_method())
  config.method.variables = row.method.variables
  if variant == 'as_published':
    config.method.update(count_missing=True, sum_global_kl=True)
  config.optim.update(
      learning_rate=1e-3,
      weight_decay=0.0,  # Adam.
      clip_norm=ml_collections.config_dict.placeholder(float),
      schedule='constant',
  )
  # Decoding needs no noise; this is only what the protocols ask for.
  config.sampler = ml_collections.ConfigDict(dict(x_T='fresh_shared'))
  return config


def _method():
  """Networks, codes and losses."""
  return dict(
      name='glr',
      variables=10,
      static_dim=8,
      dynamic_dim=8,
      window=24,  # Hours.
      global_frames=201,  # Hours; 30 % of a sample, in training.
      read_frames=201,  # Hours; 30 %, of a code in use.
      num_reads=4,  # Ours; released: 1, at random.
      min_measured=4,  # Of the values of an hour.
      kernels=('cauchy', 'rbf'),  # Of the prior.
      num_scales=4,
      length_scale=2.0,  # Windows; then half of it, and so on.
      beta=0.1,  # Weight of both divergences.
      counterfactual=1.0,  # lambda.
      noise_draws=15,
      count_missing=False,  # True: released code, see methods/glr.py.
      sum_global_kl=False,  # True: released code.
      local_encoder=dict(sizes=(32, 64, 64)),
      global_encoder=dict(sizes=(32, 64, 64)),
      decoder=dict(sizes=(64, 32)),
  )
