"""The latent prior of `diffsda_physionet:pool`; minutes on two CPU cores.

  python -m seqdiff.main --config=configs/prior_physionet.py

after configs/diffsda_physionet.py:pool was run; `:independent` as in
configs/prior.py. The paper has no prior of series. Departures from its others:
codes are brought to unit size, and 100 steps of the sampler in place of 1,000.
"""

import ml_collections

from configs import prior


def get_config(variant: str = 'dependent') -> ml_collections.ConfigDict:
  """The config; variant 'dependent' or 'independent'."""
  config = prior.small(variant, 'runs/diffsda_physionet-pool')
  config.train.num_steps = 5000
  config.eval.protocols = ('discrimination',)
  return config
