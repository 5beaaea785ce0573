"""Tests of `diffusion.edm`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.diffusion import edm

SIGMAS = np.array([[0.002, 0.05, 0.5], [1.0, 7.0, 80.0]], np.float32)


def _zero(x, c_noise):
  del c_noise
  return jnp.zeros_like(x)


def test_coefficients_by_hand():
  # sigma = 3, sigma_data = 4: sigma^2 + sigma_data^2 = 5^2.
  c = edm.EDM(sigma_data=4.0).preconditioning(3.0)
  np.testing.assert_allclose(
      [c.c_skip, c.c_out, c.c_in], [16 / 25, 12 / 5, 1 / 5], rtol=1e-6)
  np.testing.assert_allclose(c.c_noise, 1.09861229 / 4, rtol=1e-6)  # ln 3.
  np.testing.assert_allclose(
      edm.EDM(sigma_data=4.0).weight(3.0), 25 / 144, rtol=1e-6)


def test_weight_times_squared_c_out_is_one():
  diffusion = edm.EDM(sigma_data=0.7)
  c = diffusion.preconditioning(SIGMAS)
  np.testing.assert_allclose(
      diffusion.weight(SIGMAS) * c.c_out**2, np.ones((2, 3)), rtol=1e-5)


def test_input_and_target_of_the_inner_net_have_unit_variance():
  # x = x0 + sigma eps and target = (x0 - c_skip x) / c_out; x0 and eps are
  # independent, of standard deviations sigma_data and 1.
  sigma_data = 0.7
  c = edm.EDM(sigma_data=sigma_data).preconditioning(SIGMAS)
  c_skip, c_out, c_in = (
      np.asarray(a, np.float64) for a in (c.c_skip, c.c_out, c.c_in))
  sigma = SIGMAS.astype(np.float64)
  ones = np.ones((2, 3))
  np.testing.assert_allclose(
      c_in**2 * (sigma_data**2 + sigma**2), ones, rtol=1e-5)
  # At sigma = 0.002 the float32 c_skip = 1 - 8e-6 leaves three digits.
  target = ((1 - c_skip) ** 2 * sigma_data**2 + c_skip**2 * sigma**2) / c_out**2
  np.testing.assert_allclose(target, ones, rtol=1e-4)


def test_denoiser_becomes_the_identity_at_low_noise():
  x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
  net = lambda x, c_noise: 100.0 + 0.0 * x
  for sigma in 1e-3, 1e-6:
    d = edm.EDM().denoise(net, x, np.full((2, 3), sigma, np.float32))
    np.testing.assert_allclose(d, x, atol=120 * sigma)


def test_denoiser_forgets_x_at_high_noise_if_the_net_does():
  x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
  d = edm.EDM(sigma_data=0.5).denoise(
      lambda x, c_noise: jnp.ones_like(x), x, np.full((2, 3), 1e4, np.float32))
  np.testing.assert_allclose(d, np.full(x.shape, 0.5), atol=1e-5)


def test_inner_net_sees_each_frame_scaled_by_its_own_sigma():
  x = np.ones((2, 3, 4), np.float32)
  seen = []
  edm.EDM(sigma_data=0.5).denoise(
      lambda x, c_noise: seen.append((x, c_noise)) or x, x, SIGMAS)
  scaled, c_noise = seen[0]
  expected = np.broadcast_to(
      1 / np.sqrt(SIGMAS**2 + 0.25)[..., None], x.shape)
  np.testing.assert_allclose(scaled, expected, rtol=1e-5)
  np.testing.assert_allclose(c_noise, np.log(SIGMAS) / 4, rtol=1e-5)


def test_result_of_a_low_precision_net_is_float32():
  d = edm.EDM().denoise(
      lambda x, c_noise: x.astype(jnp.bfloat16), np.ones((2, 3, 4), np.float32),
      SIGMAS)
  assert d.dtype == jnp.float32


def test_loss_is_the_mean_squared_error_of_the_inner_net():
  # Eq. 8: the weight turns the error of D into that of F, whose target is
  # (x0 - c_skip x) / c_out.
  rng = np.random.default_rng(0)
  x0, eps, f = rng.normal(size=(3, 2, 3, 5, 4))
  sigma, var = SIGMAS.astype(np.float64), 0.6**2
  c_skip = (var / (sigma**2 + var))[..., None]
  c_out = (sigma * 0.6 / np.sqrt(sigma**2 + var))[..., None]
  x0, eps, f = (a.reshape(2, 3, 20) for a in (x0, eps, f))
  target = (x0 - c_skip * (x0 + sigma[..., None] * eps)) / c_out
  loss = edm.EDM(sigma_data=0.6).loss(
      lambda *_: jnp.asarray(f, jnp.float32), np.float32(x0), np.float32(eps),
      SIGMAS)
  # Rounding of x0 (6e-8) over c_out = 0.002: four digits.
  np.testing.assert_allclose(loss, ((f - target) ** 2).mean(-1), rtol=3e-4)


def test_loss_of_images_is_one_number_per_frame():
  x0 = np.zeros((2, 3, 4, 4, 1), np.float32)
  eps = np.zeros_like(x0)
  eps[1, 2] = 1.0
  loss = edm.EDM().loss(_zero, x0, eps, np.ones((2, 3), np.float32))
  # c_skip^2 / c_out^2 = (1/5)^2 / (1/5) at sigma = 1, sigma_data = 1/2.
  np.testing.assert_allclose(
      loss, [[0, 0, 0], [0, 0, 0.2]], rtol=1e-5, atol=1e-9)


def test_ln_sigma_is_normal_with_p_mean_and_p_std():
  sigma = edm.EDM(P_mean=-0.4, P_std=1.5).sample_sigma(
      jax.random.key(0), jnp.arange(2000), 4)
  n = (np.log(sigma) + 0.4) / 1.5
  assert abs(n.mean()) < 4 / n.size**0.5  # Four standard errors.
  assert abs(n.var() - 1) < 4 * (2 / n.size) ** 0.5
  # Frames are independent.
  correlation = np.corrcoef(n.T) - np.eye(4)
  assert abs(correlation).max() < 4 / 2000**0.5


def test_shared_sigma_is_one_level_per_clip():
  sigma = np.asarray(edm.EDM(shared_sigma=True).sample_sigma(
      jax.random.key(0), jnp.arange(50), 4))
  np.testing.assert_array_equal(sigma, np.repeat(sigma[:, :1], 4, axis=1))
  assert len(np.unique(sigma)) == 50


def test_sigma_belongs_to_the_example_not_to_its_place():
  diffusion, index = edm.EDM(), jnp.array([3, 8, 1])
  draw = lambda index: np.asarray(
      diffusion.sample_sigma(jax.random.key(0), index, 4))
  np.testing.assert_array_equal(draw(index)[::-1], draw(index[::-1]))
  np.testing.assert_array_equal(draw(index)[1:2], draw(index[1:2]))


@pytest.mark.parametrize(
    'step, mean', [(0, 2.0), (25, 1.25), (100, -1.0), (1000, -1.0)])
def test_p_mean_moves_in_a_line_and_stays(step, mean):
  diffusion = edm.EDM(
      P_mean=-1.0, P_std=0.0, P_mean_start=2.0, P_mean_steps=100)
  sigma = diffusion.sample_sigma(
      jax.random.key(0), jnp.arange(2), 3, step=jnp.int32(step))
  np.testing.assert_allclose(np.log(sigma), np.full((2, 3), mean), atol=1e-6)


def test_p_mean_is_constant_by_default():
  diffusion = edm.EDM(P_mean=-1.0, P_std=0.0, P_mean_steps=100)
  sigma = diffusion.sample_sigma(jax.random.key(0), jnp.arange(2), 3, step=7)
  np.testing.assert_allclose(np.log(sigma), np.full((2, 3), -1.0), atol=1e-6)


def test_ladder_by_hand():
  # rho = 2, from 16 to 1 in four steps: square roots 4, 3, 2, 1.
  sigmas = edm.karras_sigmas(4, sigma_min=1.0, sigma_max=16.0, rho=2.0)
  np.testing.assert_allclose(sigmas, [16, 9, 4, 1, 0], rtol=1e-12)


def test_ladder_has_the_published_ends_and_middle():
  sigmas = edm.karras_sigmas(3)
  assert sigmas.dtype == np.float64
  # 80^(1/7) = 1.87017206 and 0.002^(1/7) = 0.41157268 by logarithms; the
  # seventh power of their mean 1.14087237 is 2.51521.
  np.testing.assert_allclose(sigmas, [80, 2.51521, 0.002, 0], rtol=1e-5)
  assert (np.diff(edm.karras_sigmas(32)) < 0).all()


@pytest.mark.parametrize('kwargs, message', [
    (dict(num_steps=1), 'num_sampling_steps=1, expected at least 2'),
    (dict(num_steps=8, sigma_min=0.0), 'sigma_min=0.0, sigma_max=80.0; exp'),
    (dict(num_steps=8, sigma_min=9.0, sigma_max=9.0), 'sigma_min < sigma_max'),
])
def test_impossible_ladder_is_refused(kwargs, message):
  with pytest.raises(ValueError, match=message):
    edm.karras_sigmas(**kwargs)
