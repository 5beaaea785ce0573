"""Tests of `nets.skip_mlp`; sizes as published are in test_decoders.py."""

import jax
import numpy as np
import pytest

from seqdiff.nets import skip_mlp

RNG = np.random.default_rng(0)
X, EMBEDDING = RNG.normal(size=(5, 3)), RNG.normal(size=(5, 7))


def _random(shapes):
  return jax.tree.map(
      lambda a: 0.5 * RNG.normal(size=a.shape).astype(np.float32), shapes)


@pytest.mark.parametrize('shift', [True, False])
@pytest.mark.parametrize('modulated', [True, False])
@pytest.mark.parametrize('out_features', [2, None])
def test_layers_by_hand(shift, modulated, out_features):
  net = skip_mlp.SkipMLP(out_features, 4, layers=3, shift=shift)
  modulation = (EMBEDDING, 2.0 * EMBEDDING) if modulated else ()
  p = _random(jax.eval_shape(net.init, jax.random.key(0), X, modulation))
  ours = net.apply(p, X, modulation)
  p = p['params']
  linear = lambda name, a: a @ p[name]['kernel'] + p[name]['bias']
  silu = lambda a: a / (1.0 + np.exp(-a))

  def norm(name, a):
    a = (a - a.mean(-1, keepdims=True)) / np.sqrt(a.var(-1) + 1e-5)[:, None]
    return a * p[name]['scale'] + p[name]['bias']

  h = X
  for i in range(2):
    h = linear(f'layer_{i}', h)
    for j, embedding in enumerate(modulation):
      both = linear(f'modulation_{i}_{j}', silu(embedding))
      h = h * (1.0 + both[:, :4]) + (both[:, 4:] if shift else 0.0)
    h = np.concatenate([silu(norm(f'norm_{i}', h)), X], axis=1)
  h = linear('layer_2', h)
  expected = norm('norm_2', h) if out_features is None else h
  assert expected.shape == (5, out_features or 4)
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_dropout_is_for_training():
  net = skip_mlp.SkipMLP(2, 16, dropout=0.5)
  p = net.init(jax.random.key(0), X)
  run = lambda seed, train: net.apply(
      p, X, train=train, rngs={'dropout': jax.random.key(seed)})
  np.testing.assert_array_equal(run(0, False), run(1, False))
  assert np.abs(run(0, True) - run(1, True)).max() > 1e-3
