"""The levers of the small configs, one by one set back to the paper's value."""

from collections.abc import Mapping
import functools
from typing import Any

import ml_collections

from configs.common import video
from seqdiff.core import errors


def _paper(*keys: str) -> dict[str, Any]:
  """The paper's values of keys such as 'method.recolour'."""
  config = video.get_config()
  return {key: functools.reduce(lambda part, name: part[name],
                                key.split('.'), config) for key in keys}


LEVERS = {
    'none': {},
    'noise': _paper('method.diffusion.p_mean', 'method.diffusion.p_std'),
    'recolour': _paper('method.recolour'),
    'centre': _paper('method.centre'),
    'static_frames': _paper('method.static_frames'),
    'static_kl': _paper('method.static_kl'),
    'dynamic_kl': _paper('method.dynamic_kl'),
    # Not the paper's either: codes of unit size in place of a price.
    'unit_codes': {'method.unit_codes': True,
                   **_paper('method.static_kl', 'method.dynamic_kl')},
    'feature_norm': _paper('method.feature_norm'),
    'coordinates': _paper('method.denoiser.coordinates'),
    'aggregator': _paper('method.aggregator'),
}


def set_back(
    config: ml_collections.ConfigDict,
    lever: str,
    *,
    num_steps: int,
    speeds: Mapping[str, float],
    rows: Mapping[str, Mapping[str, Any]] = LEVERS,
) -> ml_collections.ConfigDict:
  """A config without one lever.

  Args:
    config: the config with all levers.
    lever: the one that is set back, a name in `rows`.
    num_steps: steps of `none`; all are trained for the same time.
    speeds: of the levers whose steps take another time, relative to `none`.
    rows: values by key of each.

  Returns:
    The config, changed in place.

  Raises:
    ValueError: for an unknown name.
  """
  if lever not in rows:
    raise errors.unknown_name('lever', lever, rows)
  config.update_from_flattened_dict(rows[lever])
  speed = speeds[lever] if lever in speeds else 1.0
  config.train.num_steps = round(num_steps * speed)
  config.train.save_every = config.train.num_steps
  config.eval.protocols = ('swap',)
  return config
