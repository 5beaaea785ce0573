"""What every method offers, and the one way to swap.

A method is an immutable object without weights: its hyper-parameters and its
networks. Weights are passed to each call. `training` sees `init` and `loss`;
`sampling` and `evaluation` see `encode` and `decode`.
"""

from typing import Protocol

import flax.struct
import jax

from seqdiff.core import types
from seqdiff.data import batch as data_batch


@flax.struct.dataclass
class Factors:
  """The two codes of a batch of clips.

  Attributes:
    static: (B, Ds) one code per clip; who it is. (B, T, Ds) for the ablation
      without a shared static factor.
    dynamic: (B, T, Dd) one code per frame; what it does.
  """

  static: jax.Array
  dynamic: jax.Array


def swap(a: Factors, b: Factors) -> Factors:
  """The static code of `a` with the dynamic codes of `b`."""
  return Factors(static=a.static, dynamic=b.dynamic)


def encode(
    method: 'Method', params: types.Params, batch: types.Batch
) -> Factors:
  """The factors of the clips of a batch.

  What was not measured of series is read as 0. A method that tells it from a
  measured 0 has `encode_observed`, which is told what was measured.
  """
  x, mask = data_batch.measured(batch), batch['mask']
  if 'observed' in batch and hasattr(method, 'encode_observed'):
    return method.encode_observed(params, x, mask, batch['observed'])
  return method.encode(params, x, mask)


class Trainable(Protocol):
  """What the training loop needs to know of a method, a judge or a prior."""

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Returns fresh parameters for batches that look like `batch`."""

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Returns the loss of each example (B,) and parts of it to log (B,).

    `batch['x']` is float. Frames with mask 0 have no influence. `step` is the
    number of updates made so far, () int32, for schedules.
    """


class Method(Trainable, Protocol):
  """A method that separates static from dynamic factors."""

  def encode(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> Factors:
    """Clips (B, T, ...) and their mask (B, T) -> factors."""

  def decode(
      self, params: types.Params, factors: Factors, x_init: types.Array
  ) -> jax.Array:
    """Factors and unit noise x_T (B, T, ...) -> clips (B, T, ...)."""
