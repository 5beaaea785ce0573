"""A VAE on patients in intensive care: the plain row beside DiffSDA.

  python -m seqdiff.data.prepare --dataset=physionet2012 --manual_dir=raw \\
      --data_dir=data
  python -m seqdiff.main --config=configs/vae_physionet.py

One seed of `:pool` is in configs/results/vae_physionet-pool; no other score is
known yet. All but the method as in configs/diffsda_physionet.py, with `:pool`
as there.
"""

import ml_collections

from configs import diffsda_physionet
from configs.common import vae


def get_config(variant: str = 'default') -> ml_collections.ConfigDict:
  """The config; variant 'default' or 'pool'."""
  return vae.get_config(
      diffsda_physionet.get_config, variant, ('default', 'pool'))
