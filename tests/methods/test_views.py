"""Tests of `methods.views`."""

import jax
import numpy as np
import pytest

from seqdiff.methods import views

KEY = jax.random.key(3)


def _clips(count=4):
  rng = np.random.default_rng(0)
  return rng.uniform(-1, 1, size=(count, 3, 4, 5, 3)).astype(np.float32)


def _recolour(x, index=None):
  index = np.arange(len(x)) if index is None else index
  return np.asarray(jax.jit(views.recolour)(KEY, index, x))


def _colours(count, channels=3):
  return map(np.asarray, views.random_colours(
      KEY, np.arange(count), channels))


def _centre(x, mask):
  return np.asarray(jax.jit(views.centre)(x, np.asarray(mask, bool)))


def _order(mask, index=None):
  index = np.arange(len(mask)) if index is None else index
  return np.asarray(jax.jit(views.random_order)(KEY, index, mask))


def test_order_has_each_frame_once_and_padding_last():
  mask = np.random.default_rng(0).random((200, 7)) < 0.6
  order = _order(mask)
  np.testing.assert_array_equal(
      np.sort(order, axis=1), np.tile(np.arange(7), (200, 1)))
  np.testing.assert_array_equal(
      np.take_along_axis(mask, order, axis=1), np.sort(mask, axis=1)[:, ::-1])


def test_each_order_is_as_likely_as_any_other():
  mask = np.tile([True, False, True, True], (3000, 1))
  orders, counts = np.unique(_order(mask)[:, :3], axis=0, return_counts=True)
  assert len(orders) == 6
  np.testing.assert_allclose(counts, 500, atol=4 * (3000 * 5 / 36) ** 0.5)


def test_order_follows_the_example_and_not_its_place():
  mask, turn = np.ones((4, 9), bool), np.array([2, 0, 3, 1])
  np.testing.assert_array_equal(
      _order(mask, np.arange(4)[turn]), _order(mask)[turn])


@pytest.mark.parametrize('real, count, expected', [
    (4, 2, [1, 3]), (3, 2, [0, 3]), (3, 3, [0, 2, 3]),
    (3, 5, [0, 0, 2, 3, 3]), (1, 3, [2, 2, 2]), (0, 2, [2, 2])])
def test_last_real_frames_by_hand(real, count, expected):
  order = np.array([[2, 0, 3, 1]])  # Of which the first `real` are.
  mask = np.isin(np.arange(4), order[0, :real])[None]
  np.testing.assert_array_equal(
      views.last_real(order, mask, count), [expected])


def test_frames_are_taken_from_their_own_clip():
  x, frames = _clips(2), np.array([[2, 2, 0, 1], [0, 1, 1, 2]])
  for a in x, x[..., 0, 0, 0]:  # Pixels, and a number for each frame.
    expected = np.stack([a[0][frames[0]], a[1][frames[1]]])
    np.testing.assert_array_equal(views.take_frames(a, frames), expected)


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


def test_black_stays_black():
  x = np.full((50, 1, 2, 2, 3), -1, np.float32)
  np.testing.assert_array_equal(_recolour(x), x)


def test_channels_are_averaged_and_then_follow_their_curves():
  x = _clips(5)
  x[:, 0, 0, :] = np.array([-1, -0.5, 0, 0.5, 1])[:, None]  # Knots, in grey.
  mix, curves = _colours(5)
  expected = np.empty(x.shape)
  for clip in range(5):
    for channel in range(3):
      brightness = (x[clip].astype(np.float64) + 1) / 2 @ mix[clip, channel]
      expected[clip, ..., channel] = 2 * np.interp(
          brightness, np.linspace(0, 1, 5), [0, *curves[clip, channel]]) - 1
  y = _recolour(x)
  np.testing.assert_allclose(y, expected, atol=1e-5)
  assert -1 <= y.min() and y.max() <= 1


def test_mixes_are_averages_of_which_none_is_more_likely():
  mix, _ = _colours(3000)
  assert mix.shape == (3000, 3, 3) and mix.min() >= 0
  np.testing.assert_allclose(mix.sum(axis=-1), 1, atol=1e-5)
  # Uniform on the simplex: a part has mean 1/3 and variance 1/18.
  np.testing.assert_allclose(mix.mean(axis=0), np.full((3, 3), 1 / 3),
                             atol=4 * (1 / 18 / 3000) ** 0.5)
  np.testing.assert_allclose(mix.var(axis=0), np.full((3, 3), 1 / 18), rtol=0.1)


def test_curves_need_not_rise():
  _, curves = _colours(3000)
  assert curves.shape == (3000, 3, 4)
  values = curves.reshape(3000, -1)
  assert 0 <= values.min() < 0.001 and 0.999 < values.max() <= 1
  # Uniform, and independent of each other and of the other channels.
  np.testing.assert_allclose(values.mean(axis=0), np.full(12, 0.5), atol=0.025)
  np.testing.assert_allclose(
      values.std(axis=0), np.full(12, 12**-0.5), rtol=0.05)
  np.testing.assert_allclose(np.corrcoef(values.T), np.eye(12), atol=0.08)


MASK = [[1, 1, 1], [1, 0, 1], [1, 1, 0], [0, 1, 0]]


def test_centred_clip_is_the_same_whatever_stays_the_same():
  x, picture = _clips(), _clips()[::-1, :1]
  y = _centre(x, MASK)
  np.testing.assert_allclose(_centre(x + picture, MASK), y, atol=1e-5)
  # And nothing else: what changes from frame to frame is kept.
  np.testing.assert_allclose(
      np.diff(y, axis=1), np.diff(x, axis=1), atol=1e-5)


def test_mean_of_the_real_frames_of_a_centred_clip_is_zero():
  y, weight = _centre(_clips(), MASK), np.array(MASK)[..., None, None, None]
  np.testing.assert_allclose(
      (y * weight).sum(axis=1), np.zeros((4, 4, 5, 3)), atol=1e-5)


def test_padding_is_not_part_of_the_mean():
  x, real = _clips(), np.array(MASK, bool)
  other = np.where(real[..., None, None, None], x, np.float32(1e6))
  np.testing.assert_allclose(
      _centre(other, MASK)[real], _centre(x, MASK)[real], atol=1e-5)


def test_clip_without_real_frames_is_not_centred():
  x = _clips()
  np.testing.assert_array_equal(_centre(x, np.zeros((4, 3))), x)
