"""Tests of `evaluation.trivial`."""

import numpy as np
import pytest

from seqdiff.evaluation import trivial


def _separable(count, seed):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(count, 2))
  return x, np.where(x[:, 0] > 0, 2, 0)  # There is no class 1.


def test_classifiers_know_what_the_features_tell():
  found = trivial.classify(*_separable(200, 0), _separable(100, 1)[0], seed=0)
  for name in 'mean_std_logistic', 'random_forest':
    right = found[name].argmax(axis=1) == _separable(100, 1)[1]
    assert right.mean() > 0.95, name
    np.testing.assert_allclose(found[name].sum(axis=1), 1.0, rtol=1e-6)
    assert not found[name][:, 1].any()


def test_the_constant_row_is_the_share_of_each_class():
  found = trivial.classify(
      np.arange(4.0)[:, None], np.array([0, 0, 0, 1]), np.zeros((2, 1)), seed=0)
  np.testing.assert_array_equal(found['constant'], [[0.75, 0.25]] * 2)


def test_regressors_know_what_the_features_tell():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(300, 2))
  found = trivial.regress(x[:200], x[:200, 1] + 5, x[200:], seed=0)
  error = {name: np.abs(value - x[200:, 1] - 5).mean()
           for name, value in found.items()}
  assert error['mean_std_ridge'] < 0.05
  assert error['random_forest'] < 0.3 < error['constant']
  assert found['constant'] == pytest.approx(x[:200, 1].mean() + 5)


def test_no_constant_beats_the_median_in_absolute_error():
  rain = np.array([0.0, 0.0, 0.0, 1.0, 19.0])  # The mean is 4.
  found = trivial.regress(np.zeros((5, 1)), rain, np.zeros((5, 1)), seed=0)
  error = lambda name: np.abs(found[name] - rain).mean()
  assert error('median') == 4.0 and error('constant') == 6.0


def test_by_class_is_the_mean_of_the_class_or_of_all():
  found = trivial.by_class(
      np.array([0, 0, 3]), np.array([1.0, 3.0, 8.0]), np.array([3, 0, 5]))
  np.testing.assert_array_equal(found, [8, 2, 4])


def test_by_class_can_be_the_median():
  found = trivial.by_class(
      np.array([0, 0, 0, 3]), np.array([0.0, 1.0, 8.0, 3.0]),
      np.array([0, 5]), reduce=np.median)
  np.testing.assert_array_equal(found, [1, 2])
