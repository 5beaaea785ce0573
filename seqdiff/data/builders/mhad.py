"""`mhad`: 8 persons perform 27 actions four times each, before a fixed camera.

Chen, Jafari and Kehtarnavaz 2015, "UTD-MHAD: a multimodal dataset for human
action recognition utilizing a depth camera and a wearable inertial sensor"
(https://personal.utdallas.edu/~kehtar/UTD-MHAD.html). The publisher's files are
found by their names anywhere below a folder, in one part or several:

  a1_s1_t1_color.avi      480 x 640 pixels
  a1_s1_t1_depth.mat      d_depth (240, 320, T), millimetres, 0 = background
  a1_s1_t1_skeleton.mat   d_skel (20, 3, T), metres

Clips keep all their frames, which differ in number; the loader chooses some.
Three of the 864 files were broken and are not published (`UNPUBLISHED`).
"""

from collections.abc import Mapping, Sequence
import dataclasses
import os
import pathlib
import re
from typing import Any
import zlib

import numpy as np
import scipy.io

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data import films as film_lib
from seqdiff.data import transforms
from seqdiff.data.builders import base
from seqdiff.data.builders import frames

ACTIONS = (
    'swipe left', 'swipe right', 'wave', 'clap', 'throw', 'cross arms',
    'basketball shoot', 'draw x', 'draw circle cw', 'draw circle ccw',
    'draw triangle', 'bowling', 'boxing', 'baseball swing',
    'tennis forehand swing', 'arm curl', 'tennis serve', 'two-hand push',
    'knock', 'catch', 'pick up and throw', 'jog', 'walk', 'sit to stand',
    'stand to sit', 'lunge', 'squat')
SUBJECTS = tuple(f's{number}' for number in range(1, 9))
TRIALS = tuple(f't{number}' for number in range(1, 5))
FACTORS = (
    batch.Factor('subject', 'static', len(SUBJECTS), SUBJECTS),
    batch.Factor('action', 'dynamic', len(ACTIONS), ACTIONS),
)
UNPUBLISHED = ('a8_s1_t4', 'a23_s6_t4', 'a27_s8_t4')
# What is for tests. By subject it is the split of Ni et al. 2023, "Conditional
# image-to-video generation with latent flow diffusion models"
# (arXiv:2303.13744); test persons are then unseen, so that no judge of persons
# can be trained.
TESTS = {'trial': ('t4',), 'subject': ('s4', 's6', 's7', 's8')}

_MODALITIES = {  # End of the name of a file.
    'color': 'color.avi', 'depth': 'depth.mat', 'skeleton': 'skeleton.mat'}
_SIZE = 128
_NAME = re.compile(
    r'a(?P<action>\d+)_s(?P<subject>\d+)_t(?P<trial>\d+)_'
    r'(?P<modality>color\.avi|(?:depth|skeleton|inertial)\.mat)')

_COLOR = (480, 640)
_DEPTH = (240, 320)
_JOINTS = (20, 3)
_WINDOW = 224  # Of a depth picture, in pixels; holds every person.
# Persons stand 2 to 3 m from the camera: with 9 mm per level of grey 1.8 m to
# 4.1 m are told apart. The publisher prescribes no such coding; it is ours.
_NEAR, _MM_PER_LEVEL = 1800, 9

# What SciPy raises for a file that is broken or of another kind.
_BROKEN = (OSError, ValueError, TypeError, KeyError, IndexError, MemoryError,
           NotImplementedError, OverflowError, zlib.error,
           scipy.io.matlab.MatReadError)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """Which recording of the clips, and how they are divided."""

  modality: str = base.option(
      'color', 'color, depth or skeleton (joints)', form=True)
  size: int = base.option(
      _SIZE, 'height and width in pixels; not of skeleton', form=True)
  split_by: str = base.option(
      'trial', 'trial (the fourth is for test), or subject: persons in test '
      'are then unseen')

  def __post_init__(self):
    frames.check_ranges(self)
    for name, known in ('modality', _MODALITIES), ('split_by', TESTS):
      if getattr(self, name) not in known:
        raise errors.unknown_name(name, getattr(self, name), known)
    if self.modality == 'skeleton' and self.size != _SIZE:
      raise ValueError(
          f'mhad: size={self.size} with modality=skeleton, expected none: '
          'joints have no pixels. Leave size out.')

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    if self.modality == 'skeleton':
      return self.modality
    return f'{self.modality}_{self.size}'


