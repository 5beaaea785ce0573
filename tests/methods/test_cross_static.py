"""Halves of padded clips exchange static codes only with real frames."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.methods import diffsda


@dataclasses.dataclass(frozen=True)
class FirstFrame:
  """An encoder without weights: the static code is the first frame."""

  def apply(self, params, x, mask, *, train, rngs):
    del params, mask, train, rngs
    return x[:, 0, 0, :, 0], x[:, :, 1, :, 0]


def test_half_keeps_its_static_code_if_the_other_half_is_padding():
  method = diffsda.DiffSDA(encoder=FirstFrame(), denoiser=None)
  x = np.random.default_rng(0).normal(size=(2, 4, 2, 2, 1)).astype(np.float32)
  mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
  codes, _ = method._cross_codes(
      None, jnp.asarray(x), mask, key=jax.random.key(0),
      index=jnp.arange(2), train=True)
  first, second = x[:, 0, 0, :, 0], x[:, 2, 0, :, 0]
  np.testing.assert_array_equal(codes.static[0, :2], [second[0]] * 2)
  np.testing.assert_array_equal(codes.static[0, 2:], [first[0]] * 2)
  np.testing.assert_array_equal(codes.static[1, :2], [first[1]] * 2)
