"""PRNG keys: one base key, folded by name, by step and by example.

A key is either split or drawn from, never both. Noise that belongs to an
example is keyed by the example's index, so that it does not depend on the
batch size, on the order of the batch or on the number of devices.
"""

from collections.abc import Sequence
import zlib

import jax

from seqdiff.core import types


def named(key: types.Key, name: str) -> types.Key:
  """Returns the child of `key` that is called `name`."""
  return jax.random.fold_in(key, zlib.crc32(name.encode()) & 0x7FFFFFFF)


def per_example(key: types.Key, index: types.Array) -> types.Key:
  """Returns one key per example: (B,) keys from (B,) integer indices."""
  return jax.vmap(jax.random.fold_in, (None, 0))(key, index)


def of_batch(key: types.Key, name: str, index: types.Array) -> types.Key:
  """A key for what is drawn for a batch as a whole, as masks of dropout.

  Devices that hold other examples, and parts of a batch, get others.

  Args:
    key: the key of the step.
    name: of the use.
    index: (B,) integer index of each example.
  """
  return jax.random.fold_in(named(key, name), index[0])


def normal(
    key: types.Key, index: types.Array, shape: Sequence[int]
) -> jax.Array:
  """Standard normal noise keyed by example.

  Args:
    key: the key of this use (already folded by step and name).
    index: (B,) integer index of each example.
    shape: shape of one example's noise.

  Returns:
    (B, *shape) float32.
  """
  draw = lambda k: jax.random.normal(k, tuple(shape))
  return jax.vmap(draw)(per_example(key, index))
