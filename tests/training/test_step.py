"""Tests of `training.step`, by the closed form of the toy method."""

import functools
import types

import jax
import numpy as np
import optax
import pytest

from seqdiff.training import parallel
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step


def _setup(method, batch, driver, *, ema_decay=None, learning_rate=0.1,
           num_parts=1, clip_norm=None):
  tx = optax.sgd(learning_rate)
  create = functools.partial(
      train_state.create, method, tx, batch, seed=0, ema=ema_decay is not None)
  update = driver.compile_train(
      functools.partial(
          train_step.train_step, method=method, tx=tx, ema_decay=ema_decay,
          num_parts=num_parts, clip_norm=clip_norm))
  return driver.init(create), update


def _one_device():
  return parallel.Mesh(devices=jax.devices()[:1])


def test_two_updates_and_their_average_by_hand(toy):
  # x = 1, w = 0: loss 1/2, gradient -1, w = 0.1, average 0.5 * 0 + 0.5 * 0.1.
  # Then loss 0.9^2 / 2, gradient -0.9, w = 0.19, average 0.025 + 0.095.
  batch = toy.make_batch(np.ones((4, 2, 1), np.float32))
  driver = _one_device()
  state, update = _setup(toy.Target(), batch, driver, ema_decay=0.5)
  expected = [(0.5, 1.0, 0.1, 0.05), (0.405, 0.9, 0.19, 0.12)]
  for number, (loss, grad_norm, w, average) in enumerate(expected, start=1):
    state, metrics = update(state, driver.put(batch))
    np.testing.assert_allclose(metrics['loss'], loss, rtol=1e-6)
    np.testing.assert_allclose(metrics['twice'], 2 * loss, rtol=1e-6)
    np.testing.assert_allclose(metrics['grad_norm'], grad_norm, rtol=1e-6)
    np.testing.assert_allclose(metrics['param_norm'], w, rtol=1e-6)
    np.testing.assert_allclose(state.params['w'], [w], rtol=1e-6)
    np.testing.assert_allclose(state.ema_params['w'], [average], rtol=1e-6)
    assert int(state.step) == number


@pytest.mark.parametrize('clip_norm, clipped', [
    (0.95, [1.0, 0.0]), (1.1, [0.0, 0.0]), (None, [None, None])])
def test_gradients_that_are_clipped_are_told(toy, clip_norm, clipped):
  batch = toy.make_batch(np.ones((4, 2, 1), np.float32))
  driver = _one_device()
  state, update = _setup(toy.Target(), batch, driver, clip_norm=clip_norm)
  for expected in clipped:  # The norms are 1 and 0.9, as above.
    state, metrics = update(state, driver.put(batch))
    assert metrics.get('clipped') == expected


def test_clips_of_bytes_reach_the_loss_as_floats_in_minus_one_to_one(toy):
  batch = toy.make_batch(np.full((4, 2, 1), 255, np.uint8))
  driver = _one_device()
  state, update = _setup(toy.Target(), batch, driver)
  _, metrics = update(state, driver.put(batch))
  np.testing.assert_allclose(metrics['loss'], 0.5, rtol=1e-6)  # As for x = 1.


@pytest.mark.parametrize(
    'name, count', [('mesh', 1), ('mesh', 4), ('pmap', 1), ('pmap', 4)])
def test_padded_examples_change_neither_metrics_nor_update(toy, name, count):
  x = np.random.default_rng(0).normal(size=(8, 3, 4)).astype(np.float32)
  x[5:] = 1e6
  real = toy.make_batch(x[:5])
  padded = toy.make_batch(x, num_real=5)  # On 4 devices: 2, 2, 1 and 0 real.
  method = toy.Target(noise=0.1)
  results = []
  driver = parallel.make_parallel(name, devices=jax.devices()[:count])
  for driver, batch in ((_one_device(), real), (driver, padded)):
    state, update = _setup(method, batch, driver)
    state, metrics = update(state, driver.put(batch))
    results.append(jax.device_get((driver.plain(state), metrics)))
  jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5), *results)
  mean = x[:5].mean(axis=(0, 1))
  noise = results[0][0].params['w'] / 0.1 - mean  # w = 0.1 * mean target.
  assert 0.0 < np.abs(noise).max() < 0.3


@pytest.mark.parametrize(
    'name, count', [('mesh', 1), ('mesh', 4), ('pmap', 2)])
@pytest.mark.parametrize('backend', ['cpu', 'gpu'])
def test_a_batch_in_parts_is_the_whole_batch(
    toy, name, count, backend, monkeypatch):
  x = np.random.default_rng(0).normal(size=(16, 3, 4)).astype(np.float32)
  batch = toy.make_batch(x, num_real=11)
  whole, parts = [], []
  for num_parts, states in ((1, whole), (4, parts)):
    # On the others it is a loop.
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    driver = parallel.make_parallel(name, devices=jax.devices()[:count])
    state, update = _setup(
        toy.Target(noise=0.3), batch, driver, num_parts=num_parts)
    for _ in range(2):
      state, metrics = update(state, driver.put(batch))
      states += jax.device_get([driver.plain(state), metrics])
  jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7),
      whole, parts)
  seen = []  # How many examples the loss gets at once.
  method = toy.Target()
  state, update = _setup(method, batch, _one_device(), num_parts=4)
  seeing = lambda *args, **kwargs: (
      seen.append(len(args[1]['x'])), method.loss(*args, **kwargs))[1]
  jax.eval_shape(functools.partial(
      train_step.train_step, tx=optax.sgd(0.1), ema_decay=None, num_parts=4,
      method=types.SimpleNamespace(loss=seeing)), state, batch)
  assert set(seen) == {4}


def test_noise_differs_between_steps_and_between_seeds(toy):
  batch = toy.make_batch(np.zeros((4, 2, 3), np.float32))
  driver = _one_device()
  state, update = _setup(
      toy.Target(noise=1.0), batch, driver, learning_rate=0.0)
  other = state.replace(seed=state.seed + 1, step=state.step + 0)
  other = jax.tree.map(lambda a: a.copy(), other)
  losses = []
  for _ in range(2):
    state, metrics = update(state, driver.put(batch))
    losses.append(float(metrics['loss']))
  losses.append(float(update(other, driver.put(batch))[1]['loss']))
  assert len(set(losses)) == 3
