"""Defaults of the autoencoder: vq-f4 of latent diffusion, without its GAN.

Source unless noted: the model zoo of latent diffusion (Rombach et al. 2022,
arXiv:2112.10752), models/first_stage_models/vq-f4. Data, length of the
training, protocols and pictures as in configs/common/video.py.
"""

import ml_collections

from configs.common import video


def get_config() -> ml_collections.ConfigDict:
  """The config that others start from; it names no data set."""
  config = video.get_config()
  config.method = ml_collections.ConfigDict(_method())
  config.optim.update(
      learning_rate=4.5e-6 * 8,  # Times the images of a batch; published: 8.
      weight_decay=0.0,  # Adam.
      b1=0.5,
      b2=0.9,
      clip_norm=ml_collections.config_dict.placeholder(float),
      schedule='constant',
  )
  # Decoding starts from latents; this is only what the protocol asks for.
  config.sampler = ml_collections.ConfigDict(dict(x_T='fresh_shared'))
  config.eval.protocols = ('reconstruction',)  # There are no factors.
  return config


def _method():
  """Networks and losses."""
  return dict(
      name='autoencoder',
      image_channels=3,
      dtype='float32',  # 'bfloat16': parameters, norms, losses stay float32.
      beta=0.25,  # Of the commitment ('vq').
      codebook_weight=1.0,  # 'vq'.
      kl_weight=1e-6,  # 'kl', as of the published kl-f8.
      # npz file of SqueezeNet's weights, see third_party/squeezenet; None: L1
      # only. Departure: published is LPIPS of VGG, and an adversarial term.
      perceptual_file=ml_collections.config_dict.placeholder(str),
      perceptual_weight=1.0,
      net=dict(
          channels=128,
          multipliers=(1, 2, 4),  # One level each; the first is full size.
          num_blocks=2,  # Residual blocks per level; the decoder has one more.
          attention_levels=(),  # Indices of levels, not resolutions.
          z_channels=3,
          embed_dim=3,  # Channels of the latent.
          regulariser='vq',  # 'kl'.
          codebook_size=8192,  # 'vq'.
          groups=32,  # Of the group norms.
      ),
  )
