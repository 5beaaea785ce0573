"""Tests of `methods.prior`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.core import keys
from seqdiff.diffusion import ddpm
from seqdiff.methods import base
from seqdiff.methods import prior

KEY = jax.random.key(0)
SMALL = prior.Prior(
    static_dim=3, dynamic_dim=2, num_frames=4, layers=3, expand=2, num_steps=50,
    diffusion=ddpm.DDPM('half_line', norm='l2'))
INDEX = jnp.arange(5)


def _factors(seed=0):
  rng = np.random.default_rng(seed)
  return base.Factors(static=rng.normal(size=(5, 3)).astype(np.float32),
                      dynamic=rng.normal(size=(5, 4, 2)).astype(np.float32))


def _params(model):
  batch = {'x': jnp.zeros((1, 1, model.size))}
  shapes = jax.eval_shape(model.init, KEY, batch)
  rng = np.random.default_rng(1)
  return jax.tree.map(
      lambda a: 0.3 * rng.normal(size=a.shape).astype(np.float32), shapes)


def test_size_is_that_of_the_paper():
  """MUG: D = 256 + 15 * 64 = 1216, and 206 D^2 weights and some biases."""
  mug = prior.Prior(static_dim=256, dynamic_dim=64, num_frames=15)
  shapes = jax.eval_shape(mug.init, KEY, {'x': jnp.zeros((1, 1, 1216))})
  count = sum(np.prod(a.shape) for a in jax.tree.leaves(shapes))
  d = 1216
  biases = (9 * 4 + 1 + 9 * 4 + 2) * d + 9 * 2 * 4 * d + 64 * d
  assert count == 206 * d**2 + biases


def test_the_static_code_stands_first_and_nothing_is_lost():
  factors = _factors()
  z = SMALL.join(factors)
  np.testing.assert_array_equal(z[:, 0, :3], factors.static)
  np.testing.assert_array_equal(z[:, 0, 3:5], factors.dynamic[:, 0])
  jax.tree.map(np.testing.assert_array_equal, SMALL.split(z), factors)


def test_loss_is_the_squared_error_of_the_noise():
  params, z = _params(SMALL), SMALL.join(_factors())
  batch = {'x': z, 'index': INDEX}
  loss, _ = SMALL.loss(params, batch, KEY, step=jnp.int32(0), train=False)
  t = SMALL.diffusion.sample_t(keys.named(KEY, 't'), INDEX, 1)
  eps = keys.normal(keys.named(KEY, 'eps'), INDEX, (1, 11))
  abar = SMALL.diffusion.alpha_bar[np.asarray(t)][..., None]
  noised = np.sqrt(abar) * z + np.sqrt(1 - abar) * eps
  output = SMALL.net.apply(
      params, noised[:, 0].astype(np.float32), t[:, 0])
  np.testing.assert_allclose(
      loss, np.mean((output - eps[:, 0]) ** 2, axis=1), rtol=1e-4)


def _influence(model):
  """Which parts (static, dynamic) of the output see the static code."""
  params, z = _params(model), SMALL.join(_factors())[:, 0]
  t = jnp.full(5, 7)
  moved = z.at[:, :3].add(1.0)
  change = np.abs(model.net.apply(params, moved, t)
                  - model.net.apply(params, z, t)).max(axis=0)
  return change[:3].max() > 1e-4, change[3:].max() > 1e-4


def test_independent_codes_do_not_see_each_other():
  assert _influence(SMALL) == (True, True)
  assert _influence(
      dataclasses.replace(SMALL, independent=True)) == (True, False)


MEAN = np.array([0.5, -0.5, 0.25] + 8 * [0.6])


class Gaussian(prior.Prior):
  """The exact noise of Gaussian codes.

  Less their mean, d = s_1 / 2 + 0.5 noise. At the last level no signal is left.
  """

  @property
  def covariance(self):
    """(D, D), of unit variance of s."""
    mix = np.eye(11)
    mix[3:] = np.concatenate([
        np.full((8, 1), 0.5), np.zeros((8, 2)), 0.5 * np.eye(8)], axis=1)
    return mix @ mix.T

  def _net(self, params, key=None):
    cov = jnp.asarray(self.covariance, jnp.float32)

    # eps = sqrt(1 - abar) (abar C + (1 - abar) I)^-1 (z - sqrt(abar) mean).
    def net(z, t):
      abar = jnp.asarray(self.diffusion.alpha_bar, jnp.float32)[t[0, 0]]
      inverse = jnp.linalg.inv(abar * cov + (1 - abar) * jnp.eye(11))
      mean = jnp.asarray(MEAN, jnp.float32)[None, None]
      return jnp.sqrt(1 - abar) * (z - jnp.sqrt(abar) * mean) @ inverse

    return net


EXACT = Gaussian(static_dim=3, dynamic_dim=2, num_frames=4, num_steps=200,
                 diffusion=ddpm.DDPM('line', norm='l2'))


@pytest.mark.parametrize('eta', [0.0, 0.5, 1.0])
def test_samples_have_the_mean_and_the_covariance_of_the_codes(eta):
  exact = dataclasses.replace(EXACT, eta=eta)
  z = exact.join(exact.sample(None, KEY, jnp.arange(4000)))[:, 0]
  np.testing.assert_allclose(np.mean(z, axis=0), MEAN, atol=0.06)
  np.testing.assert_allclose(np.cov(z.T), EXACT.covariance, atol=0.1)


def test_eta_adds_noise():
  params = _params(SMALL)
  draw = lambda eta: SMALL.join(dataclasses.replace(SMALL, eta=eta).sample(
      params, KEY, INDEX))
  assert np.abs(draw(0.0) - draw(1.0)).max() > 1e-2
  with pytest.raises(ValueError, match='sampler.eta=1.5; expected 0 .DDIM'):
    dataclasses.replace(SMALL, eta=1.5)


def test_a_kind_that_is_kept_stays_and_the_other_goes_with_it():
  count = 2000
  s = np.zeros((count, 3), np.float32)
  s[:, 0] = 2.0
  known = base.Factors(static=s, dynamic=np.zeros((count, 4, 2), np.float32))
  found = EXACT.sample(
      None, KEY, jnp.arange(count), known=known, keep='static')
  np.testing.assert_array_equal(found.static, s)
  # Given s_1 = 2 their mean moves by 0.75; replacement goes a part of the way.
  assert 0.35 < np.mean(found.dynamic) - 0.6 < 0.75
  free = EXACT.sample(None, KEY, jnp.arange(count))
  assert abs(np.mean(free.dynamic) - 0.6) < 0.1
  kept = EXACT.sample(
      None, KEY, jnp.arange(count), known=known, keep='dynamic')
  np.testing.assert_array_equal(kept.dynamic, known.dynamic)


def test_each_clip_has_its_own_sample_in_any_batch():
  params = _params(SMALL)
  both = SMALL.sample(params, KEY, jnp.array([3, 8]))
  one = SMALL.sample(params, KEY, jnp.array([8]))
  np.testing.assert_allclose(both.static[1], one.static[0], rtol=1e-4)
  assert np.abs(both.static[0] - both.static[1]).max() > 1e-3


@pytest.mark.parametrize('known, keep, message', [
    (None, 'static', 'keep=static without known codes'),
    (_factors(), None, 'keep=None with known codes'),
    (_factors(), 'both', "Unknown kind of code 'both'"),
])
def test_what_is_kept_must_be_known(known, keep, message):
  with pytest.raises(ValueError, match=message):
    SMALL.sample(None, KEY, INDEX, known=known, keep=keep)
