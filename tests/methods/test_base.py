"""Tests of `methods.base`."""

import jax
import numpy as np

from seqdiff.methods import base


def _factors(seed):
  rng = np.random.default_rng(seed)
  return base.Factors(
      static=rng.normal(size=(2, 5)), dynamic=rng.normal(size=(2, 3, 4)))


def test_swap_takes_the_static_code_of_a_and_the_dynamic_codes_of_b():
  a, b = _factors(0), _factors(1)
  swapped = base.swap(a, b)
  np.testing.assert_array_equal(swapped.static, a.static)
  np.testing.assert_array_equal(swapped.dynamic, b.dynamic)


def test_swap_of_a_clip_with_itself_is_the_identity():
  a = _factors(0)
  jax.tree.map(np.testing.assert_array_equal, base.swap(a, a), a)


def test_swapping_back_restores_both_clips():
  a, b = _factors(0), _factors(1)
  once, other = base.swap(a, b), base.swap(b, a)
  jax.tree.map(np.testing.assert_array_equal, base.swap(once, other), a)
  jax.tree.map(np.testing.assert_array_equal, base.swap(other, once), b)
