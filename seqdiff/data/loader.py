"""From a source to batches: shuffled for training, in order for evaluation.

A training stream is a function of the seed: batch k holds the same clips, cut
at the same frames, whatever the number of processes and wherever the stream
was entered. Batches are host arrays as described in `seqdiff.data.batch`;
uint8 stays uint8, the train step scales it on the device.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np

from seqdiff.core import errors
from seqdiff.core import types
from seqdiff.data import batch as batch_lib
from seqdiff.data import transforms

# Which frames of a clip make an example.
TAKES = ('window', 'shrinking', 'stratified')
FIRSTS = ('sampled', 'start')  # Where a stratified example begins.
_LISTED = 3  # Clips that are too short.


class ArraySource:
  """Random access to clips of one length, held as stacked arrays.

  Attributes:
    arrays: by name (x, mask, labels/<factor>), each with clips along axis 0.
  """

  def __init__(self, arrays: Mapping[str, np.ndarray]):
    sizes = {name: len(array) for name, array in arrays.items()}
    if len(set(sizes.values())) != 1 or 'x' not in arrays:
      raise ValueError(
          f'ArraySource: arrays of {sizes} clips; expected x and all others '
          'with the same number of clips along their first axis.')
    self.arrays = dict(arrays)

  @classmethod
  def of(cls, source: batch_lib.Source) -> 'ArraySource':
    """Reads all clips of a source whose clips have one length."""
    first = source[0]
    arrays = {name: np.empty((len(source),) + np.shape(value),
                             np.asarray(value).dtype)
              for name, value in first.items()}
    for index in range(len(source)):
      for name, value in source[index].items():
        arrays[name][index] = value
    return cls(arrays)

  def __len__(self) -> int:
    return len(self.arrays['x'])

  def __getitem__(self, index: int) -> dict[str, Any]:
    return {name: array[index] for name, array in self.arrays.items()}


def train_batches(
    source: batch_lib.Source,
    *,
    batch_size: int,
    num_frames: int,
    stride: int = 1,
    seed: int,
    start_step: int = 0,
    process_index: int = 0,
    process_count: int = 1,
    pad: bool = False,
    take: str = 'window',
    first: str = 'sampled',
) -> Iterator[types.Batch]:
  """Endless shuffled batches; each epoch is a new permutation.

  Frames are drawn anew at each visit. An epoch may end inside a batch.

  Args:
    source: the clips.
    batch_size: examples per step, of all processes together.
    num_frames: frames of each example.
    stride: distance between two frames, in frames of the clip.
    seed: of the order and of the frames.
    start_step: the first batch returned is that of this step.
    process_index: this process; it gets every process_count-th example of each
      batch, from this one on.
    process_count: number of processes.
    pad: whether a clip that is too short is filled up with copies of its last
      frame, mask False; else it is an error.
    take: 'window' (every stride-th frame from a drawn one on), 'shrinking' (the
      stride is less in short clips) or 'stratified' (one frame from each of
      num_frames equal segments of the clip).
    first: 'sampled', or 'start' (stratified: frame 1 is always the clip's).

  Returns:
    An iterator of batches of batch_size / process_count examples.

  Raises:
    ValueError: now, for settings that do not fit together, no clips or a first
      clip that is too short; from `next`, for other clips, as for NaN.
  """
  _check_positive(batch_size=batch_size, num_frames=num_frames, stride=stride)
  if batch_size % process_count:
    raise ValueError(
        f'train_batches: batch_size={batch_size} with {process_count} '
        'processes; expected a multiple of the number of processes. Set '
        'config.data.batch_size to one.')
  cut = _Cut(num_frames, stride=stride, pad=pad, take=take, first=first)
  items = _Items(source)
  cut(items[0])  # A setting that suits no clip fails at once.
  examples = grain.MapDataset.source(items).seed(seed).shuffle().repeat()
  # Before the slice: frames then do not depend on the process count.
  examples = examples.random_map(cut)
  examples = examples[process_index::process_count]
  batches = examples.batch(batch_size // process_count, drop_remainder=True)
  options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
  iterator = iter(batches.to_iter_dataset(options))
  iterator.set_state({'next_index': start_step})
  return iterator


def eval_batches(
    source: batch_lib.Source,
    *,
    batch_size: int,
    num_frames: int,
    stride: int = 1,
    indices: Sequence[int] | None = None,
    start: int = 0,
    pad: bool = False,
    take: str = 'window',
    first: str = 'sampled',
) -> Iterator[types.Batch]:
  """Batches in a fixed order, each clip once and always the same frames of it.

  Args:
    source: the clips.
    batch_size: examples per batch. The last batch is filled up with copies
      of its last example, example_mask False.
    num_frames: frames of each example.
    stride: distance between two frames, in frames of the clip.
    indices: which clips, in which order; None = all.
    start: first frame of every window.
    pad: as in `train_batches`.
    take: as in `train_batches`; the middle frame of each segment is taken.
    first: as in `train_batches`.

  Returns:
    An iterator of ceil(number of clips / batch_size) batches.

  Raises:
    ValueError: as `train_batches`.
  """
  _check_positive(batch_size=batch_size, num_frames=num_frames, stride=stride)
  cut = _Cut(num_frames, stride=stride, start=start, pad=pad, take=take,
             first=first)
  items = _Items(source)
  indices = np.arange(len(items)) if indices is None else np.asarray(indices)
  if len(indices):
    cut(items[indices[0]])

  def batches():
    for done in range(0, len(indices), batch_size):
      chosen = indices[done:done + batch_size]
      examples = [cut(items[index]) for index in chosen]
      for _ in range(batch_size - len(chosen)):
        examples.append(dict(examples[-1], example_mask=np.False_))
      yield {name: np.stack([e[name] for e in examples])
             for name in examples[0]}

  return batches()


def check_lengths(
    dataset: batch_lib.Dataset,
    *,
    num_frames: int,
    stride: int = 1,
    take: str = 'window',
    first: str = 'sampled',
) -> None:
  """Raises ValueError if clips are too short, as far as lengths are known.

  Args:
    dataset: the clips.
    num_frames: as in `train_batches`, as all others.
    stride: distance between two frames.
    take: which frames.
    first: where they begin.
  """
  cut = _Cut(num_frames, stride=stride, pad=False, take=take, first=first)
  for split, lengths in dataset.lengths.items():
    needed = {n: cut.frames(n)[-1] + 1 for n in set(lengths)}
    short = [i for i, n in enumerate(lengths) if n < needed[n]]
    if short:
      names = dataset.names.get(split)
      listed = ', '.join(
          f'{names[i] if names else i} ({lengths[i]} frames)'
          for i in short[:_LISTED])
      raise ValueError(
          f'{dataset.name}: {len(short)} of {len(lengths)} clips of the split '
          f'{split} are too short: {listed}'
          f'{", ..." if len(short) > _LISTED else ""}; num_frames={num_frames} '
          f'with stride={stride} needs {needed[lengths[short[0]]]}. Lower '
          'config.data.num_frames or config.data.stride, or prepare the data '
          'without them.')


class _Items:
  """A source whose items also hold index and example_mask, as arrays."""

  def __init__(self, source):
    if not len(source):
      raise ValueError(
          'The source holds no clips; expected at least one. Check the split '
          'and the data set.')
    self._source = source

  def __len__(self):
    return len(self._source)

  def __getitem__(self, index):
    item = {k: _host_array(v) for k, v in self._source[int(index)].items()}
    return dict(item, index=np.int32(index), example_mask=np.True_)


def _host_array(value) -> np.ndarray:
  """As an array of a type that devices hold: no 64 bit."""
  value = np.asarray(value)
  narrow = {np.dtype('int64'): np.int32, np.dtype('float64'): np.float32}
  return value.astype(narrow.get(value.dtype, value.dtype), copy=False)


class _Cut:
  """Cuts an example out of an item and checks what it holds."""

  def __init__(self, num_frames, *, stride, pad, take, first, start=0):
    for name, value, known in (
        ('take', take, TAKES), ('first', first, FIRSTS)):
      if value not in known:
        raise errors.unknown_name(name, value, known)
    if take != 'stratified' and first != 'sampled':
      raise ValueError(
          f'first={first} with take={take}; expected sampled, since a window '
          'begins anywhere. Set take to stratified, or leave first out.')
    if take == 'stratified' and (stride != 1 or start != 0):
      raise ValueError(
          f'take=stratified with stride={stride} and start={start}; expected 1 '
          'and 0, since its frames are of the whole clip. Leave them out.')
    self._num_frames, self._stride, self._start = num_frames, stride, start
    self._pad, self._take, self._first = pad, take, first

  def __call__(self, item, rng=None):
    """Frames drawn with rng; without one, those of evaluation."""
    length = len(item['x'])
    frames = self.frames(length, rng)
    if frames[-1] >= length and not self._pad:
      raise ValueError(
          f'Clip {item["index"]} has {length} frames; num_frames='
          f'{self._num_frames} with stride={self._stride} from frame '
          f'{frames[0]} needs {frames[-1] + 1}. Lower config.data.num_frames '
          'or config.data.stride, or prepare the data without this clip.')
    if not 0 <= frames[0] < length:
      raise ValueError(
          f'start={frames[0]} in clip {item["index"]} of {length} frames; '
          f'expected 0 to {length - 1}. Choose another start.')
    return _check_finite(transforms.pick(item, frames))

  def frames(self, length, rng=None):
    """Which frames are taken of a clip; beyond its end if it is too short."""
    choose = self._strata if self._take == 'stratified' else self._window
    return choose(length, rng)

  def _window(self, length, rng):
    stride = self._stride
    if self._take == 'shrinking':  # Released code of DiffSDA.
      stride = max(1, min(stride, length // self._num_frames))
    span = transforms.span(self._num_frames, stride)
    start = self._start if rng is None else (
        int(rng.integers(max(0, length - span) + 1)))
    return start + stride * np.arange(self._num_frames)

  def _strata(self, length, rng):
    if length < self._num_frames:
      return np.arange(self._num_frames)
    bounds = transforms.strata(length, self._num_frames)
    low, high = bounds[:-1], bounds[1:] - 1
    frames = (low + high) // 2 if rng is None else (
        rng.integers(low, high, endpoint=True))
    if self._first == 'start':
      frames[0] = 0
    return frames


def _check_finite(item):
  """The item, with zeros for what is masked, not observed or not finite."""
  if 'observed' in item:
    item['x'] = np.where(item['observed'], item['x'], 0)
  x, mask = item['x'], item['mask']
  if np.issubdtype(x.dtype, np.floating):
    if not np.isfinite(x[mask]).all():
      raise ValueError(
          f'Clip {item["index"]} holds NaN or infinite values in frames '
          'that its mask marks as real; expected finite numbers. Repair '
          'the data, or set mask to False at these frames.')
    # 0 * NaN is NaN: what is masked must be finite too.
    item['x'] = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
  return item


def _check_positive(**values: int) -> None:
  for name, value in values.items():
    if value < 1:
      raise ValueError(
          f'{name}={value}; expected 1 or more. Change it in config.data.')
