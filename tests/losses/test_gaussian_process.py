"""Tests of `losses.gaussian_process`, against dense matrices in numpy."""

import jax
import numpy as np
import pytest
from sklearn.gaussian_process import kernels as sklearn_kernels

from seqdiff.losses import gaussian_process

SIZE, DIM = 5, 3  # Windows, values of a code.
AT = np.arange(float(SIZE))[:, None]


def _posterior(seed=0):
  """Means (2, L, D), and the values of B (2, D, L)."""
  rng = np.random.default_rng(seed)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  return (draw(2, SIZE, DIM), 1.0 + np.abs(draw(2, DIM, SIZE)),
          np.abs(draw(2, DIM, SIZE)))


def _dense(diagonal, above):
  """The covariance (B B^T)^-1 of one dimension of one series, in float64."""
  matrix = np.diag(diagonal.astype(np.float64)) + np.diag(above[:-1], 1)
  return np.linalg.inv(matrix @ matrix.T)


def _prior():
  return gaussian_process.prior(SIZE, DIM, kernels=['rbf'], num_scales=3)


@pytest.mark.parametrize('length_scale', [2.0, 0.25])
def test_kernels_are_those_of_sklearn(length_scale):
  np.testing.assert_allclose(
      gaussian_process.rbf(SIZE, length_scale),
      sklearn_kernels.RBF(length_scale)(AT), rtol=1e-12)
  # Cauchy is the rational quadratic kernel with alpha = 1, l / sqrt(2).
  cauchy = 0.5 * sklearn_kernels.RationalQuadratic(
      length_scale / np.sqrt(2.0), alpha=1.0)
  np.testing.assert_allclose(
      gaussian_process.cauchy(SIZE, length_scale),
      (cauchy + sklearn_kernels.WhiteKernel(1e-3))(AT), rtol=1e-12)


def test_dimensions_are_divided_among_kernels_and_scales():
  # 7 = 3 + 4, and with two scales 3 = 1 + 2 and 4 = 2 + 2.
  found = gaussian_process.prior(SIZE, 7, num_scales=2, length_scale=3.0)
  jitter = 1e-5 * np.eye(SIZE)
  expected = [gaussian_process.cauchy(SIZE, scale) for scale in (3, 1.5, 1.5)]
  expected += [gaussian_process.rbf(SIZE, scale) for scale in (3, 3, 1.5, 1.5)]
  np.testing.assert_array_equal(found, np.stack(expected) + jitter)


def test_published_prior_is_well_enough_conditioned():
  found = gaussian_process.prior(28, 8)  # Air quality: 672 / 24 windows.
  assert np.linalg.eigvalsh(found).min() > 0.9e-5


@pytest.mark.parametrize('options, message', [
    ({'kernels': ['rfb']}, "Unknown kernel 'rfb'. Did you mean 'rbf'"),
    ({'dim': 7}, 'dynamic_dim=7 with 2 kernels of method.num_scales=4; exp'),
    ({'num_scales': 0}, 'num_scales=0; expected a dimension or more for each'),
])
def test_prior_that_cannot_be_is_named(options, message):
  with pytest.raises(ValueError, match=message):
    gaussian_process.prior(SIZE, **{'dim': 8, **options})


def test_factor_gives_the_inverse_of_a_bidiagonal_precision():
  _, diagonal, above = _posterior()
  factor = np.asarray(gaussian_process.bidiagonal_factor(diagonal, above))
  np.testing.assert_array_equal(np.triu(factor, 1), np.zeros_like(factor))
  for b in range(2):
    for d in range(DIM):
      np.testing.assert_allclose(
          factor[b, d] @ factor[b, d].T, _dense(diagonal[b, d], above[b, d]),
          rtol=1e-4, atol=1e-6)


def test_windows_are_independent_without_values_above_the_diagonal():
  _, diagonal, above = _posterior()
  factor = gaussian_process.bidiagonal_factor(diagonal, 0.0 * above)
  np.testing.assert_allclose(
      factor, np.eye(SIZE) / diagonal[..., None], rtol=1e-6)


def test_divergence_is_that_of_dense_gaussians():
  mean, diagonal, above = _posterior()
  factor = gaussian_process.bidiagonal_factor(diagonal, above)
  ours = gaussian_process.kl_to_prior(mean, factor, _prior())
  for b in range(2):
    for d in range(DIM):
      m, q, p = mean[b, :, d], _dense(diagonal[b, d], above[b, d]), _prior()[d]
      inverse = np.linalg.inv(p)
      expected = 0.5 * (
          np.trace(inverse @ q) + m @ inverse @ m - SIZE
          + np.linalg.slogdet(p)[1] - np.linalg.slogdet(q)[1])
      np.testing.assert_allclose(ours[b, :, d].sum(), expected, rtol=1e-4)


def test_first_terms_are_the_divergence_of_the_first_windows():
  mean, diagonal, above = _posterior()
  first = slice(0, 3)
  terms = gaussian_process.kl_to_prior(
      mean, gaussian_process.bidiagonal_factor(diagonal, above), _prior())
  alone = gaussian_process.kl_to_prior(
      mean[:, first],
      gaussian_process.bidiagonal_factor(
          diagonal[..., first], above[..., first]),
      _prior()[:, first, first])
  np.testing.assert_allclose(terms[:, first], alone, rtol=1e-4, atol=1e-5)


def test_prior_has_no_divergence_from_itself():
  factor = np.linalg.cholesky(_prior()).astype(np.float32)[None]
  mean = np.zeros((1, SIZE, DIM), np.float32)
  kl = lambda *a: gaussian_process.kl_to_prior(*a, _prior()).sum()
  np.testing.assert_allclose(kl(mean, factor), 0.0, atol=1e-2)
  grad = jax.grad(kl)(mean, factor)
  np.testing.assert_array_equal(grad, mean)
  assert kl(mean + 1.0, factor) > 1.0
