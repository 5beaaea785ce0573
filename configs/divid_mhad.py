"""DiViD on UTD-MHAD as published, on latents of 128 x 128 pixels.

  python -m seqdiff.data.encode_latents --config=configs/divid_mhad.py <paths>
  python -m seqdiff.main --config=configs/divid_mhad.py <paths>

with <paths> = --config.data.data_dir=<folder given to seqdiff.data.prepare>
--config.first_stage.workdir=<run of an autoencoder> --config.first_stage.cache=
<folder for the latents>. Not run. Published (one run, 202 outputs): static
98.5, dynamic 31.2, joint 30.2 %, average leakage 70.1 %.
"""

import ml_collections

from configs.common import divid


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='mhad',
      data_dir=ml_collections.config_dict.placeholder(str),
      modality='color',
      size=128,  # Pixels.
      num_frames=10,
      stride=1,
      take='stratified',  # Ours: one frame of each tenth of a clip.
      first='sampled',
      batch_size=12,
      eval_batch_size=16,
  ))
  config.first_stage = divid.first_stage()
  config.method.dtype = 'bfloat16'
  config.eval.update(num_pairs=1024, both_orders=True)
  return config
