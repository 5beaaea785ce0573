"""Tests of `losses.counterfactual`."""

import jax
import numpy as np
from scipy import stats

from seqdiff.losses import counterfactual

READ, ORIGINAL, DRAWN = np.random.default_rng(0).normal(
    size=(3, 4, 2)).astype(np.float32)


def test_is_the_ratio_of_the_densities():
  density = lambda code: stats.norm.pdf(code, loc=READ)
  np.testing.assert_allclose(
      counterfactual.likelihood_ratio(READ, ORIGINAL, DRAWN),
      np.mean(density(ORIGINAL) / density(DRAWN), axis=-1), rtol=1e-5)


def test_one_code_is_as_likely_as_itself():
  np.testing.assert_array_equal(
      counterfactual.likelihood_ratio(READ, DRAWN, DRAWN), np.ones(4))


def test_falls_when_what_is_read_moves_to_the_code_that_was_drawn():
  total = lambda read: counterfactual.likelihood_ratio(
      read, ORIGINAL, DRAWN).sum()
  step = -1e-2 * jax.grad(total)(READ)
  towards = np.sign(DRAWN - ORIGINAL)
  np.testing.assert_array_equal(np.sign(step), towards)
  assert total(READ + step) < total(READ)
