"""What is done to clips on the host: frames are chosen, pictures get smaller.

Functions take and return one item (see `seqdiff.data.batch`) or its frames.
Nothing here is random; the loader draws the numbers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def span(num_frames: int, stride: int) -> int:
  """Frames that a window covers: num_frames frames, every stride-th."""
  return (num_frames - 1) * stride + 1


def strata(length: int, num_frames: int) -> np.ndarray:
  """Cuts a clip into segments of equal length, or one frame more or less.

  Args:
    length: frames of the clip, num_frames or more.
    num_frames: number of segments.

  Returns:
    (num_frames + 1,) int: segment i is the frames from bound i up to bound
    i + 1, which belongs to the next one.
  """
  return np.arange(num_frames + 1) * length // num_frames


def pick(item: Mapping[str, Any], frames: np.ndarray) -> dict[str, Any]:
  """Takes some frames of a clip.

  Beyond the end of the clip the last frame is repeated with mask False, and
  is not observed.

  Args:
    item: x (T, ...), optional frames (T, ...), mask (T,) bool, observed (T, D)
      bool and labels. A label with at least one axis, the first of length T, is
      per frame and is cut with x; any other label holds for the whole clip and
      is kept as it is.
    frames: (N,) int, the numbers of the frames, 0 or more.

  Returns:
    The item with N frames; its mask (N,) is always there.
  """
  length = len(item['x'])
  kept = np.minimum(frames, length - 1)
  mask = item.get('mask')
  mask = np.ones(length, bool) if mask is None else np.asarray(mask, bool)
  result = dict(item)
  result['x'] = item['x'][kept]
  result['mask'] = mask[kept] & (frames < length)
  if 'observed' in item:
    result['observed'] = item['observed'][kept] & (frames < length)[:, None]
  for name, value in item.items():
    per_frame = np.ndim(value) >= 1 and len(value) == length
    if name == 'frames' or (name.startswith('labels/') and per_frame):
      result[name] = value[kept]
  return result


def average(frames: np.ndarray, size: int) -> np.ndarray:
  """Box filter: the mean over each square, halves rounded up.

  A pixel that lies in several squares counts in each by the area in it.

  Args:
    frames: (..., H, W, C), values in [0, 255].
    size: height and width of the result in pixels.

  Returns:
    (..., size, size, C) uint8, exact for whole numbers.
  """
  area = frames.shape[-3] * frames.shape[-2]
  total = _add_up(_add_up(frames, size, axis=-3), size, axis=-2)
  return np.floor(total / area + 0.5).astype(np.uint8)


def _add_up(x: np.ndarray, size: int, axis: int) -> np.ndarray:
  """Sums over `size` equal parts of an axis; each entry counts `size` times.

  Whole numbers stay whole, which float64 holds exactly.
  """
  length = x.shape[axis]
  below = np.cumsum(x, axis, dtype=np.float64)  # Of all entries up to each.
  below = np.concatenate([np.zeros_like(below.take([0], axis)), below], axis)
  entry, part = np.divmod(length * np.arange(size + 1), size)
  part = np.expand_dims(part, tuple(range(1, -axis)))
  following = np.minimum(entry + 1, length)
  return np.diff(below.take(entry, axis) * (size - part)
                 + below.take(following, axis) * part, axis=axis)
