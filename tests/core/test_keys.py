"""Tests of `core.keys`."""

import zlib

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys


def _same(a, b):
  return bool((jax.random.key_data(a) == jax.random.key_data(b)).all())


def test_names_give_different_children_that_never_change():
  key = jax.random.key(0)
  assert _same(keys.named(key, 'eps'), keys.named(key, 'eps'))
  assert not _same(keys.named(key, 'eps'), keys.named(key, 'sigma'))
  # CRC-32 of '123456789' is 0xCBF43926 (the check value of the standard); its
  # top bit is dropped, since fold_in takes an int32.
  assert zlib.crc32(b'123456789') == 0xCBF43926
  assert _same(
      keys.named(key, '123456789'), jax.random.fold_in(key, 0x4BF43926))


def test_noise_of_an_example_does_not_depend_on_the_batch_around_it():
  key, index = jax.random.key(1), jnp.array([5, 0, 9, 7])
  noise = keys.normal(key, index, (3, 2))
  order = np.array([2, 0, 3, 1])
  np.testing.assert_array_equal(
      keys.normal(key, index[order], (3, 2)), noise[order])
  np.testing.assert_array_equal(
      keys.normal(key, index[2:3], (3, 2))[0], noise[2])


def test_noise_differs_between_examples_and_between_keys():
  index = jnp.array([0, 1])
  a = keys.normal(jax.random.key(0), index, (100,))
  b = keys.normal(jax.random.key(1), index, (100,))
  for pair in ((a[0], a[1]), (b[0], b[1]), (a[0], b[0]), (a[1], b[1])):
    assert abs(np.corrcoef(*pair)[0, 1]) < 0.4  # Four standard errors.


def test_noise_is_standard_normal():
  noise = np.asarray(keys.normal(jax.random.key(2), jnp.arange(200), (100,)))
  count = noise.size  # Bounds of four standard errors.
  assert abs(noise.mean()) < 4 / count**0.5
  assert abs(noise.var() - 1) < 4 * (2 / count) ** 0.5
  assert abs((noise**4).mean() - 3) < 4 * (96 / count) ** 0.5
