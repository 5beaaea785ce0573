"""Tests of `evaluation.fitting`."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.evaluation import fitting
from seqdiff.nets import predictors

PLAN = fitting.Schedule(30, 8, learning_rate=0.02)


def _examples(count=64, seed=0):
  """The class is the sign of the first value of the static code."""
  rng = np.random.default_rng(seed)
  static = rng.normal(size=(count, 3)).astype(np.float32)
  inputs = (static, np.zeros((count, 4, 1), np.float32),
            np.ones((count, 4), bool))
  return fitting.Examples(
      inputs, (static[:, 0] > 0).astype(np.int32), np.ones(count, np.float32))


def _loss(outputs, targets, weights):
  log_p = jax.nn.log_softmax(outputs)
  picked = jnp.take_along_axis(log_p, jnp.asarray(targets)[:, None], 1)[:, 0]
  return -jnp.sum(picked * weights) / jnp.sum(weights)


def _accuracy(outputs, targets, weights):
  del weights
  return float(np.mean(outputs.argmax(1) == targets))


def _fitter(schedule=PLAN, score=_accuracy):
  return fitting.Fitter(predictors.StaticOnly(2), _loss, score, schedule)


def test_a_predictor_learns():
  fitter, test = _fitter(), _examples(seed=2)
  kept, _ = fitter.fit(_examples(), _examples(seed=1), seed=0)
  assert _accuracy(fitter.outputs(kept, test), test.targets, None) > 0.9


def test_the_same_seed_gives_the_same_and_another_does_not():
  fits = [_fitter().fit(_examples(), _examples(seed=1), seed=seed)[1]
          for seed in (0, 0, 1)]
  same, other = (jax.tree.map(lambda a, b: np.abs(a - b).max(), fits[0], fit)
                 for fit in fits[1:])
  assert max(jax.tree.leaves(same)) == 0 < max(jax.tree.leaves(other))


@pytest.mark.parametrize('best, kept_epoch', [(True, 2), (False, 5)])
def test_which_epoch_is_kept(best, kept_epoch):
  """The score is high in the third epoch of six."""
  plan = dataclasses.replace(PLAN, epochs=6, best=best)
  count = iter(range(6))
  fitter = _fitter(plan, lambda *args: -abs(next(count) - 2))
  kept, last = fitter.fit(_examples(), _examples(seed=1), seed=0)
  short, _ = _fitter(dataclasses.replace(
      plan, epochs=kept_epoch + 1, best=False)).fit(
          _examples(), _examples(seed=1), seed=0)
  equal = lambda a, b: all(jax.tree.leaves(jax.tree.map(np.array_equal, a, b)))
  assert equal(kept, short)
  assert equal(kept, last) == (not best)


def test_a_fit_can_go_on_from_another():
  once = dataclasses.replace(PLAN, epochs=1, learning_rate=1e-6)
  _, first = _fitter().fit(_examples(), _examples(seed=1), seed=0)
  _, second = _fitter(once).fit(
      _examples(), _examples(seed=1), seed=5, start=first)
  far = jax.tree.map(lambda a, b: np.abs(a - b).max(), first, second)
  assert 0 < max(jax.tree.leaves(far)) < 1e-4


def test_what_has_no_weight_is_not_learnt():
  train = _examples()
  half = (np.arange(64) < 32).astype(np.float32)
  wrong = np.where(half, train.targets, 1 - train.targets)
  fits = [
      _fitter(dataclasses.replace(PLAN, batch_size=64)).fit(
          dataclasses.replace(train, targets=targets, weights=half),
          _examples(seed=1), seed=0)[1]
      for targets in (train.targets, wrong)]
  jax.tree.map(np.testing.assert_array_equal, *fits)


def test_passes_see_all_examples_again_within_an_epoch():
  def steps(plan):  # Adam makes steps of one size at first.
    fitter = _fitter(dataclasses.replace(
        plan, epochs=1, batch_size=64, learning_rate=1e-5))
    start, _ = _fitter(dataclasses.replace(PLAN, epochs=0)).fit(
        _examples(), _examples(), seed=0)
    _, last = fitter.fit(_examples(), _examples(), seed=0, start=start)
    return max(np.abs(a - b).max() for a, b in zip(
        jax.tree.leaves(start), jax.tree.leaves(last)))

  assert steps(dataclasses.replace(PLAN, passes=5)) == pytest.approx(
      5 * steps(PLAN), rel=0.05)


@pytest.mark.parametrize('rest, sizes', [(False, [10]), (True, [10, 4])])
def test_what_fills_no_batch_makes_a_smaller_one_or_waits(rest, sizes):
  """Fourteen clips in batches of ten, as months of ETTh1."""
  seen, number = [], np.arange(14, dtype=np.float32)
  examples = fitting.Examples(
      (number[:, None], np.zeros((14, 1, 1)), np.ones((14, 1), bool)), number,
      np.ones(14, np.float32))

  def loss(outputs, targets, weights):
    jax.debug.callback(
        lambda *a: seen.append(np.stack(a)), targets, weights, ordered=True)
    return jnp.sum(outputs)

  fitter = fitting.Fitter(
      Through(), loss, lambda *_: 0.0,
      fitting.Schedule(2, 10, passes=2, rest=rest))
  fitter.fit(examples, examples, seed=0)
  jax.effects_barrier()
  steps = [targets[weights > 0] for targets, weights in seen]
  assert [len(step) for step in steps] == sizes * 4
  for first in range(0, len(steps), len(sizes)):  # Of a pass.
    used = np.concatenate(steps[first:first + len(sizes)])
    assert len(set(used)) == sum(sizes)


class Weight(nn.Module):
  """Says its one weight, which is 0 at first."""

  @nn.compact
  def __call__(self, static, dynamic, mask, *, train=False):
    del dynamic, mask, train
    return self.param('weight', nn.initializers.zeros, ()) + 0.0 * static


@pytest.mark.parametrize('clip_norm', [1.0, None])
def test_gradients_are_clipped_unless_told_not_to(clip_norm):
  """Two steps of Adam on gradients of 2 and 200, in either order."""
  targets = np.array([2.0, 200.0], np.float32)
  examples = fitting.Examples(
      (np.zeros((2, 1)), np.zeros((2, 1, 1)), np.ones((2, 1), bool)), targets,
      np.ones(2, np.float32))
  fitter = fitting.Fitter(
      Weight(), lambda outputs, targets, _: jnp.sum(outputs[:, 0] * targets),
      lambda *_: 0.0, fitting.Schedule(1, 1, clip_norm=clip_norm))
  _, last = fitter.fit(examples, examples, seed=0)

  def end(grads):
    m = v = place = 0.0
    for count, grad in enumerate(grads, start=1):
      m, v = 0.9 * m + 0.1 * grad, 0.999 * v + 0.001 * grad**2
      place -= 1e-3 * (m / (1 - 0.9**count)) / (v / (1 - 0.999**count))**0.5
    return place

  expected = [end(g) for g in ([1.0, 1.0] if clip_norm else targets,
                               [1.0, 1.0] if clip_norm else targets[::-1])]
  found = float(last['params']['weight'])
  assert min(abs(found - e) / abs(e) for e in expected) < 1e-3
  assert (abs(found + 2e-3) < 1e-6) == (clip_norm is not None)


class Through(nn.Module):
  """Says the static code."""

  @nn.compact
  def __call__(self, static, dynamic, mask, *, train=False):
    del dynamic, mask, train
    return static + 0.0 * self.param('nothing', nn.initializers.zeros, (1, 1))


@pytest.mark.parametrize('own', [True, False])
def test_examples_meet_other_targets_in_each_epoch_unless_they_keep_theirs(own):
  seen, number = [], np.arange(8, dtype=np.float32)
  examples = fitting.Examples(
      (number[:, None], np.zeros((8, 1, 1)), np.ones((8, 1), bool)), number,
      10 + number)

  def loss(outputs, targets, weights):
    jax.debug.callback(
        lambda *a: seen.append(np.stack(a)), outputs[:, 0], targets, weights)
    return jnp.sum(outputs)

  fitter = fitting.Fitter(
      Through(), loss, lambda *_: 0.0, fitting.Schedule(3, 8), own)
  fitter.fit(examples, examples, seed=0)
  jax.effects_barrier()
  epochs = [a[1:, np.argsort(a[0])] for a in seen]  # By the example.
  assert len(epochs) == 3
  for targets, weights in epochs:
    np.testing.assert_array_equal(weights, 10 + targets)
    np.testing.assert_array_equal(np.sort(targets), number)
  kept = [bool((targets == number).all()) for targets, _ in epochs]
  assert kept == [own] * 3
  assert own or len({tuple(targets) for targets, _ in epochs}) == 3
