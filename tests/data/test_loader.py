"""Batches: their order, their windows, their padding."""

import numpy as np
import pytest

from seqdiff.data import loader
from seqdiff.data import transforms

NUM_CLIPS = 10
LENGTH = 7


def make_source(num_clips=NUM_CLIPS, length=LENGTH):
  """Each frame says which clip and which frame it is: x = (clip, frame)."""
  clip, frame = np.meshgrid(
      np.arange(num_clips), np.arange(length), indexing='ij')
  return loader.ArraySource({
      'x': np.stack([clip, frame], axis=-1).astype(np.float32),
      'labels/kind': np.arange(num_clips) % 3,
      'labels/angle': frame[..., None].astype(np.float32),
  })


def take(iterator, count):
  return [next(iterator) for _ in range(count)]


def stream(count=8, **kwargs):
  options = dict(batch_size=4, num_frames=3, seed=5)
  return take(
      loader.train_batches(make_source(), **(options | kwargs)), count)


def assert_same(batches, others):
  assert len(batches) == len(others)
  for batch, other in zip(batches, others):
    assert batch.keys() == other.keys()
    for name in batch:
      np.testing.assert_array_equal(batch[name], other[name], err_msg=name)


def test_examples_are_consecutive_frames_of_the_clip_they_name():
  for batch in stream():
    clip, frame = batch['x'][..., 0], batch['x'][..., 1]
    assert (clip == batch['index'][:, None]).all()
    np.testing.assert_array_equal(np.diff(frame, axis=1), 1)
    np.testing.assert_array_equal(batch['labels/kind'], batch['index'] % 3)
    assert batch['mask'].all() and batch['example_mask'].all()
    assert batch['index'].dtype == np.int32


def test_stride_skips_frames_and_labels_per_frame_follow():
  for batch in stream(stride=3):
    np.testing.assert_array_equal(batch['x'][..., 1], [[0, 3, 6]] * 4)
    np.testing.assert_array_equal(batch['labels/angle'][..., 0],
                                  batch['x'][..., 1])


def test_every_window_occurs_and_none_leaves_the_clip():
  starts = np.concatenate([b['x'][:, 0, 1] for b in stream(50)])
  assert set(starts) == set(range(LENGTH - 3 + 1))


def test_each_epoch_is_another_permutation():
  order = np.concatenate([b['index'] for b in stream(10)])  # Four epochs.
  epochs = order.reshape(4, NUM_CLIPS)
  for epoch in epochs:
    assert sorted(epoch) == list(range(NUM_CLIPS))
  assert len({tuple(epoch) for epoch in epochs}) == 4


def test_windows_are_drawn_anew_in_each_epoch():
  starts = {}
  for batch in stream(20):
    for index, x in zip(batch['index'], batch['x']):
      starts.setdefault(int(index), set()).add(x[0, 1])
  assert all(len(values) > 1 for values in starts.values())


def test_two_processes_share_the_batches_of_one():
  whole = stream()
  parts = [stream(process_index=p, process_count=2) for p in range(2)]
  merged = [
      {name: np.stack([a[name], b[name]], axis=1).reshape(batch[name].shape)
       for name in batch}
      for batch, a, b in zip(whole, *parts)]
  assert_same(whole, merged)


def test_a_stream_entered_at_a_step_goes_on_as_if_never_left():
  assert_same(stream(8)[5:], stream(3, start_step=5))


def test_the_seed_decides_the_stream():
  assert_same(stream(3), stream(3))
  assert any((a['index'] != b['index']).any()
             for a, b in zip(stream(3), stream(3, seed=6)))


def test_uint8_stays_uint8():
  source = [{'x': np.full((4, 2, 2, 3), 200, np.uint8)}]
  batch = next(loader.train_batches(
      source, batch_size=2, num_frames=4, seed=0))
  assert batch['x'].dtype == np.uint8 and (batch['x'] == 200).all()


