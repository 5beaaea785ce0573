"""The latent prior of `diffsda_sprites32`; minutes on two CPU cores.

  python -m seqdiff.main --config=configs/prior_sprites32.py
  python -m seqdiff.main --config=configs/prior_sprites32.py --mode=explore

after configs/diffsda_sprites32.py was run; `:independent` as in
configs/prior.py. Departures from the paper: codes are brought to unit size, and
100 steps of the sampler in place of 1,000.
"""

import ml_collections

from configs import prior


def get_config(variant: str = 'dependent') -> ml_collections.ConfigDict:
  """The config; variant 'dependent' or 'independent'."""
  config = prior.small(variant, 'runs/diffsda_sprites32')
  config.train.num_steps = 10_000
  config.eval.protocols = ('generation',)
  config.eval.num_clips = 512
  return config
