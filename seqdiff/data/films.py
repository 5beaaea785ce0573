"""Reads clips from films and from folders of pictures, one frame at a time.

A *film* is a file with moving pictures: a GIF, read with Pillow, or any
container that FFmpeg knows, read with PyAV (the extra `media`). A folder of
pictures is read in the order of the numbers in its file names: 2 before 10.
"""

from collections.abc import Callable, Iterable, Iterator
import contextlib
import os
import pathlib
import re
import struct
from typing import Any

import numpy as np
from PIL import Image
from PIL import ImageOps

from seqdiff.core import errors

FILMS = frozenset((
    '.3gp', '.avi', '.flv', '.gif', '.m2ts', '.m4v', '.mkv', '.mov', '.mp4',
    '.mpeg', '.mpg', '.mts', '.ogv', '.ts', '.webm', '.wmv'))
PICTURES = frozenset((
    '.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp'))
CROPS = ('center', 'pad', 'stretch')
TAKES = ('all', 'first')

# A film that ends before this share of the time it promises is not whole.
_WHOLE = 0.9

# What Pillow raises for a file that is broken or no picture.
_BROKEN = (OSError, EOFError, SyntaxError, IndexError, struct.error,
           Image.DecompressionBombError)

# When a frame is shown, in seconds (None: unknown), and what makes a picture.
_Timed = tuple[float | None, Callable[[], Image.Image]]


class Unreadable(ValueError):
  """A film or folder holds no such clip; the text says why, after its name."""


def natural(text: str) -> tuple[Any, ...]:
  """Sort key by which the numbers in a text count as numbers."""
  parts = re.split(r'(\d+)', text)
  # Texts stand at even places and numbers at odd ones, so that they compare.
  return ([int(p) if k % 2 else p.lower() for k, p in enumerate(parts)], text)


def is_film(path: str | os.PathLike[str]) -> bool:
  """Whether the name is that of a film."""
  return pathlib.Path(path).suffix.lower() in FILMS


def is_picture(path: str | os.PathLike[str]) -> bool:
  """Whether the name is that of a still picture."""
  return pathlib.Path(path).suffix.lower() in PICTURES


def require_pyav(paths: Iterable[pathlib.Path]) -> None:
  """Raises ValueError if one of the films needs PyAV and it is not there."""
  for path in paths:
    if is_film(path) and path.suffix.lower() != '.gif':
      _pyav(path)
      return


def clips(
    path: str | os.PathLike[str],
    *,
    size: int,
    num_frames: int | None,
    crop: str = 'center',
    stride: int = 1,
    fps: float | None = None,
    channels: int = 3,
    take: str = 'all',
    min_frames: int | None = None,
    through: Callable[[Iterable[Image.Image]], Iterable[Image.Image]] = iter,
) -> Iterator[np.ndarray]:
  """Reads clips that follow one another without overlap.

  No more than one clip is held in memory.

  Args:
    path: a film, or a folder of pictures.
    size: height and width of the clips in pixels.
    num_frames: frames per clip, T; None = one clip of all frames.
    crop: see `fit`.
    stride: every stride-th frame, whenever it is shown.
    fps: instead of stride, the frame that is shown at each multiple of 1 / fps
      seconds after the first one.
    channels: 3 (RGB) or 1 (grey).
    take: 'all' clips or the 'first'.
    min_frames: the last clip may have as few frames as that; None: as
      num_frames.
    through: what is done to the frames before, such as cutting out faces.

  Yields:
    (T, size, size, channels) uint8.

  Raises:
    Unreadable: for a film that is empty, damaged or without pictures, or too
      short for one clip. A film that turns out to be damaged later may have
      yielded clips before.
    ValueError: if PyAV is missing.
  """
  least = num_frames if min_frames is None else min_frames
  total, frames = 0, []
  for image in through(read(path, stride=stride, fps=fps)):
    frames.append(fit(image, size=size, crop=crop, channels=channels))
    total += 1
    if len(frames) == num_frames:
      yield np.stack(frames)
      if take == 'first':
        return
      frames = []
  if len(frames) >= (least or 1):
    yield np.stack(frames)
  elif least is not None and total < least:
    rate = f' at fps={fps:g}' if fps is not None else (
        f' with stride={stride}' if stride != 1 else '')
    raise Unreadable(
        f'is too short: {total} frames{rate}, a clip takes {least}')


