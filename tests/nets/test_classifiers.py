"""Tests of `nets.classifiers`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.nets import classifiers

NET = classifiers.ClipClassifier(
    {'way': 2}, {'place': 1}, channels=8, features=8, hidden=8,
    head_features=8)


@pytest.fixture(params=classifiers.NETWORKS)
def net(request):
  return NET.clone(network=request.param)


def _walks(seed, count=32, frames=5):
  """A bright bar that walks to the right (1) or to the left (0)."""
  rng = np.random.default_rng(seed)
  way = rng.integers(0, 2, count)
  start = rng.integers(2, 6, (count, 1))
  place = (start + np.where(way, 1, -1)[:, None] * np.arange(frames)) % 8
  x = (np.arange(8) == place[..., None]).astype(np.float32)
  x = np.broadcast_to(x[:, :, None, :, None], (count, frames, 8, 8, 1))
  return np.ascontiguousarray(x), way


def test_the_way_of_a_motion_is_learned():
  # No single frame tells it, nor does any set of frames without their order.
  net = NET.clone(network='r2plus1d')
  x, way = _walks(0)
  mask = np.ones(x.shape[:2], bool)
  params = jax.jit(net.init)(jax.random.key(0), x, mask)
  tx = optax.adam(1e-2)

  @jax.jit
  def step(params, state, x, way):
    def loss(params):
      logits = net.apply(params, x, mask)['way']
      return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(
          logits, way))
    updates, state = tx.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state

  state = jax.jit(tx.init)(params)
  for i in range(80):
    params, state = step(params, state, *_walks(i))
  x, way = _walks(1000, count=200)
  mask = np.ones(x.shape[:2], bool)
  guess = jax.jit(lambda x: jnp.argmax(
      net.apply(params, x, mask)['way'], axis=-1))
  assert np.mean(guess(x) == way) > 0.95
  assert np.mean(guess(x[:, ::-1]) == 1 - way) > 0.95


def test_padding_does_not_matter(net):
  x, _ = _walks(0, count=3)
  params = jax.jit(net.init)(
      jax.random.key(0), x, np.ones(x.shape[:2], bool))
  apply = jax.jit(functools.partial(net.apply, params))
  alone = apply(x[:, :3], np.ones((3, 3), bool))
  padded = apply(x, np.broadcast_to(np.arange(5) < 3, (3, 5)))
  np.testing.assert_allclose(padded['way'], alone['way'], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
      padded['place'][:, :3], alone['place'], rtol=1e-4, atol=1e-5)
  assert np.ptp(alone['way']) > 1e-2


def test_an_unknown_network_is_refused():
  with pytest.raises(ValueError, match="'lstn'.*lstm, r2plus1d"):
    NET.clone(network='lstn').init(
        jax.random.key(0), jnp.zeros((1, 2, 8, 8, 1)), jnp.ones((1, 2), bool))
