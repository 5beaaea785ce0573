"""Tests of `nets.glr`."""

import jax
import numpy as np
import pytest

from seqdiff.nets import glr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)  # Windows of 4 steps.
MASK = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 0, 0, 0]], bool)


def _random(net, *args):
  return jax.tree.map(
      lambda a: RNG.normal(size=a.shape).astype(np.float32),
      jax.eval_shape(net.init, jax.random.key(0), *args))


def _count(net, *args):
  """Weights, without what Keras does not have.

  These are second biases of the LSTM, and what it would do with input.
  """
  params = jax.eval_shape(net.init, jax.random.key(0), *args)['params']
  spare = params['lstm'].pop('state_bias')
  if isinstance(net, glr.WindowDecoder):
    params['lstm'].pop('input_kernel')
  assert spare.shape == (4 * net.sizes[0],)
  return sum(np.prod(a.shape) for a in jax.tree.leaves(params))


def test_published_sizes_of_air_quality():
  # LSTM 4 (10 + 32 + 1) 32; linear (32 + 1) 64, (64 + 1) 64; heads of 65.
  x, mask = np.zeros((1, 24, 10), np.float32), np.ones((1, 24), bool)
  body = 5504 + 2112 + 4160
  assert _count(glr.LocalEncoder(8), x, mask) == body + 65 * (8 + 16)
  assert _count(glr.GlobalEncoder(8), x, mask) == body + 65 * 8
  # Linear (16 + 1) 64; LSTM 4 (64 + 1) 64; linear (64 + 1) 32; heads of 33.
  codes = np.zeros((1, 16), np.float32)
  assert _count(glr.WindowDecoder(24, 10), codes) == (
      1088 + 16640 + 2080 + 33 * 20)


@pytest.mark.parametrize('kind', [glr.LocalEncoder, glr.GlobalEncoder])
def test_steps_that_are_not_read_have_no_influence(kind):
  net = kind(2, (3, 4))
  variables = _random(net, X, MASK)
  apply = jax.jit(net.apply)
  ours = apply(variables, X, MASK)
  other = apply(variables, np.where(MASK[..., None], X, 9.0), MASK)
  without = apply(variables, np.delete(X[1:2], 1, axis=1), np.ones((1, 3)))
  for a, b, c in zip(*map(jax.tree.leaves, (ours, other, without))):
    np.testing.assert_array_equal(a, b)
    np.testing.assert_allclose(a[1:2], c, rtol=1e-4, atol=1e-6)


def test_precision_is_positive_and_above_one_on_the_diagonal():
  net = glr.LocalEncoder(2, (3,))
  variables = _random(net, X, MASK)
  variables['params']['precision_head']['bias'] -= 9.0
  _, diagonal, above = net.apply(variables, X, MASK)
  assert (diagonal > 1.0).all() and (diagonal < 1.1).all()
  assert (above > 0.0).all() and (above < 0.1).all()


def test_codes_start_an_lstm_that_runs_on_its_own():
  net = glr.WindowDecoder(3, 2, (4, 5))
  codes = RNG.normal(size=(2, 6)).astype(np.float32)
  variables = _random(net, codes)
  mean, std = jax.jit(net.apply)(variables, codes)
  p = variables['params']
  linear = lambda name, a: a @ p[name]['kernel'] + p[name]['bias']
  sigmoid = lambda a: 1.0 / (1.0 + np.exp(-a))
  h = c = np.tanh(linear('start', codes))
  for t in range(3):
    gates = (h @ p['lstm']['state_kernel'] + p['lstm']['input_bias']
             + p['lstm']['state_bias'])
    i, f, g, o = np.split(gates, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    features = np.maximum(linear('layer_0', h), 0.0)
    np.testing.assert_allclose(
        mean[:, t], linear('mean_head', features), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        std[:, t], 0.5 * sigmoid(linear('std_head', features)), rtol=1e-4)
