"""Sprites at 32x32, cut short, with one lever set back, or one more pulled.

  python -m seqdiff.main --config=configs/sprites32_ablation.py:recolour \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

As configs/quickstart_ablation.py, for configs/diffsda_sprites32.py; with
`local_features`, which is added, the static code knows no places. A lever
trains as many steps as take the time of 300 steps of `none` on one CPU core.
"""

import ml_collections

from configs import diffsda_sprites32
from configs import quickstart_ablation

LEVERS = {  # Steps, and what is set.
    'none': (300, {}),
    'local_features': (280, {'method.encoder.local_features': 128}),
    'noise': (300, {'method.diffusion.p_mean': -1.2,
                    'method.diffusion.p_std': 1.2}),
    'recolour': (400, {'method.recolour': False}),
}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config with one lever changed, a name in `LEVERS`."""
  config = quickstart_ablation.shorten(
      diffsda_sprites32.get_config(), *LEVERS[lever])
  config.eval.judge.num_judges = 1
  return config
