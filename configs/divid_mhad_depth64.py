"""DiViD on depth clips of UTD-MHAD at 64 px, networks of the paper's sizes.

  python -m seqdiff.main --config=configs/divid_mhad_depth64.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The clips are prepared with --modality=depth --size=64. For a GPU; not run.
Speed and memory beside PyTorch, without data:

  python -m seqdiff.benchmark --config=configs/divid_mhad_depth64.py \\
      --variants=eager,compile --config.method.dtype=bfloat16 --out=...
"""

import ml_collections

from configs import divid_mhad_pixels


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid_mhad_pixels.get_config()
  config.data.modality = 'depth'
  config.method.image_channels = 1
  return config
