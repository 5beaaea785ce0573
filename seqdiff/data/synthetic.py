"""`puppets`: an embedded labelled set of clips, drawn from a seed.

One articulated figure stands in the middle of each clip. Its *static* factors
are classes that hold for the whole clip: body colour, limb colour, head shape
and background. Its *dynamic* factors are three angles per frame on smooth
random paths: left arm, right arm and lean. The clip has no dynamic property
that is constant in time, so that nothing of the motion belongs in a static
code.

Characters (combinations of the static classes) are split between `train` and
`test`: a test character is never seen in training, each of its attributes is.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqdiff.data import batch

# sRGB.
COLOURS = {
    'red': (240, 60, 60), 'green': (70, 210, 80), 'blue': (80, 130, 255),
    'pink': (245, 130, 235),
}
# All darker than any colour of a figure, so that a pose is seen as light.
BACKGROUNDS = {
    'night': (14, 16, 60), 'forest': (8, 60, 26), 'wine': (72, 10, 34),
    'coal': (30, 30, 30),
}
HEADS = ('round', 'broad', 'tall')
HEAD_COLOUR = (245, 200, 60)
ANGLES = ('left_arm', 'right_arm', 'lean')
ANGLE_RANGE = (1.2, 1.2, 0.6)  # rad; angles lie within +- these.
TOLERANCE = 0.35  # rad; closer angles count as the same pose.

FACTORS = (
    batch.Factor('body', 'static', len(COLOURS), tuple(COLOURS)),
    batch.Factor('limbs', 'static', len(COLOURS), tuple(COLOURS)),
    batch.Factor('head', 'static', len(HEADS), HEADS),
    batch.Factor('background', 'static', len(BACKGROUNDS), tuple(BACKGROUNDS)),
    batch.Factor('angles', 'dynamic', None, ANGLES, TOLERANCE),
)
_CLASSES = tuple(f.num_classes for f in FACTORS if f.kind == 'static')


def puppets(
    *,
    size: int = 32,
    num_frames: int = 8,
    num_train: int = 4096,
    num_test: int = 512,
    held_out: float = 0.2,
    seed: int = 0,
) -> batch.Dataset:
  """Returns the data set; clips are drawn when they are asked for.

  Args:
    size: height and width in pixels, at least 8.
    num_frames: frames per clip, at least 1.
    num_train: clips in split 'train'.
    num_test: clips in split 'test'.
    held_out: share of the characters that only 'test' has, in (0, 1).
    seed: seed of the characters, motions and of the split.

  Raises:
    ValueError: for a value out of range.
  """
  for name, value, least in (
      ('size', size, 8), ('num_frames', num_frames, 1),
      ('num_train', num_train, 1), ('num_test', num_test, 1)):
    if value < least:
      raise ValueError(
          f'puppets: {name}={value}, expected at least {least}. '
          f'Set config.data.{name} to {least} or more.')
  if not 0.0 < held_out < 1.0:
    raise ValueError(
        f'puppets: held_out={held_out}, expected a share between 0 and 1 '
        '(both excluded). Set config.data.held_out accordingly.')
  characters = np.random.default_rng([seed, 0]).permutation(np.prod(_CLASSES))
  first = round(held_out * len(characters))
  first = min(max(first, 1), len(characters) - 1)  # Neither split is empty.
  split = lambda pool, n, k: PuppetSource(
      size=size, num_frames=num_frames, num_clips=n, characters=pool,
      seed=(seed, k))
  return batch.Dataset(
      name='puppets',
      splits={'train': split(characters[first:], num_train, 1),
              'test': split(characters[:first], num_test, 2)},
      factors=FACTORS)


class PuppetSource:
  """Clips of one split, drawn on demand; clip i depends on seed and i only."""

  def __init__(self, *, size, num_frames, num_clips, characters, seed):
    self._size, self._num_frames = size, num_frames
    self._num_clips, self._characters, self._seed = num_clips, characters, seed

  def __len__(self) -> int:
    return self._num_clips

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < self._num_clips:
      raise IndexError(f'clip {index} of {self._num_clips}')
    rng = np.random.default_rng([*self._seed, index])
    character = np.unravel_index(rng.choice(self._characters), _CLASSES)
    angles = smooth_paths(rng, self._num_frames)
    item = {'x': render(character, angles, self._size), 'labels/angles': angles}
    for factor, value in zip(FACTORS, character):
      item[factor.key] = np.int32(value)
    return item


def smooth_paths(
    rng: np.random.Generator, num_frames: int, spacing: float = 3.0
) -> np.ndarray:
  """Random angles that glide between uniform key poses.

  Args:
    rng: source of randomness.
    num_frames: length T.
    spacing: frames from one key pose to the next.

  Returns:
    (T, 3) float32 angles in rad, in the order of `ANGLES`.
  """
  num_keys = int(np.ceil(num_frames / spacing)) + 2
  keys = rng.uniform(-1.0, 1.0, (num_keys, len(ANGLES)))
  at = rng.uniform(0.0, 1.0, len(ANGLES)) + (
      np.arange(num_frames)[:, None] / spacing)
  k, part = at.astype(int), at % 1.0
  part = (1.0 - np.cos(np.pi * part)) / 2.0  # Rest at each key pose.
  take = lambda k: np.take_along_axis(keys, k, axis=0)
  path = take(k) * (1.0 - part) + take(k + 1) * part
  return (path * ANGLE_RANGE).astype(np.float32)


def render(
    character: Sequence[int], angles: np.ndarray, size: int
) -> np.ndarray:
  """Draws one clip with anti-aliased edges.

  Args:
    character: classes (body, limbs, head, background).
    angles: (T, 3) left arm, right arm and lean in rad. An arm at 0 points
      sideways, positive angles raise it; a positive lean tilts to the right.
    size: height and width in pixels.

  Returns:
    (T, size, size, 3) uint8.
  """
  body, limbs, head, background = (int(c) for c in character)
  colours = list(COLOURS.values())
  centre = (np.arange(size) + 0.5) / size * 2.0 - 1.0
  x, y = centre[None, None, :], -centre[None, :, None]  # y points up.
  left, right, lean = (angles[:, i, None, None] for i in range(3))
  # The figure's own axes: u to its side, v up from the hip, tilted by lean.
  v0 = y + 0.75
  u = np.cos(lean) * x - np.sin(lean) * v0
  v = np.sin(lean) * x + np.cos(lean) * v0
  image = np.empty((len(angles), size, size, 3), np.float32)
  image[:] = list(BACKGROUNDS.values())[background]
  layers = (
      (_capsule(u, v, (0.0, 0.0), (0.0, 0.62), 0.22), colours[body]),
      (_arm(u, v, -1.0, left), colours[limbs]),
      (_arm(u, v, 1.0, right), colours[limbs]),
      (_head(u, v - 1.12, HEADS[head]), HEAD_COLOUR),
  )
  for distance, colour in layers:
    cover = np.clip(0.5 - distance * size / 2.0, 0.0, 1.0)[..., None]
    image += cover * (np.asarray(colour, np.float32) - image)
  return np.round(image).astype(np.uint8)


def _capsule(u, v, start, end, radius):
  """Signed distance to a line from `start` to `end` of the given radius."""
  du, dv = end[0] - start[0], end[1] - start[1]
  along = ((u - start[0]) * du + (v - start[1]) * dv) / (du**2 + dv**2)
  along = np.clip(along, 0.0, 1.0)
  return np.hypot(
      u - start[0] - along * du, v - start[1] - along * dv) - radius


def _arm(u, v, side, angle):
  """An arm from the shoulder; `side` is -1 for the left of the picture."""
  start = (side * 0.26, 0.6)
  end = (start[0] + side * 0.52 * np.cos(angle),
         start[1] + 0.52 * np.sin(angle))
  return _capsule(u, v, start, end, 0.18)


def _head(u, v, shape):
  """Signed distance to the head, centred at the origin."""
  if shape == 'round':
    return np.hypot(u, v) - 0.25
  half = (0.44, 0.15) if shape == 'broad' else (0.15, 0.32)
  return np.maximum(np.abs(u) - half[0], np.abs(v) - half[1])
