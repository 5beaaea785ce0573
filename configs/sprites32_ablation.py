"""Sprites at 32x32, cut short, with one lever set back, or one more pulled.

  python -m seqdiff.main --config=configs/sprites32_ablation.py:recolour \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

As configs/quickstart_ablation.py, for configs/diffsda_sprites32.py; all but
`cross_static` and `local_features`, which are added, are set back. A lever
trains as many steps as take the time of 500 steps of `none` on one CPU core.
"""

import ml_collections

from configs import diffsda_sprites32
from configs import quickstart_ablation

LEVERS = {  # Steps, and what is set.
    'none': (500, {}),
    'codes': (500, {'method.feature_norm': False, 'method.unit_codes': False}),
    'cross_static': (500, {'method.cross_static': True}),
    'local_features': (500, {'method.encoder.local_features': 128}),
    'noise': (500, {'method.diffusion.p_mean': -1.2,
                    'method.diffusion.p_std': 1.2}),
    'recolour': (500, {'method.recolour': False}),
    'static_kl': (500, {'method.static_kl': None}),
}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config with one lever changed, a name in `LEVERS`."""
  config = quickstart_ablation.shorten(
      diffsda_sprites32.get_config(), *LEVERS[lever])
  config.eval.judge.num_judges = 1
  return config
