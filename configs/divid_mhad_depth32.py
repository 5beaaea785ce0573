"""DiViD on depth clips of UTD-MHAD at 32 px, in pixels, on two CPU cores.

  python -m seqdiff.main --config=configs/divid_mhad_depth32.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not run to the end yet. The clips are prepared with --modality=depth --size=32.
Departures from the paper (whose values are in configs/common/divid.py): depth
in place of colour, pixels in place of latents, smaller networks on patches of
2x2 pixels, three decoded frames per clip and step, a larger step size.
"""

import ml_collections

from configs import divid_mhad


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = divid_mhad.get_config()
  del config.first_stage
  config.data.update(
      modality='depth', size=32, batch_size=16, eval_batch_size=64)
  config.method.dtype = 'float32'
  config.method.update(
      static_dim=64, dynamic_dim=64, image_channels=1, frames_per_step=3)
  config.method.backbone = ml_collections.ConfigDict(dict(
      kind='convnet', channels=32, features=256))
  config.method.encoder.update(layers=2, width=128, heads=16, hidden=256)
  config.method.denoiser.update(
      channels=32, multipliers=(1, 2, 2), num_blocks=1, attention_levels=(1, 2),
      heads=4, groups=8, patch_size=2, coordinates=True)
  config.method.diffusion.prediction = 'x0'
  config.optim.update(
      learning_rate=1e-3, warmup_steps=200, schedule='cosine', ema_decay=0.995)
  config.train.update(num_steps=6000, save_every=1000)
  config.sampler.update(num_steps=16, clip=1.0)
  config.eval.num_clips = 213
  config.eval.judge.update(
      num_steps=3000, channels=32, hidden=128, num_judges=2)
  return config
