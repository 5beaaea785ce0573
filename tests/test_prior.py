"""Tests of `prior`: whose codes a prior has learnt."""

import dataclasses
import types

import jax
import ml_collections
import numpy as np
import pytest

from configs import diffsda_mug
from configs import diffsda_mug_ablation
from configs import prior as prior_config
from seqdiff import model as model_lib
from seqdiff import modes
from seqdiff import prior
from seqdiff import run
from seqdiff.evaluation import codes
from seqdiff.methods import base
from seqdiff.training import checkpoint
from seqdiff.training import writer

RNG = np.random.default_rng(0)
CODES = codes.Codes(static=RNG.normal(size=(5, 3)),
                    dynamic=RNG.normal(size=(5, 4, 2)),
                    mask=np.ones((5, 4), bool), labels={})


@pytest.mark.parametrize('mode', ['train', 'evaluate', 'generate', 'explore'])
def test_a_model_with_a_static_code_per_frame_is_refused(mode, tmp_path):
  model = diffsda_mug_ablation.get_config('d64_unshared')
  writer.claim_workdir(tmp_path / 'model', run.to_plain(model))
  config = prior_config.get_config()
  config.model.workdir = str(tmp_path / 'model')
  config.eval.protocols = ('generation',)
  with pytest.raises(ValueError, match='shared_static=False; expected one sta'):
    modes.MODES[mode](config, tmp_path / 'prior')
  assert not (tmp_path / 'prior').exists()


def test_as_few_clips_are_at_once_as_prior_or_model_say(tmp_path, monkeypatch):
  writer.claim_workdir(tmp_path, run.to_plain(diffsda_mug.get_config()))
  monkeypatch.setattr(prior.model_lib, 'load', lambda workdir: model_lib.Model(
      run.read_config(workdir), workdir, None, None, {}, 1))
  config = prior_config.get_config()
  config.model.workdir = str(tmp_path)
  own = diffsda_mug.get_config().data.eval_batch_size
  for given, expected in ((own - 1, own - 1), (own + 1, own)):
    config.data.eval_batch_size = given
    assert prior._model(config).batch_size == expected


@pytest.fixture
def model(monkeypatch):
  """What priors ask of a model, without one; `params` are its weights."""
  found = types.SimpleNamespace(
      config=ml_collections.ConfigDict({'seed': 0}), step=7, method=None,
      params={'w': np.ones((2, 2), np.float32)}, context=lambda: None)
  monkeypatch.setattr(prior, '_model', lambda config: found)
  monkeypatch.setattr(prior.code_lib, 'read', lambda context, split: CODES)
  monkeypatch.setattr(run, 'train', lambda *args: 'trained')
  return found


def test_a_model_of_other_weights_is_refused(model, tmp_path, monkeypatch):
  config = prior_config.get_config()
  assert prior.train(config, tmp_path) == 'trained'
  monkeypatch.setattr(
      run, 'restore_params', lambda *args: (
          {}, {'step': 1, 'config': run.to_plain(config)}))
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


def _sampler(model, tmp_path):
  """A small prior without training, of codes that are not of unit size."""
  config = prior_config.get_config()
  config.method.update(layers=3, expand=2, standardise=True)
  config.sampler.num_steps = 3
  found = prior._codes(config, model, tmp_path)
  params = found.prior.init(
      jax.random.key(0), {'x': np.zeros((1, 1, found.prior.size))})
  return prior.Sampler(model, found, params, 1)


def test_nothing_is_read_for_a_training_that_cannot_start(
    model, tmp_path, monkeypatch):
  monkeypatch.setattr(prior.code_lib, 'read', None)
  config = prior_config.get_config()
  for change, message in (
      ({'train.num_steps': 0}, 'num_steps'),
      ({'data.batch_size': 127}, 'batch size is 127 and there are 8 devices')):
    wrong = config.copy_and_resolve_references()
    wrong.update_from_flattened_dict(change)
    with pytest.raises(ValueError, match=message):
      prior.train(wrong, tmp_path / 'new')
  assert not (tmp_path / 'new').exists()


def test_directory_of_another_run_is_left_as_it_is(model, tmp_path):
  config = prior_config.get_config()
  writer.claim_workdir(tmp_path, {'seed': 3})
  with pytest.raises(ValueError, match='belongs to another configuration'):
    prior.train(config, tmp_path)
  assert [path.name for path in tmp_path.iterdir()] == ['config.json']


def test_codes_of_what_is_padding_everywhere_are_not_learnt(
    model, tmp_path, monkeypatch):
  mask = np.arange(4) < np.array([[1], [3], [2], [3], [1]])
  padded = dataclasses.replace(CODES, mask=mask)
  monkeypatch.setattr(prior.code_lib, 'read', lambda context, split: padded)
  found = prior._codes(prior_config.get_config(), model, tmp_path)
  assert found.prior.num_frames == 3 and found.prior.size == 3 + 3 * 2
  np.testing.assert_allclose(
      found.z[:, 3:], CODES.dynamic[:, :3].reshape(5, 6), rtol=1e-6)


def test_samples_are_numbered(model, tmp_path):
  sampler = _sampler(model, tmp_path)
  whole, last = sampler.sample(5, seed=2), sampler.sample(2, seed=2, first=3)
  np.testing.assert_allclose(last.static, whole.static[3:], atol=1e-5)
  np.testing.assert_allclose(last.dynamic, whole.dynamic[3:], atol=1e-5)


@pytest.mark.parametrize('keep', ['static', 'dynamic'])
def test_what_is_kept_of_standardised_codes_is_kept_exactly(
    model, tmp_path, keep):
  rng = np.random.default_rng(1)
  known = base.Factors(
      static=rng.normal(3, 7, size=(5, 3)).astype(np.float32),
      dynamic=rng.normal(3, 7, size=(5, 4, 2)).astype(np.float32))
  found = _sampler(model, tmp_path).sample(
      5, known=known, keep=keep, batch_size=3)
  np.testing.assert_array_equal(getattr(found, keep), getattr(known, keep))
  other = {'static': 'dynamic', 'dynamic': 'static'}[keep]
  assert np.abs(getattr(found, other) - getattr(known, other)).max() > 0.1


def test_parameters_are_told_apart_by_any_value():
  params = {'a': np.ones((3, 2), np.float32), 'b': np.zeros(4, np.float32)}
  other = {**params, 'b': np.float32([0, 0, 0, 1e-6])}
  assert checkpoint.fingerprint(params) == checkpoint.fingerprint(
      {k: v.copy() for k, v in params.items()})
  assert checkpoint.fingerprint(params) != checkpoint.fingerprint(other)
