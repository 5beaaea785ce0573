"""Defaults of DiffSDA on pixel video, each with its unit and source.

Source unless noted: DiffSDA (arXiv:2510.05717), Tables 6-7 and released code,
the MUG row.
"""

import ml_collections


def get_config() -> ml_collections.ConfigDict:
  """The config that others start from; it names no data set."""
  return ml_collections.ConfigDict(dict(
      seed=0, data=_data(), method=_method(), optim=_optim(), train=_train(),
      sampler=_sampler(), eval=_eval()))


def _data():
  """Clips and batches."""
  return dict(
      name=ml_collections.config_dict.placeholder(str),
      num_frames=15,  # Frames per clip.
      stride=1,  # Frames from one to the next.
      batch_size=8,  # Clips per step, all devices together.
      eval_batch_size=64,  # Clips at once in evaluation and sampling.
  )


def _method():
  """Networks, codes and noise."""
  return dict(
      name='diffsda',
      static_dim=256,
      dynamic_dim=64,
      hidden=128,  # Of the recurrences.
      aggregator='lstm',  # Departure: 'pool'.
      causal=False,  # True: paper's text; False: released code.
      as_published=False,  # True: AdaGN of the paper's text; False: code.
      shared_static=True,  # False: ablation, Tables 10 and 11.
      feature_norm=False,  # Departure: True normalises encoder features.
      unit_codes=False,  # Departure: True scales codes to unit size.
      static_kl=ml_collections.config_dict.placeholder(float),  # Departure.
      dynamic_kl=ml_collections.config_dict.placeholder(float),  # Departure.
      static_frames=ml_collections.config_dict.placeholder(int),  # Departure.
      recolour=False,  # Departure: True.
      centre=False,  # Departure: True.
      dynamic_dropout=0.0,  # Departure: share of clips without dynamic codes.
      frames_per_step=ml_collections.config_dict.placeholder(int),  # Departure.
      dtype='float32',  # 'bfloat16': parameters, norms, losses stay float32.
      remat=False,  # True: less memory, more time; or a policy, see UNet.
      image_channels=3,
      encoder=dict(kind='unet', **_unet()),
      denoiser=dict(temporal=False, **_unet()),  # Departure: True.
      diffusion=dict(
          sigma_data=0.5,  # Karras et al. 2022, Table 1.
          p_mean=-1.2,
          p_std=1.2,
          shared_sigma=False,  # True: one noise level per clip.
          p_mean_start=ml_collections.config_dict.placeholder(float),
          p_mean_steps=1,  # Steps from p_mean_start to p_mean. Departure.
      ),
  )


def _optim():
  """AdamW and its schedule."""
  return dict(
      learning_rate=1e-4,
      weight_decay=1e-5,
      b1=0.9,
      b2=0.999,
      clip_norm=1.0,  # Global norm; None = off.
      warmup_steps=0,
      schedule='cosine',  # To 0; the code's schedule has a glitch, see README.
      ema_decay=ml_collections.config_dict.placeholder(float),  # None = off.
  )


def _train():
  """Length of the training, checkpoints, devices."""
  return dict(
      num_steps=100_000,
      log_every=100,
      save_every=1000,
      keep_last=2,  # Checkpoints.
      # Run directory whose parameters training starts from; None: fresh ones.
      start_from=ml_collections.config_dict.placeholder(str),
      num_parts=1,  # Of a batch, one after another: less memory, more time.
      parallel='pmap',  # 'mesh': jit over sharded arrays.
      fsdp=False,  # 'mesh' only: split the state over the devices.
  )


def _sampler():
  """How clips are sampled."""
  return dict(
      name='heun',  # 'euler', 'dpmpp_2m'.
      num_steps=36,  # NFE 71 (paper, MUG).
      sigma_min=0.002,
      sigma_max=80.0,
      rho=7.0,
      x_T='dynamics_clip',  # Paper, App. B.4; see sampling/swap.py.
  )


def _eval():
  """Protocols, pictures and judges."""
  return dict(
      protocols=('reconstruction', 'leakage', 'swap'),
      split='test',
      num_pairs=1024,  # Of the swap protocol.
      pair_seed=0,
      both_orders=False,  # True: each pair is followed by its reverse.
      pairs_file=ml_collections.config_dict.placeholder(str),  # csv file.
      num_clips=1024,  # Of the other protocols, at most.
      seed=42,  # Of the sampling noise (released code: 42).
      num_shown=4,  # Rows and columns of the swap grid.
      judge=dict(
          # None: inside. One run trains what others share, before they start.
          workdir=ml_collections.config_dict.placeholder(str),
          num_judges=1,
          network='lstm',  # Or 'r2plus1d', see seqdiff/nets/classifiers.py.
          num_steps=2000,
          batch_size=32,
          learning_rate=1e-3,
          channels=64,
          hidden=256,
          max_shift=2,  # Pixels.
          max_brightness=0.1,
      ),
  )


def _unet():
  """Both U-Nets."""
  return dict(
        channels=64,
        multipliers=(1, 2, 2, 2),
        num_blocks=2,  # Residual blocks per level.
        attention_levels=(2,),  # Indices of levels, not resolutions.
        groups=32,  # Of the group norms.
        dropout=0.1,
        patch_size=1,  # Departure: p folds p x p pixels into channels.
        coordinates=False,  # Departure: True adds pixel coordinates.
  )
