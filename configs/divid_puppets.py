"""DiViD on the embedded `puppets`, in pixels, on two CPU cores.

  python -m seqdiff.main --config=configs/divid_puppets.py

Results of two seeds are in configs/results/divid_puppets. Departures from the
paper (whose values are in configs/common/divid.py): pixels in place of latents;
smaller networks on patches of 2x2 pixels with coordinates and projected tokens,
attention at the coarse level only and norms before the sums of the transformer;
x0 in place of eps, in L2, under more noise; normalised features, from which the
first frame is not subtracted (puppets do not start from rest); small codes with
a little KL, the static one read from one random frame, the dynamic ones from
what differs from the mean frame, in random colours; two decoded frames per clip
and step, of three clips in ten without dynamic codes; layers of the encoder
that start as Xavier's; a larger step size.

Without `dynamic_dropout` the dynamic codes told the shape of the head, and the
static code did not: seed 0 kept 35.2 % of the static and 99.7 % of the dynamic
factors (then with `static_kl=1e-8`). The weight of the dynamic KL matters: with
1e-5 the codes told nothing.
"""

import ml_collections

from configs import quickstart
from configs.common import divid


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config, small = divid.get_config(), quickstart.get_config()
  config.data, config.eval = small.data, small.eval
  config.method.update(
      static_dim=8, static_kl=1e-7, dynamic_dim=8, dynamic_kl=2e-6,
      orthogonality=1e-6,  # Like the KLs: little, beside a loss of 0.004.
      static_frames=1, recolour=True, centre=True, dynamic_dropout=0.3,
      frames_per_step=2, scale=0.25, token_dim=64)
  config.method.backbone = ml_collections.ConfigDict(dict(
      kind='convnet', channels=16, features=128))
  config.method.encoder.update(
      layers=2, width=64, heads=8, hidden=128, dropout=0.0,
      residual=False, feature_norm=True, pre_norm=True, kernel_init='xavier')
  config.method.denoiser.update(
      channels=32, multipliers=(1, 2), num_blocks=1, attention_levels=(1,),
      heads=4, groups=8, patch_size=2, coordinates=True)
  config.method.diffusion.update(prediction='x0', norm='l2')
  config.optim.update(
      learning_rate=2e-3, warmup_steps=100, schedule='cosine',
      weight_decay=1e-5, ema_decay=0.995)
  config.train.num_steps = 3400
  config.train.save_every = 1000
  config.sampler.num_steps = 16
  config.sampler.clip = 1.0
  return config
