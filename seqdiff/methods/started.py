"""A method whose training starts from the parameters of another run."""

import dataclasses

import jax
import jax.numpy as jnp

from seqdiff.core import types
from seqdiff.methods import base


@dataclasses.dataclass(frozen=True)
class Started:
  """Trains `method` from `start`; see `methods.base.Trainable`.

  What the method has beyond `start` is fresh: layers that begin as the identity
  (`nets.attention.TemporalAttention`) then change nothing at first.

  Attributes:
    method: the method.
    start: its parameters, or those of a part of it, on the host.
    where: what they are of, for messages.
  """

  method: base.Trainable
  start: types.Params = dataclasses.field(compare=False)
  where: str = 'config.train.start_from'

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """The parameters of `start`, and fresh ones where it has none.

    Raises:
      ValueError: if `start` has parameters that the method has not.
    """
    fresh = jax.tree_util.tree_flatten_with_path(self.method.init(key, batch))
    given = _by_name(jax.tree_util.tree_leaves_with_path(self.start))
    ours = _by_name(fresh[0])
    for name, value in given.items():
      shape = jnp.shape(ours[name]) if name in ours else None
      if shape != jnp.shape(value):
        raise ValueError(
            f'{self.where}: {name} has the shape {jnp.shape(value)} there and '
            f'{shape} here; expected all of its parameters here too. Choose '
            'the same network, or add parts that begin as the identity.')
    return jax.tree.unflatten(fresh[1], [
        jnp.asarray(given.get(name, value), value.dtype)
        for name, value in ours.items()])

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of the method."""
    return self.method.loss(params, batch, key, step=step, train=train)


def _by_name(leaves) -> dict[str, types.Array]:
  """Leaves with their paths -> leaves by name."""
  return {jax.tree_util.keystr(path, simple=True, separator='/'): leaf
          for path, leaf in leaves}
