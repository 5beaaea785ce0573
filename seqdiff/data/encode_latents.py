"""Encodes a data set with the first stage of a config, once.

  python -m seqdiff.data.encode_latents --config=configs/divid_mhad.py \\
      --config.data.data_dir=<prepared set> \\
      --config.first_stage.workdir=<run of an autoencoder> \\
      --config.first_stage.cache=<folder to write>

If it is stopped, the same command goes on.
"""

import tqdm

from seqdiff import build
from seqdiff import cli
from seqdiff import first_stage


def main() -> None:
  """Encodes all splits."""
  config = cli.require_config()
  if 'first_stage' not in config:
    raise ValueError(
        f'{cli.config_name()} has no section first_stage; expected a '
        'config of a latent method, such as configs/divid_mhad.py.')
  cli.use_all_cores(config)
  dataset = build.dataset(config)
  statistics = first_stage.encode(
      config, dataset,
      progress=lambda numbers, split: tqdm.tqdm(
          numbers, desc=split, unit='file'))
  print(f'{config.first_stage.cache}: mean {statistics.mean}, '
        f'standard deviation {statistics.std}')


if __name__ == '__main__':
  cli.run(main)
