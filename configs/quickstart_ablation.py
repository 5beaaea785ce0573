"""The quickstart with 500 steps and one lever set back to the paper's value.

  python -m seqdiff.main --config=configs/quickstart_ablation.py:cross_static

`none` sets nothing back. Results are in configs/results/quickstart_ablation-*
(one seed each; the README has the table).
"""

import ml_collections

from configs import quickstart
from configs.common import video

LEVERS = {
    'none': (),
    'aggregator': ('method.aggregator',),
    'cross_static': ('method.cross_static',),
    'codes': ('method.feature_norm', 'method.unit_codes'),
    'dynamic_kl': ('method.dynamic_kl',),
    'coordinates': ('method.denoiser.coordinates',),
    'noise': ('method.diffusion.p_mean', 'method.diffusion.p_std'),
}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config without one lever, a name in `LEVERS`."""
  config, paper = quickstart.get_config(), video.get_config()
  for key in LEVERS[lever]:
    *sections, name = key.split('.')
    ours, theirs = config, paper
    for section in sections:
      ours, theirs = ours[section], theirs[section]
    ours[name] = theirs[name]
  config.train.num_steps = 500
  config.eval.protocols = ('swap',)
  return config
