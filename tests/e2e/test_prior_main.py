"""The latent prior from the command line: train, generate, complete."""

import numpy as np
import pytest

import seqdiff
from seqdiff import prior

SMALL = tuple(f'--config.{change}' for change in (
    'data.batch_size=8', 'data.eval_batch_size=8', 'method.layers=3',
    'method.expand=2', 'optim.warmup_steps=1', 'train.num_steps=6',
    'train.log_every=2', 'train.save_every=3', 'sampler.num_steps=5',
    'eval.num_shown=2', 'eval.judge.batch_size=8'))


@pytest.fixture(scope='module')
def runs(tmp_path_factory, command, small):
  """Run directories of a model and of its prior, and the last output."""
  home = tmp_path_factory.mktemp('runs')
  model = command(None, *small, f'--workdir={home}/model',
                  '--config.eval.protocols=()')
  assert model.code == 0
  ended = command(None, *_flags(home))
  assert ended.code == 0
  return home


def _flags(home):
  return ('--config=configs/prior.py', *SMALL, f'--workdir={home}/prior',
          f'--config.model.workdir={home}/model')


def _clips(model, split, count):
  source = model.dataset.splits[split]
  return np.stack([source[i]['x'] for i in range(count)])


def test_training_ends_with_figures(runs):
  for name in 'curves', 'generated', 'completed_static', 'completed_dynamic':
    assert (runs / f'prior/figures/{name}.png').stat().st_size > 1000, name


def test_codes_are_those_of_the_training_clips(runs):
  model = seqdiff.load(runs / 'model')
  sampler = prior.load(runs / 'prior')
  clips = _clips(model, 'train', 5)
  factors = model.encode(clips)
  expected = np.concatenate(
      [factors.static, factors.dynamic.reshape(5, -1)], axis=1)
  assert sampler.codes.z.shape == (64, 4 + 4 * 2)
  np.testing.assert_allclose(sampler.codes.z[:5], expected, atol=1e-5)


def test_generated_clips_are_decoded_samples(runs):
  sampler = prior.load(runs / 'prior')
  factors = sampler.sample(3, seed=1)
  clips = sampler.generate(3, seed=1)
  np.testing.assert_array_equal(clips, sampler.model.decode(factors, seed=1))
  assert not np.array_equal(clips, sampler.generate(3, seed=2))


@pytest.mark.parametrize('keep', ['static', 'dynamic'])
def test_completion_keeps_one_kind_of_code(runs, keep):
  sampler = prior.load(runs / 'prior')
  clips = _clips(sampler.model, 'test', 2)
  known = sampler.model.encode(clips)
  found = sampler.sample(2, known=known, keep=keep)
  other = {'static': 'dynamic', 'dynamic': 'static'}[keep]
  np.testing.assert_allclose(
      getattr(found, keep), getattr(known, keep), atol=1e-5)
  assert np.abs(getattr(found, other) - getattr(known, other)).max() > 1e-2
  np.testing.assert_array_equal(
      sampler.complete(clips, keep=keep), sampler.model.decode(found))


def test_standardised_codes_come_back_in_their_scale(runs, tmp_path, command):
  flags = (*_flags(runs)[:-2], f'--workdir={tmp_path}',
           f'--config.model.workdir={runs}/model',
           '--config.method.standardise=True')
  assert command(None, *flags).code == 0
  sampler = prior.load(tmp_path)
  x = sampler.codes.dataset.splits['train'].arrays['x'][:, 0]
  np.testing.assert_allclose(x[:, :4].mean(axis=0), 0.0, atol=1e-4)
  np.testing.assert_allclose(x[:, :4].std(axis=0), 1.0, atol=1e-2)
  pooled = x[:, 4:].reshape(-1, 2)
  np.testing.assert_allclose(pooled.mean(axis=0), 0.0, atol=1e-4)
  known = sampler.model.encode(
      _clips(sampler.model, 'test', 2))
  found = sampler.sample(2, known=known, keep='static')
  np.testing.assert_allclose(found.static, known.static, atol=1e-4)


def test_clips_of_another_length_are_refused(runs):
  sampler = prior.load(runs / 'prior')
  clips = _clips(sampler.model, 'test', 1)[:, :3]
  with pytest.raises(ValueError, match='Clips of 3 frames; expected 4, as the'):
    sampler.complete(clips, keep='static')


@pytest.mark.parametrize('changes, message', [
    (('--config.model.workdir=nowhere',), 'nowhere is no run directory'),
    (('--config.model.workdir=None',), 'config.model.workdir is not set'),
    (('--mode=evaluate',), '--mode=evaluate with method.name=prior'),
])
def test_what_a_prior_cannot_do_is_said(
    runs, tmp_path, cli, changes, message):
  ended = cli(*_flags(runs)[:-2], f'--workdir={tmp_path}',
              f'--config.model.workdir={runs}/model', *changes)
  assert ended.code == 2 and message in ended.err


def test_a_model_without_a_prior_does_not_generate(runs, cli, small):
  ended = cli(*small, f'--workdir={runs}/model', '--mode=generate')
  assert ended.code == 2
  assert '--mode=generate with method.name=diffsda' in ended.err


def test_codes_of_another_model_are_refused(runs, tmp_path, cli, small):
  (tmp_path / 'codes.npz').write_bytes(
      (runs / 'prior/codes.npz').read_bytes())
  other = tmp_path / 'model'
  assert cli(*small, f'--workdir={other}', '--config.seed=1',
             '--config.eval.protocols=()').code == 0
  ended = cli(*_flags(runs)[:-2], f'--workdir={tmp_path}',
              f'--config.model.workdir={other}')
  assert ended.code == 2
  assert 'holds the codes of another model or step' in ended.err
