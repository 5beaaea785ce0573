"""DiViD on depth clips of UTD-MHAD at 32 px, in pixels, on two CPU cores.

  python -m seqdiff.main --config=configs/divid_mhad_depth32.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

The clips are prepared with --modality=depth --size=32. Results are in
configs/results/divid_mhad_depth32, of three seeds; seed 2 has a judge that was
trained anew, by the same config. Departures from the paper (whose values are in
configs/common/divid.py): depth in place of colour, pixels in place of latents;
smaller networks on patches of 4x4 pixels with coordinates, projected tokens,
normalised features; x0 in place of eps, in L2, under more noise; dynamic codes
with a little KL; two decoded frames per clip and step; layers of the encoder
that start as Xavier's, without dropout; a larger step size that decays, weight
decay and averaged weights; six steps of DDIM, whose estimates are clipped.
"""

import ml_collections

from configs import divid_mhad
from configs import divid_puppets


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config, small = divid_mhad.get_config(), divid_puppets.get_config()
  del config.first_stage
  config.data.update(
      modality='depth', size=32, batch_size=16, eval_batch_size=64)
  config.method = small.method
  config.method.update(
      image_channels=1, recolour=False, centre=False, static_dim=32,
      dynamic_dim=32, dynamic_kl=1e-7, dynamic_dropout=0.0,
      orthogonality=1e-7)  # By figures/choose_lambda.py.
  with config.method.unlocked():
    config.method.static_kl = config.method.static_frames = None
  config.method.encoder.update(residual=True, pre_norm=False)
  config.method.denoiser.update(attention_levels=(0, 1), patch_size=4)
  config.optim = small.optim
  config.train.update(num_steps=6000, save_every=500)
  config.sampler.update(num_steps=6, clip=1.0)
  config.eval.update(num_clips=213, protocols=('leakage', 'swap'))
  config.eval.judge.update(num_steps=2000, channels=16, hidden=128)
  return config
