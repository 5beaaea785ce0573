"""Tests of `training.parallel`: every driver gives the same numbers."""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs import diffsda_mug
from configs import diffsda_voxceleb
from configs import prior
from seqdiff import build
from seqdiff import run
from seqdiff.core import keys
from seqdiff.training import parallel
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step


class _Net(nn.Module):
  """Estimates a clip from a noisy one, frame by frame."""

  @nn.compact
  def __call__(self, x):
    frames = x.reshape(x.shape[:2] + (-1,))
    hidden = nn.tanh(nn.Dense(64, name='hidden')(frames))
    return nn.Dense(48, name='out')(hidden).reshape(x.shape)


class _Denoise:
  """A method with noise keyed by example."""

  def init(self, key, batch):
    return _Net().init(key, batch['x'])

  def loss(self, params, batch, key, *, step, train):
    del step, train
    x = batch['x']
    noisy = x + 0.5 * keys.normal(key, batch['index'], x.shape[1:])
    error = jnp.square(_Net().apply(params, noisy) - x)
    return jnp.mean(error, axis=(1, 2, 3, 4)), {}


def _batch(toy, step):
  rng = np.random.default_rng(step)
  x = rng.integers(0, 256, (16, 2, 4, 4, 3), dtype=np.uint8)
  return toy.make_batch(x, num_real=16 - step, start=16 * step)


def _setup(toy):
  tx = optax.adamw(1e-2)
  create = functools.partial(
      train_state.create, _Denoise(), tx, _batch(toy, 0), seed=1, ema=True)
  body = functools.partial(
      train_step.train_step, method=_Denoise(), tx=tx, ema_decay=0.9)
  return create, body


def _run(toy, driver, num_steps=3):
  create, body = _setup(toy)
  state, update = driver.init(create), driver.compile_train(body)
  losses = []
  for step in range(num_steps):
    state, metrics = update(state, driver.put(_batch(toy, step)))
    losses.append(float(metrics['loss']))
  return state, losses


@pytest.fixture(scope='module')
def reference():
  """Results of plain `jit` on one device, by the first test that needs it."""
  return {}


@pytest.mark.parametrize('count', [1, 4, 8])
@pytest.mark.parametrize('name, fsdp', [
    ('pmap', False), ('mesh', False), ('mesh', True)])
def test_drivers_agree_with_jit_on_one_device(
    toy, reference, name, fsdp, count):
  if not reference:
    create, body = _setup(toy)
    state, update, losses = jax.jit(create)(), jax.jit(body), []
    for step in range(3):
      state, metrics = update(state, _batch(toy, step))
      losses.append(float(metrics['loss']))
    reference['state'], reference['losses'] = jax.device_get(state), losses
  devices = jax.devices()[:count]
  assert len(devices) == count
  driver = parallel.make_parallel(name, fsdp=fsdp, devices=devices)
  state, losses = _run(toy, driver)
  np.testing.assert_allclose(losses, reference['losses'], rtol=1e-5)
  # An update is at most 1e-2; rounding moves it by well under a thousandth.
  jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
      driver.host(state), reference['state'])
  kernel = state.params['params']['out']['kernel']  # (64, 48)
  held = kernel.addressable_shards[0].data.size
  assert held == 64 * 48 // (count if fsdp else 1)
  moment = optax.tree.get(state.opt_state, 'mu')['params']['out']['kernel']
  assert moment.addressable_shards[0].data.size == held


@pytest.mark.parametrize('name, fsdp', [
    ('pmap', False), ('mesh', False), ('mesh', True)])
def test_only_the_first_step_compiles(toy, name, fsdp, caplog):
  driver = parallel.make_parallel(name, fsdp=fsdp)
  create, body = _setup(toy)
  state, update = driver.init(create), driver.compile_train(body)

  def turn(step, state):
    state, metrics = update(state, driver.put(_batch(toy, step)))
    jax.device_get((metrics, driver.plain(state)))
    return state

  with jax.log_compiles():
    state = turn(0, state)
    assert 'Compiling' in caplog.text
    caplog.clear()
    turn(2, turn(1, state))
    assert 'Compiling' not in caplog.text


@pytest.mark.parametrize('name, fsdp', [
    ('pmap', False), ('mesh', False), ('mesh', True)])
