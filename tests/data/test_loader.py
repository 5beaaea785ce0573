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


@pytest.mark.parametrize('length, stride', [(40, 4), (35, 3), (19, 1), (10, 1)])
def test_stride_shrinks_in_clips_that_are_too_short(length, stride):
  # Released code of DiffSDA: min(stride, length // number of frames).
  options = dict(num_frames=10, stride=4, take='shrinking')
  x = next(loader.eval_batches(
      make_source(length=length), batch_size=1, **options))['x'][0, :, 1]
  np.testing.assert_array_equal(x, stride * np.arange(10))
  drawn = [b['x'][..., 1] for b in take(loader.train_batches(
      make_source(length=length), batch_size=4, seed=0, **options), 20)]
  assert (np.diff(drawn, axis=2) == stride).all()
  assert np.max(drawn) < length
  if stride > 1:  # Few places to start from: all of them were drawn.
    assert np.max(drawn) == length - 1
  with pytest.raises(ValueError, match='Clip 0 has 9 frames'):
    next(loader.eval_batches(make_source(length=9), batch_size=1, **options))


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
             fr'stride={stride} .*needs \d+\. Lower config.data.num_frames or '
             'config.data.stride, or prepare the data without this clip')
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


def segments(length, num_frames):
  """Frames of each segment, by their middles: in [i, i + 1) T / N or so."""
  places = [(frame + 0.5) * num_frames / length for frame in range(length)]
  return [{frame for frame, place in enumerate(places) if int(place) == k}
          for k in range(num_frames)]


class TestStratified:

  def draw(self, length, num_frames, count=40, **options):
    """Numbers of the frames of `count` examples of one clip."""
    batch = next(loader.train_batches(
        make_source(1, length), batch_size=count, num_frames=num_frames,
        take='stratified', **({'seed': 0} | options)))
    return batch['x'][..., 1].astype(int)

  def middles(self, length, num_frames, **options):
    batch, = loader.eval_batches(
        make_source(1, length), batch_size=1, num_frames=num_frames,
        take='stratified', **options)
    return batch['x'][0, :, 1].astype(int).tolist()

  @pytest.mark.parametrize('length', [12, 16, 40])
  def test_one_frame_is_drawn_from_each_quarter(self, length):
    drawn = self.draw(length, 4)
    for k, frames in enumerate(segments(length, 4)):
      assert len(frames) == length // 4
      assert set(drawn[:, k]) <= frames
      assert len(set(drawn[:, k])) > 1

  @pytest.mark.parametrize('length', [4, 5, 7, 41])
  def test_frames_are_in_order_and_each_one_occurs(self, length):
    drawn = self.draw(length, 4, count=400)
    assert (np.diff(drawn, axis=1) > 0).all()
    assert set(drawn.ravel()) == set(range(length))
    # The segments follow one another, as long as each other or one longer.
    ends = [(int(f.min()), int(f.max())) for f in drawn.T]
    assert ends[0][0] == 0 and ends[-1][1] == length - 1
    assert all(b[0] == a[1] + 1 for a, b in zip(ends, ends[1:]))
    sizes = [b - a + 1 for a, b in ends]
    assert max(sizes) - min(sizes) <= 1

  def test_all_frames_of_a_segment_are_as_likely(self):
    drawn = self.draw(30, 3, count=1000)
    counts = np.bincount(drawn.ravel(), minlength=30)
    # Binomial: 100 of 1000 expected, standard deviation 9.5.
    assert abs(counts - 100).max() < 5 * 9.5
    # Segments are drawn from independently: r is 0 +- 0.032.
    assert abs(np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1]) < 5 * 0.032

  @pytest.mark.parametrize('length, num_frames, expected', [
      (9, 3, [1, 4, 7]),
      (50, 10, [2, 7, 12, 17, 22, 27, 32, 37, 42, 47]),
      (8, 4, [0, 2, 4, 6]),  # Of two in the middle the first.
      (5, 5, [0, 1, 2, 3, 4]),
      (7, 1, [3]),
  ])
  def test_evaluation_takes_the_middle_of_each_segment(
      self, length, num_frames, expected):
    assert self.middles(length, num_frames) == expected

  def test_a_clip_of_as_many_frames_as_asked_is_taken_whole(self):
    assert (self.draw(6, 6) == np.arange(6)).all()

  def test_the_first_frame_can_be_that_of_the_clip(self):
    drawn = self.draw(40, 4, first='start')
    assert (drawn[:, 0] == 0).all()
    # The other ones are drawn as ever.
    np.testing.assert_array_equal(drawn[:, 1:], self.draw(40, 4)[:, 1:])
    assert self.middles(9, 3, first='start') == [0, 4, 7]

  def test_labels_and_masks_are_cut_with_the_frames(self):
    clip = {'x': np.arange(20.0)[:, None], 'mask': np.arange(20) % 3 > 0,
            'labels/angle': np.arange(20.0)[:, None], 'labels/kind': 2}
    batch = next(loader.train_batches(
        [clip], batch_size=8, num_frames=5, take='stratified', seed=0))
    np.testing.assert_array_equal(batch['labels/angle'], batch['x'])
    np.testing.assert_array_equal(batch['mask'], batch['x'][..., 0] % 3 > 0)
    assert (batch['labels/kind'] == 2).all()

  def test_clips_of_different_length_make_one_batch(self):
    source = [{'x': np.linspace(0, 1, n)[:, None]} for n in (6, 60, 601)]
    for batch in (
        next(loader.eval_batches(
            source, batch_size=3, num_frames=6, take='stratified')),
        next(loader.train_batches(
            source, batch_size=3, num_frames=6, take='stratified', seed=0))):
      # The six samples are spread over each clip, whatever its length.
      assert (np.diff(batch['x'][..., 0]) > 0).all()
      assert (batch['x'][:, 0] <= 1 / 6).all()
      assert (batch['x'][:, -1] >= 5 / 6).all()

  def test_processes_and_the_entry_step_change_nothing(self):
    whole = stream(take='stratified')
    parts = [stream(process_index=p, process_count=2, take='stratified')
             for p in range(2)]
    assert_same(whole, [
        {name: np.stack([a[name], b[name]], axis=1).reshape(batch[name].shape)
         for name in batch} for batch, a, b in zip(whole, *parts)])
    assert_same(whole[5:], stream(3, start_step=5, take='stratified'))
    assert any((a['x'] != b['x']).any() for a, b in zip(
        whole, stream(take='stratified', seed=6)))

  def test_a_clip_that_is_too_short_is_named_or_padded(self):
    message = r'Clip 1 has 3 frames; num_frames=4 .*needs 4\. Lower config'
    options = dict(batch_size=2, num_frames=4, take='stratified')
    with pytest.raises(ValueError, match=message):
      list(loader.eval_batches(short_second_clip(), **options))
    with pytest.raises(ValueError, match=message):
      next(loader.train_batches(short_second_clip(), seed=0, **options))
    for first in loader.FIRSTS:
      batch, = loader.eval_batches(
          make_source(1, 3), batch_size=1, num_frames=5, take='stratified',
          first=first, pad=True)
      assert batch['x'][0, :, 1].tolist() == [0, 1, 2, 2, 2]
      assert batch['mask'][0].tolist() == [True, True, True, False, False]

  @pytest.mark.parametrize('options, message', [
      (dict(take='strata'), "Unknown take 'strata'. Did you mean 'stratified'"),
      (dict(take='stratified', first='begin'), "first 'begin'. Known: sampled"),
      (dict(first='start'), 'first=start with take=window; expected sampled'),
      (dict(take='stratified', stride=2), 'stride=2 and start=0; expected 1'),
      (dict(take='stratified', start=3), 'stride=1 and start=3; expected 1'),
  ])
  def test_settings_that_do_not_fit_are_errors(self, options, message):
    with pytest.raises(ValueError, match=message):
      loader.eval_batches(
          make_source(), batch_size=1, num_frames=2, **options)


