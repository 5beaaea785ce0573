"""Sprite sheets whose pixels say where they come from."""

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
