"""Pictures of clips: swap grids and strips of frames.

All arrays are uint8 with channels last, (..., H, W, 3) or (..., H, W, 1). Small
pictures are enlarged by a whole factor, so that every pixel stays a square.
"""

from collections.abc import Mapping, Sequence
import math

import numpy as np
from PIL import Image
from PIL import ImageDraw
from PIL import ImageFont

_MARGIN = 16  # All lengths in pixels of the finished picture.
_FRAME_GAP = 2
_GUTTER = 12
_HEADER_GAP = 20
_LABEL = 26
_FONT_SIZE = 15
_BLACK = (34, 34, 34)
_GREY = (110, 110, 110)
_IDENTITY = (31, 99, 176)
_MOTION = (196, 82, 14)
_CAPTION = 'each cell: the identity of its row, the motion of its column'


def to_image(x: np.ndarray) -> Image.Image:
  """One uint8 picture (H, W, 3) or (H, W, 1) as an RGB image."""
  _check_pictures('picture', x, 3)
  return Image.fromarray(np.ascontiguousarray(_rgb(x)))


def upscale(x: np.ndarray, factor: int) -> np.ndarray:
  """Repeats each pixel: (..., H, W, C) -> (..., H*factor, W*factor, C)."""
  return x.repeat(factor, axis=-3).repeat(factor, axis=-2)


def swap_grid(
    sources: np.ndarray,
    drivers: np.ndarray,
    swaps: np.ndarray,
    *,
    num_frames: int = 4,
    scale: int | None = None,
) -> Image.Image:
  """A still picture of swaps, each clip as a strip of frames.

  Row i has source i at its left, column j has driving clip j at its top, and
  their cell holds `swaps[i, j]`.

  Args:
    sources: (N, Ts, H, W, C), clips that give the identity; the first frame is
      shown.
    drivers: (M, T, H, W, C), clips that give the motion.
    swaps: (N, M, T, H, W, C).
    num_frames: how many frames of a clip are shown, evenly spread over it.
    scale: enlargement; None makes a frame about 64 pixels high.

  Returns:
    An RGB image.
  """
  _check_swaps(sources, drivers, swaps)
  frames = _spread(drivers.shape[1], num_frames)
  scale = _scale_for(drivers, 64) if scale is None else scale
  return _grid(
      [_strip(source[:1], scale) for source in sources],
      [_strip(driver[frames], scale) for driver in drivers],
      [[_strip(swap[frames], scale) for swap in row] for row in swaps],
      caption=_CAPTION + ('; time runs to the right' * (len(frames) > 1)),
  )


def swap_animation(
    sources: np.ndarray,
    drivers: np.ndarray,
    swaps: np.ndarray,
    *,
    scale: int | None = None,
) -> list[Image.Image]:
  """The grid of `swap_grid` as a film: T images, one frame of each clip.

  Args:
    sources: (N, Ts, H, W, C), played too; repeated if shorter.
    drivers: (M, T, H, W, C).
    swaps: (N, M, T, H, W, C).
    scale: enlargement; None makes a frame about 96 pixels high.

  Returns:
    T RGB images of one size, for `video.write_gif` or `video.write_mp4`.
  """
  _check_swaps(sources, drivers, swaps)
  scale = _scale_for(drivers, 96) if scale is None else scale
  return [
      _grid(
          [_strip(s[t % len(s)][None], scale) for s in sources],
          [_strip(driver[t : t + 1], scale) for driver in drivers],
          [[_strip(swap[t : t + 1], scale) for swap in row] for row in swaps],
          caption=_CAPTION,
      )
      for t in range(drivers.shape[1])
  ]


def pair_animation(
    a: np.ndarray,
    b: np.ndarray,
    a_as_b: np.ndarray,
    b_as_a: np.ndarray,
    *,
    scale: int | None = None,
) -> list[Image.Image]:
  """Two clips and their two swaps side by side, as a film.

  Args:
    a: (T, H, W, C), as all others.
    b: the other clip.
    a_as_b: identity of a, motion of b.
    b_as_a: identity of b, motion of a.
    scale: enlargement; None makes a frame about 160 pixels high.

  Returns:
    T RGB images of one size, for `video.write_gif` or `video.write_mp4`.
  """
  return animation(
      {'a': a, 'b': b, 'a moves as b': a_as_b, 'b moves as a': b_as_a},
      scale=scale)


