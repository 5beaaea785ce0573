"""The protocols of every config, and of its rows, suit its data."""

import importlib
import json
import pathlib
import re

import ml_collections
import pytest

from configs import diffsda_voxceleb
from seqdiff import modes
from seqdiff.data import batch
from seqdiff.data import films
from seqdiff.data import simulation
from seqdiff.data import synthetic
from seqdiff.data.builders import air_quality
from seqdiff.data.builders import celebv_hq
from seqdiff.data.builders import etth
from seqdiff.data.builders import frames
from seqdiff.data.builders import mead
from seqdiff.data.builders import mhad
from seqdiff.data.builders import mug
from seqdiff.data.builders import physionet2012
from seqdiff.data.builders import sprites
from seqdiff.data.builders import taichi_hd
from seqdiff.data.builders import voxceleb
from seqdiff.evaluation import runner

CONFIGS = sorted(
    path.stem for path in (
        pathlib.Path(__file__).parents[1] / 'configs').glob('*.py')
    if path.stem != '__init__')
# Sets whose factors do not depend on the publisher's files.
KNOWN = {'air_quality': air_quality.FACTORS, 'csv': (), 'etth': etth.FACTORS,
         'glr_simulation': simulation.FACTORS, 'mhad': mhad.FACTORS,
         'physionet2012': physionet2012.FACTORS, 'puppets': synthetic.FACTORS,
         'sprites': sprites.FACTORS}
# The others: builder, options, and names of empty files as the publisher's.
FOUND = {
    'celebv_hq': (celebv_hq.CelebvHq, {'crop': 'center'}, (
        '35666/a.mp4', '35666/b.mp4')),
    'frames': (frames.Frames, {}, ('a/1.png', 'b/1.png')),
    'mead': (mead.Mead, {'crop': 'center', 'num_actors': 1}, (
        'M003/video/front/angry/level_3/001.mp4',)),
    'mug': (mug.Mug, {}, tuple(
        f'subjects3/{s}/fear/take000/1.png' for s in ('001', '002'))),
    'taichi_hd': (taichi_hd.TaichiHd, {}, (
        'train/a#1#2/1.png', 'test/b#1#2/1.png')),
    'voxceleb': (voxceleb.Voxceleb, {}, tuple(
        f'data/{s}/1.6/v/1/1.jpg' for s in ('A._J.', 'E._T.'))),
}


def _rows(name: str) -> list[ml_collections.ConfigDict]:
  """The config of a file, or those of all rows that it knows."""
  module = importlib.import_module(f'configs.{name}')
  try:
    module.get_config('?')
  except TypeError:
    return [module.get_config()]
  except ValueError as error:
    rows = re.search(r'Known: (.*)\.$', str(error))[1].split(', ')
    return [module.get_config(row) for row in rows]
  raise AssertionError(f'{name} takes any row')


@pytest.fixture
def factors(tmp_path, monkeypatch):
  """The labelled factors of a data set, by its name."""
  monkeypatch.setattr(films, 'require_pyav', lambda paths: None)

  def find(name: str) -> tuple[batch.Factor, ...]:
    if name in KNOWN:
      return KNOWN[name]
    builder, options, files = FOUND[name]
    for file in files:
      (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
      (tmp_path / file).touch()
    if name == 'celebv_hq':
      (tmp_path / celebv_hq.INFO).write_text(json.dumps({
          'meta_info': {'appearance_mapping': []},
          'clips': {k: {'attributes': {'appearance': []}} for k in 'ab'}}))
    return builder.configure(
        builder.OPTIONS(**options), str(tmp_path)).factors

  return find


def _dataset(config, factors) -> batch.Dataset:
  """The data set of a config, without any clip."""
  series = 'variables' in config.method
  return batch.Dataset(
      config.data.name, dict.fromkeys(('train', 'validation', 'test'), ()),
      factors(config.data.name),
      variables=(batch.Variable('x', '', 0.0, 1.0),) * series)


@pytest.mark.parametrize('name', CONFIGS)
def test_training_is_not_refused_for_its_protocols(name, factors):
  for config in _rows(name):
    of_prior = config.method.name == 'prior'
    if not of_prior:
      dataset = _dataset(config, factors)
    elif config.model.workdir is None:
      continue  # Of any model.
    else:
      of = pathlib.Path(config.model.workdir).name.partition('-')[0]
      model = importlib.import_module(f'configs.{of}')
      dataset = _dataset(model.get_config(), factors)
    runner.check(config.eval.protocols, dataset, of_prior=of_prior)
    modes._check_protocols(config, config.eval)


def test_swaps_of_voxceleb_cannot_be_judged(factors):
  dataset = _dataset(diffsda_voxceleb.get_config(), factors)
  assert [f.name for f in dataset.factors] == ['speaker']
  with pytest.raises(ValueError, match='voxceleb has static labels; expected'):
    runner.check(('swap',), dataset)
