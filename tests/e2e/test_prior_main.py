"""The latent prior from the command line: train, generate, complete."""

import dataclasses

import jax
import json
import shutil

import numpy as np
import pytest

import seqdiff
from seqdiff import explore
from seqdiff import prior
from seqdiff.evaluation import results

pytestmark = pytest.mark.slow

SMALL = tuple(f'--config.{change}' for change in (
    'data.batch_size=8', 'data.eval_batch_size=8', 'method.layers=3',
    'method.expand=2', 'optim.warmup_steps=1', 'train.num_steps=6',
    'train.log_every=2', 'train.save_every=3', 'sampler.num_steps=5',
    'eval.num_shown=2', 'eval.judge.batch_size=8', 'explore.num_codes=50',
    'explore.num_components=2', 'explore.num_alphas=3',
    'explore.num_labelled=40'))


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
  last = sampler.generate(2, seed=1, first=1).astype(int)
  assert np.abs(last - clips[1:]).max() <= 1  # Rounding.


@pytest.mark.parametrize('keep', [None, 'static'])
def test_samples_do_not_depend_on_the_batch_size(runs, keep):
  sampler = prior.load(runs / 'prior')
  known = keep and sampler.model.encode(_clips(sampler.model, 'test', 5))
  draw = lambda **kwargs: sampler.sample(5, known=known, keep=keep, **kwargs)
  whole, parts = draw(), draw(batch_size=2)
  np.testing.assert_allclose(parts.static, whole.static, atol=1e-4)
  np.testing.assert_allclose(parts.dynamic, whole.dynamic, atol=1e-4)
  assert np.abs(whole.dynamic[4] - whole.dynamic[0]).max() > 1e-2


def test_judges_look_at_what_it_samples(runs, cli):
  ended = cli(*_flags(runs), '--mode=evaluate', '--config.eval.num_clips=12',
              '--config.eval.protocols=("generation",)')
  assert ended.code == 0, ended.err
  path = runs / 'prior/results/generation.json'
  assert str(path) in ended.out
  result = json.loads(path.read_text())
  assert result['counts'] == {'clips': 12, 'judges': 1}
  assert 'reference/real/static_consistency' in result['metrics']
  assert (runs / 'model/judges/0/config.json').exists()


@pytest.mark.parametrize('keep', ['static', 'dynamic'])
def test_completion_keeps_one_kind_of_code(runs, keep):
  sampler = prior.load(runs / 'prior')
  clips = _clips(sampler.model, 'test', 2)
  known = sampler.model.encode(clips)
  found = sampler.sample(2, known=known, keep=keep)
  other = {'static': 'dynamic', 'dynamic': 'static'}[keep]
  np.testing.assert_array_equal(getattr(found, keep), getattr(known, keep))
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
  np.testing.assert_array_equal(found.static, known.static)


def test_clips_of_another_length_are_refused(runs):
  sampler = prior.load(runs / 'prior')
  clips = _clips(sampler.model, 'test', 1)[:, :3]
  with pytest.raises(ValueError, match='Clips of 3 frames; expected 4, as the'):
    sampler.complete(clips, keep='static')


@pytest.mark.parametrize('changes, message', [
    (('--config.model.workdir=nowhere',), 'nowhere is no run directory'),
    (('--config.model.workdir=None',), 'config.model.workdir is not set'),
    (('--mode=swap',), '--mode=swap with method.name=prior'),
    (('--mode=explore', '--config.explore.num_alphas=4'), 'num_alphas=4 and'),
])
def test_what_a_prior_cannot_do_is_said(
    runs, tmp_path, cli, changes, message):
  ended = cli(*_flags(runs)[:-2], f'--workdir={tmp_path}',
              f'--config.model.workdir={runs}/model', *changes)
  assert ended.code == 2 and message in ended.err


@pytest.mark.parametrize('mode', ['generate', 'explore'])
def test_a_model_without_a_prior_is_refused(runs, cli, small, mode):
  ended = cli(*small, f'--workdir={runs}/model', f'--mode={mode}')
  assert ended.code == 2
  assert f'--mode={mode} with method.name=diffsda' in ended.err


def test_codes_of_another_model_are_refused(runs, tmp_path, cli):
  (tmp_path / 'codes.npz').write_bytes(
      (runs / 'prior/codes.npz').read_bytes())
  other = tmp_path / 'model'
  shutil.copytree(runs / 'model', other)
  config = json.loads((other / 'config.json').read_text())
  (other / 'config.json').write_text(json.dumps({**config, 'seed': 1}))
  ended = cli(*_flags(runs)[:-2], f'--workdir={tmp_path}',
              f'--config.model.workdir={other}')
  assert ended.code == 2
  assert 'holds the codes of another model or step' in ended.err


