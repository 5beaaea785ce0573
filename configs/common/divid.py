"""Defaults of DiViD, each with its unit and source.

Source unless noted: DiViD (arXiv:2507.13934, Secs. 3 and 4.1). What the paper
leaves open is as in EncDiff (Yang et al. 2024, arXiv:2402.09712), which it
builds on, or else a choice of ours; both are marked. Nothing of the paper says
how it was optimised.

How long the codes are at first, and with them the products (s^T d_i)^2 that
lambda weighs, is a matter of how layers start (`encoder.kernel_init`). Choose
lambda anew for other data, without labels (seqdiff/figures/choose_lambda.py).
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from configs.common import first_stage as stage
from configs.common import video
from seqdiff.core import errors


def get_config() -> ml_collections.ConfigDict:
  """The config that others start from; it names no data set."""
  config = video.get_config()
  config.method = ml_collections.ConfigDict(_method())
  config.optim.update(
      learning_rate=1e-4,  # EncDiff's paper.
      weight_decay=0.01,  # EncDiff's code.
      warmup_steps=5000,  # EncDiff: 10,000.
      schedule='constant',  # EncDiff's code.
      # EncDiff's paper; of the encoder too. Its code lets it rise, from .1 to
      # min(.9999, (1 + n) / (10 + n)) after n steps: for less than some 50,000
      # steps choose a smaller one.
      ema_decay=0.9999,
  )
  config.sampler = ml_collections.ConfigDict(dict(
      name='ddim',
      num_steps=200,  # EncDiff.
      eta=0.0,  # Ours; EncDiff's code logs with 1, which makes frames flicker.
      clip=ml_collections.config_dict.placeholder(float),  # None = off.
      x_T='fresh_shared',  # One x_T for all frames of a clip.
  ))
  return config


def first_stage() -> ml_collections.ConfigDict:
  """Latents of a frozen autoencoder, scaled to a deviation of 1.

  Departure: by that of all latents of the training data; EncDiff's code takes
  that of its first batch.
  """
  config = stage.get_config()
  config.update(scale='clip', std=1.0)
  return config


def _method():
  """Networks, codes and noise."""
  none = ml_collections.config_dict.placeholder
  return dict(
      name='divid',
      static_dim=256,
      dynamic_dim=256,
      token_dim=none(int),  # None: the codes are the tokens.
      token_types=False,  # Departure: True adds a vector for each kind.
      orthogonality=1e-3,  # lambda; the paper does not give it. Ours.
      normalised=False,  # Departure: True measures cosines.
      scale=1.0,  # Of the clips. Departure: less is more noise.
      unit_codes=False,  # Departures from here on, see methods/conditional.py.
      static_kl=none(float),
      dynamic_kl=none(float),
      static_frames=none(int),
      recolour=False,
      centre=False,
      dynamic_dropout=0.0,
      frames_per_step=none(int),
      dtype='float32',  # 'bfloat16': parameters, norms, losses stay float32.
      remat=False,  # True: less memory, more time; or a policy, see UNet.
      image_channels=3,
      backbone=dict(kind='flat'),  # Features: the latent of a frame. Ours.
      encoder=_encoder(),
      denoiser=dict(
          channels=128,
          multipliers=(1, 2, 4, 4),
          num_blocks=2,
          attention_levels=(0, 1, 2),  # 32, 16 and 8 pixels of 32.
          attention='cross',  # 'self': AdaGN, ablation, Table 2.
          heads=8,  # EncDiff.
          groups=32,  # EncDiff.
          dropout=0.0,  # EncDiff's code; its paper: 0.1.
          third_conv=False,
          zero_init=True,
          resample='block',
          temporal=False,  # Departure: True sees the other frames.
          patch_size=1,  # Departure: p folds p x p pixels into channels.
          coordinates=False,  # Departure: True adds pixel coordinates.
      ),
      diffusion=dict(
          schedule='cosine',  # 'linear': ablation, Table 2.
          num_levels=1000,  # EncDiff.
          prediction='eps',  # Departure: 'v', 'x0'.
          norm='l1',
          shared_eps=True,
          shared_t=True,  # Ours.
      ),
  )


def _encoder():
  """Clips to codes."""
  return dict(
      aggregator='transformer',  # 'lstm': ablation, Table 2.
      layers=4,  # 'lstm': 2.
      width=256,
      heads=32,
      hidden=1024,
      static_layers=2,  # 1: the other reading of "two-layer MLP".
      dropout=0.1,
      residual=True,  # Departure: False.
      feature_norm=False,  # Departure: True.
      causal=False,  # Ours. True: no frame sees the future.
      pre_norm=False,  # PyTorch's default, 2025. True: before the sums.
      scale_inputs=False,  # Ours. True: by sqrt(width), before positions.
      kernel_init='fan_in',  # PyTorch's default. Departure: 'xavier'.
  )


# Rows of Table 2, and (after them) ablations that the paper does not have.
ABLATIONS = {
    'full': {},
    'no_orth': {'method.orthogonality': 0.0},
    'lstm': {'method.encoder.aggregator': 'lstm', 'method.encoder.layers': 2},
    'adagn': {'method.denoiser.attention': 'self'},
    'linear': {'method.diffusion.schedule': 'linear'},
    # As heavy at first as lambda is, (|s| |d|)^2 being some 200.
    'normalised': {'method.normalised': True, 'method.orthogonality': 0.2},
    'no_residual': {'method.encoder.residual': False},
    'frame_noise': {'method.diffusion.shared_eps': False,
                    'sampler.x_T': 'fresh'},
}


def ablate(
    config: ml_collections.ConfigDict,
    row: str,
    rows: Mapping[str, Mapping[str, Any]] = ABLATIONS,
) -> ml_collections.ConfigDict:
  """A config with one part changed, a name in `rows`.

  Raises:
    ValueError: for an unknown name.
  """
  if row not in rows:
    raise errors.unknown_name('row', row, rows)
  config.update_from_flattened_dict(rows[row])
  return config
