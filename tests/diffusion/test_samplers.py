"""Tests of `diffusion.samplers`, on data whose flow is known exactly.

Data x0 ~ N(m, C) with C of eigenvectors v_k and variances s_k^2 has the
denoiser D(x, sigma) = m + C (C + sigma^2 I)^-1 (x - m), and the flow is

  v_k . (x(sigma) - m) ~ sqrt(sigma^2 + s_k^2).

The variances differ, so that the flow bends differently in each direction.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.diffusion import edm
from seqdiff.diffusion import samplers

MEAN = np.array([0.3, -0.2, 0.5])
VARIANCES = np.array([0.1, 0.5, 1.2]) ** 2
VECTORS = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
# Low enough that the last step of a sampler, and the first one of the reverse,
# whose lengths do not depend on the number of steps, have no visible error.
ENDS = dict(sigma_min=0.002, sigma_max=10.0)


def _denoise(x, sigma):
  shrink = VECTORS @ jnp.diag(VARIANCES / (VARIANCES + sigma**2)) @ VECTORS.T
  mean = jnp.broadcast_to(MEAN, x.shape).astype(x.dtype)
  return mean + (x - mean) @ shrink.astype(x.dtype)


def _flow(x, sigma_from, sigma_to):
  """The exact solution of the ODE, in numpy."""
  stretch = np.sqrt(
      (VARIANCES + sigma_to**2) / (VARIANCES + sigma_from**2))
  return MEAN + (x - MEAN) @ ((VECTORS * stretch) @ VECTORS.T)


def _start(sigma, size=5):
  return sigma * np.random.default_rng(1).normal(size=(size, 2, 3))


def _data(size):
  """Samples of the data, (size, 2, 3)."""
  rng = np.random.default_rng(2)
  return MEAN + (rng.normal(size=(size, 2, 3)) * np.sqrt(VARIANCES)) @ VECTORS.T


def _convergence(solve, exact):
  """Slope of log error over log step, and the error at the most steps."""
  counts = np.array([32, 64, 128, 256])
  with jax.enable_x64(True):
    results = [np.asarray(solve(edm.karras_sigmas(n, **ENDS))) for n in counts]
  errors = [np.sqrt(np.mean((r - exact) ** 2)) for r in results]
  slope = np.polyfit(np.log(1.0 / (counts - 1.0)), np.log(errors), 1)[0]
  return slope, errors[-1]


@pytest.mark.parametrize(
    'name, order', [('euler', 1), ('heun', 2), ('dpmpp_2m', 2)])
def test_solver_converges_to_the_exact_flow_with_its_order(name, order):
  x = _start(ENDS['sigma_max'])
  last = _flow(x, ENDS['sigma_max'], ENDS['sigma_min'])
  with jax.enable_x64(True):
    exact = np.asarray(_denoise(jnp.asarray(last), ENDS['sigma_min']))
  slope, error = _convergence(
      lambda sigmas: samplers.solver(name)(_denoise, jnp.asarray(x), sigmas),
      exact)
  assert abs(slope - order) < 0.1
  assert error < 10.0 ** -(order + 1)


def test_reverse_ode_converges_to_the_exact_flow_with_order_two():
  x0 = _data(5)
  slope, error = _convergence(
      lambda sigmas: samplers.encode(_denoise, jnp.asarray(x0), sigmas),
      _flow(x0, 1e-5, ENDS['sigma_max']) / ENDS['sigma_max'])
  assert abs(slope - 2) < 0.1
  assert error < 1e-3


@pytest.mark.parametrize('name', ['heun', 'dpmpp_2m'])
def test_encoding_and_sampling_give_the_data_back(name):
  x0, sigmas = np.float32(_data(5)), edm.karras_sigmas(64)
  x_T = samplers.encode(_denoise, x0, sigmas)
  back = samplers.solver(name)(_denoise, sigmas[0] * x_T, sigmas)
  mse = np.mean((np.asarray(back) - x0) ** 2)
  assert mse < 1e-4


def test_encoding_of_data_is_unit_noise():
  x_T = np.asarray(samplers.encode(
      _denoise, np.float32(_data(2000)), edm.karras_sigmas(32))).reshape(-1, 3)
  # Four standard errors; the data's mean is left at 1/80 of its size.
  assert abs(x_T.mean(axis=0)).max() < 4 / 4000**0.5 + 0.5 / 80
  assert abs(np.cov(x_T.T) - np.eye(3)).max() < 4 * (2 / 4000) ** 0.5 + 0.01


def test_churn_without_noise_is_heun():
  x, sigmas = np.float32(_start(80.0)), edm.karras_sigmas(12)
  result = samplers.churn(
      _denoise, x, sigmas, noise=lambda n: jnp.full(x.shape, 5.0), S_churn=0.0)
  np.testing.assert_array_equal(result, samplers.heun(_denoise, x, sigmas))


def _churned(size, **kwargs):
  key = jax.random.key(0)
  rng = np.random.default_rng(5)
  # Start at the marginal of sigma_max, data and noise.
  scale = np.sqrt(VARIANCES + ENDS['sigma_max'] ** 2)
  x = MEAN + (rng.normal(size=(size, 1, 3)) * scale) @ VECTORS.T
  noise = lambda n: jax.random.normal(jax.random.fold_in(key, n), x.shape)
  return samplers.churn(
      _denoise, np.float32(x), edm.karras_sigmas(64, **ENDS), noise=noise,
      **kwargs)


def test_churn_keeps_the_distribution_of_the_data():
  size = 4000
  x = np.asarray(_churned(size, S_churn=20.0)).reshape(-1, 3)
  x = (x - MEAN) @ VECTORS
  # The last step goes to D(x), of variance s^4 / (s^2 + sigma_min^2).
  expected = VARIANCES**2 / (VARIANCES + ENDS['sigma_min'] ** 2)
  ratio = x.var(axis=0) / expected
  # Four standard errors, and 3 % for 64 steps.
  assert abs(ratio - 1).max() < 4 * (2 / size) ** 0.5 + 0.03
  assert (abs(x.mean(axis=0)) < 4 * np.sqrt(expected / size) + 0.01).all()


def test_churn_adds_noise_only_between_its_bounds():
  plain = _churned(4)
  assert np.abs(_churned(4, S_churn=20.0) - plain).max() > 0.1
  for bounds in dict(S_min=11.0), dict(S_max=0.001):
    np.testing.assert_array_equal(
        _churned(4, S_churn=20.0, **bounds), plain)


def _calls(run):
  """Number of calls of the denoiser, and the levels it was called at."""
  levels = []

  def denoise(x, sigma):
    jax.debug.callback(lambda s: levels.append(float(s)), sigma)
    return _denoise(x, sigma)

  jax.block_until_ready(run(denoise))
  jax.effects_barrier()
  return levels


@pytest.mark.parametrize(
    'name, nfe', [('euler', 9), ('heun', 17), ('dpmpp_2m', 9)])
def test_number_of_evaluations(name, nfe):
  x, sigmas = np.float32(_start(80.0)), edm.karras_sigmas(9)
  levels = _calls(lambda d: samplers.solver(name)(d, x, sigmas))
  assert len(levels) == nfe == samplers.num_evaluations(name, 9)
  # Every level above 0 is used, and no other.
  np.testing.assert_allclose(
      sorted(set(levels)), sigmas[:-1][::-1], rtol=1e-6)


def test_number_of_evaluations_of_churn_and_of_the_reverse():
  x, sigmas = np.float32(_start(1.0)), edm.karras_sigmas(9)
  noise = lambda n: jnp.zeros(x.shape)
  assert len(_calls(lambda d: samplers.churn(d, x, sigmas, noise=noise))) == 17
  levels = _calls(lambda d: samplers.encode(d, x, sigmas))
  assert len(levels) == 17
  np.testing.assert_allclose(min(levels), 1e-5, rtol=1e-6)


def test_first_steps_of_dpmpp_2m_by_hand():
  # Levels 8, 4, 1, 1/2: h = ln 2, ln 4, ln 2, so 1 / (2 r) = 1, then 1/4. With
  # D(x, sigma) = sigma: x = 16 -> 16/2 + 8/2 = 12 (order 1);
  # D_2 = 2 * 4 - 1 * 8 = 0, x = 12/4 + 0 = 3;
  # D_3 = 1.25 * 1 - 0.25 * 4 = 0.25, x = 3/2 + 0.25/2 = 1.625.
  seen = []

  def denoise(x, sigma):
    jax.debug.callback(lambda x: seen.append(float(x[0])), x, ordered=True)
    return jnp.full_like(x, sigma)

  result = samplers.dpmpp_2m(
      denoise, jnp.array([16.0]), np.array([8.0, 4.0, 1.0, 0.5, 0.0]))
  jax.effects_barrier()
  np.testing.assert_allclose(seen, [16.0, 12.0, 3.0, 1.625], rtol=1e-6)
  np.testing.assert_allclose(result, [0.5])


def test_unknown_solver_lists_the_known_ones():
  for call in samplers.solver, lambda n: samplers.num_evaluations(n, 4):
    with pytest.raises(ValueError, match=r"sampler 'huen'.*dpmpp_2m, euler, h"):
      call('huen')
