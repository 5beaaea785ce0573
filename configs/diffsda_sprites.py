"""DiffSDA on Sprites at 64x64 with the networks of MUG; for an accelerator.

  python -m seqdiff.main --config=configs/diffsda_sprites.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not run: no score is known, and nothing is tuned. The paper has no Sprites; its
values for MUG stand, except for clips of 8 frames, 32 at a time, bfloat16, and
small codes with a price that are read from two views of a clip, without which
the static code would hold the action (see configs/diffsda_sprites32.py).
"""

import ml_collections

from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = video.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='sprites',
      data_dir=ml_collections.config_dict.placeholder(str),
      size=64,  # Pixels.
      num_frames=8,
      stride=1,
      batch_size=32,
      eval_batch_size=64,
  ))
  config.method.static_dim = 24
  config.method.static_kl = 5e-4
  config.method.dynamic_dim = 6
  config.method.dynamic_kl = 1e-4
  config.method.static_frames = 4
  config.method.recolour = True
  config.method.centre = True
  config.method.dtype = 'bfloat16'
  return config
