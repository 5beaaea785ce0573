"""DiffSDA on VoxCeleb at 256x256, on latents, with the published networks.

  python -m seqdiff.data.prepare --dataset=voxceleb --manual_dir=VoxCeleb \\
      --data_dir=data
  python -m seqdiff.data.encode_latents --config=configs/diffsda_voxceleb.py
  python -m seqdiff.main --config=configs/diffsda_voxceleb.py

with the autoencoder vq-f8-n256 in runs/vq-f8-n256, converted as
third_party/ldm_autoencoder/README.md says.

Not run: no score is known. Published (Tables 2 and 3): swap AED .846, AKD
2.793; reconstruction AED .37, AKD 1.09, MSE 5e-4. Source: arXiv:2510.05717,
Tables 6-7, and released code. Departure: the published autoencoder was adapted
to faces, with weights that are not those of the model zoo.
"""

import ml_collections

from configs.common import first_stage
from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = video.get_config()
  config.data = ml_collections.ConfigDict(dict(
      name='voxceleb',
      data_dir='data',  # As given to seqdiff.data.prepare.
      size=256,  # Pixels.
      num_frames=10,
      stride=2,
      take='shrinking',  # Short clips have a stride of 1.
      batch_size=16,
      eval_batch_size=16,
  ))
  config.first_stage = first_stage.get_config()
  config.first_stage.workdir = 'runs/vq-f8-n256'
  config.first_stage.cache = 'runs/voxceleb_latents'
  config.method.update(
      image_channels=4,  # Of the latents, 32 x 32 pixels.
      static_dim=512, dynamic_dim=12, hidden=1024)
  config.method.encoder.channels = 192
  config.method.denoiser.channels = 192
  config.method.diffusion.update(p_mean=-0.4, p_std=1.0)
  config.sampler.num_steps = 32  # NFE 63.
  config.train.num_steps = 100 * 148_642 // 16  # 100 epochs.
  # Speakers are the only labels, and those of the tests are never seen before.
  config.eval.protocols = ('reconstruction',)
  return config
