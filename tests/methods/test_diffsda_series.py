"""Tests of `methods.diffsda` on series with values that are missing."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.common import series
from seqdiff import build
from seqdiff.core import keys
from seqdiff.data import loader
from seqdiff.diffusion import edm
from seqdiff.methods import diffsda
from seqdiff.sampling import codes
from seqdiff.sampling import reconstruct
from seqdiff.sampling import swap
from tests.methods import toys

KEY = jax.random.key(3)
HOLES = np.random.default_rng(1).uniform(size=(3, 6, 4)) < 0.3


class Values:
  """An encoder without weights: codes are values of the series."""

  def apply(self, params, x, mask, **kwargs):
    del params, mask, kwargs
    return x[:, 0], x


def _source():
  """Series, partly missing; the second one is padded after four steps."""
  x = np.random.default_rng(0).normal(size=(3, 6, 4)).astype(np.float32)
  mask = np.arange(6)[None] < np.array([[6], [4], [6]])
  observed = ~HOLES & mask[..., None]
  x = np.where(observed, x, 0)
  return [{'x': x[i], 'mask': mask[i], 'observed': observed[i]}
          for i in range(3)]


def _batch():
  return next(loader.eval_batches(_source(), batch_size=3, num_frames=6))


def _junk():
  """The batch with values where nothing was measured, and in the padding."""
  batch = _batch()
  junk = 1e3 * np.random.default_rng(5).normal(size=batch['x'].shape)
  return {**batch, 'x': np.where(
      batch['observed'], batch['x'], junk).astype(np.float32)}


def _loss(method, params, batch, train=True):
  loss, _ = method.loss(params, batch, KEY, step=jnp.int32(0), train=train)
  return loss


@pytest.fixture(scope='module')
def real():
  """The published networks, made small, with random parameters."""
  config = series.get_config()
  config.method.update(variables=4, static_dim=3, dynamic_dim=2, hidden=5)
  config.method.encoder.width = config.method.denoiser.width = 8
  method = build.method(config)
  rng = np.random.default_rng(2)
  params = jax.tree.map(
      lambda a: (0.3 * rng.normal(size=a.shape)).astype(np.float32),
      jax.eval_shape(method.init, KEY, _batch()))
  return method, params


@pytest.mark.parametrize('train, changes', [
    (False, {}), (True, {}),
    (True, {'frames_per_step': 2, 'static_frames': 3, 'centre': True})])
def test_values_that_are_missing_change_no_loss(real, train, changes):
  method, params = real
  method = dataclasses.replace(method, **changes)
  loss = jax.jit(lambda batch: _loss(method, params, batch, train))
  np.testing.assert_array_equal(loss(_junk()), loss(_batch()))


def test_values_that_are_missing_change_no_code(real):
  method, params = real
  encode = codes.make_encode(method)
  junk, clean = (encode(params, batch, None) for batch in (_junk(), _batch()))
  np.testing.assert_array_equal(junk.static, clean.static)
  np.testing.assert_array_equal(junk.dynamic, clean.dynamic)
  # What padding holds is not read, even by who does not know what is missing.
  mask, encode = _batch()['mask'], jax.jit(method.encode)
  x = np.where(mask[..., None], _batch()['x'], _junk()['x'])
  junk, clean = (encode(params, a, mask) for a in (x, _batch()['x']))
  np.testing.assert_array_equal(junk.static, clean.static)
  np.testing.assert_array_equal(junk.dynamic[mask], clean.dynamic[mask])


@pytest.mark.parametrize('x_T', ['fresh_shared', 'encoded'])
def test_values_that_are_missing_change_no_sample(real, x_T):
  method, params = real
  method = dataclasses.replace(method, solver=diffsda.Solver(num_steps=3))
  again = reconstruct.make_reconstruct(method, x_T=x_T)
  np.testing.assert_array_equal(
      again(params, _junk(), KEY), again(params, _batch(), KEY))
  swaps = swap.make_swap(method, x_T='dynamics_clip')
  np.testing.assert_array_equal(
      swaps(params, _junk(), _junk(), KEY),
      swaps(params, _batch(), _batch(), KEY))


def test_padding_has_no_influence_on_a_loss_of_batches_without_gaps(real):
  method, params = real
  loss = jax.jit(lambda batch: _loss(method, params, batch))
  batch, junk = ({k: a for k, a in batch.items() if k != 'observed'}
                 for batch in (_batch(), _junk()))
  junk['x'] = np.where(batch['mask'][..., None], batch['x'], junk['x'])
  np.testing.assert_array_equal(loss(junk), loss(batch))


def test_padding_changes_no_code(real):
  method, params = real
  batch = _batch()
  encode = jax.jit(method.encode)
  padded = encode(params, batch['x'], batch['mask'])
  alone = encode(params, batch['x'][1:2, :4], batch['mask'][1:2, :4])
  np.testing.assert_allclose(padded.static[1:2], alone.static, rtol=1e-5)
  np.testing.assert_allclose(
      padded.dynamic[1:2, :4], alone.dynamic, rtol=1e-5, atol=1e-6)


def test_what_is_missing_gets_no_gradient(real):
  method, params = real
  batch = _batch()
  def loss(x):  # Of the target: what the nets see does not change.
    diffusion = edm.EDM()
    net = lambda noisy, level: jnp.sin(noisy)
    sigma = jnp.ones(x.shape[:2])
    return jnp.sum(diffusion.loss(
        net, x, jnp.zeros_like(x), sigma, batch['observed']))
  grad = np.asarray(jax.grad(loss)(batch['x']))
  assert (grad[~batch['observed']] == 0).all()
  assert (grad[batch['observed']] != 0).all()


@pytest.mark.parametrize('count_missing', [False, True])
def test_loss_is_a_mean_over_what_was_observed_or_over_all(count_missing):
  method = diffsda.DiffSDA(
      encoder=Values(), denoiser=toys.Echo(), count_missing=count_missing)
  batch = _batch()
  x0, seen = batch['x'].astype(np.float64), batch['observed']
  sigma = np.asarray(method.diffusion.sample_sigma(
      keys.named(KEY, 'sigma'), batch['index'], 6), np.float64)[..., None]
  eps = np.asarray(keys.normal(keys.named(KEY, 'eps'), batch['index'], (6, 4)))
  c_skip = 0.25 / (sigma**2 + 0.25)
  weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
  error = seen * weight * (c_skip * (x0 + sigma * eps) - x0) ** 2
  expected = error.mean(axis=(1, 2)) if count_missing else (
      error.sum(axis=(1, 2)) / seen.sum(axis=(1, 2)))
  loss = _loss(method, {'encoder': None, 'denoiser': None}, batch)
  np.testing.assert_allclose(loss, expected, rtol=1e-4)


def test_frames_that_are_drawn_bring_what_was_observed_of_them(real):
  method, params = real
  method = dataclasses.replace(method, frames_per_step=2)
  shown, factors, _ = method._read(params['encoder'], _batch(), KEY, True)
  assert shown['x'].shape == (3, 2, 4) == shown['observed'].shape
  assert factors.dynamic.shape == (3, 2, 2)
  np.testing.assert_array_equal(shown['x'] != 0, shown['observed'])


def test_frames_that_are_drawn_leave_the_mean_of_the_loss_as_it_is():
  method = diffsda.DiffSDA(encoder=Values(), denoiser=toys.Echo())
  batch = {k: np.repeat(a, 3000, axis=0) for k, a in _batch().items()}
  batch['index'] = np.arange(9000)  # Each copy draws for itself.
  some, all_frames = (
      np.asarray(_loss(m, {'encoder': None, 'denoiser': None}, batch),
                 np.float64).reshape(3, 3000)
      for m in (dataclasses.replace(method, frames_per_step=1), method))
  error = np.hypot(some.std(axis=1), all_frames.std(axis=1)) / 3000**0.5
  np.testing.assert_array_less(
      abs(some.mean(axis=1) - all_frames.mean(axis=1)), 4 * error)


def test_samples_of_series_are_not_cut_to_the_range_of_pixels(real):
  method, params = real
  batch = _batch()
  assert np.abs(batch['x']).max() > 1.5
  method = dataclasses.replace(method, solver=diffsda.Solver(num_steps=64))
  again = reconstruct.make_reconstruct(method, x_T='encoded')(
      params, batch, KEY)
  np.testing.assert_allclose(
      np.where(batch['observed'], again, 0), batch['x'], atol=0.02)


@pytest.mark.parametrize('changes, message', [
    ({'recolour': True}, 'recolour=True with method.variables'),
    ({'dtype': 'bfloat16'}, "expected 'float32' and False"),
])
def test_settings_that_suit_no_series_are_refused(changes, message):
  config = series.get_config()
  config.method.update(changes)
  with pytest.raises(ValueError, match=message):
    build.method(config)


def test_the_loss_is_the_mean_of_several_draws_of_noise():
  method = diffsda.DiffSDA(encoder=Values(), denoiser=toys.Echo())
  several = dataclasses.replace(method, noise_draws=3)
  params, batch = {'encoder': None, 'denoiser': None}, _batch()
  each = [_loss(method, params, {**batch, 'index': 3 * batch['index'] + draw})
          for draw in range(3)]
  assert np.std(each, axis=0).min() > 1e-3
  np.testing.assert_allclose(
      _loss(several, params, batch), np.mean(each, axis=0), rtol=1e-5)
  np.testing.assert_array_equal(  # Only training draws anew.
      _loss(several, params, batch, train=False),
      _loss(method, params, batch, train=False))


def test_padding_can_be_read_as_in_the_released_code(real):
  method, params = real
  reads = dataclasses.replace(method, encoder=dataclasses.replace(
      method.encoder, head=method.encoder.head.clone(read_padding=True)))
  batch = _batch()
  ours, theirs = (
      m.encode(params, batch['x'], batch['mask']) for m in (method, reads))
  same = np.isclose(ours.static, theirs.static, rtol=1e-4).all(axis=1)
  np.testing.assert_array_equal(same, [True, False, True])