def read(
    path: str | os.PathLike[str],
    *,
    stride: int = 1,
    fps: float | None = None,
) -> Iterator[Image.Image]:
  """Reads the frames of a film or folder; arguments as for `clips`."""
  timed = _timed(pathlib.Path(path))
  if fps is not None:
    yield from _at_rate(timed, fps)
    return
  for number, (_, picture) in enumerate(timed):
    if number % stride == 0:
      yield picture()


def spread(
    path: str | os.PathLike[str], *, num_frames: int
) -> Iterator[Image.Image]:
  """Reads frames at equal distances over a whole film or folder.

  Of T frames, frame i is number floor(i * T / num_frames).

  Raises:
    Unreadable: as `clips`.
  """
  path = pathlib.Path(path)
  total = sum(1 for _ in _timed(path))  # Makes no pictures of the frames.
  if total < num_frames:
    raise Unreadable(
        f'is too short: {total} frames, a clip takes {num_frames}')
  wanted = {k * total // num_frames for k in range(num_frames)}
  for number, (_, picture) in enumerate(_timed(path)):
    if number in wanted:
      yield picture()


def fit(
    image: Image.Image, *, size: int, crop: str = 'center', channels: int = 3
) -> np.ndarray:
  """Brings a picture of any size to a square.

  Args:
    image: any picture of 8 bits per channel.
    size: height and width of the result in pixels.
    crop: 'center' cuts the largest square out of the middle, 'pad' keeps all
      of the picture between black bars, 'stretch' distorts it.
    channels: 3 (RGB) or 1 (grey).

  Returns:
    (size, size, channels) uint8.

  Raises:
    ValueError: for an unknown crop.
  """
  if crop not in CROPS:
    raise errors.unknown_name('crop', crop, CROPS)
  image = image.convert('RGB' if channels == 3 else 'L')
  # Pillow averages over all pixels of the larger picture when it shrinks.
  smooth = Image.Resampling.BILINEAR
  if crop == 'pad':
    image = ImageOps.pad(image, (size, size), smooth)
  else:
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    box = (left, top, left + side, top + side) if crop == 'center' else None
    image = image.resize((size, size), smooth, box=box)
  return np.asarray(image).reshape(size, size, channels)


def resized(
    frames: np.ndarray, *, size: int, channels: int
) -> np.ndarray:
  """Frames (T, H, W, 1 or 3) uint8 -> (T, size, size, channels), see `fit`."""
  if frames.shape[1:] == (size, size, channels):
    return frames
  pictures = (frame[..., 0] if frame.shape[-1] == 1 else frame
              for frame in frames)
  return np.stack([
      fit(Image.fromarray(picture), size=size, channels=channels)
      for picture in pictures])


def _at_rate(timed: Iterable[_Timed], fps: float) -> Iterator[Image.Image]:
  """The picture that is shown at 0, 1 / fps, 2 / fps, ... after the first."""
  late = 1e-6  # Rounding of the times.
  first = last = shown = None
  due = 0
  for time, picture in timed:
    if time is None:
      raise Unreadable('has no times of its frames; give a stride, not fps')
    first = time if first is None else first
    while shown is not None and due / fps < time - first - late:
      yield shown()
      due += 1
    last, shown = time, picture
  if shown is not None and due / fps <= last - first + late:
    yield shown()


def _timed(path: pathlib.Path) -> Iterator[_Timed]:
  """All frames, with the time at which each is shown."""
  if path.is_dir():
    return _folder(path)
  if path.stat().st_size == 0:
    raise Unreadable('is empty: 0 bytes')
  return _gif(path) if path.suffix.lower() == '.gif' else _film(path)


def _folder(path: pathlib.Path) -> Iterator[_Timed]:
  names = [p for p in os.listdir(path) if is_picture(p) and p[0] != '.']
  if not names:
    raise Unreadable(f'holds no pictures ({", ".join(sorted(PICTURES))})')
  for name in sorted(names, key=natural):
    yield None, lambda name=name: _open_picture(path / name)


def _open_picture(path: pathlib.Path) -> Image.Image:
  try:
    with Image.open(path) as image:
      return _plain(ImageOps.exif_transpose(image))
  except _BROKEN as error:
    raise Unreadable(f'has a frame that is no picture: {path.name}') from error


def _gif(path: pathlib.Path) -> Iterator[_Timed]:
  try:
    with Image.open(path) as image:
      time = 0.0
      for number in range(image.n_frames):
        image.seek(number)
        frame = _plain(image)
        yield time, lambda frame=frame: frame
        time += (image.info.get('duration') or 100) / 1000  # As browsers do.
  except _BROKEN as error:
    raise Unreadable(f'is damaged or no GIF ({error})') from error


def _plain(image: Image.Image) -> Image.Image:
  """As RGB; what is transparent becomes black."""
  if image.mode.startswith(('I', 'F')):
    raise Unreadable(f'has pictures of mode {image.mode}, not 8 bits a channel')
  if image.has_transparency_data:
    image = image.convert('RGBA')
    black = Image.new('RGBA', image.size, (0, 0, 0, 255))
    image = Image.alpha_composite(black, image)
  return image.convert('RGB')


def _film(path: pathlib.Path) -> Iterator[_Timed]:
  av = _pyav(path)
  _check_whole(av, path)
  with _decoding(av), av.open(os.fspath(path)) as container:
    stream = _pictures_of(av, container)
    for frame in container.decode(stream):
      if frame.is_corrupt:
        raise Unreadable(f'is damaged at {frame.time} s')
      yield frame.time, lambda frame=frame: _upright(frame)


def _upright(frame) -> Image.Image:
  """The picture as a player shows it: phones store it turned."""
  return frame.to_image().rotate(frame.rotation, expand=True)


def _check_whole(av, path: pathlib.Path) -> None:
  """Raises Unreadable if parts are missing; decodes nothing."""
  with _decoding(av), av.open(os.fspath(path)) as container:
    _pictures_of(av, container)
    end = 0.0
    for packet in container.demux():
      if packet.is_corrupt:
        raise Unreadable('is damaged or cut off')
      time = packet.dts if packet.pts is None else packet.pts
      if time is not None:
        time += (packet.duration or 0)
        end = max(end, float(time * packet.time_base))
    promised = (container.duration or 0) / av.time_base
    if end < _WHOLE * promised:
      raise Unreadable(
          f'is cut off: ends after {end:.2f} of {promised:.2f} s')


def _pictures_of(av, container):
  """The first stream of moving pictures; the cover of a song is none."""
  cover = av.stream.Disposition.attached_pic
  for stream in container.streams.video:
    if not stream.disposition & cover:
      return stream
  raise Unreadable('has no pictures, only sound')


@contextlib.contextmanager
def _decoding(av) -> Iterator[None]:
  try:
    yield
  except av.FFmpegError as error:
    raise Unreadable(f'cannot be decoded ({error.strerror})') from error


def _pyav(path: pathlib.Path):
  try:
    import av  # Optional: GIFs and folders of pictures need it not.
  except ImportError as error:
    raise ValueError(
        f'{path} was given, but PyAV, which reads films, is not installed. '
        'Run: pip install "seqdiff[media]" (in a clone: -e ".[media]"). GIFs '
        'and folders of pictures work without it.') from error
  return av
