"""Writes films: GIF with Pillow alone, MP4 with PyAV where it is installed."""

from collections.abc import Iterable
import os

import numpy as np
from PIL import Image

from seqdiff.core import storage
from seqdiff.figures import grids

Frames = Iterable[Image.Image | np.ndarray]  # Images or uint8 (H, W, C).


def write_gif(
    path: str | os.PathLike[str], frames: Frames, *, fps: float = 10.0
) -> None:
  """Writes an endless GIF.

  All frames share one palette of 256 colours without dithering, so that what
  does not move does not flicker.

  Args:
    path: file to write.
    frames: T images, or an uint8 array (T, H, W, C).
    fps: frames per second; the format counts in 1/100 s.
  """
  pictures = _pictures(frames)
  width, height = pictures[0].size
  # All frames as one tall picture: that is what makes the palette common.
  tall = Image.fromarray(np.concatenate([np.asarray(p) for p in pictures]))
  tall = tall.quantize(256, dither=Image.Dither.NONE)
  indexed = [
      tall.crop((0, top, width, top + height))
      for top in range(0, tall.height, height)
  ]
  with storage.writing(path) as file:
    indexed[0].save(
        file,
        format='GIF',
        save_all=True,
        append_images=indexed[1:],
        duration=max(20, round(1000 / fps)),
        loop=0,
        optimize=False,
    )


def write_mp4(
    path: str | os.PathLike[str], frames: Frames, *, fps: float = 10.0
) -> None:
  """Writes an H.264 film.

  Args:
    path: file to write.
    frames: T images, or an uint8 array (T, H, W, C). An odd last row or column
      is doubled, since the format needs even sizes.
    fps: frames per second.

  Raises:
    ImportError: PyAV is not installed.
  """
  try:
    import av  # Optional: only films in this format need it.
  except ImportError as e:
    raise ImportError(
        'Writing MP4 needs PyAV. Run: pip install seqdiff[media]. '
        'GIF works without it.'
    ) from e
  pictures = [np.asarray(p) for p in _pictures(frames)]
  height, width = pictures[0].shape[:2]
  pad = ((0, height % 2), (0, width % 2), (0, 0))
  with storage.writing(path) as file, av.open(
      file, mode='w', format='mp4') as container:
    stream = container.add_stream('libx264', rate=round(fps))
    stream.width, stream.height = width + width % 2, height + height % 2
    stream.pix_fmt = 'yuv420p'
    for picture in pictures:
      frame = av.VideoFrame.from_ndarray(
          np.pad(picture, pad, mode='edge'), format='rgb24'
      )
      container.mux(stream.encode(frame))
    container.mux(stream.encode())


def _pictures(frames: Frames) -> list[Image.Image]:
  pictures = [grids.to_image(np.asarray(frame)) for frame in frames]
  sizes = {picture.size for picture in pictures}
  if len(sizes) != 1:
    raise ValueError(
        f'A film needs frames of one size, got {len(pictures)} frames of the '
        f'sizes {sorted(sizes)}.'
    )
  return pictures