def test_array_source_of_reads_every_clip():
  source = make_source()
  copy = loader.ArraySource.of([source[i] for i in range(len(source))])
  for name, array in source.arrays.items():
    np.testing.assert_array_equal(copy.arrays[name], array)


def test_arrays_of_different_length_are_no_source():
  with pytest.raises(ValueError, match='same number of clips'):
    loader.ArraySource({'x': np.zeros((3, 2)), 'labels/a': np.zeros(2)})


def test_average_takes_the_mean_of_squares_and_rounds_halves_up():
  # Sums 1, 2, 4 * 255 and 10 over four pixels: 0.25, 0.5, 255 and 2.5.
  frame = np.array([[0, 1, 1, 0], [0, 0, 1, 0],
                    [255, 255, 1, 2], [255, 255, 3, 4]], np.uint8)
  small = transforms.average(frame[None, ..., None], 2)
  assert small.dtype == np.uint8
  np.testing.assert_array_equal(small[0, ..., 0], [[0, 1], [255, 3]])


def test_average_counts_a_pixel_by_the_area_in_each_square():
  # Three pixels become two: one and a half each, (10 + 20 / 2) / 1.5 = 13.3.
  row = np.array([[10, 20, 40]], np.uint8).repeat(3, 0)
  small = transforms.average(row[..., None], 2)
  np.testing.assert_array_equal(small[..., 0], [[13, 33], [13, 33]])
  # A corner is shared by four squares: 255 / 4 / 2.25 = 28.3.
  dot = np.zeros((1, 3, 3, 1), np.uint8)
  dot[0, 1, 1] = 255
  assert (transforms.average(dot, 2) == 28).all()
  wide = np.arange(8.0).reshape(2, 4, 1)  # Not square: 0.5 becomes 1.
  np.testing.assert_array_equal(
      transforms.average(wide, 2)[..., 0], [[1, 3], [5, 7]])
