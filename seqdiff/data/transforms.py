"""What is done to clips on the host: windows in time and smaller pictures.

Functions take and return one item (see `seqdiff.data.batch`) or its frames.
Nothing here is random; the loader draws the numbers.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def span(num_frames: int, stride: int) -> int:
  """Frames that a window covers: num_frames frames, every stride-th."""
  return (num_frames - 1) * stride + 1


def window(
    item: Mapping[str, Any],
    *,
    start: int,
    num_frames: int,
    stride: int = 1,
) -> dict[str, Any]:
  """Cuts the frames start, start + stride, ... out of a clip.

  Beyond the end of the clip the last frame is repeated with mask False.

  Args:
    item: x (T, ...), optional mask (T,) bool and labels. A label with at
      least one axis, the first of length T, is per frame and is cut with x;
      any other label holds for the whole clip and is kept as it is.
    start: first frame, in [0, T).
    num_frames: length of the result.
    stride: distance between two frames of the result.

  Returns:
    The item with num_frames frames; its mask (num_frames,) is always there.
  """
  length = len(item['x'])
  frames = start + stride * np.arange(num_frames)
  kept = np.minimum(frames, length - 1)
  mask = item.get('mask')
  mask = np.ones(length, bool) if mask is None else np.asarray(mask, bool)
  result = dict(item)
  result['x'] = item['x'][kept]
  result['mask'] = mask[kept] & (frames < length)
  for name, value in item.items():
    per_frame = np.ndim(value) >= 1 and len(value) == length
    if name.startswith('labels/') and per_frame:
      result[name] = value[kept]
  return result


def shrink(frames: np.ndarray, size: int) -> np.ndarray:
  """Box filter: the mean of each square of pixels, halves rounded up.

  Args:
    frames: (..., H, W, C) uint8, H and W multiples of `size`.
    size: height and width of the result in pixels.

  Returns:
    (..., size, size, C) uint8.
  """
  *lead, height, width, channels = frames.shape
  rows, columns = height // size, width // size
  blocks = frames.reshape(*lead, size, rows, size, columns, channels)
  total = blocks.sum(axis=(-4, -2), dtype=np.uint32)
  count = rows * columns
  return ((total + count // 2) // count).astype(np.uint8)