class Mhad(frames.Frames):
  """TFDS builder of UTD-MHAD."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is a folder with the unpacked archives of UTD-MHAD: RGB, '
      'Depth or Skeleton.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> frames.FramesConfig:
    """Finds the files, their labels and their splits; reads none."""
    found = find(manual_dir, options.modality)
    film_lib.require_pyav(v.path for v in found.videos)
    test = TESTS[options.split_by]
    videos = [
        dataclasses.replace(
            v, split='test' if set(test) & set(v.name.split('_')) else 'train')
        for v in found.videos]
    if {v.split for v in videos} != {'train', 'test'}:
      raise ValueError(
          f'mhad: {manual_dir} holds {len(videos)} clips '
          f'*_{_MODALITIES[options.modality]}; expected some of '
          f'{", ".join(test)} for tests and some others to train on. Name the '
          'folder that holds all parts, or another --modality.')
    return frames.FramesConfig(
        name=options.config_name, options=options,
        catalogue=dataclasses.replace(found, videos=videos),
        manual_dir=manual_dir, factors=FACTORS)

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """As films of the same camera."""
    return {'crop': 'center'}

  def summary(self) -> str:
    """Which of the 864 clips are not there, besides what was skipped."""
    found = self.builder_config.catalogue
    there = {v.name for v in found.videos}
    absent = [name for a in range(1, len(ACTIONS) + 1) for s in SUBJECTS
              for t in TRIALS if (name := f'a{a}_{s}_{t}') not in there]
    known = [name for name in absent if name in UNPUBLISHED]
    other = [name for name in absent if name not in UNPUBLISHED]
    text = ''
    if known:
      text += f'\nNot there, as not published: {", ".join(known)}.'
    if other:
      text += f'\nNot there: {len(other)} clips, such as {other[0]}.'
    return text + super().summary()

  def _clip_form(self):
    o = self.builder_config.options
    if o.modality == 'skeleton':
      return (None, _JOINTS[0] * _JOINTS[1]), np.float32
    return (None, o.size, o.size, 3 if o.modality == 'color' else 1), np.uint8

  def _clips_of(self, video):
    o = self.builder_config.options
    if o.modality == 'skeleton':
      yield read_skeleton(video.path)
    elif o.modality == 'depth':
      yield read_depth(video.path, size=o.size)
    else:
      yield read_color(video.path, size=o.size)


def find(folder: str, modality: str) -> catalogue_lib.Catalogue:
  """Finds the files of a modality; their names are such as a1_s1_t1.

  Raises:
    ValueError: if the folder is not there, and for two files of one clip.
  """
  root = pathlib.Path(folder).expanduser()
  videos, skipped, ignored = {}, {}, []
  for _, files in catalogue_lib.walk(root):
    for path in files:
      match = _NAME.fullmatch(path.name)
      if match is None:
        ignored.append(path.relative_to(root).as_posix())
      elif match['modality'] == _MODALITIES[modality]:
        video = _video(path, match)
        if video is None:
          skipped[path.name] = 'is no clip of 27 actions, 8 persons, 4 trials'
          continue
        if video.name in videos:
          raise ValueError(
              f'mhad: two files are clip {video.name}: '
              f'{videos[video.name].path} and {path}; expected one of each. '
              'Remove one of them.')
        videos[video.name] = video
  order = sorted(videos, key=film_lib.natural)
  return catalogue_lib.Catalogue(
      [videos[name] for name in order], skipped, sorted(ignored))


def _video(
    path: pathlib.Path, match: Mapping[str, str]
) -> catalogue_lib.Video | None:
  """The clip of a file name with its labels; None for an unknown number."""
  action, subject, trial = (
      int(match[name]) for name in ('action', 'subject', 'trial'))
  subject, trial = f's{subject}', f't{trial}'
  if not (0 < action <= len(ACTIONS) and subject in SUBJECTS
          and trial in TRIALS):
    return None
  return catalogue_lib.Video(
      f'a{action}_{subject}_{trial}', path,
      dict(subject=subject, action=ACTIONS[action - 1]))


def read_color(path: str | os.PathLike[str], *, size: int) -> np.ndarray:
  """Reads the middle square of a colour film, 480 x 480 of 480 x 640 pixels.

  Returns:
    (T, size, size, 3) uint8, means over areas.

  Raises:
    Unreadable: for a film that is damaged or has no or other pictures.
  """
  height, width = _COLOR
  edge = (width - height) // 2
  clip = []
  for image in film_lib.read(path):
    picture = np.asarray(image)
    if picture.shape != (*_COLOR, 3):
      raise film_lib.Unreadable(
          f'has pictures of {image.height} x {image.width} pixels, not '
          f'{height} x {width}')
    clip.append(transforms.average(picture[:, edge:edge + height], size))
  if not clip:
    raise film_lib.Unreadable('holds no frames')
  return np.stack(clip)


def read_depth(path: str | os.PathLike[str], *, size: int) -> np.ndarray:
  """Reads the middle 224 x 224 pixels of a depth file, coded as by `to_grey`.

  Returns:
    (T, size, size, 1) uint8, means over areas of the coded pixels.

  Raises:
    Unreadable: for a file that is damaged or holds something else.
  """
  depth = _read_mat(path, 'd_depth', _DEPTH)
  top, left = ((length - _WINDOW) // 2 for length in _DEPTH)
  window = depth[top:top + _WINDOW, left:left + _WINDOW]
  return transforms.average(
      to_grey(window.transpose(2, 0, 1))[..., None], size)


def to_grey(depth: np.ndarray) -> np.ndarray:
  """Codes depth in millimetres: 0 for background, 1 (far) to 255 (near).

  Grey is 255 - (depth - 1800) / 9, not rounded. What has no depth (0) is
  background, which the publisher removed.
  """
  grey = 255 - (depth.astype(np.float64) - _NEAR) / _MM_PER_LEVEL
  return np.where(depth > 0, np.clip(grey, 1, 255), 0)


def read_skeleton(path: str | os.PathLike[str]) -> np.ndarray:
  """Reads the places of the joints as they are published, not normalised.

  Returns:
    (T, 60) float32, in metres: x, y, z of the first joint, then of the next.

  Raises:
    Unreadable: for a file that is damaged or holds something else.
  """
  joints = _read_mat(path, 'd_skel', _JOINTS).transpose(2, 0, 1)
  return joints.reshape(len(joints), -1).astype(np.float32)


def _read_mat(
    path: str | os.PathLike[str], name: str, shape: Sequence[int]
) -> np.ndarray:
  """One variable of a MATLAB file, (*shape, T), T > 0, of finite numbers."""
  try:
    found = scipy.io.loadmat(
        path, appendmat=False, variable_names=[name]).get(name)
  except _BROKEN as error:
    raise film_lib.Unreadable(
        f'is damaged or no MATLAB file ({error})') from error
  if found is None:
    raise film_lib.Unreadable(f'holds no variable {name}')
  if (found.ndim != 3 or found.shape[:2] != tuple(shape)
      or found.dtype.kind not in 'iuf'):
    raise film_lib.Unreadable(
        f'holds {name} of shape {found.shape} and type {found.dtype}, not '
        f'numbers of shape ({shape[0]}, {shape[1]}, frames)')
  if not found.size:
    raise film_lib.Unreadable('holds no frames')
  if not np.isfinite(found).all():
    raise film_lib.Unreadable(f'holds NaN or infinite values in {name}')
  return found
