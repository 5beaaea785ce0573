"""Probes find the component along which a factor was planted."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.evaluation import codes
from seqdiff.evaluation.protocols import exploration
from seqdiff.methods import base
from seqdiff.sampling import explore


@dataclasses.dataclass(frozen=True)
class Planted:
  """The static code holds who in two dimensions, and noise in two others.

  The dynamic codes hold the act in two and the pose in one.
  """

  def encode(self, params, x, mask):
    del params, mask
    who = x[:, 0, 0, 0, 0]
    static = jnp.stack([who, 9 - who, x[:, 0, 1, 1, 0], x[:, 1, 1, 1, 0]], 1)
    act, pose = x[:, :, 0, 1, 0], x[:, :, 1, 0, 0]
    return base.Factors(
        static=static, dynamic=jnp.stack([act, 3 - act, pose], axis=-1))


@pytest.fixture
def ctx(toy, tmp_path):
  """A context with training clips."""
  train, test = (toy.make_dataset(count, seed=seed)
                 for count, seed in ((400, 0), (100, 1)))
  splits = {'train': train.splits['test'], 'test': test.splits['test']}
  return toy.make_context(
      tmp_path, dataclasses.replace(train, splits=splits), method=Planted())


def _directions(ctx):
  found = codes.read(ctx, 'train')
  return {'static': explore.principal(found.static),
          'dynamic': explore.principal(found.dynamic)}


def _run(ctx, *, num_components=3, num_labelled=300):
  return exploration.run(ctx, _directions(ctx), num_components=num_components,
                         num_labelled=num_labelled)


def test_the_planted_component_tells_the_factor(ctx):
  metrics, counts = _run(ctx)
  who = ctx.dataset.splits['test'].arrays['labels/who']
  chance = np.bincount(who).max() / len(who)
  assert metrics['component_1/who'] > 0.9
  assert metrics['components/who'] > 0.9
  for k in 2, 3:
    assert metrics[f'component_{k}/who'] < chance + 0.15
  for name in 'component_1', 'component_3', 'components':
    assert metrics[f'reference/chance/{name}/who'] == pytest.approx(chance)
  assert metrics['reference/whole_code/components/who'] > 0.9
  assert metrics['average'] == metrics['components/who']
  # Two of four dimensions are one and the same.
  assert metrics['static_variance/component_1'] == pytest.approx(0.5, abs=0.03)
  assert counts == {'codes': 400, 'clips': 100, 'labelled_clips': 300}


def test_dynamic_factors_are_told_from_dynamic_components(ctx):
  metrics, _ = _run(ctx)
  act = ctx.dataset.splits['test'].arrays['labels/act']
  chance = np.bincount(act).max() / len(act)
  assert metrics['dynamic_component_1/act'] > 0.95
  assert metrics['dynamic_component_2/act'] < chance + 0.15
  assert metrics['reference/chance/dynamic_component_1/act'] == pytest.approx(
      chance)
  # Values of frames: R^2 of a linear function of the code is 1.
  assert metrics['dynamic_component_2/pose'] > 0.99
  assert metrics['dynamic_component_1/pose'] < 0.05
  assert metrics['reference/chance/dynamic_component_1/pose'] == 0.0
  for name in 'act', 'pose':
    assert metrics[f'dynamic_components/{name}'] > 0.95
    assert metrics[f'reference/whole_code/dynamic_components/{name}'] > 0.95
    assert f'component_1/{name}' not in metrics
    assert f'components/{name}' not in metrics


def test_classes_that_no_labelled_clip_has_are_not_asked(ctx):
  test = ctx.dataset.splits['test'].arrays
  labels, expected = test['labels/who'], _run(ctx)[0]
  test['labels/who'] = np.where(labels == labels[0], 77, labels)
  metrics, _ = _run(ctx)
  assert metrics['components/who'] == pytest.approx(
      expected['components/who'], abs=0.1)  # The others are told as before.
  test['labels/who'] = labels + 77
  metrics, _ = _run(ctx)
  assert not [name for name in metrics if name.endswith('/who')]
  assert metrics['dynamic_component_1/act'] > 0.95


def test_frames_without_a_value_are_not_asked(ctx):
  labels = ctx.dataset.splits['train'].arrays['labels/pose']
  expected = _run(ctx)[0]['dynamic_component_2/pose']
  ctx.dataset.splits['train'].arrays['labels/pose'] = np.where(
      np.arange(4)[:, None] == 1, np.nan, labels)
  found = _run(ctx)[0]['dynamic_component_2/pose']
  assert found == pytest.approx(expected, abs=1e-3)


def test_the_best_factor_of_a_component_is_that_furthest_above_chance():
  metrics = {
      'component_1/a': 0.9, 'reference/chance/component_1/a': 0.8,
      'component_1/b': 0.5, 'reference/chance/component_1/b': 0.25,
      'component_10/b': 1.0, 'reference/chance/component_10/b': 0.25,
      'dynamic_component_1/c': 0.4,
      'reference/chance/dynamic_component_1/c': 0.0}
  assert exploration.best(metrics, 'static', 1) == ('b', 0.5, 0.25)
  assert exploration.best(metrics, 'dynamic', 1) == ('c', 0.4, 0.0)
  assert exploration.best(metrics, 'static', 2) is None


def test_a_small_code_has_as_many_components_as_dimensions(ctx):
  metrics, _ = _run(ctx, num_components=9)
  assert 'component_4/who' in metrics and 'component_5/who' not in metrics
  shares = [metrics[f'dynamic_variance/component_{k}'] for k in (1, 2, 3)]
  assert sum(shares) == pytest.approx(1.0)
  assert 'dynamic_variance/component_4' not in metrics


def test_few_labels_are_drawn_once_and_for_all(ctx):
  first, counts = _run(ctx, num_labelled=40)
  assert counts['labelled_clips'] == 40
  assert _run(ctx, num_labelled=40)[0] == first
  other = dataclasses.replace(ctx, seed=1)
  assert _run(other, num_labelled=40)[0] != first


def test_what_has_one_class_only_is_left_out(ctx):
  metrics, _ = _run(ctx, num_labelled=1)
  assert {name for name in metrics if 'pose' not in name} == {  # Has frames.
      f'{kind}_variance/component_{k}'
      for kind in ('static', 'dynamic') for k in (1, 2, 3)}


def test_without_labels_the_variance_is_left(ctx):
  ctx = dataclasses.replace(ctx, dataset=dataclasses.replace(
      ctx.dataset, factors=()))
  metrics, counts = _run(ctx)
  assert all('_variance/' in name for name in metrics)
  assert counts == {'codes': 400}
