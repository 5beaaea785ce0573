"""DiffSDA on Sprites at 64x64 with the networks of MUG; for an accelerator.

  python -m seqdiff.main --config=configs/diffsda_sprites.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not run: no score is known, and nothing is tuned. The paper has no Sprites; its
values for MUG stand, except for clips of 8 frames, 32 at a time, bfloat16, and
small codes with a price that are read from two views of a clip, without which
the static code would hold the action (see configs/diffsda_sprites32.py).
"""

import ml_collections

from configs import diffsda_sprites32
from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config, small = video.get_config(), diffsda_sprites32.get_config()
  config.data = small.data
  config.data.size = 64  # Pixels.
  for name in ('static_dim', 'static_kl', 'dynamic_dim', 'dynamic_kl',
               'static_frames', 'recolour', 'centre'):
    config.method[name] = small.method[name]
  config.method.dtype = 'bfloat16'
  return config
