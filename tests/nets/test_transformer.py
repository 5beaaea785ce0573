"""Tests of `nets.transformer`."""

import jax
import numpy as np

from seqdiff.nets import blocks
from seqdiff.nets import transformer

NET = transformer.TransformerEncoder(layers=2, heads=2, hidden=6, dropout=0.5)
X = np.random.default_rng(1).normal(size=(2, 4, 8)).astype(np.float32)
ONES = np.ones((2, 4), bool)


def _variables(net=NET):
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(net.init, jax.random.key(0), X, ONES)
  return jax.tree.map(
      lambda a: (0.5 * rng.normal(size=a.shape)).astype(np.float32), shapes)


def test_frames_see_each_other_and_know_their_place():
  variables = _variables()
  run = jax.jit(lambda x: NET.apply(variables, x, ONES))
  influence = np.abs(jax.jacrev(lambda x: run(x)[0])(X))  # (T, D, B, T, D)
  assert influence.sum(axis=(1, 4))[:, 0].min() > 0
  assert influence[:, :, 1].max() == 0
  order = [2, 0, 3, 1]
  assert np.abs(run(X[:, order]) - run(X)[:, order]).max() > 0.01


def test_causal_frames_do_not_see_the_future():
  net, variables = NET.clone(causal=True), _variables()
  seen = np.abs(jax.jit(jax.jacrev(
      lambda x: net.apply(variables, x, ONES)[0]))(X)).sum(axis=(1, 2, 4))
  np.testing.assert_array_equal(seen > 0, np.tri(4, dtype=bool))


def test_norms_come_first_with_one_at_the_end():
  net = transformer.TransformerEncoder(
      layers=1, heads=2, hidden=6, pre_norm=True)
  variables = _variables(net)
  norms = {'attention_norm_0', 'norm_0', 'last_norm'}
  params = variables['params']
  assert {name for name in params if 'norm' in name} == norms
  for name in 'attention_0', 'shrink_0':  # Nothing is added to the input.
    params[name] = jax.tree.map(np.zeros_like, params[name])
  params['last_norm'] = {'scale': np.ones(8, 'f'), 'bias': np.zeros(8, 'f')}
  y = jax.jit(net.apply)(variables, X, ONES)
  h = X + np.asarray(blocks.sinusoids(np.arange(4), 8))
  expected = (h - h.mean(-1, keepdims=True)) / h.std(-1, keepdims=True)
  np.testing.assert_allclose(y, expected, atol=1e-4)
  for name in norms - {'last_norm'}:  # Those before do not touch the sums.
    params[name] = jax.tree.map(lambda a: 2.0 * a, params[name])
  np.testing.assert_array_equal(jax.jit(net.apply)(variables, X, ONES), y)


def test_scaled_inputs_are_sqrt_of_their_size_times_larger():
  variables = _variables()
  scaled = NET.clone(scale_inputs=True).apply(variables, X, ONES)
  np.testing.assert_allclose(
      scaled, NET.apply(variables, np.float32(8**0.5) * X, ONES), atol=1e-6)


def test_padded_frames_have_no_influence():
  variables = _variables()
  mask = np.arange(4)[None] < np.array([[2], [4]])
  y = NET.apply(variables, X, mask)
  np.testing.assert_allclose(
      y[:1, :2], NET.apply(variables, X[:1, :2], ONES[:1, :2]), atol=1e-5)


def test_last_norm_leaves_each_frame_with_its_mean_and_size():
  variables = _variables()
  norm = variables['params']['norm_1']
  norm['scale'][:], norm['bias'][:] = 3.0, 1.0
  y = np.asarray(NET.apply(variables, X, ONES))
  np.testing.assert_allclose(y.mean(-1), np.ones((2, 4)), atol=1e-4)
  np.testing.assert_allclose(y.std(-1), 3 * np.ones((2, 4)), rtol=1e-3)


def test_dropout_acts_in_training_only():
  variables = _variables()
  run = lambda seed, train: NET.apply(
      variables, X, ONES, train=train,
      rngs={'dropout': jax.random.key(seed)})
  assert np.abs(run(0, True) - run(1, True)).max() > 0.1
  np.testing.assert_array_equal(run(0, False), run(1, False))
