"""DiffSDA on CelebV-HQ at 256x256, on latents, with the published networks.

  python -m seqdiff.data.prepare --dataset=celebv_hq --manual_dir=CelebV-HQ \\
      --data_dir=data
  python -m seqdiff.data.encode_latents --config=configs/diffsda_celebv_hq.py
  python -m seqdiff.main --config=configs/diffsda_celebv_hq.py

with the autoencoder as for configs/diffsda_voxceleb.py.

Not run: no score is known. Published (Tables 2 and 3): swap AED .540, AKD
6.932; reconstruction AED .29, AKD 1.26, MSE 6e-4. Source and departure as
there. Another departure: training draws its frames from the first 32 of a film,
the released code from all of it; `--num_frames=1024` in the first command keeps
all, for more disk.
"""

import ml_collections

from configs import diffsda_voxceleb


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = diffsda_voxceleb.get_config()
  config.data.name = 'celebv_hq'
  config.first_stage.cache = 'runs/celebv_hq_latents'
  config.method.update(static_dim=1024, dynamic_dim=16)
  config.train.num_steps = 450 * 28_533 // 16  # 450 epochs of 80 % of 35,666.
  return config
