"""The start x_T of a sampler: fresh noise, or the encoding of a clip.

Fresh noise is keyed by example, so that a result depends neither on the batch
size nor on the devices.
"""

import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.methods import base

FRESH = ('fresh', 'fresh_shared')


def check(kind: str, encoded: tuple[str, ...]) -> None:
  """Raises ValueError unless `kind` is fresh noise or one of `encoded`."""
  if kind not in FRESH + encoded:
    raise errors.unknown_name('x_T', kind, FRESH + encoded)


def fresh(
    kind: str, key: types.Key, index: types.Array, shape: tuple[int, ...]
) -> jax.Array:
  """Unit Gaussian noise (B, *shape); 'fresh_shared': one for all frames.

  Args:
    kind: 'fresh' or 'fresh_shared'.
    key: key of this use.
    index: (B,) number of each example.
    shape: (T, ...) of one clip.
  """
  if kind == 'fresh':
    return keys.normal(key, index, shape)
  noise = keys.normal(key, index, (1,) + shape[1:])
  return jnp.broadcast_to(noise, (len(index),) + shape)


def encoded(
    method: base.Method,
    params: types.Params,
    factors: base.Factors,
    batch: types.Batch,
    key: types.Key,
) -> jax.Array:
  """x_T of clips (B, T, ...) with these factors, by the reverse ODE.

  What was not observed of a series has no x_T: it is decoded from the factors
  and fresh noise first, for the 0 in its place would come back in all samples.
  """
  x = data_batch.to_float(batch['x'])
  if 'observed' in batch:
    start = fresh('fresh_shared', key, batch['index'], x.shape[1:])
    x = jnp.where(
        batch['observed'], x, method.decode(params, factors, start))
  return method.invert(params, factors, x)
