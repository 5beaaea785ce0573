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

from seqdiff.core import types
from seqdiff.data import batch as batch_lib
from seqdiff.data import transforms


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
) -> Iterator[types.Batch]:
  """Endless shuffled batches; each epoch is a new permutation.

  The window in time of each example is drawn anew whenever it is visited. An
  epoch may end inside a batch.

  Args:
    source: the clips.
    batch_size: examples per step, of all processes together.
    num_frames: frames of each example.
    stride: distance between two frames, in frames of the clip.
    seed: of the order and of the windows.
    start_step: the first batch returned is that of this step.
    process_index: this process; it gets the examples process_index,
      process_index + process_count, ... of each batch.
    process_count: number of processes.
    pad: whether a clip that is too short is filled up with copies of its last
      frame, mask False, instead of being an error.

  Returns:
    An iterator of batches of batch_size / process_count examples.

  Raises:
    ValueError: now, for settings that do not fit together, no clips or a
      first clip that is too short; from `next`, for any other clip that is
      too short and for values that are not finite.
  """
  _check_positive(batch_size=batch_size, num_frames=num_frames, stride=stride)
  if batch_size % process_count:
    raise ValueError(
        f'train_batches: batch_size={batch_size} with {process_count} '
        'processes; expected a multiple of the number of processes. Set '
        'config.data.batch_size to one.')
  cut = _Cut(num_frames, stride, pad)
  items = _Items(source)
  cut(items[0], 0)  # A setting that suits no clip fails at once.
  examples = grain.MapDataset.source(items).seed(seed).shuffle().repeat()
  # Before the slice: a window then does not depend on the process count.
  examples = examples.random_map(cut.at_random)
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
) -> Iterator[types.Batch]:
  """Batches in a fixed order, each clip once and cut at the same frame.

  Args:
    source: the clips.
    batch_size: examples per batch. The last batch is filled up with copies
      of its last example, example_mask False.
    num_frames: frames of each example.
    stride: distance between two frames, in frames of the clip.
    indices: which clips, in which order; None = all.
    start: first frame of every window.
    pad: as in `train_batches`.

  Returns:
    An iterator of ceil(number of clips / batch_size) batches.

  Raises:
    ValueError: as `train_batches`.
  """
  _check_positive(batch_size=batch_size, num_frames=num_frames, stride=stride)
  cut = _Cut(num_frames, stride, pad)
  items = _Items(source)
  indices = np.arange(len(items)) if indices is None else np.asarray(indices)
  if len(indices):
    cut(items[indices[0]], start)

  def batches():
    for first in range(0, len(indices), batch_size):
      chosen = indices[first:first + batch_size]
      examples = [cut(items[index], start) for index in chosen]
      for _ in range(batch_size - len(chosen)):
        examples.append(dict(examples[-1], example_mask=np.False_))
      yield {name: np.stack([e[name] for e in examples])
             for name in examples[0]}

  return batches()


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
  """Cuts one window out of an item and checks what it holds."""

  def __init__(self, num_frames, stride, pad):
    self._num_frames, self._stride, self._pad = num_frames, stride, pad
    self._span = transforms.span(num_frames, stride)

  def at_random(self, item, rng):
    last = max(0, len(item['x']) - self._span)
    return self(item, int(rng.integers(last + 1)))

  def __call__(self, item, start):
    length = len(item['x'])
    if start + self._span > length and not self._pad:
      raise ValueError(
          f'Clip {item["index"]} has {length} frames; num_frames='
          f'{self._num_frames} with stride={self._stride} from frame {start} '
          f'needs {start + self._span}. Choose fewer frames or a smaller '
          'stride, or set pad=True to fill up with masked copies of the last '
          'frame.')
    if not 0 <= start < length:
      raise ValueError(
          f'start={start} in clip {item["index"]} of {length} frames; '
          f'expected 0 to {length - 1}. Choose another start.')
    result = transforms.window(
        item, start=start, num_frames=self._num_frames, stride=self._stride)
    x, mask = result['x'], result['mask']
    if np.issubdtype(x.dtype, np.floating):
      if not np.isfinite(x[mask]).all():
        raise ValueError(
            f'Clip {item["index"]} holds NaN or infinite values in frames '
            'that its mask marks as real; expected finite numbers. Repair '
            'the data, or set mask to False at these frames.')
      # 0 * NaN is NaN: what is masked must be finite too.
      result['x'] = np.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
    return result


def _check_positive(**values: int) -> None:
  for name, value in values.items():
    if value < 1:
      raise ValueError(
          f'{name}={value}; expected 1 or more. Change it in config.data.')
