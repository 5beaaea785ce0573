"""Tests of `losses.quantisation`."""

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.losses import quantisation

RNG = np.random.default_rng(0)


def _draw(*shape):
  return RNG.normal(size=shape).astype(np.float32)


def test_nearest_is_what_brute_force_in_double_finds():
  z, codebook = _draw(2, 3, 5, 4), _draw(50, 4)
  distance = np.linalg.norm(
      z[..., None, :].astype(np.float64) - codebook.astype(np.float64), axis=-1)
  expected = distance.argmin(axis=-1)
  np.testing.assert_array_equal(quantisation.nearest(z, codebook), expected)
  assert len(np.unique(expected)) > 15


def test_nearest_does_not_cancel_far_from_the_origin():
  # Products of values near 1000 have errors of 0.06 in float32, more than
  # these distances.
  codebook = np.float32([[1000.0], [1000.01], [1000.02]])
  z = np.float32([1000.001, 1000.012, 1000.019, 1000.011]).reshape(1, 2, 2, 1)
  np.testing.assert_array_equal(
      quantisation.nearest(z, codebook), [[[0, 1], [2, 1]]])


def test_codes_are_their_own_nearest_and_the_first_of_equals():
  codebook = _draw(6, 3)
  again = np.concatenate([codebook, codebook])
  found = quantisation.nearest(codebook.reshape(1, 2, 3, 3), again)
  np.testing.assert_array_equal(found.reshape(-1), np.arange(6))


def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other():
  z, q, weight = _draw(2, 3), 1e6 * _draw(2, 3), _draw(2, 3)
  np.testing.assert_array_equal(quantisation.straight_through(z, q), q)
  gradient = lambda i: jax.grad(
      lambda *a: jnp.sum(weight * quantisation.straight_through(*a)), i)(z, q)
  np.testing.assert_array_equal(gradient(0), weight)
  np.testing.assert_array_equal(gradient(1), 0.0)


def test_loss_and_its_gradients_by_hand():
  z, q = np.float32([[1.0, 2.0], [0.0, 0.0]]), np.float32([[0.0, 4.0], [0, 0]])
  # Mean square of (1, -2): 2.5, times 1 + beta.
  np.testing.assert_allclose(
      quantisation.codebook_loss(z, q, beta=0.5), [3.75, 0.0])
  gradient = lambda i: jax.grad(
      lambda *a: quantisation.codebook_loss(*a, beta=0.5).sum(), i)(z, q)
  # d/dq of mean (q - z)^2 = q - z (of two values); towards z.
  np.testing.assert_allclose(gradient(1), [[-1.0, 2.0], [0.0, 0.0]])
  np.testing.assert_allclose(gradient(0), [[0.5, -1.0], [0.0, 0.0]])


def test_perplexity_counts_the_codes_in_use():
  codes = np.array([[3, 3, 3, 3], [0, 1, 2, 3], [0, 0, 1, 1], [0, 0, 0, 1]])
  weight = np.ones((4, 4))
  found = quantisation.perplexity(codes, weight, 5)
  # The last: exp(3/4 ln(4/3) + 1/4 ln 4) = 1.754765.
  np.testing.assert_allclose(found, [1.0, 4.0, 2.0, 1.754765], rtol=1e-5)
  weight[:, 2:] = 0
  found = quantisation.perplexity(codes, weight, 5)
  np.testing.assert_allclose(found, [1.0, 2.0, 1.0, 1.0], rtol=1e-5)
  assert np.isfinite(quantisation.perplexity(codes, 0 * weight, 5)).all()
