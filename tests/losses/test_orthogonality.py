"""Tests of `losses.orthogonality`."""

import jax
import numpy as np

from seqdiff.losses import orthogonality

S = np.array([[3.0, 4.0, 0.0]], np.float32)


def test_orthogonal_codes_cost_nothing_and_parallel_ones_their_sizes():
  d = np.array([[[-4.0, 3.0, 2.0], [6.0, 8.0, 0.0], [3.0, 0.0, 0.0]]])
  plain = orthogonality.squared_products(S, d.astype(np.float32))
  # |s|^2 |d|^2 = 25 * 100, and (3 * 3)^2.
  np.testing.assert_allclose(plain, [[0.0, 2500.0, 81.0]])
  normalised = orthogonality.squared_products(
      S, d.astype(np.float32), normalised=True)
  np.testing.assert_allclose(normalised, [[0.0, 1.0, 0.36]], rtol=1e-6)


def test_cosines_do_not_depend_on_the_sizes_of_the_codes():
  rng = np.random.default_rng(0)
  s, d = (rng.normal(size=n).astype(np.float32) for n in ((2, 5), (2, 3, 5)))
  f = lambda s, d: orthogonality.squared_products(s, d, normalised=True)
  np.testing.assert_allclose(f(7 * s, 0.1 * d), f(s, d), rtol=1e-5)
  cosine = np.einsum('bd,btd->bt', s, d) / (
      np.linalg.norm(s, axis=-1)[:, None] * np.linalg.norm(d, axis=-1))
  np.testing.assert_allclose(f(s, d), cosine**2, rtol=1e-5)


def test_code_of_zeros_has_no_angle_and_a_finite_gradient():
  for normalised in False, True:
    loss = lambda d, n=normalised: orthogonality.squared_products(
        S, d, normalised=n).sum()
    value, grad = jax.value_and_grad(loss)(np.zeros((1, 2, 3), np.float32))
    assert value == 0.0
    np.testing.assert_array_equal(grad, np.zeros((1, 2, 3)))
