"""Tests of `methods.judge`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.methods import judge as judge_lib

SHAPE = data_batch.Factor('shape', 'static', 3)
POSE = data_batch.Factor('pose', 'dynamic', None, ('left', 'right'), 0.5)
KEY = jax.random.key(5)


def _judge(**kwargs):
  return judge_lib.Judge(
      **{**dict(factors=(SHAPE, POSE), channels=4, hidden=8), **kwargs})


def _batch(size=6, frames=3):
  """Clips whose brightness tells the class, and whose corner the pose."""
  rng = np.random.default_rng(0)
  shape = np.arange(size) % 3
  pose = rng.uniform(-1, 1, (size, frames, 2)).astype(np.float32)
  x = 0.1 * rng.normal(size=(size, frames, 8, 8, 3))
  x += (0.5 * (shape - 1))[:, None, None, None, None]
  x[:, :, :4, :4, :2] += 0.4 * pose[:, :, None, None]
  return {'x': np.clip(x, -1, 1).astype(np.float32),
          'mask': np.ones((size, frames), bool),
          'index': np.arange(size, dtype=np.int32),
          SHAPE.key: shape.astype(np.int32), POSE.key: pose}


@functools.cache
def _params():
  """Random parameters."""
  rng = np.random.default_rng(1)
  return jax.tree.map(
      lambda a: (0.2 * rng.normal(size=a.shape)).astype(np.float32),
      jax.eval_shape(_judge().init, KEY, _batch()))


def _loss(judge, params, batch, train=False, key=KEY):
  return judge.loss(params, batch, key, step=jnp.int32(0), train=train)


def test_a_class_is_right_for_all_frames_or_none():
  logits = np.array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])
  right = judge_lib.correct(SHAPE, logits, np.array([1, 2]), 4)
  np.testing.assert_array_equal(right, [[1, 1, 1, 1], [0, 0, 0, 0]])
  assert right.dtype == jnp.float32


def test_a_value_is_right_if_each_component_is_within_the_tolerance():
  label = np.zeros((1, 4, 2), np.float32)
  output = np.array([[[0.0, 0.0], [0.4, -0.4], [0.1, 0.6], [-0.5, 0.0]]])
  np.testing.assert_array_equal(
      judge_lib.correct(POSE, output, label, 4), [[1, 1, 0, 0]])


def test_loss_and_accuracies_equal_their_formulas():
  judge, batch = _judge(), _batch()
  batch['mask'] = np.arange(3)[None] < np.array([1, 2, 3, 3, 3, 3])[:, None]
  outputs = jax.jit(judge.predict)(_params(), batch['x'], batch['mask'])
  logits, values = (np.asarray(outputs[f.name], np.float64)
                    for f in (SHAPE, POSE))
  # The padded frames are right, which must not count.
  pose = np.where(batch['mask'][..., None], batch[POSE.key], values)
  shape, batch[POSE.key] = batch[SHAPE.key], np.float32(pose)
  loss, parts = jax.jit(functools.partial(_loss, judge))(_params(), batch)
  expected = np.log(np.exp(logits).sum(-1)) - logits[np.arange(6), shape]
  right = []
  for clip, frames in enumerate(batch['mask'].sum(axis=1)):
    error = values[clip, :frames] - pose[clip, :frames]
    expected[clip] += np.mean((error / 0.5) ** 2)
    right.append(np.mean(np.all(np.abs(error) < 0.5, axis=-1)))
  np.testing.assert_allclose(loss, expected, rtol=1e-4)
  assert set(parts) == {'accuracy/shape', 'accuracy/pose'}
  np.testing.assert_allclose(parts['accuracy/pose'], right, rtol=1e-5)
  np.testing.assert_array_equal(
      parts['accuracy/shape'], logits.argmax(-1) == shape)


def test_padded_frames_get_zero_gradient():
  judge, batch = _judge(), _batch()
  batch['mask'] = np.arange(3)[None] < np.array([1, 2, 3, 3, 3, 3])[:, None]
  grad = np.asarray(jax.jit(jax.grad(lambda x: jnp.sum(
      _loss(judge, _params(), {**batch, 'x': x})[0])))(batch['x']))
  padding = ~batch['mask']
  np.testing.assert_array_equal(
      grad[padding], np.zeros_like(batch['x'][padding]))
  assert np.abs(grad[batch['mask']]).max(axis=(1, 2, 3)).min() > 0


def _augmented(judge, x, num=200):
  """`num` draws for one clip."""
  clips = np.repeat(x[None], num, axis=0)
  draws = jax.random.split(jax.random.key(6), num)
  return np.asarray(jax.jit(judge._augment)(clips, draws))


def test_clips_are_shifted_by_all_amounts_and_all_frames_alike():
  clip = np.random.default_rng(0).uniform(
      -0.9, 0.9, (3, 6, 6, 1)).astype(np.float32)
  wide = np.pad(clip, ((0, 0), (2, 2), (2, 2), (0, 0)), mode='edge')
  shifted = {(i, j): wide[:, i : i + 6, j : j + 6]
             for i in range(5) for j in range(5)}
  seen = set()
  for result in _augmented(_judge(max_shift=2, max_brightness=0.0), clip):
    shifts = [shift for shift, expected in shifted.items()
              if np.allclose(result, expected, atol=1e-6)]
    assert len(shifts) == 1
    seen.add(shifts[0])
  assert seen == set(shifted)


def test_light_is_scaled_by_up_to_the_stated_share():
  clip = np.random.default_rng(0).uniform(
      -0.9, 0.7, (3, 6, 6, 1)).astype(np.float32)
  results = _augmented(_judge(max_shift=0, max_brightness=0.1), clip)
  light = (results + 1.0) / (clip + 1.0)[None]
  assert np.ptp(light, axis=(1, 2, 3, 4)).max() < 1e-4  # One per clip.
  light = light.mean(axis=(1, 2, 3, 4))
  assert 0.9 <= light.min() < 0.91 and 1.09 < light.max() <= 1.1


def test_light_stays_in_range():
  clip = np.random.default_rng(0).choice(
      [-1.0, 1.0], (3, 6, 6, 1)).astype(np.float32)
  results = _augmented(_judge(max_shift=1, max_brightness=0.5), clip)
  assert results.min() == -1.0 and results.max() == 1.0


def test_augmentation_is_for_training_and_belongs_to_the_example():
  judge, batch = _judge(max_shift=2, max_brightness=0.5), _batch()
  run = jax.jit(
      lambda b, train: _loss(judge, _params(), b, train)[0], static_argnums=1)
  trained = np.asarray(run(batch, True))
  order = np.array([3, 1, 5, 0, 2, 4])
  turned = {k: v[order] for k, v in batch.items()}
  np.testing.assert_allclose(run(turned, True), trained[order], rtol=1e-4)
  assert np.abs(run(batch, False) - trained).min() > 1e-4


def test_a_few_clips_are_learned_by_heart():
  judge, batch = _judge(max_shift=0, max_brightness=0.0), _batch()
  tx = optax.adam(1e-2)

  @jax.jit
  def update(params, state):
    def mean_loss(params):
      loss, parts = _loss(judge, params, batch, train=True)
      return jnp.mean(loss), parts

    (loss, parts), grads = jax.value_and_grad(
        mean_loss, has_aux=True)(params)
    updates, state = tx.update(grads, state)
    return optax.apply_updates(params, updates), state, loss, parts

  params = _params()
  state, losses = tx.init(params), []
  for _ in range(60):
    params, state, loss, parts = update(params, state)
    losses.append(float(loss))
  assert losses[-1] < losses[0] / 100
  np.testing.assert_array_equal(parts['accuracy/shape'], np.ones(6))


@pytest.mark.parametrize('factors, outputs', [
    ((SHAPE,), {'shape': (6, 3)}), ((POSE,), {'pose': (6, 3, 2)})])
def test_there_is_one_output_per_factor(factors, outputs):
  judge, batch = _judge(factors=factors), _batch()
  params = jax.eval_shape(judge.init, KEY, batch)
  result = jax.eval_shape(judge.predict, params, batch['x'], batch['mask'])
  assert {name: a.shape for name, a in result.items()} == outputs
