"""The first stage vq-f4 for UTD-MHAD at 128x128, trained from scratch.

  python -m seqdiff.main --config=configs/autoencoder_mhad.py \\
      --config.data.data_dir=<folder given to seqdiff.data.prepare>

Not reproduced: nobody has run this yet. The recipe is that of latent diffusion
without its adversarial term, and without a perceptual one unless
method.perceptual_file names the weights (third_party/squeezenet). Published
weights have seen far more: third_party/ldm_autoencoder.

Clips are pairs of frames, so that a batch shows many people.
"""

import ml_collections

from configs.common import autoencoder


def get_config() -> ml_collections.ConfigDict:
  """The config."""
  config = autoencoder.get_config()
  config.data.name = 'mhad'
  config.data.data_dir = ml_collections.config_dict.placeholder(str)
  config.data.modality = 'color'
  config.data.size = 128  # Pixels.
  config.data.num_frames = 2
  config.data.batch_size = 16
  config.data.eval_batch_size = 16
  config.optim.learning_rate = 4.5e-6 * 32  # Images per batch.
  return config
