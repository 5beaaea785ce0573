"""The quickstart, cut short, with one lever set back to the paper's value.

  python -m seqdiff.main --config=configs/quickstart_ablation.py:cross_static

`none` sets nothing back. A lever trains as many steps as take the time of 300
steps of `none` on one CPU core. Results, mean and spread over the seeds 0 and 1
(`--config.seed=1`), are in configs/results/quickstart_ablation-*.
"""

import ml_collections

from configs import quickstart

LEVERS = {  # Steps, and what is set.
    'none': (300, {}),
    'aggregator': (300, {'method.aggregator': 'lstm'}),
    'codes': (300, {'method.feature_norm': False, 'method.unit_codes': False}),
    'coordinates': (300, {'method.denoiser.coordinates': False}),
    'cross_static': (300, {'method.cross_static': False}),
    'noise': (300, {'method.diffusion.p_mean': -1.2,
                    'method.diffusion.p_std': 1.2}),
}


def get_config(lever: str = 'none') -> ml_collections.ConfigDict:
  """The config without one lever, a name in `LEVERS`."""
  return shorten(quickstart.get_config(), *LEVERS[lever])


def shorten(
    config: ml_collections.ConfigDict, num_steps: int, changes: dict
) -> ml_collections.ConfigDict:
  """Makes a config of a row of the study; `changes` by keys with dots."""
  config.update_from_flattened_dict({
      **changes,
      'train.num_steps': num_steps,
      'optim.schedule': 'constant',  # So that no length has an advantage.
      'eval.protocols': ('swap',),
      'eval.num_pairs': 64,
  })
  return config
