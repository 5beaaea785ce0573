"""Each picture lands where it belongs, pixel by pixel."""

import numpy as np
import pytest

from seqdiff.figures import grids


def _clip(colours, size=4, channels=3) -> np.ndarray:
  """(T,) colours -> (T, size, size, channels) of flat frames."""
  frames = np.asarray(colours, np.uint8).reshape(-1, 1, 1, channels)
  return np.tile(frames, (1, size, size, 1))


def _box(image, colour) -> tuple[int, int, int, int]:
  """Left, top, right, bottom (inclusive) of the pixels of one colour."""
  ys, xs = np.nonzero((np.asarray(image) == colour).all(axis=-1))
  assert len(xs) > 0, f'no pixel of {colour}'
  return xs.min(), ys.min(), xs.max(), ys.max()


def _swaps(num_frames: int):
  """Colour (kind, index, frame): every frame of every clip is unique."""
  s = np.stack([_clip([(20, 10 * n, t) for t in range(num_frames)])
                for n in range(3)])  # fmt: skip
  d = np.stack([_clip([(40, 10 * m, t) for t in range(num_frames)])
                for m in range(2)])  # fmt: skip
  x = np.stack([
      np.stack([_clip([(60 + 10 * n, 10 * m, t) for t in range(num_frames)])
                for m in range(2)])
      for n in range(3)
  ])  # fmt: skip
  return s, d, x


def test_upscale_repeats_each_pixel():
  x = np.array([[[1], [2]], [[3], [4]]], np.uint8)
  expected = [
      [1, 1, 1, 2, 2, 2],
      [1, 1, 1, 2, 2, 2],
      [1, 1, 1, 2, 2, 2],
      [3, 3, 3, 4, 4, 4],
      [3, 3, 3, 4, 4, 4],
      [3, 3, 3, 4, 4, 4],
  ]
  np.testing.assert_array_equal(grids.upscale(x, 3)[..., 0], expected)


def test_swap_lands_in_the_row_of_its_source_and_column_of_its_driver():
  image = grids.swap_grid(*_swaps(3), num_frames=3, scale=5)
  for n in range(3):
    left, top, right, bottom = _box(image, (20, 10 * n, 0))
    assert (right - left, bottom - top) == (19, 19)
    for m in range(2):
      for t in range(3):
        cell = _box(image, (60 + 10 * n, 10 * m, t))
        driver = _box(image, (40, 10 * m, t))
        assert (cell[1], cell[3]) == (top, bottom)
        assert (cell[0], cell[2]) == (driver[0], driver[2])
        assert cell[0] > right
        assert cell[1] > driver[3]


def test_frames_of_a_cell_run_to_the_right_with_a_thin_gap():
  image = grids.swap_grid(*_swaps(3), num_frames=3, scale=5)
  boxes = [_box(image, (60, 0, t)) for t in range(3)]
  assert boxes[1][0] - boxes[0][2] == boxes[2][0] - boxes[1][2] == 3
  next_cell = _box(image, (60, 10, 0))
  assert next_cell[0] - boxes[2][2] > 3


def test_shown_frames_include_first_and_last():
  image = np.asarray(grids.swap_grid(*_swaps(9), num_frames=3, scale=2))
  shown = [t for t in range(9) if (image == (60, 0, t)).all(axis=-1).any()]
  assert shown == [0, 4, 8]


def test_source_shows_one_frame_only():
  image = np.asarray(grids.swap_grid(*_swaps(3), scale=2))
  assert not (image == (20, 0, 1)).all(axis=-1).any()


def test_animation_shows_frame_t_of_every_clip_at_one_place():
  images = grids.swap_animation(*_swaps(4), scale=3)
  assert len(images) == 4
  boxes = [
      [_box(images[t], (first, second, t))
       for first, second in [(20, 10), (40, 10), (70, 10)]]
      for t in range(4)
  ]  # fmt: skip
  assert all(b == boxes[0] for b in boxes)
  row, column, cell = boxes[0]
  assert (cell[1], cell[3]) == (row[1], row[3])
  assert (cell[0], cell[2]) == (column[0], column[2])


def test_animation_repeats_a_source_that_is_shorter():
  sources, drivers, swaps = _swaps(5)
  images = grids.swap_animation(sources[:, :2], drivers, swaps, scale=1)
  assert [_box(i, (20, 0, t % 2)) for t, i in enumerate(images)]


def test_paper_is_white_and_both_axes_are_labelled():
  image = np.asarray(grids.swap_grid(*_swaps(2), scale=8))
  edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
  assert (edge == 255).all()
  left, top, _, _ = _box(image, (20, 0, 0))
  driver = _box(image, (40, 0, 0))
  above = image[: driver[1] - 2, driver[0] :]
  beside = image[top:, : left - 2]
  for label, colour in ((above, grids._MOTION), (beside, grids._IDENTITY)):
    ink = (label == colour).all(axis=-1)
    assert ink.sum() > 100
    # The line alone would be two pixels thick.
    assert min(ink.any(axis=0).sum(), ink.any(axis=1).sum()) > 8


def test_labels_do_not_touch_the_pictures():
  sources, drivers, swaps = _swaps(2)
  image = np.asarray(grids.swap_grid(sources, drivers, swaps, scale=2))
  for n in range(3):
    for m in range(2):
      for t in range(2):
        pixels = (image == (60 + 10 * n, 10 * m, t)).all(axis=-1)
        assert pixels.sum() == 8 * 8