def test_exploring_draws_components_and_probes_them(runs, cli):
  ended = cli(*_flags(runs), '--mode=explore')
  assert ended.code == 0, ended.err
  for name in ('explore_static_1', 'explore_static_2', 'explore_dynamic_1',
               'explore_dynamic_2', 'interpolation'):
    for kind in 'png', 'gif':
      path = runs / f'prior/figures/{name}.{kind}'
      assert path.stat().st_size > 1000, name
  assert not (runs / 'prior/figures/explore_static_3.png').exists()
  result = results.read(runs / 'prior/results/exploration.json')
  assert result.counts == {'codes': 50, 'clips': 12, 'labelled_clips': 40,
                           'sampler_steps': 5}
  assert result.step == 6 and result.config['method']['name'] == 'prior'
  for factor in 'body', 'limbs', 'head', 'background':
    assert f'{factor} {result.metrics[f"components/{factor}"]:.4g}' in ended.out
    assert f'component_2/{factor}' in result.metrics
  # Another range is another picture of the same run.
  picture = runs / 'prior/figures/explore_static_1.png'
  before = picture.read_bytes()
  assert cli(*_flags(runs), '--mode=explore',
             '--config.explore.kappa=3').code == 0
  assert picture.read_bytes() != before
  # But another number of components is another result.
  ended = cli(*_flags(runs), '--mode=explore',
              '--config.explore.num_components=1')
  assert ended.code == 2 and 'the result of another run' in ended.err


def test_components_are_sampled_once(runs, tmp_path, monkeypatch):
  sampler = prior.load(runs / 'prior')
  first = explore.find(sampler, tmp_path, num_codes=20)
  codes = sampler.sample(20)
  np.testing.assert_allclose(
      first.directions['static'].mean, codes.static.mean(axis=0), atol=1e-5)
  np.testing.assert_allclose(
      first.directions['dynamic'].mean, codes.dynamic.mean((0, 1)), atol=1e-5)
  drawn = []
  monkeypatch.setattr(prior.Sampler, 'sample', lambda self, count: (
      drawn.append(count) or codes))
  again = explore.find(sampler, tmp_path, num_codes=20)
  for kind, found in first.directions.items():
    np.testing.assert_array_equal(
        again.directions[kind].components, found.components)
    assert again.directions[kind].num_codes == found.num_codes
  assert not drawn
  explore.find(sampler, tmp_path, num_codes=21)
  assert drawn == [21]


@pytest.fixture(scope='module')
def explorer(runs):
  """Of few codes, and of a model whose codes matter before it has learnt."""
  found = explore.load(runs / 'prior')
  assert found.directions['static'].num_codes == 50  # Those that are there.
  rng, model = np.random.default_rng(0), found.model
  params = jax.tree.map(
      lambda a: a + 0.2 * rng.normal(size=a.shape).astype(a.dtype),
      model.params)
  return dataclasses.replace(found, sampler=dataclasses.replace(
      found.sampler, model=dataclasses.replace(model, params=params)))


@pytest.mark.parametrize('kind', ['static', 'dynamic'])
def test_the_move_by_0_is_the_reconstruction(explorer, kind):
  model = explorer.model
  clips = _clips(model, 'test', 2)
  for x_T in 'encoded', 'fresh_shared', None:
    moved = explorer.traverse(clips, kind, 1, (0.0, 3.0), x_T=x_T)
    expected = model.reconstruct(clips, x_T=x_T or 'fresh_shared')
    np.testing.assert_allclose(moved[0].astype(int), expected, atol=1)
    assert np.abs(moved[1].astype(int) - expected).max() > 1


def test_a_walk_ends_at_the_reconstructions(explorer):
  model = explorer.model
  a, b = _clips(model, 'test', 4).reshape(2, 2, 4, 8, 8, 3)
  ends = [model.reconstruct(x, x_T='encoded') for x in (a, b)]
  assert np.abs(ends[0].astype(int) - model.swap(b, a)).max() > 1
  both = explorer.interpolate(a, b, (0.0, 1.0), x_T='encoded')
  np.testing.assert_allclose(both.astype(int), np.stack(ends), atol=1)
  static = explorer.interpolate(a, b, (1.0,), kind='static', x_T='encoded')
  swapped = model.swap(b, a, x_T='dynamics_clip')
  np.testing.assert_allclose(static[0].astype(int), swapped, atol=1)
  dynamic = explorer.interpolate(a, b, (1.0,), kind='dynamic', x_T='encoded')
  swapped = model.swap(a, b, x_T='dynamics_clip')
  np.testing.assert_allclose(dynamic[0].astype(int), swapped, atol=1)


def test_what_cannot_be_explored_is_said(explorer):
  clips = _clips(explorer.model, 'test', 2)
  with pytest.raises(ValueError, match="kind of code 'motion'"):
    explorer.traverse(clips, 'motion', 1, (0.0,))
  with pytest.raises(ValueError, match='component 3; expected 1 to 2'):
    explorer.traverse(clips, 'dynamic', 3, (0.0,))
  with pytest.raises(ValueError, match="Unknown x_T 'dynamics_clip'"):
    explorer.traverse(clips, 'dynamic', 1, (0.0,), x_T='dynamics_clip')
  with pytest.raises(ValueError, match='interpolate: clips of shapes'):
    explorer.interpolate(clips, clips[:, :3], (0.0,))
