"""A VAE on the transformer of ETTh1: the plain row beside DiffSDA.

  python -m seqdiff.data.prepare --dataset=etth --split=blocked \\
      --manual_dir=raw --data_dir=data
  python -m seqdiff.main --config=configs/vae_etth1.py

One seed of `:pool` is in configs/results/vae_etth1-pool; no other score is
known yet. All but the method as in configs/diffsda_etth1.py, with `:pool` as
there and `:months` for the published samples.
"""

import ml_collections

from configs import diffsda_etth1
from configs.common import vae


def get_config(variant: str = 'blocked') -> ml_collections.ConfigDict:
  """The config; variant 'blocked', 'pool' or 'months'."""
  return vae.get_config(
      diffsda_etth1.get_config, variant, ('blocked', 'pool', 'months'))
