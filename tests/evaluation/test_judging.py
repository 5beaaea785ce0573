"""Agreement with labels, by hand."""

import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.evaluation import judging

HEAD = data_batch.Factor('head', 'static', 3)
BODY = data_batch.Factor('body', 'static', 3)
POSE = data_batch.Factor('pose', 'dynamic', None, ('height',), 0.1)


def test_swap_metrics_by_hand():
  # Two clips of two frames; the last frame of the second is no real frame.
  mask = np.array([[1, 1], [1, 0]], bool)
  of_a = {'head': np.array([[1, 1], [1, 1]]),
          'body': np.array([[1, 1], [0, 0]]),
          'pose': np.array([[0, 1], [0, 1]])}
  of_b = {'head': np.array([[0, 0], [1, 1]]),
          'body': np.array([[0, 0], [1, 1]]),
          'pose': np.array([[1, 0], [1, 1]])}
  found = judging.swap_metrics((HEAD, BODY, POSE), of_a, of_b, mask)
  third = 1 / 3
  assert found == pytest.approx({
      'static_accuracy': 2 * third,  # Frames 1 and 2, not 3 (body).
      'dynamic_accuracy': 2 * third,  # Frames 1 and 3.
      'joint_accuracy': third,  # Frame 1.
      'complement/static_accuracy': third,  # Frame 3 shows head, body of b.
      'complement/dynamic_accuracy': third,  # Frame 2 has the pose of a.
      'static/head_accuracy': 1.0,
      'static/body_accuracy': 2 * third,
      'dynamic/pose_accuracy': 2 * third,
  })


def test_all_right_needs_every_factor():
  verdict = {'head': np.array([[1.0, 1.0, 0.0]]),
             'body': np.array([[1.0, 0.0, 0.0]]), 'pose': np.zeros((1, 3))}
  np.testing.assert_array_equal(
      judging.all_right(verdict, (HEAD, BODY)), [[1, 0, 0]])


def test_mean_and_spread_by_hand():
  runs = [{'a': 0.5, 'b': 1.0}, {'a': 0.7, 'b': 1.0}, {'a': 0.9, 'b': 1.0}]
  assert judging.mean_and_spread(runs) == pytest.approx(
      {'a': 0.7, 'a_std': 0.2, 'b': 1.0, 'b_std': 0.0})


def test_one_judge_has_no_spread():
  assert judging.mean_and_spread([{'a': 0.5}]) == {'a': 0.5}


def test_join_puts_batches_in_a_row_for_each_judge():
  batch = lambda *values: [{'head': np.full((2, 1), v)} for v in values]
  first, second = judging.join([batch(1, 2), batch(3, 4)])
  assert first['head'].ravel().tolist() == [1, 1, 3, 3]
  assert second['head'].ravel().tolist() == [2, 2, 4, 4]


def test_jury_compares_with_the_given_labels(toy):
  dataset = toy.make_dataset(6)
  batch = dataset.splits['test'].arrays
  jury = judging.Jury(toy.Oracle(), (0.0, 1.0))
  mask = np.ones((6, 4), bool)
  x = data_batch.to_float(batch['x'])
  right, wrong = jury.verdicts(x, mask, batch)
  for f in dataset.factors:
    np.testing.assert_array_equal(right[f.name], np.ones((6, 4)))
    assert np.all(wrong[f.name] == 0.0)
  labels = {**batch, 'labels/who': (batch['labels/who'] + [0, 1] * 3) % 4}
  labels['labels/pose'] = batch['labels/pose'] + np.array(
      [0.0, 0.2, 0.3, -0.3], np.float32)[None, :, None]  # Tolerance 0.25.
  some = jury.verdicts(x, mask, labels)[0]
  np.testing.assert_array_equal(some['who'], [[1] * 4, [0] * 4] * 3)
  np.testing.assert_array_equal(some['pose'], [[1, 1, 0, 0]] * 6)
  assert np.all(some['act'] == 1.0)
