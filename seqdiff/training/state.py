"""What a training run carries from step to step."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.methods import base


@flax.struct.dataclass
class TrainState:
  """Everything that the next update depends on, besides the data.

  Attributes:
    step: () int32 number of updates made.
    seed: () uint32; every key of a run is derived from it and `step`.
    params: the parameters.
    ema_params: their float32 moving average, or None.
    opt_state: state of the optimizer.
  """

  step: jax.Array
  seed: jax.Array
  params: types.Params
  ema_params: types.Params | None
  opt_state: Any

  @property
  def eval_params(self) -> types.Params:
    """The parameters to evaluate: the moving average where one is kept."""
    return self.params if self.ema_params is None else self.ema_params


def create(
    method: base.Trainable,
    tx: optax.GradientTransformation,
    batch: types.Batch,
    *,
    seed: int,
    ema: bool,
) -> TrainState:
  """A fresh state; call it under `jit`, so that no two leaves share a buffer.

  Args:
    method: what is to be trained.
    tx: the optimizer.
    batch: a batch of which only shapes and types are used.
    seed: seed of the run, an unsigned 32-bit integer.
    ema: whether to keep a moving average of the parameters.
  """
  batch = {k: jnp.ones(jnp.shape(v), v.dtype) for k, v in batch.items()}
  batch['x'] = data_batch.to_float(batch['x'])
  params = method.init(keys.named(jax.random.key(seed), 'init'), batch)
  # A low-precision average never moves: decay * ema rounds back to ema.
  average = jax.tree.map(lambda p: jnp.array(p, jnp.float32), params)
  return TrainState(
      step=jnp.zeros((), jnp.int32),
      seed=jnp.asarray(seed, jnp.uint32),
      params=params,
      ema_params=average if ema else None,
      opt_state=tx.init(params),
  )