def test_plain_and_place_are_inverse_and_lie_as_abstract_says(
    toy, name, fsdp):
  driver = parallel.make_parallel(name, fsdp=fsdp)
  create, _ = _setup(toy)
  state = driver.init(create)
  plain = driver.plain(state)
  jax.tree.map(np.testing.assert_array_equal, plain, jax.jit(create)())
  again = driver.place(plain)
  jax.tree.map(np.testing.assert_array_equal, state, again)
  same = lambda a, b: a.sharding.is_equivalent_to(b.sharding, a.ndim)
  assert jax.tree.all(jax.tree.map(same, plain, driver.abstract(create)))
  assert jax.tree.all(jax.tree.map(same, state, again))


@pytest.mark.parametrize('name', ['pmap', 'mesh'])
@pytest.mark.parametrize(
    'size, advice', [(12, '8 or 16'), (6, '8'), (17, '16 or 24')])
def test_indivisible_batch_says_which_sizes_would_do(toy, name, size, advice):
  batch = toy.make_batch(np.zeros((size, 2, 1), np.float32))
  message = f'{size} and there are 8 devices.*multiple of 8.*size to {advice},'
  with pytest.raises(ValueError, match=message):
    parallel.make_parallel(name).put(batch)


def _voxceleb():
  config = diffsda_voxceleb.get_config()
  del config.first_stage  # Its weights are no part of the state.
  return config, build.method


def _prior_of_mug():
  mug = diffsda_mug.get_config()
  return prior.get_config(), lambda config: build.prior(
      config, static_dim=mug.method.static_dim,
      dynamic_dim=mug.method.dynamic_dim, num_frames=mug.data.num_frames)


@pytest.mark.parametrize('make, shape, millions', [
    (lambda: (diffsda_mug.get_config(), build.method), (15, 64, 64, 3), 26),
    (_voxceleb, (10, 32, 32, 4), 217), (_prior_of_mug, (1, 1216), 300)],
    ids=['mug', 'voxceleb', 'prior'])
def test_split_state_of_a_large_model_is_an_eighth_on_each_device(
    make, shape, millions):
  config, build_method = make()
  batch = {'x': np.zeros((1, *shape), np.float32),
           'mask': np.ones((1, shape[0]), bool), 'index': np.zeros(1, np.int32),
           'example_mask': np.ones(1, bool)}
  create = functools.partial(
      train_state.create, build_method(config), run.optimizer(config), batch,
      seed=0, ema=True)
  size = lambda shape, a: math.prod(shape) * a.dtype.itemsize
  held, whole = np.sum([
      (size(a.sharding.shard_shape(a.shape), a), size(a.shape, a))
      for a in jax.tree.leaves(parallel.Mesh(fsdp=True).abstract(create))], 0)
  assert whole > 4 * 4 * millions * 1e6  # Parameters, average, two moments.
  assert held <= whole / 7


@pytest.mark.parametrize('name, fsdp', [
    ('pmap', False), ('mesh', False), ('mesh', True)])
def test_an_update_leaves_nothing_of_the_old_state(toy, name, fsdp):
  driver = parallel.make_parallel(name, fsdp=fsdp)
  create, body = _setup(toy)
  old = driver.init(create)
  new, _ = driver.compile_train(body)(old, driver.put(_batch(toy, 0)))
  gone = jax.tree.map(lambda a: a.is_deleted(), (old.params, old.opt_state))
  assert jax.tree.all(gone)
  assert not any(a.is_deleted() for a in jax.tree.leaves(new))


def test_indivisible_parts_are_named():
  driver = parallel.make_parallel('mesh', devices=jax.devices()[:4])
  driver.check_batch_size(24, num_parts=3)
  with pytest.raises(ValueError, match=(
      '20 and there are 4 devices of 3 parts .train.num_parts.*of 12: .*'
      '12 or 24, or use fewer devices or parts')):
    driver.check_batch_size(20, num_parts=3)


def test_unknown_driver_and_split_copies_are_refused():
  with pytest.raises(ValueError, match="'pmpa'.*mean 'pmap'.*mesh, pmap"):
    parallel.make_parallel('pmpa')
  with pytest.raises(ValueError, match="fsdp is True.*'pmap'.*to 'mesh'"):
    parallel.make_parallel('pmap', fsdp=True)
