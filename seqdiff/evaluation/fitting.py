"""Fits the small predictors of `nets.predictors` to frozen codes."""

from collections.abc import Callable
import dataclasses
import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqdiff.core import shapes
from seqdiff.core import types

# (outputs, targets (N, ...), weights like the targets) -> mean loss.
Loss = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
# The same in numpy -> what is to be high on the validation split.
Score = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class Examples:
  """What a predictor sees and is to say, of N clips.

  Attributes:
    inputs: static codes, dynamic codes and mask.
    targets: (N, ...).
    weights: like the targets, 0 where they are not known.
  """

  inputs: tuple[np.ndarray, np.ndarray, np.ndarray]
  targets: np.ndarray
  weights: np.ndarray


@dataclasses.dataclass(frozen=True)
class Schedule:
  """How a predictor is trained, by Adam.

  Attributes:
    epochs: how often it is scored on the validation split.
    passes: times that it sees all examples in an epoch.
    batch_size: examples per step.
    rest: whether what fills no batch makes a smaller one at the end of a pass
      (released codes), or waits for the next pass.
    clip_norm: norm that gradients are clipped to; None: they are not.
    learning_rate: of Adam.
    best: whether the parameters of the epoch with the best score are kept, or
      those of the last one.
  """

  epochs: int
  batch_size: int
  passes: int = 1
  learning_rate: float = 1e-3
  best: bool = True
  rest: bool = False
  clip_norm: float | None = 1.0


@dataclasses.dataclass(frozen=True)
class Fitter:
  """Trains a predictor, as often as asked; it is compiled once.

  Attributes:
    net: the network.
    loss: what is minimised.
    score: what is to be high on the validation split.
    schedule: how it is trained.
    own_targets: whether examples keep their targets in training; if not, they
      meet those of others, drawn anew in each epoch.
  """

  net: nn.Module
  loss: Loss
  score: Score
  schedule: Schedule
  own_targets: bool = True

  def fit(
      self,
      train: Examples,
      validation: Examples,
      *,
      seed: int,
      start: types.Params | None = None,
  ) -> tuple[types.Params, types.Params]:
    """Returns the parameters that are kept, and the last ones.

    Args:
      train: what is learnt from.
      validation: what decides which epoch is kept.
      seed: of the parameters, the order and the dropout.
      start: parameters to go on from, in place of fresh ones.
    """
    key, init_key = jax.random.split(jax.random.key(seed))
    data = jax.tree.map(
        jnp.asarray, (train.inputs, train.targets, train.weights))
    few = jax.tree.map(lambda a: a[:1], data[0])
    last = self.net.init(init_key, *few) if start is None else start
    state = self._optimiser.init(last)
    kept, best = last, -np.inf
    for epoch in range(self.schedule.epochs):
      last, state = self._epoch(
          last, state, data, jax.random.fold_in(key, epoch))
      found = self.score(self.outputs(last, validation), validation.targets,
                         validation.weights)
      if found > best or not self.schedule.best:
        kept, best = last, found
    return kept, last

  def outputs(self, params: types.Params, examples: Examples) -> np.ndarray:
    """What the predictor says of examples."""
    return np.asarray(self._apply(params, *examples.inputs))

  @functools.cached_property
  def _apply(self):
    return jax.jit(self.net.apply)

  @functools.cached_property
  def _optimiser(self):
    adam = optax.adam(self.schedule.learning_rate)
    if self.schedule.clip_norm is None:
      return adam
    return optax.chain(
        optax.clip_by_global_norm(self.schedule.clip_norm), adam)

  @functools.cached_property
  def _epoch(self):
    """The jitted function (params, state, data, key) -> params, state."""

    def value(params, batch, key):
      inputs, targets, weights = batch
      outputs = self.net.apply(
          params, *inputs, train=True, rngs={'dropout': key})
      return self.loss(outputs, targets, weights)

    @jax.jit
    def epoch(params, state, data, key):
      count = len(data[1])
      size = min(self.schedule.batch_size, count)
      order_key, dropout_key, *other = jax.random.split(
          key, 2 if self.own_targets else 3)
      if other:
        given = jax.random.permutation(other[0], count)
        data = data[0], data[1][given], data[2][given]
      orders = jax.vmap(lambda k: jax.random.permutation(k, count))(
          jax.random.split(order_key, self.schedule.passes))
      batches = _batches(orders, size, self.schedule.rest)

      def step(carry, draw):
        params, state = carry
        where, key = draw
        inputs, targets, weights = jax.tree.map(lambda a: a[where], data)
        weights *= shapes.expand_like(where >= 0, weights)
        grads = jax.grad(value)(params, (inputs, targets, weights), key)
        updates, state = self._optimiser.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), None

      keys = jax.random.split(dropout_key, len(batches))
      (params, state), _ = jax.lax.scan(step, (params, state), (batches, keys))
      return params, state

    return epoch


def _batches(orders: jax.Array, size: int, rest: bool) -> jax.Array:
  """Examples (passes, N) -> those of each step (steps, size).

  With `rest` the last batch of a pass is filled up with -1.
  """
  count = orders.shape[1]
  if rest:
    orders = jnp.pad(
        orders, [(0, 0), (0, -count % size)], constant_values=-1)
  return orders[:, :orders.shape[1] // size * size].reshape(-1, size)
