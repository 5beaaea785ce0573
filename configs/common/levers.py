"""The levers of the small configs, one by one set back to the paper's value."""

import ml_collections

from seqdiff.core import errors

LEVERS = {
    'none': {},
    'noise': {'method.diffusion.p_mean': -1.2, 'method.diffusion.p_std': 1.2},
    'recolour': {'method.recolour': False},
    'centre': {'method.centre': False},
    'static_frames': {'method.static_frames': None},
    'static_kl': {'method.static_kl': None},
    'dynamic_kl': {'method.dynamic_kl': None},
    # Not the paper's either: codes of unit size in place of a price.
    'unit_codes': {'method.unit_codes': True, 'method.static_kl': None,
                   'method.dynamic_kl': None},
    'feature_norm': {'method.feature_norm': False},
    'coordinates': {'method.denoiser.coordinates': False},
    'aggregator': {'method.aggregator': 'lstm'},
}


def set_back(
    config: ml_collections.ConfigDict, lever: str, num_steps: int
) -> ml_collections.ConfigDict:
  """A config of `num_steps` steps without one lever, a name in `LEVERS`.

  Raises:
    ValueError: for an unknown name.
  """
  if lever not in LEVERS:
    raise errors.unknown_name('lever', lever, LEVERS)
  config.update_from_flattened_dict(LEVERS[lever])
  config.train.num_steps = num_steps
  config.train.save_every = num_steps
  config.eval.protocols = ('swap',)
  return config
