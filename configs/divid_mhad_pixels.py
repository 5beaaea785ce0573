"""DiViD on colour clips of UTD-MHAD, in pixels of 64 x 64.

  python -m seqdiff.main --config=configs/divid_mhad_pixels.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The clips are prepared with --modality=color --size=64. Not run. The paper has
clips of 128 x 128 and, as we read it, latents of 32 x 32; here the four levels
of its U-Net have 64, 32, 16 and 8 pixels, and features come from an image
encoder of the paper's layout that is trained with the rest.
"""

import ml_collections

from configs import divid_mhad


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid_mhad.get_config()
  del config.first_stage
  config.data.size = 64  # Pixels.
  config.method.backbone = ml_collections.ConfigDict(dict(
      kind='ldm', features=3, channels=128, multipliers=(1, 2, 4),
      num_blocks=2, attention_levels=(), groups=32))
  config.method.denoiser.attention_levels = (1, 2, 3)  # 32, 16 and 8 pixels.
  config.sampler.clip = 1.0
  return config
