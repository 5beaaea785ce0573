"""Tests of `prior`: whose codes a prior has learnt."""

import types

import ml_collections
import numpy as np
import pytest

from configs import prior as prior_config
from seqdiff import modes
from seqdiff import prior
from seqdiff import run
from seqdiff.evaluation import codes
from seqdiff.training import checkpoint

RNG = np.random.default_rng(0)
CODES = codes.Codes(static=RNG.normal(size=(5, 3)),
                    dynamic=RNG.normal(size=(5, 4, 2)),
                    mask=np.ones((5, 4), bool), labels={})


@pytest.fixture
def model(monkeypatch):
  """What priors ask of a model, without one; `params` are its weights."""
  found = types.SimpleNamespace(
      config=ml_collections.ConfigDict({'seed': 0}), step=7,
      params={'w': np.ones((2, 2), np.float32)}, context=lambda: None)
  monkeypatch.setattr(prior, '_model', lambda config: found)
  monkeypatch.setattr(prior.code_lib, 'read', lambda context, split: CODES)
  monkeypatch.setattr(run, 'train', lambda *args: 'trained')
  return found


def test_a_model_of_other_weights_is_refused(model, tmp_path, monkeypatch):
  config = prior_config.get_config()
  assert prior.train(config, tmp_path) == 'trained'
  monkeypatch.setattr(
      run, 'restore_params', lambda *args: ({}, {'step': 1}))
  assert prior.restore(config, tmp_path).step == 1
  model.params = {'w': np.float32([[1, 1], [1, 2]])}
  for mode in 'train', 'generate', 'explore':
    for _ in range(2):  # With the codes of the old model, and without.
      with pytest.raises(ValueError, match='top of something else: weights: '):
        modes.MODES[mode](config, tmp_path)
      (tmp_path / prior.CODES).unlink(missing_ok=True)
  assert not (tmp_path / prior.CODES).exists()


def test_codes_of_another_model_are_refused(model, tmp_path):
  config = prior_config.get_config()
  prior.train(config, tmp_path)
  (tmp_path / 'origin.json').unlink()
  model.step = 8
  with pytest.raises(ValueError, match='the codes of another model or step'):
    prior.train(config, tmp_path)


def test_parameters_are_told_apart_by_any_value():
  params = {'a': np.ones((3, 2), np.float32), 'b': np.zeros(4, np.float32)}
  other = {**params, 'b': np.float32([0, 0, 0, 1e-6])}
  assert checkpoint.fingerprint(params) == checkpoint.fingerprint(
      {k: v.copy() for k, v in params.items()})
  assert checkpoint.fingerprint(params) != checkpoint.fingerprint(other)
