"""`sprites`: 11,664 clips of walking, casting and slashing game characters.

Li and Mandt 2018, "Disentangled Sequential Autoencoder" (arXiv:1803.02991);
the clips are drawn from the publisher's sprite sheets
(github.com/YingzhenLi/Sprites, art of the Liberated Pixel Cup, licensed
CC BY-SA 3.0 / GPL 3.0; whoever passes the clips on keeps that licence).

A character wears one of six sheets in each of four layers: 6^4 = 1,296
characters, and each performs nine motions: walk, spellcard and slash, seen
from the front, the left and the right. A sheet is a grid of 13 x 21 cells of
64 x 64 pixels; cell = row * 13 + column.

Departure: pixels stay uint8, so that `batch.to_float` divides by 127.5. The
publisher's loader divides by 256.
"""

from collections.abc import Iterable, Iterator, Sequence
import dataclasses
import functools
import hashlib
import io
import itertools
import pathlib

import numpy as np
from PIL import Image
import tensorflow_datasets as tfds
import tqdm

from seqdiff.data import batch
from seqdiff.data import transforms
from seqdiff.data.builders import base

URL = 'https://github.com/YingzhenLi/Sprites'
CELL = 64
GRID = (21, 13)  # Rows and columns of cells in a sheet.
LAYERS = ('body', 'bottomwear', 'topwear', 'hair')  # From the skin outwards.
VARIANTS = 6  # Sheets 6 and above are not used by the publisher.
NUM_CHARACTERS = VARIANTS ** len(LAYERS)
NUM_TRAIN = 1000
SIZES = (64, 32, 16)

# First cell of each row (front, left, right) and the cells of frames 0..7,
# counted from it. Walk leaves out the standing cell before its row and opens
# with the last one; the other two fill up with cells that they have shown.
DIRECTIONS = ('front', 'left', 'right')
_ACTS = {
    'walk': ((131, 118, 144), (7, 0, 1, 2, 3, 4, 5, 6)),
    'spellcard': ((26, 13, 39), (0, 1, 2, 3, 4, 5, 4, 6)),
    'slash': ((182, 169, 195), (0, 1, 2, 3, 4, 5, 4, 0)),
}
ACTIONS = tuple(f'{a} {d}' for a, d in itertools.product(_ACTS, DIRECTIONS))
CELLS = np.array([
    [first + k for k in order]
    for firsts, order in _ACTS.values() for first in firsts])  # (9, 8)
NUM_FRAMES = CELLS.shape[1]

FACTORS = (
    *(batch.Factor(layer, 'static', VARIANTS) for layer in LAYERS),
    batch.Factor('action', 'dynamic', len(ACTIONS), ACTIONS),
)