def test_evaluation_visits_each_clip_once_and_masks_the_filling():
  batches = list(loader.eval_batches(
      make_source(), batch_size=4, num_frames=3))
  assert [b['index'].tolist() for b in batches] == [
      [0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]
  assert [b['example_mask'].tolist() for b in batches] == [
      [True] * 4, [True] * 4, [True, True, False, False]]
  for batch in batches:
    np.testing.assert_array_equal(batch['x'][..., 1], [[0, 1, 2]] * 4)
    np.testing.assert_array_equal(batch['x'][:, 0, 0], batch['index'])


def test_evaluation_takes_the_clips_and_the_start_it_is_given():
  batch, = loader.eval_batches(
      make_source(), batch_size=2, num_frames=2, stride=2, indices=[7, 3],
      start=1)
  assert batch['index'].tolist() == [7, 3]
  np.testing.assert_array_equal(batch['x'][..., 1], [[1, 3], [1, 3]])


def short_second_clip():
  return [{'x': np.ones((n, 2), np.float32)} for n in (6, 3)]


@pytest.mark.parametrize('num_frames, stride', [(4, 1), (3, 2), (2, 3)])
def test_a_clip_one_frame_too_short_is_an_error_that_names_it(
    num_frames, stride):
  message = (fr'Clip 1 has 3 frames; num_frames={num_frames} with '
             fr'stride={stride} .*needs \d+\. Choose fewer .*pad=True')
  with pytest.raises(ValueError, match=message):
    list(loader.eval_batches(
        short_second_clip(), batch_size=2, num_frames=num_frames,
        stride=stride))
  with pytest.raises(ValueError, match=message):
    next(loader.train_batches(
        short_second_clip(), batch_size=2, num_frames=num_frames,
        stride=stride, seed=0))


def test_a_window_that_just_fits_is_no_error():
  batch, = loader.eval_batches(
      make_source(1, 5), batch_size=1, num_frames=3, stride=2)
  np.testing.assert_array_equal(batch['x'][0, :, 1], [0, 2, 4])


@pytest.mark.parametrize('batches', [loader.train_batches,
                                     loader.eval_batches])
def test_if_the_first_clip_is_too_short_the_error_comes_at_once(batches):
  seed = {'seed': 0} if batches is loader.train_batches else {}
  with pytest.raises(ValueError, match='Clip 0 has 7 frames; num_frames=8'):
    batches(make_source(), batch_size=2, num_frames=8, **seed)


def test_padding_repeats_the_last_frame_and_masks_it():
  batch, = loader.eval_batches(
      make_source(1, 3), batch_size=1, num_frames=5, pad=True)
  assert batch['x'][0, :, 1].tolist() == [0, 1, 2, 2, 2]
  assert batch['mask'][0].tolist() == [True, True, True, False, False]
  batch = next(loader.train_batches(
      make_source(1, 3), batch_size=1, num_frames=5, pad=True, seed=0))
  assert batch['mask'][0].tolist() == [True, True, True, False, False]


def test_the_mask_of_the_data_is_cut_with_the_clip():
  source = [{'x': np.zeros((4, 2), np.float32),
             'mask': np.array([True, False, True, True])}]
  batch, = loader.eval_batches(
      source, batch_size=1, num_frames=2, stride=1, start=1)
  assert batch['mask'][0].tolist() == [False, True]


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_not_finite_are_an_error_that_names_the_clip(value):
  source = make_source()
  source.arrays['x'][6, 1, 0] = value
  with pytest.raises(ValueError, match='Clip 6 holds NaN or infinite values'):
    list(loader.eval_batches(source, batch_size=4, num_frames=7))
  with pytest.raises(ValueError, match='Clip 6 .*Repair'):
    next(loader.train_batches(
        source, batch_size=10, num_frames=7, seed=0))


def test_values_under_the_mask_become_finite():
  source = [{'x': np.array([[1.0], [np.nan]]),
             'mask': np.array([True, False])}]
  batch, = loader.eval_batches(source, batch_size=1, num_frames=2)
  assert batch['x'][0, :, 0].tolist() == [1.0, 0.0]
  assert batch['x'].dtype == np.float32


@pytest.mark.parametrize('options, message', [
    (dict(batch_size=3, process_count=2), 'batch_size=3 with 2 processes'),
    (dict(num_frames=0), 'num_frames=0; expected 1 or more'),
    (dict(stride=0), 'stride=0; expected 1 or more'),
])
def test_settings_that_cannot_be_are_errors(options, message):
  with pytest.raises(ValueError, match=message):
    stream(1, **options)


def test_an_empty_source_is_an_error():
  with pytest.raises(ValueError, match='no clips; expected at least one'):
    loader.eval_batches([], batch_size=1, num_frames=1)


@pytest.mark.parametrize('start', [-1, 7])
def test_a_start_outside_the_clip_is_an_error(start):
  with pytest.raises(ValueError, match=f'start={start} in clip 0 of 7'):
    loader.eval_batches(
        make_source(), batch_size=1, num_frames=1, start=start, pad=True)


def test_array_source_of_reads_every_clip():
  source = make_source()
  copy = loader.ArraySource.of([source[i] for i in range(len(source))])
  for name, array in source.arrays.items():
    np.testing.assert_array_equal(copy.arrays[name], array)


def test_arrays_of_different_length_are_no_source():
  with pytest.raises(ValueError, match='same number of clips'):
    loader.ArraySource({'x': np.zeros((3, 2)), 'labels/a': np.zeros(2)})


def test_shrink_takes_the_mean_of_squares_and_rounds_halves_up():
  # Sums 1, 2, 4 * 255 and 10 over four pixels: 0.25, 0.5, 255 and 2.5.
  frame = np.array([[0, 1, 1, 0], [0, 0, 1, 0],
                    [255, 255, 1, 2], [255, 255, 3, 4]], np.uint8)
  small = transforms.shrink(frame[None, ..., None], 2)
  assert small.dtype == np.uint8
  np.testing.assert_array_equal(small[0, ..., 0], [[0, 1], [255, 3]])
