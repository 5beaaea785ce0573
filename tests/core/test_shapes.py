"""Tests of `core.shapes`."""

import numpy as np

from seqdiff.core import shapes


def test_merged_frames_stand_clip_by_clip():
  x = np.arange(2 * 3 * 4).reshape(2, 3, 4)
  merged = shapes.merge_frames(x)
  for clip in range(2):
    for frame in range(3):
      np.testing.assert_array_equal(merged[3 * clip + frame], x[clip, frame])


def test_split_undoes_merge():
  x = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
  np.testing.assert_array_equal(
      shapes.split_frames(shapes.merge_frames(x), 3), x)


def test_expand_like_multiplies_each_frame_by_its_own_number():
  sigma = np.array([[1.0, 2.0], [3.0, 4.0]])
  x = np.ones((2, 2, 5, 5, 3))
  wide = shapes.expand_like(sigma, x)
  assert wide.ndim == x.ndim
  np.testing.assert_array_equal((wide * x).mean(axis=(2, 3, 4)), sigma)


def test_expand_like_takes_a_scalar():
  assert shapes.expand_like(2.0, np.ones((2, 3))).shape == (1, 1)


def test_masked_mean_is_over_the_real_frames():
  values = np.array([[1.0, 3.0, 100.0], [1.0, 2.0, 6.0], [7.0, 7.0, 7.0]])
  mask = np.array([[1, 1, 0], [1, 1, 1], [0, 0, 0]], bool)
  np.testing.assert_array_equal(
      shapes.masked_mean(values, mask), [2.0, 3.0, 0.0])
