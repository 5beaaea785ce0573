"""Tests of `nets.predictors`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.nets import predictors

RNG = np.random.default_rng(0)
STATIC = RNG.normal(size=(2, 3)).astype(np.float32)
DYNAMIC = RNG.normal(size=(2, 12, 4)).astype(np.float32)
MASK = np.arange(12)[None] < np.array([[12], [8]])


def _outputs(net, static=STATIC, dynamic=DYNAMIC, mask=MASK):
  params = net.init(jax.random.key(0), STATIC, DYNAMIC, MASK)
  return np.asarray(net.apply(params, static, dynamic, mask))


def _changed(*steps):
  """Which examples of each net say another thing if these steps change."""
  dynamic = DYNAMIC.copy()
  dynamic[:, list(steps)] += 1.0
  return lambda net: (
      np.abs(_outputs(net, dynamic=dynamic) - _outputs(net)) > 1e-6
  ).any(axis=1).tolist()


@pytest.mark.parametrize('early, step, expected', [
    (False, 7, [True, True]),  # The last real step of the second series.
    (False, 8, [True, False]),  # Its padding.
    (True, 2, [True, False]),  # Of 12 steps 3 are read, of 8 two.
    (True, 1, [True, True]),
    (True, 3, [False, False]),
])
def test_which_steps_the_last_state_has_seen(early, step, expected):
  assert _changed(step)(predictors.LastState(early)) == expected


def test_last_state_reads_the_static_code():
  net = predictors.LastState()
  assert np.abs(_outputs(net, static=STATIC + 1) - _outputs(net)).min() > 1e-6


def test_dropout_acts_in_training_only():
  net = predictors.LastState()
  params = net.init(jax.random.key(0), STATIC, DYNAMIC, MASK)
  outputs = [net.apply(params, STATIC, DYNAMIC, MASK, train=True,
                       rngs={'dropout': jax.random.key(i)}) for i in (1, 2)]
  assert np.abs(outputs[0] - outputs[1]).max() > 1e-6


def test_static_only_reads_nothing_else():
  net = predictors.StaticOnly(5)
  assert _outputs(net).shape == (2, 5)
  assert _changed(*range(12))(net) == [False, False]


def test_a_window_is_the_mean_of_its_steps():
  net = predictors.WindowMean(5)
  steps = predictors.WindowMean(1)
  params = net.init(jax.random.key(0), STATIC, DYNAMIC, MASK)
  each = steps.apply(params, STATIC, DYNAMIC, MASK)
  np.testing.assert_allclose(
      net.apply(params, STATIC, DYNAMIC, MASK),
      np.stack([each[:, :5].mean(1), each[:, 5:10].mean(1)], 1), rtol=1e-5)
  np.testing.assert_allclose(
      predictors.WindowMean(5, rest=True).apply(params, STATIC, DYNAMIC, MASK),
      np.stack([each[:, :5].mean(1), each[:, 5:10].mean(1),
                each[:, 10:].mean(1)], 1), rtol=1e-5)


def test_a_rest_is_a_window_only_if_there_is_one():
  values = np.arange(12.0).reshape(2, 6)
  means = predictors.window_means
  np.testing.assert_allclose(means(values, 4), [[1.5], [7.5]])
  np.testing.assert_allclose(
      means(values, 4, rest=True), [[1.5, 4.5], [7.5, 10.5]])
  np.testing.assert_allclose(
      means(values, 3, rest=True), means(values, 3, rest=False))
  # Months of 28 days in the released code.
  assert means(np.zeros((1, 672)), 10, rest=True).shape == (1, 68)


def test_the_published_regressor_hardly_says_less_than_zero():
  params = predictors.WindowMean(1).init(
      jax.random.key(0), STATIC, DYNAMIC, MASK)
  values, rectified = (
      predictors.WindowMean(1, linear).apply(params, STATIC, DYNAMIC, MASK)
      for linear in (True, False))
  assert values.min() < -0.01
  np.testing.assert_allclose(
      rectified, jnp.where(values < 0, 0.01 * values, values), rtol=1e-6)
