"""Tests of `losses.gaussian`."""

import jax
import numpy as np
from scipy import integrate
from scipy import stats

from seqdiff.losses import gaussian


def test_likelihood_is_that_of_scipy():
  rng = np.random.default_rng(0)
  x, mean, std = np.abs(rng.normal(size=(3, 2, 5)).astype(np.float32))
  np.testing.assert_allclose(
      gaussian.nll(x, mean, std), -stats.norm.logpdf(x, mean, std), rtol=1e-5)
  # (1 - 3)^2 / 2 + log(2 pi) / 2 = 2.91893853.
  np.testing.assert_allclose(gaussian.nll(1.0, 3.0), 2.91893853, rtol=1e-6)


def test_unit_gaussian_has_no_divergence_and_no_gradient():
  zeros = np.zeros((2, 3), np.float32)
  np.testing.assert_array_equal(gaussian.kl_to_unit(zeros, zeros), [0.0, 0.0])
  for argument in 0, 1:
    grad = jax.grad(lambda *a: gaussian.kl_to_unit(*a).sum(), argument)
    np.testing.assert_array_equal(grad(zeros, zeros), zeros)


def test_values_by_hand():
  # KL(N(2, 1) | N(0, 1)) = 2^2 / 2 = 2.
  # KL(N(0, e) | N(0, 1)) = (e - 1 - 1) / 2 = 0.35914091.
  mean = np.array([[2.0, 0.0], [2.0, 2.0]], np.float32)
  log_var = np.array([[0.0, 1.0], [0.0, 0.0]], np.float32)
  np.testing.assert_allclose(
      gaussian.kl_to_unit(mean, log_var), [2.35914091, 4.0], rtol=1e-6)


def test_agrees_with_numerical_integration():
  mean, log_var = -0.7, 0.4
  p, q = stats.norm(mean, np.exp(log_var / 2)), stats.norm()
  kl, _ = integrate.quad(
      lambda x: p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), -12, 12)
  np.testing.assert_allclose(
      gaussian.kl_to_unit(np.float32([mean]), np.float32([log_var])), kl,
      rtol=1e-5)
