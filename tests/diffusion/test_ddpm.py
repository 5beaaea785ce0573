"""Tests of `diffusion.ddpm`: closed forms, and data whose score is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.diffusion import ddpm
from seqdiff.diffusion import samplers

KEY = jax.random.key(3)
INDEX = np.arange(4)
SCHEDULES = sorted(ddpm.SCHEDULES)


def _clips(size=4, frames=3):
  return np.random.default_rng(1).normal(
      size=(size, frames, 2, 2, 1)).astype(np.float32)


@pytest.mark.parametrize('name', SCHEDULES)
def test_alpha_bar_falls_from_about_one_to_about_zero(name):
  alpha_bar = ddpm.DDPM(schedule=name).alpha_bar
  assert alpha_bar.shape == (1000,)
  assert np.diff(alpha_bar).max() < 0
  assert 0.998 < alpha_bar[0] < 1.0
  last = {'linear': 0.002, 'half_line': 0.007}.get(name, 1e-4)
  assert 0.0 < alpha_bar[-1] < last


def test_cosine_schedule_is_the_published_curve():
  u = np.arange(1, 1000) / 1000
  exact = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
  exact /= np.cos(0.008 / 1.008 * np.pi / 2) ** 2
  np.testing.assert_allclose(ddpm.DDPM().alpha_bar[:-1], exact, rtol=1e-9)
  assert ddpm.cosine_betas(1000)[-1] == 0.999


def test_end_points_of_the_lines():
  betas = ddpm.linear_betas(1000)  # Of latent diffusion: a line in its root.
  np.testing.assert_allclose(betas[[0, -1]], [0.0015, 0.0155])
  np.testing.assert_allclose(np.diff(np.sqrt(betas), 2), 0.0, atol=1e-12)
  for betas, ends in ((ddpm.line_betas, [1e-4, 0.02]),
                      (ddpm.half_line_betas, [1e-5, 0.01])):
    np.testing.assert_allclose(betas(1000)[[0, -1]], ends)
    np.testing.assert_allclose(np.diff(betas(1000), 2), 0.0, atol=1e-12)


def test_noised_clip_has_the_marginal_of_the_chain():
  # One level after the other: x_t = sqrt(1 - beta) x + sqrt(beta) z.
  diffusion = ddpm.DDPM('line', num_levels=5)
  betas = ddpm.line_betas(5)
  signal, variance = 1.0, 0.0
  for t, beta in enumerate(betas):
    signal, variance = signal * (1 - beta) ** 0.5, variance * (1 - beta) + beta
    x = diffusion.noise(
        np.full((1, 1, 2), 3.0), np.array([[[0.0, 1.0]]]), np.array([[t]]))
    np.testing.assert_allclose(
        x[0, 0], [3 * signal, 3 * signal + variance**0.5], rtol=1e-6)


@pytest.mark.parametrize('prediction', ddpm.PREDICTIONS)
@pytest.mark.parametrize('t', [0, 400, 900])
def test_the_right_prediction_gives_x0_and_eps_back(prediction, t):
  diffusion = ddpm.DDPM(prediction=prediction)
  x0, eps = _clips(), _clips()[::-1]
  t = np.full((4, 3), t)
  x_t = diffusion.noise(x0, eps, t)
  target = diffusion.target(x0, eps, t)
  x0_back, eps_back = diffusion.estimate(target, x_t, t)
  # What is small in x_t is known to so many digits only.
  atol = 1e-6 * float(diffusion.sigmas[t[0, 0]] + 1 / diffusion.sigmas[t[0, 0]])
  np.testing.assert_allclose(x0_back, x0, atol=atol)
  np.testing.assert_allclose(eps_back, eps, atol=atol)
  np.testing.assert_allclose(
      diffusion.eps_of(x0, x_t, t), eps, atol=2 * atol)


def test_velocity_is_the_derivative_along_the_circle():
  # With abar = cos^2(phi): x = cos x0 + sin eps, v = dx / dphi.
  diffusion = ddpm.DDPM(prediction='v')
  x0, eps, t = _clips(), _clips()[::-1], np.full((4, 3), 300)
  phi = np.arccos(np.sqrt(diffusion.alpha_bar[300]))
  h = 1e-4
  slope = ((np.cos(phi + h) - np.cos(phi - h)) * x0
           + (np.sin(phi + h) - np.sin(phi - h)) * eps) / (2 * h)
  np.testing.assert_allclose(
      diffusion.target(x0, eps, t), slope, atol=1e-4)


@pytest.mark.parametrize('shared', [True, False])
def test_frames_of_a_clip_see_one_eps_and_one_t_if_shared(shared):
  diffusion = ddpm.DDPM(shared_eps=shared, shared_t=shared)
  eps = np.asarray(diffusion.sample_eps(KEY, INDEX, (3, 2, 2, 1)))
  t = np.asarray(diffusion.sample_t(KEY, INDEX, 3))
  assert eps.shape == (4, 3, 2, 2, 1) and t.shape == (4, 3)
  assert (eps == eps[:, :1]).all() == shared
  assert (t == t[:, :1]).all() == shared
  assert (eps[0] != eps[1]).all()
  assert len(set(t[:, 0])) > 1


def test_levels_of_training_are_uniform():
  t = np.asarray(ddpm.DDPM(num_levels=10, shared_t=False).sample_t(
      KEY, np.arange(2000), 5))
  share = np.bincount(t.ravel(), minlength=10) / t.size
  assert len(share) == 10
  assert np.abs(share - 0.1).max() < 4 * (0.1 * 0.9 / t.size) ** 0.5


def test_draws_belong_to_the_example_not_to_its_place():
  diffusion = ddpm.DDPM()
  eps = np.asarray(diffusion.sample_eps(KEY, INDEX, (3, 2)))
  t = np.asarray(diffusion.sample_t(KEY, INDEX, 3))
  order = np.array([2, 0])
  np.testing.assert_array_equal(
      diffusion.sample_eps(KEY, INDEX[order], (3, 2)), eps[order])
  np.testing.assert_array_equal(
      diffusion.sample_t(KEY, INDEX[order], 3), t[order])


@pytest.mark.parametrize('norm, expected', [('l1', 2.0), ('l2', 4.0)])
def test_loss_is_the_mean_error_of_each_frame(norm, expected):
  diffusion = ddpm.DDPM(norm=norm)
  x0, eps, t = _clips(), _clips()[::-1], np.full((4, 3), 500)

  def net(x, at):
    np.testing.assert_allclose(x, diffusion.noise(x0, eps, t), rtol=1e-6)
    np.testing.assert_array_equal(at, t)
    sign = np.where(np.arange(4).reshape(2, 2, 1) % 2, 1.0, -1.0)
    off = np.zeros((4, 3, 1, 1, 1))
    off[1, 2] = 2.0
    return jnp.asarray(eps + off * sign)

  loss = diffusion.loss(net, x0, eps, t)
  wanted = np.zeros((4, 3))
  wanted[1, 2] = expected
  np.testing.assert_allclose(loss, wanted, atol=1e-6)


# Data N(MEAN, SPREAD^2) has E[eps | x_t] = spread_t (x_t - signal_t MEAN) /
# (signal_t^2 SPREAD^2 + spread_t^2).
MEAN, SPREAD = 0.4, 0.6


def _gaussian(diffusion):
  alpha_bar = jnp.asarray(diffusion.alpha_bar)

  def estimate(x, t):
    a = alpha_bar[t].astype(x.dtype)
    eps = jnp.sqrt(1 - a) * (x - jnp.sqrt(a) * MEAN) / (
        a * SPREAD**2 + 1 - a)
    return (x - jnp.sqrt(1 - a) * eps) / jnp.sqrt(a), eps

  return estimate


def test_ddim_with_the_true_eps_returns_x0():
  diffusion = ddpm.DDPM()
  x0, eps = _clips(), _clips()[::-1]
  levels = diffusion.levels(7)
  a = diffusion.alpha_bar
  start = np.sqrt(a[levels[0]]) * x0 + np.sqrt(1 - a[levels[0]]) * eps
  seen = []

  def estimate(x, t):
    jax.debug.callback(lambda t, x: seen.append((int(t), np.array(x))), t, x)
    signal = jnp.asarray(a, jnp.float32)[t]
    return (x - jnp.sqrt(1 - signal) * eps) / jnp.sqrt(signal), jnp.asarray(eps)

  x = ddpm.ddim(estimate, start.astype(np.float32), diffusion, 7)
  np.testing.assert_allclose(x, x0, atol=1e-5)
  jax.effects_barrier()
  assert [t for t, _ in seen] == list(levels)
  for t, x_t in seen:  # On its way it stays on the line from eps to x0.
    np.testing.assert_allclose(
        x_t, np.sqrt(a[t]) * x0 + np.sqrt(1 - a[t]) * eps, atol=1e-5)


@pytest.mark.parametrize('prediction', ddpm.PREDICTIONS)
def test_a_network_that_is_always_right_is_sampled_to_x0(prediction):
  diffusion = ddpm.DDPM(prediction=prediction)
  x0, eps = _clips(), _clips()[::-1]
  at = lambda t, x: jnp.broadcast_to(t, x.shape[:2])

  def estimate(x, t):
    output = diffusion.target(x0, eps, at(t, x))
    return diffusion.estimate(output, x, at(t, x))

  start = diffusion.noise(x0, eps, at(diffusion.levels(7)[0], x0))
  np.testing.assert_allclose(
      ddpm.ddim(estimate, start, diffusion, 7), x0, atol=1e-4)


def test_ddim_without_noise_is_eulers_method_on_the_ladder():
  diffusion = ddpm.DDPM()
  estimate, x = _gaussian(diffusion), _clips()
  sigmas = diffusion.ladder(20)
  denoise = lambda x, sigma: estimate(
      x / jnp.hypot(1.0, sigma), diffusion.level_of(sigma))[0]
  with jax.enable_x64(True):
    a = ddpm.ddim(estimate, jnp.asarray(x, float), diffusion, 20)
    b = samplers.euler(
        denoise, jnp.asarray(x * np.hypot(1.0, sigmas[0]), float), sigmas)
  np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.parametrize('eta', [0.0, 0.5, 1.0])
def test_samples_of_any_eta_are_distributed_as_the_data(eta):
  diffusion = ddpm.DDPM('line')
  rng_key = jax.random.key(5)
  x = np.random.default_rng(0).normal(size=(4000, 1)).astype(np.float32)
  noise = lambda number: jax.random.normal(
      jax.random.fold_in(rng_key, number), x.shape)
  x = np.asarray(jax.jit(lambda x: ddpm.ddim(
      _gaussian(diffusion), x, diffusion, 250, eta=eta, noise=noise))(x))
  assert abs(x.mean() - MEAN) < 4 * SPREAD / 4000**0.5
  assert abs(x.std() / SPREAD - 1) < 4 / 8000**0.5 + 0.01


def test_eta_one_on_all_levels_is_the_ancestral_sampler():
  # Ho et al. 2020, Alg. 2 with the posterior variance, in numpy.
  diffusion = ddpm.DDPM('line', num_levels=6)
  estimate, x = _gaussian(diffusion), _clips()
  z = np.random.default_rng(2).normal(size=(6,) + x.shape).astype(np.float32)
  result = ddpm.ddim(
      estimate, x, diffusion, 6, eta=1.0, noise=lambda i: jnp.asarray(z)[i])
  betas, a = ddpm.line_betas(6), diffusion.alpha_bar
  y = x.astype(np.float64)
  for number, t in enumerate(range(5, -1, -1)):
    eps = np.asarray(estimate(jnp.float32(y), t)[1], np.float64)
    y = (y - betas[t] / np.sqrt(1 - a[t]) * eps) / np.sqrt(1 - betas[t])
    if t:
      variance = (1 - a[t - 1]) / (1 - a[t]) * betas[t]
      y = y + np.sqrt(variance) * z[number]
  np.testing.assert_allclose(result, y, atol=1e-4)


@pytest.mark.parametrize(
    'name, order', [('euler', 1), ('heun', 2), ('dpmpp_2m', 2)])
def test_solvers_keep_their_order_on_the_ladder(name, order):
  diffusion = ddpm.DDPM()
  estimate, x = _gaussian(diffusion), _clips(size=1)
  denoise = lambda x, sigma: estimate(
      x / jnp.hypot(1.0, sigma), diffusion.level_of(sigma))[0]

  def error(num_steps):
    sigmas = diffusion.ladder(num_steps)
    start = x * np.hypot(1.0, sigmas[0])
    exact = MEAN + (start - MEAN) * SPREAD / np.hypot(SPREAD, sigmas[0])
    with jax.enable_x64(True):
      found = samplers.solver(name)(denoise, jnp.asarray(start, float), sigmas)
    return np.abs(np.asarray(found) - exact).max()

  slope = np.log2(error(50) / error(200)) / 2
  assert order - 0.25 < slope < order + 0.6


def test_levels_run_evenly_to_zero_and_back_from_their_sigmas():
  diffusion = ddpm.DDPM()
  np.testing.assert_array_equal(
      diffusion.levels(5), [800, 600, 400, 200, 0])
  np.testing.assert_array_equal(diffusion.levels(1000), np.arange(1000)[::-1])
  ladder = diffusion.ladder(200)
  assert ladder[-1] == 0.0 and np.diff(ladder).max() < 0
  back = [int(diffusion.level_of(s)) for s in np.float32(ladder[:-1])]
  np.testing.assert_array_equal(back, diffusion.levels(200))


@pytest.mark.parametrize('num_steps', [0, 1001])
def test_impossible_number_of_steps_is_refused(num_steps):
  with pytest.raises(ValueError, match='expected 1 to 1000.*num_steps'):
    ddpm.DDPM().levels(num_steps)


@pytest.mark.parametrize('kwargs, message', [
    (dict(schedule='cosin'), "schedule 'cosin'. Did you mean 'cosine'"),
    (dict(prediction='noise'), 'Known: eps, v, x0'),
    (dict(norm='L1'), "norm 'L1'. Known: l1, l2"),
    (dict(num_levels=1), 'num_levels=1; expected 2 or more')])
def test_impossible_constants_are_refused(kwargs, message):
  with pytest.raises(ValueError, match=message):
    ddpm.DDPM(**kwargs)
