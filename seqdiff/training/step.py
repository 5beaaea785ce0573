"""One update; the only place that reduces.

The body is pure and the same for every driver of `training.parallel`.
Under `pmap` each device sees its share of the batch and `axis_name` is given;
under `jit` the body sees the whole batch. Every mean is a sum over the real
examples divided by their number over all devices, so shares with different
numbers of real examples still give the exact mean.
"""

import jax
import jax.numpy as jnp
import optax

from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.methods import base
from seqdiff.training import state as train_state

Metrics = dict[str, jax.Array]


def train_step(
    state: train_state.TrainState,
    batch: types.Batch,
    *,
    method: base.Trainable,
    tx: optax.GradientTransformation,
    ema_decay: float | None,
    clip_norm: float | None = None,
    num_parts: int = 1,
    axis_name: str | None = None,
) -> tuple[train_state.TrainState, Metrics]:
  """Makes one update.

  Args:
    state: the state before; `ema_params` is None if and only if `ema_decay` is.
    batch: see `data.batch`; x is uint8 or float.
    method: gives the loss.
    tx: the optimizer.
    ema_decay: decay of the moving average of the parameters, or None.
    clip_norm: largest norm that `tx` leaves to the gradient, or None.
    num_parts: the batch is computed in so many parts, one after another, and
      the gradients are added up: less memory.
    axis_name: axis of the devices under `pmap`, or None.

  Returns:
    The state after, and () metrics: `loss` and its parts (of the parameters
    before), `grad_norm` (before clipping), `clipped` (1 if that was more than
    `clip_norm`, else 0; its mean over steps is the hit rate) and `param_norm`
    (after).
  """
  key = keys.named(jax.random.key(state.seed), 'train')
  key = jax.random.fold_in(key, state.step)
  batch = {**batch, 'x': data_batch.to_float(batch['x'])}
  count = _all_sum(jnp.sum(batch['example_mask']), axis_name)

  def share_of_mean(params, part):
    loss, parts = method.loss(params, part, key, step=state.step, train=True)
    sums = _masked_sums({**parts, 'loss': loss}, part['example_mask'])
    shares = jax.tree.map(lambda s: s / jnp.maximum(count, 1), sums)
    return shares['loss'], shares

  of_part = lambda part: jax.grad(share_of_mean, has_aux=True)(
      state.params, part)
  grads, metrics = _all_sum(_in_parts(of_part, batch, num_parts), axis_name)
  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  ema_params = state.ema_params
  if ema_decay is not None:
    ema_params = optax.incremental_update(params, ema_params, 1.0 - ema_decay)
  metrics['grad_norm'] = optax.tree.norm(grads)
  if clip_norm is not None:
    metrics['clipped'] = (metrics['grad_norm'] > clip_norm).astype(jnp.float32)
  metrics['param_norm'] = optax.tree.norm(params)
  new_state = state.replace(
      step=state.step + 1,
      params=params,
      ema_params=ema_params,
      opt_state=opt_state,
  )
  return new_state, metrics


def _in_parts(of_part, batch: types.Batch, num_parts: int):
  """The sum of `of_part` over parts of the batch, one after another."""
  if num_parts == 1:
    return of_part(batch)
  # Every so manieth example, as each device holds neighbours.
  parts = jax.tree.map(
      lambda a: jnp.moveaxis(
          a.reshape((-1, num_parts) + a.shape[1:]), 1, 0), batch)
  add = lambda sums, part: (jax.tree.map(jnp.add, sums, of_part(part)), None)
  zeros = jax.tree.map(
      lambda a: jnp.zeros(a.shape, a.dtype),
      jax.eval_shape(of_part, jax.tree.map(lambda a: a[0], parts)))
  # Gradients of convolutions in a loop are many times slower on CPUs.
  unroll = jax.default_backend() == 'cpu'
  return jax.lax.scan(add, zeros, parts, unroll=unroll)[0]


def _masked_sums(values: Metrics, mask: types.Array) -> Metrics:
  """Sums (B,) values over the examples whose mask is True, in float32."""
  zero_padding = lambda v: jnp.where(mask, v.astype(jnp.float32), 0.0)
  return {k: jnp.sum(zero_padding(v)) for k, v in values.items()}


def _all_sum(tree, axis_name: str | None):
  """Sums over the devices of a `pmap`."""
  return tree if axis_name is None else jax.lax.psum(tree, axis_name)
