"""Imputation: known values stay, and only they decide about the others."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs.common import series
from seqdiff import build
from seqdiff.core import keys
from seqdiff.diffusion import samplers
from seqdiff.methods import base
from seqdiff.methods import diffsda
from seqdiff.sampling import impute
from seqdiff.sampling import noise

KEY = jax.random.key(4)


def _batch():
  """Three series of six steps and four variables, with gaps and padding."""
  rng = np.random.default_rng(0)
  mask = np.arange(6)[None] < np.array([[6], [4], [6]])
  observed = (rng.uniform(size=(3, 6, 4)) < 0.6) & mask[..., None]
  observed[0, 2:4] = False
  x = rng.normal(size=(3, 6, 4)).astype(np.float32)
  return {'x': np.where(observed, x, 0), 'observed': observed, 'mask': mask,
          'index': np.arange(7, 10, dtype=np.int32)}


@dataclasses.dataclass(frozen=True)
class Exact:
  """The exact denoiser of two variables, N(0, 1) with this correlation."""

  correlation: float
  solver: diffsda.Solver = diffsda.Solver()

  def encode(self, params, x, mask):
    del params, mask
    return base.Factors(static=x[:, 0], dynamic=x)

  def denoise_fn(self, params, factors):
    del params, factors
    cov = jnp.array([[1.0, self.correlation], [self.correlation, 1.0]])

    def denoise(x, sigma):
      return x @ jnp.linalg.solve(cov + sigma**2 * jnp.eye(2), cov)

    return denoise


class Follower(Exact):
  """A denoiser that takes the second variable for the first without its noise.
  """

  def denoise_fn(self, params, factors):
    # All clips of the batch have one number, and so one noise.
    index = jnp.zeros(len(factors.static), jnp.int32)
    eps = keys.normal(KEY, index, (1, 2))[..., :1]
    return lambda x, sigma: jnp.broadcast_to(
        x[..., :1] - sigma * eps, x.shape)


@dataclasses.dataclass(frozen=True)
class Sum:
  """Decodes the codes at once: their sum and x_T."""

  def encode(self, params, x, mask):
    del params
    return base.Factors(static=jnp.sum(x, axis=1), dynamic=x)

  def decode(self, params, factors, x_init):
    return factors.static[:, None] + params + x_init


@pytest.fixture(scope='module')
def real():
  """DiffSDA with the networks of series, made small, random weights."""
  config = series.get_config()
  config.method.update(variables=4, static_dim=3, dynamic_dim=2, hidden=5)
  config.method.encoder.width = config.method.denoiser.width = 8
  config.sampler.update(num_steps=4, sigma_max=10.0)
  method = build.method(config)
  rng = np.random.default_rng(2)
  params = jax.tree.map(
      lambda a: (0.3 * rng.normal(size=a.shape)).astype(np.float32),
      jax.eval_shape(method.init, KEY, _batch()))
  return method, params


@pytest.mark.parametrize('guess', impute.GUESSES)
def test_known_values_come_back_and_hidden_ones_have_no_influence(real, guess):
  method, params = real
  batch, known = _batch(), _batch()['observed']
  fill = impute.make_impute(method, guess=guess)
  found = fill(params, batch, KEY)
  np.testing.assert_array_equal(np.where(known, found, 0), batch['x'])
  assert np.abs(np.where(known, 1, found)).min() > 1e-4  # All are filled.
  for other in 100.0, np.nan:
    changed = {**batch, 'x': np.where(known, batch['x'], np.float32(other))}
    np.testing.assert_array_equal(fill(params, changed, KEY), found)
  known_changed = {**batch, 'x': np.where(known, batch['x'] + 1, 0)}
  difference = np.abs(fill(params, known_changed, KEY) - found)
  assert np.where(known, 1, difference)[batch['mask']].min() > 1e-5


def test_step_of_which_nothing_is_known_is_decoded_from_its_codes(real):
  method, params = real
  batch = _batch()
  found = impute.make_impute(method, guess='zero')(params, batch, KEY)
  factors = method.encode(params, batch['x'], batch['mask'])
  x_init = noise.fresh('fresh_shared', KEY, batch['index'], (6, 4))
  decoded = jax.jit(method.decode)(params, factors, x_init)
  np.testing.assert_allclose(found[0, 2:4], decoded[0, 2:4], atol=1e-5)
  assert np.abs(found - decoded)[0, [0, 1, 4, 5]].max() > 0.1


@pytest.mark.parametrize('solver', samplers.SOLVERS)
def test_known_values_are_noised_along_a_line_in_every_solver(solver):
  method = Follower(0.0, diffsda.Solver(solver, num_steps=9, sigma_min=0.5))
  x = np.random.default_rng(1).normal(size=(3, 5, 2)).astype(np.float32)
  known = np.broadcast_to([True, False], x.shape)
  batch = {'x': x, 'observed': known, 'mask': known[..., 0],
           'index': np.zeros(3, np.int32)}
  found = impute.make_impute(method)(None, batch, KEY)
  np.testing.assert_allclose(found[..., 1], x[..., 0], atol=1e-3)


@pytest.mark.parametrize('sign', [1, -1])
def test_known_values_steer_those_of_their_step(sign):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(200, 1, 2)).astype(np.float32)
  known = np.broadcast_to([True, False], x.shape)
  batch = {'x': x, 'observed': known, 'mask': known[..., 0],
           'index': np.arange(200)}
  found = np.asarray(
      impute.make_impute(Exact(0.98 * sign))(None, batch, KEY))[:, 0]
  # 0.98 would be exact; a simulation in numpy (4,000 draws) gave 0.63.
  slope = np.mean(found[:, 0] * found[:, 1]) / np.mean(found[:, 0]**2)
  assert 0.5 < sign * slope < 0.75


@pytest.mark.parametrize('guess', impute.GUESSES)
def test_method_without_denoiser_decodes_its_codes(guess):
  batch = _batch()
  found = impute.make_impute(Sum(), x_T='fresh', guess=guess)(0.5, batch, KEY)
  x_init = keys.normal(KEY, batch['index'], (6, 4))
  seen = batch['x'] if guess == 'zero' else np.where(
      batch['mask'][..., None],
      impute.interpolate(batch['x'], batch['observed']), 0)
  expected = seen.sum(axis=1, keepdims=True) + 0.5 + x_init
  np.testing.assert_allclose(
      found, np.where(batch['observed'], batch['x'], expected), atol=1e-6)


def test_result_does_not_depend_on_the_batch_around_it(real):
  method, params = real
  batch = _batch()
  fill = impute.make_impute(method)
  alone = fill(params, {k: v[1:2] for k, v in batch.items()}, KEY)
  np.testing.assert_allclose(
      alone[0], fill(params, batch, KEY)[1], atol=1e-5)


@pytest.mark.parametrize('options, message', [
    ({'x_T': 'encoded'}, "x_T 'encoded'. Known: fresh, fresh_shared"),
    ({'guess': 'mean'}, "guess 'mean'. Known: interpolation, zero")])
def test_unknown_names_are_refused(options, message):
  with pytest.raises(ValueError, match=message):
    impute.make_impute(Sum(), **options)


def test_interpolation_is_that_of_numpy_and_by_hand():
  x = np.array([9.0, 9, 2, 9, 6, 9], np.float32)
  known = np.array([False, False, True, False, True, False])
  found = impute.interpolate(
      np.stack([x, x], 1)[None], np.stack([known, known & False], 1)[None])
  np.testing.assert_allclose(
      found, [[[2, 0], [2, 0], [2, 0], [4, 0], [6, 0], [6, 0]]])
  batch = _batch()
  known, found = batch['observed'], impute.interpolate(
      batch['x'], batch['observed'])
  for b, d in np.argwhere(known.any(1)):
    steps = np.flatnonzero(known[b, :, d])
    np.testing.assert_allclose(
        found[b, :, d],
        np.interp(np.arange(6), steps, batch['x'][b, steps, d]), rtol=1e-5)
