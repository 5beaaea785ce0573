"""`divid_mhad`, features from a trainable copy of the first stage's encoder.

  python -m seqdiff.main --config=configs/divid_mhad_copy.py <paths>

The other reading of the paper's "image encoder". The first stage still defines
the latents, and stays frozen. Paths, and latents, as for configs/divid_mhad.py.
Not run.
"""

import ml_collections

from configs import divid_mhad
from configs.common import autoencoder


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid_mhad.get_config()
  config.first_stage.update(frames=True, copy=True)
  net = autoencoder.get_config().method.net
  config.method.backbone = ml_collections.ConfigDict(dict(
      kind='ldm', features=net.z_channels, channels=net.channels,
      multipliers=net.multipliers, num_blocks=net.num_blocks,
      attention_levels=net.attention_levels, groups=net.groups))
  return config
