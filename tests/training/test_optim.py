"""Tests of `training.optim`; all numbers are worked by hand."""

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.training import optim

_PLAIN = dict(
    learning_rate=0.5, weight_decay=0.1, b1=0.9, b2=0.999, clip_norm=None,
    warmup_steps=0, schedule='constant', num_steps=100,
)


def test_cosine_ends_at_zero_and_is_half_way_in_the_middle():
  schedule = optim.make_schedule(2.0, 10, 'cosine', 110)
  steps = [0, 5, 10, 35, 60, 110, 500]
  # After the warm-up: 1 + cos(pi * (step - 10) / 100).
  expected = [0.0, 1.0, 2.0, 1.7071068, 1.0, 0.0, 0.0]
  np.testing.assert_allclose(
      [schedule(s) for s in steps], expected, atol=1e-6)


def test_constant_stays_after_the_warm_up():
  schedule = optim.make_schedule(2.0, 4, 'constant', 10)
  np.testing.assert_allclose(
      [schedule(s) for s in (0, 1, 4, 5, 1000)], [0.0, 0.5, 2.0, 2.0, 2.0])


def test_no_warm_up_starts_at_the_full_rate():
  assert optim.make_schedule(2.0, 0, 'cosine', 10)(0) == 2.0


def test_first_update_is_the_sign_of_the_gradient_plus_decay():
  tx, schedule = optim.make_optimizer(**_PLAIN)
  params = jnp.array([2.0, -4.0])
  updates, _ = tx.update(jnp.array([30.0, -40.0]), tx.init(params), params)
  # Adam's first step is g / |g|; then -0.5 * (1 + 0.1 * 2), 0.5 * (1 + 0.4).
  np.testing.assert_allclose(updates, [-0.6, 0.7], rtol=1e-5)
  assert schedule(0) == 0.5


@pytest.mark.parametrize(
    'clip_norm, first_moment',
    # |g| = 50; the moment is (1 - b1) * g after clipping.
    [(None, [3.0, 4.0]), (1.0, [0.06, 0.08]), (100.0, [3.0, 4.0])],
)
def test_gradient_is_clipped_by_its_global_norm(clip_norm, first_moment):
  tx, _ = optim.make_optimizer(**{**_PLAIN, 'clip_norm': clip_norm})
  params = {'a': jnp.zeros(1), 'b': jnp.zeros(1)}
  grads = {'a': jnp.array([30.0]), 'b': jnp.array([40.0])}
  _, state = tx.update(grads, tx.init(params), params)
  mu = optax.tree.get(state, 'mu')
  np.testing.assert_allclose([mu['a'][0], mu['b'][0]], first_moment, rtol=1e-5)


def test_unknown_schedule_names_the_known_ones():
  with pytest.raises(ValueError, match="'cosin'.*mean 'cosine'.*constant"):
    optim.make_schedule(1.0, 0, 'cosin', 10)


@pytest.mark.parametrize('warmup_steps', [10, 11, -1])
def test_warm_up_must_leave_room_for_training(warmup_steps):
  with pytest.raises(ValueError, match='warmup_steps is -?1.*num_steps is 10'):
    optim.make_schedule(1.0, warmup_steps, 'cosine', 10)
