"""DiViD on MEAD, on latents of faces of 128 x 128 pixels.

  python -m seqdiff.main --config=configs/divid_mead.py <paths>

Paths and encoding as for configs/divid_mhad.py. Not run; the paper shows
pictures of it and no number. Departure: its 15 frames are drawn at random, here
they lie at equal distances and are chosen when the set is prepared.
"""

import ml_collections

from configs import divid_mhad


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid_mhad.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='mead',
      data_dir=ml_collections.config_dict.placeholder(str),
      size=128,  # Pixels.
      num_frames=15,
      stride=1,
      batch_size=8,
      eval_batch_size=16,
  ))
  return config
