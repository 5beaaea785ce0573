"""Tests of `training.state`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqdiff.training import state as train_state


class _HalfPrecision:
  """Parameters of which one is bfloat16."""

  def init(self, key, batch):
    assert batch['x'].dtype == jnp.float32  # Although the clips are uint8.
    return {
        'half': jnp.full((4,), 1.5, jnp.bfloat16),
        'full': jax.random.normal(key, (4,)) + jnp.mean(batch['x']),
    }


def _create(ema, seed=3, value=0):
  batch = {'x': np.full((2, 3, 4, 4, 3), value, np.uint8)}
  return jax.jit(
      functools.partial(
          train_state.create, _HalfPrecision(), optax.adam(0.1), batch,
          seed=seed, ema=ema,
      )
  )()


def test_average_starts_at_the_parameters_in_float32():
  state = _create(ema=True)
  assert state.params['half'].dtype == jnp.bfloat16
  for name in ('half', 'full'):
    assert state.ema_params[name].dtype == jnp.float32
    np.testing.assert_array_equal(
        state.ema_params[name], state.params[name].astype(jnp.float32))


def test_no_two_leaves_share_a_buffer_so_the_state_can_be_donated():
  state = _create(ema=True)
  expected = np.array(state.params['full'])
  moved = jax.jit(lambda s: s, donate_argnums=0)(state)
  np.testing.assert_array_equal(moved.ema_params['full'], expected)
  assert state.params['full'].is_deleted()


def test_eval_params_are_the_average_where_there_is_one():
  other = {'w': jnp.ones(2)}
  state = _create(ema=True)
  assert state.replace(ema_params=other).eval_params is other
  without = _create(ema=False)
  assert without.ema_params is None
  assert without.eval_params is without.params


def test_start_depends_on_the_seed_and_not_on_the_values_of_the_batch():
  start = lambda **kwargs: np.array(_create(ema=False, **kwargs).params['full'])
  np.testing.assert_array_equal(start(), start(value=7))
  assert np.abs(start() - start(seed=4)).max() > 0.1
  state = _create(ema=False, seed=2**32 - 1)
  assert (int(state.seed), int(state.step)) == (2**32 - 1, 0)
