"""Tests of `methods.views`."""

import jax
import numpy as np

from seqdiff.methods import views

KEY = jax.random.key(3)


def _clips(count=4):
  rng = np.random.default_rng(0)
  return rng.uniform(-1, 1, size=(count, 3, 4, 5, 3)).astype(np.float32)


def _recolour(x, index=None):
  index = np.arange(len(x)) if index is None else index
  return np.asarray(jax.jit(views.recolour)(KEY, index, x))


def test_each_clip_gets_colours_of_its_own():
  x = np.repeat(_clips(1), 4, axis=0)
  y = _recolour(x)
  assert np.abs(y - x).max(axis=(1, 2, 3, 4)).min() > 0.05
  apart = [np.abs(y[i] - y[j]).max() for i in range(4) for j in range(i)]
  assert min(apart) > 0.05


def test_colours_follow_the_example_and_not_its_place():
  x = _clips()
  order = np.array([2, 0, 3, 1])
  np.testing.assert_array_equal(
      _recolour(x[order], np.arange(4)[order]), _recolour(x)[order])


def test_pixels_of_one_colour_keep_one_colour_in_all_frames_and_places():
  colour = np.array([0.3, -0.6, 0.9], np.float32)
  x = _clips()
  x[:, 0, 1, 2] = x[:, 2, 3, 4] = colour
  y = _recolour(x)
  np.testing.assert_allclose(y[:, 0, 1, 2], y[:, 2, 3, 4], atol=1e-6)


def test_black_stays_black_and_white_stays_white():
  np.testing.assert_allclose(
      _recolour(np.full((4, 1, 2, 2, 3), -1, np.float32)), -1, atol=0.07)
  np.testing.assert_allclose(
      _recolour(np.full((4, 1, 2, 2, 3), 1, np.float32)), 1, atol=1e-6)


def test_draws_are_averages_and_gammas_around_nothing_changed():
  mix, gamma = map(
      np.asarray, views.random_colours(KEY, np.arange(2000), 3))
  np.testing.assert_allclose(np.sum(mix, axis=-1), 1, atol=1e-5)
  assert np.min(mix) >= 0
  assert 0.5 <= np.min(gamma) < 0.51 and 1.98 < np.max(gamma) <= 2
  np.testing.assert_allclose(np.mean(np.log(gamma)), 0, atol=0.02)
  distance = np.abs(mix - np.eye(3)).max(axis=(1, 2))
  assert np.min(distance) < 0.02 and np.max(distance) > 0.8
  # On average half way between itself and the plain average of all.
  np.testing.assert_allclose(
      np.mean(mix, axis=0), np.eye(3) / 2 + 1 / 6, atol=0.03)