def test_grey_pictures_become_three_equal_channels():
  sources, drivers, swaps = (x[..., 2:] + 77 for x in _swaps(2))
  image = grids.swap_grid(sources, drivers, swaps, scale=2)
  assert _box(image, (78, 78, 78))
  assert image.mode == 'RGB'


@pytest.mark.parametrize(
    'size, height', [(16, 64), (32, 64), (64, 64), (256, 256)]
)
def test_small_pictures_are_enlarged_by_whole_factors(size, height):
  clip = _clip([(9, 8, 7)], size=size)[None]
  image = grids.swap_grid(clip, clip, clip[None], num_frames=1)
  drawn = (np.asarray(image) == (9, 8, 7)).all(axis=-1).sum()
  assert drawn == 3 * height**2


def test_reconstruction_lies_below_its_original_frame_by_frame():
  original = np.stack([_clip([(10, n, t) for t in range(6)]) for n in range(2)])
  again = np.stack([_clip([(20, n, t) for t in range(6)]) for n in range(2)])
  image = grids.strips(
      {'original': original, 'reconstruction': again}, num_frames=3, scale=4)
  bottom_of_pair = 0
  for n in range(2):
    right = 0
    for t in (0, 2, 5):
      above, below = _box(image, (10, n, t)), _box(image, (20, n, t))
      assert (above[0], above[2]) == (below[0], below[2])
      assert bottom_of_pair < above[1] <= above[3] < below[1]
      assert above[0] > right
      right = above[2]
    bottom_of_pair = below[3]


def test_a_title_stands_above_and_moves_the_clips_down():
  clip = _clip([(10, 0, t) for t in range(2)])[None]
  plain = grids.strips({'a': clip}, scale=4)
  titled = grids.strips({'a': clip}, scale=4, title='a long title ' * 9)
  before, after = _box(plain, (10, 0, 0)), _box(titled, (10, 0, 0))
  down = after[1] - before[1]
  assert down > 15 and after[0] == before[0]
  assert titled.width > plain.width and titled.height == plain.height + down
  dark = (np.asarray(titled)[:after[1]] < 90).all(axis=-1)
  columns = np.flatnonzero(dark.any(axis=0))
  assert columns[0] >= 16 and 600 < columns[-1] < titled.width - 15


def test_picture_is_not_changed_by_becoming_an_image():
  x = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
  np.testing.assert_array_equal(np.asarray(grids.to_image(x)), x)


def test_swaps_of_another_order_are_refused():
  sources, drivers, swaps = _swaps(2)
  with pytest.raises(ValueError, match=r'do not belong together.*\(N, M, T'):
    grids.swap_grid(sources, drivers, swaps.swapaxes(0, 1))


def test_sources_of_another_size_are_refused():
  sources, drivers, swaps = _swaps(2)
  with pytest.raises(ValueError, match='do not belong together'):
    grids.swap_animation(sources[:, :, :2], drivers, swaps)


def test_floats_are_refused_with_the_way_out():
  sources, drivers, swaps = _swaps(2)
  with pytest.raises(ValueError, match='drivers: got float32.*to_uint8'):
    grids.swap_grid(sources, drivers.astype(np.float32), swaps)


def test_two_channels_are_refused():
  with pytest.raises(ValueError, match='size 1 or 3'):
    grids.to_image(np.zeros((4, 4, 2), np.uint8))


def test_no_pictures_are_refused():
  sources, drivers, swaps = _swaps(2)
  with pytest.raises(ValueError, match='sources.*at least one'):
    grids.swap_grid(sources[:0], drivers, swaps[:0])


def test_reconstructions_of_other_clips_are_refused():
  sources, drivers, _ = _swaps(2)
  with pytest.raises(ValueError, match='must have one shape'):
    grids.strips({'original': sources, 'reconstruction': drivers})


def test_pair_and_its_swaps_play_side_by_side():
  clips = [_clip([(50 * k, 10, 20 * t + 1) for t in range(3)])
           for k in range(4)]
  films = grids.pair_animation(*clips, scale=5)
  assert len(films) == 3
  assert len({film.size for film in films}) == 1
  for t, film in enumerate(films):
    boxes = [_box(film, (50 * k, 10, 20 * t + 1)) for k in range(4)]
    assert [(right - left, bottom - top)
            for left, top, right, bottom in boxes] == [(19, 19)] * 4
    assert all(one[2] < other[0] for one, other in zip(boxes, boxes[1:]))
    assert len({top for _, top, _, _ in boxes}) == 1
  tall = grids.pair_animation(*clips)[0]
  assert tall.height > 160  # Small clips are enlarged.


def test_animation_has_a_panel_for_each_name():
  clips = {name: _clip([(50 * k, 10, 20 * t + 1) for t in range(2)])
           for k, name in enumerate('abcde')}
  for t, film in enumerate(grids.animation(clips, scale=2)):
    lefts = [_box(film, (50 * k, 10, 20 * t + 1))[0] for k in range(5)]
    assert lefts == sorted(set(lefts))
  with pytest.raises(ValueError, match='b: got float32'):
    grids.animation({**clips, 'b': clips['b'].astype(np.float32)})


@pytest.mark.parametrize('marked, row', [(None, 2), ('b', 1), ('none', None)])
def test_one_row_is_set_off(marked, row):
  clips = {name: _clip([(9, 10 * k, 9)], size=40)[None]
           for k, name in enumerate('abc')}
  image = grids.strips(clips, scale=1, marked=marked)
  ys = np.nonzero((np.asarray(image) == grids._MOTION).all(axis=-1))[0]
  if row is None:
    assert not len(ys)
  else:
    _, top, _, bottom = _box(image, (9, 10 * row, 9))
    assert top < ys.min() and ys.max() < bottom
