"""What the larger sets of films share: windows of large frames.

A clip is a window of `--num_frames` consecutive frames, or of fewer where the
video ends, but of at least `MIN_FRAMES`: shorter videos are skipped, as in the
released code of DiffSDA. The loader chooses frames of it; with
`config.data.take='shrinking'` its stride is smaller in short clips, as there.

Videos that were decoded are kept until all are (`kept`): a preparation that is
stopped goes on.

Departure: frames of 128 pixels and more are kept as JPEG of quality 95, 4:4:4,
each by itself. A frame of 256 x 256 pixels then takes 41 KB instead of 197 KB,
a window of 32 frames 1.3 MB, and a value is off by 1.6 of 255 on average (of a
portrait of many details).
"""

import collections
from concurrent import futures
import contextlib
import functools
import io
import shutil
from typing import Any

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds

from seqdiff.core import cores
from seqdiff.core import errors
from seqdiff.data import films as film_lib
from seqdiff.data.builders import frames
from seqdiff.data.builders import kept

MIN_FRAMES = 10  # Frames of an example in DiffSDA.
_LARGE, _QUALITY = 128, 95


def check(options: Any, **known: Any) -> None:
  """Raises ValueError for options out of range; `known` lists names."""
  frames.check_ranges(options, crops=known.pop('crop', film_lib.CROPS))
  for name, values in {'take': film_lib.TAKES, **known}.items():
    if getattr(options, name) not in values:
      raise errors.unknown_name(name, getattr(options, name), values)
  if options.num_frames < MIN_FRAMES:
    raise ValueError(
        f'num_frames={options.num_frames}, expected {MIN_FRAMES} or more. '
        'Change --num_frames.')


class Windows(frames.Frames):
  """A builder of windows; its options have size, num_frames and take."""

  def summary(self) -> str:
    """Also how much space a clip takes."""
    splits = self.info.splits.values()
    size = sum(s.num_bytes for s in splits) / sum(
        s.num_examples for s in splits)
    return f' A clip takes {size / 1e6:.2g} MB.' + super().summary()

  def _clip_form(self):
    o = self.builder_config.options
    return (None, o.size, o.size, 3), np.uint8

  @property
  def _compressed(self):
    return self.builder_config.options.size >= _LARGE

  def _feature(self):
    if not self._compressed:
      return super()._feature()
    shape, _ = self._clip_form()
    return tfds.features.Sequence(
        tfds.features.Image(shape=shape[1:], encoding_format='jpeg'))

  def _read(self, videos):
    """As its base, but the next videos are read ahead, on all cores."""
    count = cores.count()
    waiting = collections.deque()
    with futures.ThreadPoolExecutor(count) as pool:
      for video in videos:
        waiting.append((video, pool.submit(self._all_clips_of, video)))
        if len(waiting) > 2 * count:
          yield _next(waiting)
      while waiting:
        yield _next(waiting)

  def _all_clips_of(self, video):
    """The clips of one video, and why there are no more, or None."""
    path = kept.path_of(self._kept, video)
    clips = kept.load(path)
    if clips is not None:
      return clips, None
    clips = []
    try:
      for clip in self._clips_of(video):
        clips.append(clip)
    except film_lib.Unreadable as error:
      return clips, error
    kept.save(path, clips)
    return clips, None

  @functools.cached_property
  def _kept(self):
    """Where decoded videos are kept until all are."""
    config = self.builder_config
    found = kept.folder(
        self.data_path.parent, f'{config.options} {config.manual_dir}')
    found.mkdir(exist_ok=True)
    return found

  def _download_and_prepare(self, dl_manager, download_config):
    try:
      super()._download_and_prepare(dl_manager, download_config)
    except ValueError:
      with contextlib.suppress(OSError):
        self._kept.rmdir()  # If nothing was decoded.
      raise
    shutil.rmtree(self._kept, ignore_errors=True)

  def _clips_of(self, video):
    for clip in self._windows_of(video):
      yield [_jpeg(frame) for frame in clip] if self._compressed else clip

  def _windows_of(self, video, **options):
    o = self.builder_config.options
    return film_lib.clips(
        video.path, size=o.size, num_frames=o.num_frames, take=o.take,
        min_frames=MIN_FRAMES, **options)


def _next(waiting):
  """The first video that waits, and its clips."""
  video, job = waiting.popleft()

  def clips():
    found, error = job.result()
    yield from found
    if error is not None:
      raise error

  return video, clips()


def _jpeg(frame: np.ndarray) -> bytes:
  """A frame (H, W, 3) as the bytes of a file."""
  file = io.BytesIO()
  Image.fromarray(frame).save(file, 'JPEG', quality=_QUALITY, subsampling=0)
  return file.getvalue()
