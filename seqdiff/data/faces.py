"""Where in a picture the face is."""

from collections.abc import Callable, Iterable, Iterator, Sequence
import functools
import importlib
import os
import threading

import numpy as np
from PIL import Image

# Left, top, width and height in pixels.
Box = tuple[int, int, int, int]
# From a grey picture, (H, W) uint8, to the faces in it.
Detector = Callable[[np.ndarray], Sequence[Box]]

_CASCADE = 'haarcascade_frontalface_default.xml'
# Faces below this share of the shorter side are not looked for.
_SMALLEST = 0.1


@functools.cache
def haar() -> Detector:
  """OpenCV's detector of faces that look into the camera.

  Viola and Jones 2001, "Rapid object detection using a boosted cascade of
  simple features". Steps of 1.1 in size, 5 neighbours.

  Raises:
    ValueError: if OpenCV is missing or is one without this detector.
  """
  try:
    import cv2  # Optional: the extra `faces`.
    path = os.path.join(cv2.data.haarcascades, _CASCADE)
    empty = cv2.CascadeClassifier(path).empty()
    reason = 'it holds no cascades' if empty else None
  except (ImportError, AttributeError) as error:
    reason = str(error)
  if reason is not None:
    raise ValueError(
        f'Faces are to be found, but OpenCV 4 is not installed ({reason}); '
        'expected it, with its Haar cascades, which OpenCV 5 has no more. Run: '
        'pip install "seqdiff[faces]" (in a clone: -e ".[faces]").')

  own = threading.local()  # Two threads must not share a cascade.

  def detect(picture):
    if not hasattr(own, 'cascade'):
      own.cascade = cv2.CascadeClassifier(path)
    smallest = int(_SMALLEST * min(picture.shape))
    return own.cascade.detectMultiScale(
        picture, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest))

  return detect


def named(name: str) -> Detector:
  """The detector 'haar', or a function of your own, 'module:function'.

  Several threads call it.

  Raises:
    ValueError: if there is none of this name, and as `haar`.
  """
  if name == 'haar':
    return haar()
  module, _, function = name.partition(':')
  try:
    found = getattr(importlib.import_module(module), function)
  except (ImportError, AttributeError, ValueError) as error:
    raise ValueError(
        f'--detector={name} cannot be imported ({error}); expected haar, or '
        'module:function of a module that Python finds from here. The function '
        'takes a grey picture, (H, W) uint8, and returns the faces in it: '
        '(left, top, width, height) in pixels.') from error
  return found


def find(
    images: Iterable[Image.Image], *, detector: Detector, enlarge: float = 1.3
) -> tuple[int, int, int, int] | None:
  """A square around the largest face of the first picture that shows any.

  Args:
    images: pictures, looked at in this order until one shows a face.
    detector: what finds the faces, such as `haar()`.
    enlarge: side of the square, as a multiple of that of the face.

  Returns:
    Left, top, right and bottom, for `Image.crop`; the square is moved or made
    smaller until it lies in the picture. None if no picture shows a face.
  """
  for image in images:
    boxes = detector(np.asarray(image.convert('L')))
    if not len(boxes):
      continue
    left, top, width, height = map(
        int, max(boxes, key=lambda box: int(box[2]) * int(box[3])))
    side = min(round(enlarge * max(width, height)), *image.size)
    x, y = (
        min(max(round(start + (length - side) / 2), 0), limit - side)
        for start, length, limit in zip(
            (left, top), (width, height), image.size))
    return x, y, x + side, y + side
  return None


def follow(
    images: Iterable[Image.Image], *, detector: Detector, margin: int = 40
) -> Iterator[Image.Image]:
  """Cuts each picture to a square around its largest face.

  DiffSDA (arXiv:2510.05717, released code): the square is centred on the face;
  half of its side is half of the longer side of the face, plus a margin. Where
  no face is found it stays where it was; before the first face it is around the
  middle, its half side a third of the width. What lies outside is black.
  Departure: the code forgets the middle after one picture and cuts to a square
  of 82 pixels until it finds a face.

  Args:
    images: the frames of one film.
    detector: what finds the faces, such as `haar()`.
    margin: in pixels of the film.

  Yields:
    The square pieces, whose sizes differ.
  """
  face = None
  for image in images:
    boxes = detector(np.asarray(image.convert('L')))
    if len(boxes):
      left, top, width, height = map(
          int, max(boxes, key=lambda box: int(box[2]) * int(box[3])))
      face = (left + width // 2, top + height // 2,
              max(width, height) // 2 + margin)
    x, y, half = (
        (image.width // 2, image.height // 2, image.width // 3)
        if face is None else face)
    yield image.crop((x - half, y - half, x + half, y + half))