def animation(
    clips: Mapping[str, np.ndarray], *, scale: int | None = None
) -> list[Image.Image]:
  """Clips side by side below their names, as a film.

  Args:
    clips: (T, H, W, C) of each name.
    scale: enlargement; None makes a frame about 160 pixels high.

  Returns:
    T RGB images of one size, for `video.write_gif` or `video.write_mp4`.
  """
  for name, clip in clips.items():
    _check_pictures(name, clip, 4)
  first = next(iter(clips.values()))
  scale = _scale_for(first, 160) if scale is None else scale
  height, width = (scale * n for n in first.shape[1:3])
  step = width + _GUTTER
  size = (len(clips) * step - _GUTTER + 2 * _MARGIN,
          _LABEL + height + 2 * _MARGIN)
  films = []
  for t in range(len(first)):
    image = Image.new('RGB', size, 'white')
    draw = ImageDraw.Draw(image)
    for k, (name, clip) in enumerate(clips.items()):
      left, top = _MARGIN + k * step, _MARGIN + _LABEL
      image.paste(to_image(upscale(clip[t], scale)), (left, top))
      draw.text((left + width // 2, top - 8), name, fill=_GREY, font=_font(),
                anchor='ms')
    films.append(image)
  return films


def strips(
    clips: Mapping[str, np.ndarray],
    *,
    num_frames: int = 10,
    scale: int | None = None,
    marked: str | None = None,
    title: str = '',
) -> Image.Image:
  """Clips as strips of frames, such as originals and their reconstructions.

  Args:
    clips: (N, T, H, W, C) of each name. Those of one number are below each
      other.
    num_frames: how many frames of a clip are shown, evenly spread over it.
    scale: enlargement; None makes a frame about 64 pixels high.
    marked: the name that is set off by its colour; None is the last one.
    title: what stands above.

  Returns:
    An RGB image.
  """
  marked = list(clips)[-1] if marked is None else marked
  for name, array in clips.items():
    _check_pictures(name, array, 5)
  shapes = {name: array.shape for name, array in clips.items()}
  if len(set(shapes.values())) != 1:
    raise ValueError(
        f'Clips of shapes {shapes} must have one shape; give those that belong '
        'together at the same place.')
  first = next(iter(clips.values()))
  frames = _spread(first.shape[1], num_frames)
  scale = _scale_for(first, 64) if scale is None else scale
  font = _font()
  left = _MARGIN + math.ceil(max(font.getlength(n) for n in clips)) + _GUTTER
  rows = []
  y = _MARGIN + _LABEL * bool(title)
  for group in zip(*clips.values()):
    for name, clip in zip(clips, group):
      picture = _strip(clip[frames], scale)
      rows.append((name, picture, y))
      y += picture.shape[0] + _FRAME_GAP
    y += _GUTTER
  width = max(left + rows[0][1].shape[1],
              _MARGIN + math.ceil(font.getlength(title))) + _MARGIN
  image = Image.new('RGB', (width, y - _FRAME_GAP + _LABEL), 'white')
  draw = ImageDraw.Draw(image)
  if title:
    draw.text((_MARGIN, _MARGIN), title, fill=_BLACK, font=font, anchor='lt')
  for name, picture, top in rows:
    image.paste(Image.fromarray(picture), (left, top))
    middle = (left - _GUTTER, top + picture.shape[0] // 2)
    colour = _MOTION if name == marked else _BLACK
    draw.text(middle, name, fill=colour, font=font, anchor='rm')
  _time_arrow(draw, left, width - _MARGIN, image.height - _LABEL // 2 - 4)
  return image


def _grid(
    left: Sequence[np.ndarray],
    top: Sequence[np.ndarray],
    cells: Sequence[Sequence[np.ndarray]],
    *,
    caption: str,
) -> Image.Image:
  """Draws (h, w, 3) pictures: `cells[i][j]` right of left i, below top j."""
  height, width = cells[0][0].shape[:2]
  x_left = y_top = _MARGIN + _LABEL
  x_cells = x_left + left[0].shape[1] + _HEADER_GAP
  y_cells = y_top + height + _HEADER_GAP
  xs = [x_cells + j * (width + _GUTTER) for j in range(len(top))]
  ys = [y_cells + i * (height + _GUTTER) for i in range(len(left))]
  x_end, y_end = xs[-1] + width, ys[-1] + height
  font = _font()
  room = math.ceil(font.getlength(caption))
  image = Image.new(
      'RGB',
      (max(x_end, x_left + room) + _MARGIN, y_end + _LABEL + _MARGIN),
      'white',
  )
  for picture, y in zip(left, ys):
    image.paste(Image.fromarray(picture), (x_left, y))
  for picture, x in zip(top, xs):
    image.paste(Image.fromarray(picture), (x, y_top))
  for row, y in zip(cells, ys):
    for picture, x in zip(row, xs):
      image.paste(Image.fromarray(picture), (x, y))
  draw = ImageDraw.Draw(image)
  draw.text(
      (x_left, y_end + _LABEL), caption, fill=_GREY, font=font, anchor='lm'
  )
  _label_columns(image, 'motion', xs[0], x_end)
  _label_rows(image, 'identity', ys[0], y_end)
  return image


def _label_columns(image: Image.Image, text: str, start: int, end: int) -> None:
  draw = ImageDraw.Draw(image)
  line = _MARGIN + _LABEL - 6
  draw.line((start, line, end - 1, line), fill=_MOTION, width=2)
  middle = ((start + end) // 2, line - 5)
  draw.text(middle, text, fill=_MOTION, font=_font(), anchor='ms')


def _label_rows(image: Image.Image, text: str, start: int, end: int) -> None:
  draw = ImageDraw.Draw(image)
  line = _MARGIN + _LABEL - 6
  draw.line((line, start, line, end - 1), fill=_IDENTITY, width=2)
  label = Image.new('RGB', (end - start, line - 4), 'white')
  ImageDraw.Draw(label).text(
      ((end - start) // 2, line - 5),
      text,
      fill=_IDENTITY,
      font=_font(),
      anchor='ms',
  )
  image.paste(label.transpose(Image.Transpose.ROTATE_90), (0, start))


def _time_arrow(
    draw: ImageDraw.ImageDraw, start: int, end: int, y: int
) -> None:
  font = _font()
  draw.text((start, y), 'time', fill=_GREY, font=font, anchor='lm')
  x = start + math.ceil(font.getlength('time')) + 8
  draw.line((x, y, end - 6, y), fill=_GREY, width=1)
  draw.polygon([(end - 7, y - 4), (end - 7, y + 4), (end, y)], fill=_GREY)


def _strip(clip: np.ndarray, scale: int) -> np.ndarray:
  """(T, H, W, C) -> (h, w, 3): the frames side by side, thin white gaps."""
  frames = upscale(_rgb(clip), scale)
  gap = np.full((frames.shape[1], _FRAME_GAP, 3), 255, np.uint8)
  parts = [part for frame in frames for part in (gap, frame)]
  return np.concatenate(parts[1:], axis=1)


def _spread(total: int, number: int) -> np.ndarray:
  """`number` indices (or all) spread evenly over 0 .. total - 1."""
  return np.linspace(0, total - 1, min(number, total)).round().astype(int)


def _scale_for(clips: np.ndarray, height: int) -> int:
  return max(1, round(height / clips.shape[-3]))


def _rgb(x: np.ndarray) -> np.ndarray:
  return np.broadcast_to(x, x.shape[:-1] + (3,))


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
  return ImageFont.load_default(size=_FONT_SIZE)


def _check_swaps(
    sources: np.ndarray, drivers: np.ndarray, swaps: np.ndarray
) -> None:
  _check_pictures('sources', sources, 5)
  _check_pictures('drivers', drivers, 5)
  _check_pictures('swaps', swaps, 6)
  expected = sources.shape[:1] + drivers.shape
  if swaps.shape != expected or sources.shape[2:] != drivers.shape[2:]:
    raise ValueError(
        f'sources {sources.shape}, drivers {drivers.shape} and swaps '
        f'{swaps.shape} do not belong together. Expected pictures of one size '
        'and swaps[i, j] with source i and driver j: (N, Ts, H, W, C), '
        '(M, T, H, W, C), (N, M, T, H, W, C).'
    )


def _check_pictures(name: str, x: np.ndarray, ndim: int) -> None:
  if x.dtype != np.uint8 or x.ndim != ndim or x.shape[-1] not in (1, 3):
    raise ValueError(
        f'{name}: got {x.dtype} {x.shape}, expected uint8 with {ndim} axes, '
        'the last one of size 1 or 3. Convert floats in [-1, 1] with '
        'seqdiff.data.batch.to_uint8.'
    )
  if x.size == 0:
    raise ValueError(f'{name}: {x.shape} holds no picture; give at least one.')
