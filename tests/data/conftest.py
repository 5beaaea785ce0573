"""Sprite sheets whose pixels say where they come from."""

import fractions
import hashlib
import pathlib

import numpy as np
from PIL import Image
import pytest

from seqdiff.data.builders import sprites

LAYERS = ('body', 'bottomwear', 'topwear', 'hair', 'shoes')
VARIANTS = 2  # Sheets per layer: 16 characters instead of 1,296.


def _sheet(layer: int, variant: int) -> np.ndarray:
  """One sheet: the body fills each cell and tells its number in red and green.

  The other layers cover the rows above 48, 32, 16 and 8 of each cell with red
  50 * layer + variant; the shoes are white and one fifth opaque.
  """
  cells = np.zeros((21 * 13, 64, 64, 4), np.uint8)
  number = np.arange(len(cells))[:, None, None]
  if layer == 0:
    cells[..., 0], cells[..., 1] = number % 256, number // 256
    cells[..., 2], cells[..., 3] = variant, 255
  elif layer == 4:
    cells[:, :8] = (255, 255, 255, 51)
  else:
    cells[:, :64 - 16 * layer] = (50 * layer + variant, 0, 0, 255)
  return cells.reshape(21, 13, 64, 64, 4).swapaxes(1, 2).reshape(1344, 832, 4)


@pytest.fixture(scope='session')
def sheet_files(tmp_path_factory) -> dict[str, bytes]:
  """Content of each file of the folder, by its path in it."""
  path = tmp_path_factory.mktemp('sheets') / 'sheet.png'
  files = {}
  for layer, name in enumerate(LAYERS):
    for variant in (1,) if name == 'shoes' else range(VARIANTS):
      Image.fromarray(_sheet(layer, variant)).save(path)
      files[f'{name}/{variant}.png'] = path.read_bytes()
  return files


@pytest.fixture
def sheets(sheet_files, tmp_path, monkeypatch) -> pathlib.Path:
  """A folder of such sheets, which the builder takes for the publisher's."""
  root = tmp_path / 'sheets'
  checksums = {name: () for name in LAYERS}
  for name, content in sheet_files.items():
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    checksums[name.split('/')[0]] += (hashlib.sha256(content).hexdigest(),)
  monkeypatch.setattr(sprites, 'SHA256', checksums)
  monkeypatch.setattr(sprites, 'VARIANTS', VARIANTS)
  monkeypatch.setattr(sprites, 'NUM_CHARACTERS', VARIANTS**4)
  monkeypatch.setattr(sprites, 'NUM_TRAIN', 12)
  return root


@pytest.fixture
def write_film():
  """Writes a film; see the function."""
  return _write_film


def _write_film(path, frames, *, times=None, codec='ffv1', options=None):
  """Writes frames (T, H, W, 3); ffv1 in .mkv loses nothing.

  Args:
    path: file to write.
    frames: uint8.
    times: ms at which each frame is shown; None: every 100 ms.
    codec: name of the encoder.
    options: of the container.
  """
  av = pytest.importorskip('av')
  path.parent.mkdir(parents=True, exist_ok=True)
  form = 'bgr0' if codec == 'ffv1' else 'yuv420p'
  times = range(0, 100 * len(frames), 100) if times is None else times
  with av.open(str(path), 'w', options=options or {}) as container:
    stream = container.add_stream(codec, rate=10)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = form
    ms = fractions.Fraction(1, 1000)
    stream.codec_context.time_base = fractions.Fraction(1, 10) if (
        codec in ('mpeg4', 'mpeg2video')) else ms
    for frame, time in zip(frames, times):
      picture = av.VideoFrame.from_ndarray(frame, format='rgb24')
      picture.time_base = stream.codec_context.time_base
      picture.pts = round(time * ms / picture.time_base)
      container.mux(stream.encode(picture))
    container.mux(stream.encode())


@pytest.fixture
def write_pictures():
  """Writes frames (T, H, W, 3) as files of a folder, by number from `first`."""

  def write(path, frames, *, form='{}.png', first=0):
    path.mkdir(parents=True)
    for number, frame in enumerate(frames, first):
      Image.fromarray(frame).save(path / form.format(number))

  return write
