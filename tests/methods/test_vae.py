"""Tests of `methods.vae`.

With a linear decoder whose values depend on one code each, the exact posteriors
are Gaussian and independent, and the loss is -log p(x) per value.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from configs import vae_physionet
from seqdiff import build
from seqdiff.data import loader
from seqdiff.methods import base
from seqdiff.methods import vae
from seqdiff.sampling import codes

KEY = jax.random.key(4)
STEPS, A, B = 5, 0.8, 1.3  # The values of a step: A d_t + eps, B s + eps.
NO_PARAMS = {'encoder': None, 'decoder': None}


@dataclasses.dataclass(frozen=True)
class Exact:
  """The posteriors of the codes: means, and log variances (plus 4)."""

  def apply(self, params, x, mask, train=False, rngs=None):
    del params, train, rngs
    seen = (x != 0) & mask[..., None]
    var_d = 1.0 / (1.0 + A**2 * seen[..., 0])
    var_s = 1.0 / (1.0 + B**2 * jnp.sum(seen[..., 1], axis=1))
    dynamic = jnp.stack([A * var_d * x[..., 0], 4.0 + jnp.log(var_d)], axis=-1)
    static = jnp.stack(
        [B * var_s * jnp.sum(x[..., 1], axis=1), 4.0 + jnp.log(var_s)], axis=-1)
    return static, dynamic


@dataclasses.dataclass(frozen=True)
class Linear:
  """The decoder."""

  def apply(self, params, static, dynamic, train=False, rngs=None):
    del params, train, rngs
    s = jnp.broadcast_to(static[:, None], dynamic.shape)
    return jnp.concatenate([A * dynamic, B * s], axis=-1)


def _batch(copies=1):
  """Series with missing values; the last step is padding."""
  x = np.random.default_rng(0).normal(size=(STEPS + 1, 2)).astype(np.float32)
  observed = np.ones((STEPS + 1, 2), bool)
  observed[[1, 2, 3, STEPS, STEPS], [0, 0, 1, 0, 1]] = False
  item = {'x': np.where(observed, x, 0),
          'mask': np.arange(STEPS + 1) < STEPS, 'observed': observed}
  return next(loader.eval_batches(
      [item] * copies, batch_size=copies, num_frames=STEPS + 1))


def _junk():
  """The batch with values where nothing was measured, and in the padding."""
  batch = _batch()
  junk = 1e3 * np.random.default_rng(5).normal(size=batch['x'].shape)
  return {**batch, 'x': np.where(
      batch['observed'], batch['x'], junk).astype(np.float32)}


@functools.partial(jax.jit, static_argnums=0, static_argnames='train')
def _loss(method, batch, *, params=None, train=True):
  params = NO_PARAMS if params is None else params
  return method.loss(params, batch, KEY, step=jnp.int32(0), train=train)


@pytest.fixture(scope='module')
def real():
  """The networks of a config, made small, with random parameters."""
  config = vae_physionet.get_config()
  config.method.update(
      variables=2, static_dim=3, dynamic_dim=2, hidden=4, frames_per_step=3)
  config.method.encoder.width = config.method.decoder.width = 8
  method = build.method(config)
  rng = np.random.default_rng(2)
  abstract = jax.eval_shape(method.init, KEY, _batch())
  assert set(abstract) == set(NO_PARAMS)
  return method, jax.tree.map(
      lambda a: (0.5 * rng.normal(size=a.shape)).astype(np.float32), abstract)


def test_loss_is_the_evidence_of_a_value_under_exact_posteriors():
  method = vae.VAE(
      encoder=Exact(), decoder=Linear(), static_kl=1.0, dynamic_kl=1.0)
  batch = _batch(copies=20_000)
  total, parts = _loss(method, batch)
  x, seen = batch['x'][0].astype(np.float64), batch['observed'][0]
  d, s = (x[seen[:, i], i] for i in (0, 1))
  evidence = stats.norm.logpdf(d, scale=np.hypot(1.0, A)).sum()
  evidence += stats.multivariate_normal.logpdf(
      s, cov=np.eye(len(s)) + B**2 * np.ones((len(s), len(s))))
  np.testing.assert_allclose(
      np.mean(total), -evidence / seen.sum(), rtol=5e-3)
  assert set(parts) == {'nll', 'static_kl', 'dynamic_kl'}
  # The weights are beta.
  half = dataclasses.replace(method, static_kl=0.5, dynamic_kl=0.25)
  _, less = _loss(half, _batch(copies=2))
  np.testing.assert_allclose(
      less['static_kl'], 0.5 * parts['static_kl'][:2], rtol=1e-6)
  np.testing.assert_allclose(
      less['dynamic_kl'], 0.25 * parts['dynamic_kl'][:2], rtol=1e-6)


def test_codes_are_drawn_in_training_only():
  method = vae.VAE(
      encoder=Exact(), decoder=Linear(), static_kl=1.0, dynamic_kl=1.0)
  nll = lambda train: _loss(method, _batch(copies=3), train=train)[1]['nll']
  assert np.ptp(nll(True)) > 1e-2
  np.testing.assert_array_equal(nll(False), nll(False)[:1].repeat(3))


def test_frames_that_are_drawn_leave_the_mean_of_the_loss_as_it_is():
  method = vae.VAE(
      encoder=Exact(), decoder=Linear(), static_kl=1.0, dynamic_kl=1.0)
  batch = {k: np.repeat(a, 4000, axis=0) for k, a in _batch().items()}
  batch['index'] = np.arange(4000)  # Each copy draws for itself.
  batch['x'][:, 0] *= 50  # Of this step both values were measured.
  whole, some = (
      np.asarray(_loss(m, batch)[1]['nll'], np.float64)
      for m in (method, dataclasses.replace(method, frames_per_step=1)))
  error = np.hypot(whole.std(), some.std()) / 4000**0.5
  assert abs(some.mean() - whole.mean()) < 4 * error


@pytest.mark.parametrize('train', [True, False])
def test_what_is_missing_or_padded_changes_no_loss(real, train):
  method, params = real
  loss = jax.jit(
      lambda batch: _loss(method, batch, params=params, train=train)[0])
  np.testing.assert_array_equal(loss(_junk()), loss(_batch()))


def test_what_is_missing_or_padded_changes_no_code(real):
  method, params = real
  encode = codes.make_encode(method)
  junk, clean = (encode(params, batch, None) for batch in (_junk(), _batch()))
  np.testing.assert_array_equal(junk.static, clean.static)
  np.testing.assert_array_equal(junk.dynamic, clean.dynamic)


def test_padding_changes_no_code(real):
  method, params = real
  batch, encode = _batch(), jax.jit(method.encode)
  padded = encode(params, batch['x'], batch['mask'])
  alone = encode(params, batch['x'][:, :STEPS], batch['mask'][:, :STEPS])
  np.testing.assert_allclose(padded.static, alone.static, rtol=1e-5)
  np.testing.assert_allclose(
      padded.dynamic[:, :STEPS], alone.dynamic, rtol=1e-5)


def test_config_s_beta_is_the_weight_of_both_divergences():
  config = vae_physionet.get_config()
  config.method.beta = 0.7
  method = build.method(config)
  assert (method.static_kl, method.dynamic_kl) == (0.7, 0.7)
  assert method.encoder.head.static_dim == 2 * config.method.static_dim
  assert method.encoder.head.dynamic_dim == 2 * config.method.dynamic_dim


def test_swap_decodes_the_codes_that_it_was_given():
  method = vae.VAE(encoder=Exact(), decoder=Linear())
  rng = np.random.default_rng(1)
  a, b = (base.Factors(static=rng.normal(size=(2, 1)),
                       dynamic=rng.normal(size=(2, 4, 1))) for _ in range(2))
  x = method.decode(NO_PARAMS, base.swap(a, b), np.zeros((2, 4, 2)))
  np.testing.assert_allclose(x[..., 0], A * b.dynamic[..., 0], rtol=1e-6)
  np.testing.assert_allclose(
      x[..., 1], np.repeat(B * a.static, 4, axis=1), rtol=1e-6)


def test_start_of_a_sampler_has_no_influence(real):
  method, params = real
  batch = _batch()
  factors = method.encode(params, batch['x'], batch['mask'])
  start = method.invert(params, factors, batch['x'])
  np.testing.assert_array_equal(start, np.zeros_like(batch['x']))
  np.testing.assert_array_equal(
      method.decode(params, factors, start),
      method.decode(params, factors, batch['x']))
