"""What was committed as a result of a config was made with its values."""

import importlib
import pathlib

import pytest

from seqdiff import run
from seqdiff.evaluation import results
from seqdiff.training import writer

ROOT = pathlib.Path(__file__).resolve().parents[1] / 'configs' / 'results'
# Whatever the config says of these, the result is one of it.
_ASIDE = ('seed', 'eval', 'train.save_every', 'train.log_every',
          'data.data_dir', 'model.workdir')
# Keys that came after some results, with the value that they had before.
_BEFORE = {'train.num_parts': 1, 'sampler.eta': 0.0,
           'method.encoder.kernel_init': 'xavier'}


def differences(name: str, result: results.Result) -> list[str]:
  """What the config in configs/ has today and the result had not."""
  file, _, argument = name.partition('-')
  module = importlib.import_module(f'configs.{file}')
  config = module.get_config(*filter(None, [argument]))
  today = writer.flatten(run.to_plain(config))
  then = writer.flatten(result.config)
  # A benchmark does not use the number of steps.
  aside = _ASIDE + ('train.num_steps',) * (result.protocol == 'benchmark')
  return [
      f'{key}: {then.get(key, "none")} then, {value} today'
      for key, value in today.items()
      if not any(key == a or key.startswith(f'{a}.') for a in aside)
      and (then[key] != value if key in then
           else value and value != _BEFORE.get(key))
  ] + [f'{key}: no more' for key in then.keys() - today.keys()]


# A judge is a model of its own, and the search for lambda changes the config.
@pytest.mark.parametrize('path', [
    path for path in sorted(ROOT.glob('*/*.json'))
    if path.stem not in ('judge', 'orthogonality')],
    ids=lambda path: f'{path.parent.name}/{path.stem}')
def test_result_was_made_with_the_values_of_its_config(path):
  assert differences(path.parent.name, results.read(path)) == []