# sha256 of the sheets at commit 3ce4048c: 0.png .. 5.png; of shoes, 1.png.
SHA256 = {
    'body': (
        '27d1ac78db37c42f35a20d15c42705efc5e58d47c236cc01423879d4f797f151',
        '1535e9228357b884df80f777a0d1dac10ac35e550e4d8d077105ccad014a1460',
        '7c241033b4897501cb3721b6c3a9ebfa94b13db10a539edbd9bcc3e0c2a4bcb9',
        '055f5aa33fc112d8444b42fce2cf50608a9fbbf2466c54ceaa46c777589a717a',
        '57f3b9c510482379aba9a32fc0de7d48e9cbe3dc40f2447283547f773b77ca72',
        '91e49453aeab5ebbb4fd2b48253812895dcfb4cb1829b84e24425c66de8f04ff',
    ),
    'bottomwear': (
        '4ec356c488e272fde2d2d0d722b12a80217871e41161d43ba784caf243969ec2',
        '0674312eaa4ab548f8bb31ef95d7dbd46b41555758cec51bd6c3e9fac9a0f936',
        '3b464feb0d20ff34b0ca2a6d1fd00766ad86e2229c3d56ff91379fe27588a893',
        'b366e84ea0519d06cf693f51e0ee2f9ac32b3132d27c75dfdc4b6f52fca072de',
        '4ed7e7702e4f50b9692c0043be04b7296a108d85ea97230fb50d13c150d98771',
        'a5c5e7e33f13fe5ad37b5836a5a74fb0d2094a0877c2146961b88688ff85840d',
    ),
    'topwear': (
        'b917edcf2b3c35d51ef57a6fad67557c5edf048785bea29db09a640d09ac9a90',
        'e33c6cb31ed1268a2c0dc73b665b1c9b9420e22baf3321880222bdb22682368b',
        '2b9b8fefa08894b7ea536cd62b86d494aefe6e54495c5c1d83460827b13b6448',
        '807f5b628592f6747e2814be9435963069dba6c360577168c02f57bbe903433d',
        'b51b17878503877e179ce4f9231713bf2b2d2d666c3ec9ee29f4e784469867a2',
        '1b6049d43f83ebfda857cc405d1936ac9fd80be480fa6ad239024a6a75ad0372',
    ),
    'hair': (
        'e4007b0635a239ad16cdebfe90759349ccc73dfc6836c9d19625714be185f43d',
        'fa6369f84d3310705df6d8ca8c9d515a7d211e73d2826c50a9cb5bb285652c66',
        '1b8046752be7233e829ebe9b11048e171d8d181ee6f68e07042b34f57bb8af0d',
        '333783285c5fd94ff434ae5000d2da39aac7940269f173119eaa70d34c8acfa1',
        '24df8e9b291cbd444f6c4d12d35b3d43d909cd13f04e6401e0fd8ab10216d5a2',
        '4dd471cc20e0b1cf71adcaab01c88598767e5cfe680adacdf560ca91574f17ae',
    ),
    'shoes': (
        'd56a561616a20a12030d2d40a52eeec63e6d048871bf3b6994221869362151f1',
    ),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """Which form of the clips."""

  size: int = base.option(
      CELL, f'height and width in pixels, one of {SIZES}', form=True)

  def __post_init__(self):
    if self.size not in SIZES:
      raise ValueError(
          f'sprites: size={self.size}, expected one of {SIZES}. Choose one of '
          'these, or prepare 64 and shrink the frames yourself.')

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return str(self.size)


@dataclasses.dataclass
class SpritesConfig(tfds.core.BuilderConfig):
  """One resolution; `size` is height and width in pixels."""

  size: int = CELL


class Sprites(base.Builder):
  """TFDS builder of the sprite sheets."""

  VERSION = tfds.core.Version('1.0.0')
  BUILDER_CONFIGS = [
      SpritesConfig(name=str(size), size=size, description=f'{size} pixels')
      for size in SIZES]
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      f'manual_dir is a checkout of {URL}, or a folder with its folders '
      f'{", ".join(SHA256)}.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Options, manual_dir: str) -> str:
    """Checks that every sheet is there and is the right one."""
    read_sheets(manual_dir)
    return options.config_name

  @classmethod
  def factors_in(cls, path: pathlib.Path) -> tuple[batch.Factor, ...]:
    """The same in every form."""
    del path
    return FACTORS

  def _info(self) -> tfds.core.DatasetInfo:
    size = self.builder_config.size
    layers = {layer: tfds.features.ClassLabel(num_classes=VARIANTS)
              for layer in LAYERS}
    return tfds.core.DatasetInfo(
        builder=self,
        description=__doc__,
        homepage=URL,
        license='CC BY-SA 3.0 / GPL 3.0',
        features=tfds.features.FeaturesDict({
            # The default encoding reads 25 times slower.
            'x': tfds.features.Tensor(
                shape=(NUM_FRAMES, size, size, 3), dtype=np.uint8,
                encoding='bytes'),
            'action': tfds.features.ClassLabel(names=ACTIONS),
            **layers,
            'character': np.int32,
        }))

  def _split_generators(self, dl_manager):
    sheets = read_sheets(dl_manager.manual_dir)
    return {split: self._generate_examples(split, sheets, characters)
            for split, characters in split_characters().items()}

  def _generate_examples(self, split, sheets, characters):
    characters = sorted(characters.tolist())
    clips = draw(sheets, characters, size=self.builder_config.size)
    with tqdm.tqdm(desc=split, total=len(characters) * len(ACTIONS)) as bar:
      for character, actions in zip(characters, clips):
        labels = dict(zip(LAYERS, attributes(character)), character=character)
        for action, clip in enumerate(actions):
          yield f'{character}_{action}', {
              'x': clip, 'action': action, **labels}
        bar.update(len(actions))


def attributes(character: int) -> tuple[int, ...]:
  """Variant of each of `LAYERS` that a character wears."""
  shape = (VARIANTS,) * len(LAYERS)
  return tuple(int(v) for v in np.unravel_index(character, shape))


def split_characters() -> dict[str, np.ndarray]:
  """The publisher's split: a test character is never seen in training.

  Returns:
    Character numbers, (1000,) for 'train' and (296,) for 'test'.
  """
  # NumPy never changes the stream of its legacy generator.
  order = np.random.RandomState(423).permutation(NUM_CHARACTERS)
  return {'train': order[:NUM_TRAIN], 'test': order[NUM_TRAIN:]}


def read_sheets(manual_dir: str) -> list[list[Image.Image]]:
  """Reads the sheets that the data set is made of.

  Args:
    manual_dir: folder with body/0.png and so on.

  Returns:
    For each layer, from the skin outwards, and the shoes, the strips: the
    distinct cells of `CELLS` below one another, RGBA.

  Raises:
    ValueError: for a missing folder or sheet, and for a file that differs
      from the publisher's.
  """
  root = pathlib.Path(manual_dir).expanduser()
  missing = [f'{layer}/' for layer in SHA256 if not (root / layer).is_dir()]
  if missing:
    raise ValueError(
        f'sprites: {root} does not hold the folders {", ".join(missing)}; '
        f'expected {", ".join(SHA256)} with the sprite sheets. Get them with '
        f'`git clone {URL}` and give that folder as manual_dir.')
  sheets = []
  for layer, checksums in SHA256.items():
    first = 1 if layer == 'shoes' else 0
    sheets.append([_read_sheet(root / layer / f'{first + i}.png', checksum)
                   for i, checksum in enumerate(checksums)])
  return sheets


def _read_sheet(path: pathlib.Path, checksum: str) -> Image.Image:
  """One sheet as a strip of its distinct cells."""
  if not path.is_file():
    raise ValueError(
        f'sprites: the sheet {path} is missing; expected a PNG file. Get it '
        f'from {URL}.')
  content = path.read_bytes()
  found = hashlib.sha256(content).hexdigest()
  if found != checksum:
    raise ValueError(
        f'sprites: {path} ({len(content)} bytes, sha256 {found[:12]}) is not '
        f"the publisher's sheet (sha256 {checksum[:12]}): it is empty, "
        'truncated or another file, and clips made of it could not be '
        f'compared with published results. Get it again from {URL}.')
  sheet = Image.open(io.BytesIO(content)).convert('RGBA')
  grid = np.asarray(sheet).reshape(GRID[0], CELL, GRID[1], CELL, 4)
  cells = grid.swapaxes(1, 2).reshape(-1, CELL, CELL, 4)
  return Image.fromarray(cells[np.unique(CELLS)].reshape(-1, CELL, 4))


def draw(
    sheets: Sequence[Sequence[Image.Image]],
    characters: Iterable[int],
    *,
    size: int = CELL,
) -> Iterator[np.ndarray]:
  """Draws all clips of each character; fastest in ascending order.

  Args:
    sheets: as returned by `read_sheets`.
    characters: character numbers; the digits to base 6 are the variants of
      `LAYERS`.
    size: height and width of the clips in pixels.

  Yields:
    (9, 8, size, size, 3) uint8: actions, frames, a picture.
  """
  _, pose = np.unique(CELLS, return_inverse=True)
  pose = pose.reshape(CELLS.shape)

  @functools.lru_cache(maxsize=64)  # Neighbours share their inner layers.
  def dress(worn):
    if not worn:
      return Image.new('RGBA', sheets[0][0].size, (0, 0, 0, 255))
    sheet = sheets[len(worn) - 1][worn[-1]]
    return Image.alpha_composite(dress(worn[:-1]), sheet)

  for character in characters:
    strip = dress((*attributes(character), 0))  # All wear the same shoes.
    frames = np.asarray(strip)[..., :3].reshape(-1, CELL, CELL, 3)
    yield transforms.average(frames, size)[pose]
