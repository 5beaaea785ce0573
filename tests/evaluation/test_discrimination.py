"""The discrimination protocol: samples as good as the data, and worse ones."""

import dataclasses

import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation.protocols import discrimination
from seqdiff.methods import base

NUM_STEPS = 24


@pytest.fixture(autouse=True)
def small_forests(monkeypatch):
  monkeypatch.setattr(discrimination, '_TREES', 15)
  monkeypatch.setattr(discrimination, '_REPEATS', 1)


def _walks(count, seed, smooth=0.9):
  """Two variables with a memory, the second of which follows the first."""
  rng = np.random.default_rng(seed)
  noise, x = rng.normal(size=(2, count, NUM_STEPS, 2))
  for t in range(1, NUM_STEPS):
    x[:, t] = smooth * x[:, t - 1] + (1 - smooth**2)**0.5 * noise[:, t]
  x[..., 1] = 0.8 * x[..., 0] + 0.6 * x[..., 1]
  return x.astype(np.float32)


def _observed(count):
  return np.random.default_rng(5).uniform(size=(count, NUM_STEPS, 2)) > 0.3


@dataclasses.dataclass(frozen=True)
class Copy:
  """Decodes the level of the static code and the course of the dynamic one."""

  def encode(self, params, x, mask):
    del params, mask
    level = x.mean(axis=1)
    return base.Factors(static=level, dynamic=x - level[:, None])

  def decode(self, params, factors, x_init):
    del params, x_init
    return factors.static[:, None] + factors.dynamic


def _run(toy, tmp_path, generate, count=100, **kw):
  seen = _observed(count)
  x = np.where(seen, _walks(count, 0), 0)
  dataset = data_batch.Dataset(
      'walks', {'test': loader.ArraySource({'x': x, 'observed': seen})},
      variables=(data_batch.Variable('a', '', 0.0, 1.0),
                 data_batch.Variable('b', '', 0.0, 1.0)))
  return discrimination.run(toy.make_context(
      tmp_path, dataset, method=Copy(), num_frames=NUM_STEPS,
      generate=generate, **kw))


def _of(series):
  """Samples of a prior that gives these, by the number of the series."""
  return lambda batch, keep: series[batch['index']]


def test_samples_of_the_same_kind_cannot_be_told_from_the_data(toy, tmp_path):
  metrics, counts = _run(toy, tmp_path, _of(_walks(100, 1)))
  assert counts == {'clips': 100, 'folds': 5, 'repeats': 1}
  # 100 of each: a standard error of 0.04.
  assert 0.36 < metrics['auroc'] < 0.64
  assert metrics['discriminative_score'] < 0.12
  assert 0.3 < metrics['reference/real/auroc'] < 0.7  # 50 of each.
  # A copy is the same for the forest, which sees both in one fold.
  assert metrics['reference/reconstruction/auroc'] == pytest.approx(0.5)
  assert metrics['reference/reordered/auroc'] > 0.95
  # So is a row beside these copies what it is beside the data.
  for row in '', 'reference/swapped/', 'reference/reordered/':
    assert metrics[f'{row}beside_reconstruction/auroc'] == pytest.approx(
        metrics[f'{row}auroc'])
  # Level and course of different series: neither depends on the other here.
  assert 0.36 < metrics['reference/swapped/auroc'] < 0.75


@pytest.mark.parametrize('series', [
    _walks(100, 1, smooth=0.0), _walks(100, 1)[..., ::-1] * [1, -1],
    _walks(100, 1) + 4, np.repeat(_walks(100, 0)[:1], 100, axis=0)],
                         ids=['restless', 'unrelated', 'shifted', 'collapsed'])
def test_samples_of_another_kind_are_told(toy, tmp_path, series):
  metrics, _ = _run(toy, tmp_path, _of(series))
  assert metrics['auroc'] > 0.9
  assert metrics['discriminative_score'] > 0.3


def test_only_what_is_observed_of_the_series_counts(toy, tmp_path):
  series, seen = _walks(20, 1), _observed(20)
  junk = np.where(seen, series, 1e3)
  first, second = (
      _run(toy, tmp_path, _of(given), count=20) for given in (series, junk))
  assert first == second


def test_longer_series_are_cut_to_the_samples(toy, tmp_path, monkeypatch):
  shapes, features = set(), discrimination.features
  monkeypatch.setattr(discrimination, 'features', lambda x, shown: (
      shapes.add((x.shape[1], shown.shape[1])), features(x, shown))[1])
  _run(toy, tmp_path, _of(_walks(20, 1)[:, :18]), count=20)
  assert shapes == {(18, 18)}


def test_batch_size_changes_nothing(toy, tmp_path):
  run = lambda size: _run(
      toy, tmp_path, _of(_walks(20, 1)), count=20, batch_size=size)[0]
  assert run(3) == pytest.approx(run(20))


def test_features_by_hand():
  x = np.array([[[1.0, 2.0], [3.0, 0.0], [0.0, 4.0], [3.0, 6.0]]])
  seen = x != 0
  mean, deviation, change, following, together = np.split(
      discrimination.features(x, seen)[0], [2, 4, 6, 8])
  np.testing.assert_allclose(mean, [7 / 3, 4])
  np.testing.assert_allclose(deviation, [8**0.5 / 3, (8 / 3)**0.5])
  np.testing.assert_allclose(change, [2, 2])  # From 1 to 3, and from 4 to 6.
  # (1 - 7/3) (3 - 7/3) over the variance 8/9; (4 - 4) (6 - 4).
  np.testing.assert_allclose(following, [-1, 0], atol=1e-12)
  # Steps 0 and 3: (-4/3)(-2) and (2/3)(2), over both deviations.
  expected = (8 / 3 + 4 / 3) / 2 / (8**0.5 / 3 * (8 / 3)**0.5)
  np.testing.assert_allclose(together, [expected])
  assert not discrimination.features(x, seen & False).any()


def test_too_few_series_are_an_error(toy, tmp_path):
  with pytest.raises(ValueError, match='with 9 series; expected at least 10'):
    _run(toy, tmp_path, None, count=9)
