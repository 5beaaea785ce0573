"""`mead`: faces of actors who talk with eight emotions.

Wang et al. 2020, "MEAD: a large-scale audio-visual dataset for emotional
talking-face generation" (https://wywu.github.io/projects/MEAD/MEAD.html), for
non-commercial use. Two layouts are read, the publisher's and one without
`video/`, anywhere below a folder:

  <actor>/video/<view>/<emotion>/level_<1-3>/<number>.mp4

DiViD (arXiv:2507.13934) uses 30 actors, 15 frames of each film and a square
around the face, found by a Haar cascade; which actors, views, levels and frames
and which split it does not say. Here, unless options say otherwise: the first
30 actors by name, the front view, the strongest emotion (neutral has one level
only), frames at equal distances over the film, and of the films of each actor
and emotion one in five for tests. All frames of a clip are cut to one square,
since squares that follow the face would take its motion away.
"""

from collections.abc import Iterable
import dataclasses
import pathlib
import re
from typing import Any

import numpy as np

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data import faces
from seqdiff.data import films as film_lib
from seqdiff.data.builders import base
from seqdiff.data.builders import frames

EMOTIONS = ('angry', 'contempt', 'disgusted', 'fear', 'happy', 'neutral', 'sad',
            'surprised')
VIEWS = ('front', 'left_30', 'left_60', 'right_30', 'right_60', 'top', 'down')
CROPS = ('face', 'center')
NO_FACE = ('skip', 'center')

_NAME = re.compile(
    r'(?:.*/)?(?P<actor>[MW]\d+)/(?:video/)?'
    rf'(?P<view>{"|".join(VIEWS)})/(?P<emotion>{"|".join(EMOTIONS)})/'
    r'level_(?P<level>[1-3])/(?P<number>[^/]+)')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """Which films are used and how clips are made of them."""

  size: int = base.option(128, 'height and width in pixels', form=True)
  num_frames: int = base.option(15, 'frames per clip')
  view: str = base.option('front', f'one of {", ".join(VIEWS)}')
  level: int = base.option(
      3, 'strength of the emotion, 1 to 3; neutral is always of level 1')
  num_actors: int = base.option(30, 'the first ones by name')
  crop: str = base.option('face', 'face, or center (middle square)')
  no_face: str = base.option(
      'skip', 'a film without a face: skip it, or center (middle square); '
      'either way it is counted and listed')
  test_fraction: float = base.option(
      0.2, 'share of the films of each actor and emotion for test')

  def __post_init__(self):
    frames.check_ranges(self, crops=CROPS)
    for name, known in ('view', VIEWS), ('no_face', NO_FACE):
      if getattr(self, name) not in known:
        raise errors.unknown_name(name, getattr(self, name), known)
    if self.level > 3:
      raise ValueError(
          f'mead: level={self.level}, expected 1, 2 or 3. Change --level.')

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return str(self.size)


class Mead(frames.Frames):
  """TFDS builder of MEAD."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is a folder with the unpacked folders of the actors, such as '
      'M003/video/front/angry/level_3.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> frames.FramesConfig:
    """Finds the films, their labels and their splits; decodes nothing."""
    if options.crop == 'face':
      faces.haar()  # Says now if it is not there.
    found = find(manual_dir, view=options.view, level=options.level)
    film_lib.require_pyav(v.path for v in found.videos)
    names = sorted({v.labels['actor'] for v in found.videos})
    if len(names) < options.num_actors:
      raise ValueError(
          f'mead: {manual_dir} holds {len(found.videos)} films of '
          f'{options.view}, level {options.level}, of {len(names)} actors; '
          f'expected {options.num_actors} folders such as M003/video/'
          f'{options.view}/angry/level_{options.level}. Name the folder that '
          'holds those of the actors, or choose --num_actors.')
    names = names[:options.num_actors]
    videos = split(
        (v for v in found.videos if v.labels['actor'] in names),
        test_fraction=options.test_fraction)
    return frames.FramesConfig(
        name=options.config_name, options=options,
        catalogue=dataclasses.replace(found, videos=videos),
        manual_dir=manual_dir, factors=(
            batch.Factor('actor', 'static', len(names), tuple(names)),
            batch.Factor('emotion', 'dynamic', len(EMOTIONS), EMOTIONS)))

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """By their middle: cut other films to the face before."""
    return {'crop': 'center'}

  def summary(self) -> str:
    """Also which films show no face and were used all the same."""
    told = '' if not self._no_face else (
        f'\n{len(self._no_face)} films without a face were cut to their '
        f'middle, such as {self._no_face[0]}.')
    return told + super().summary()

  def _split_generators(self, dl_manager):
    self._no_face = []  # Names of the films that are cut to their middle.
    return super()._split_generators(dl_manager)

  def _remarks(self):
    return {'no_face': self._no_face}

  def _clips_of(self, video):
    o = self.builder_config.options
    images = list(film_lib.spread(video.path, num_frames=o.num_frames))
    if o.crop == 'face':
      box = faces.find(images, detector=faces.haar())
      if box is not None:
        images = [image.crop(box) for image in images]
      elif o.no_face == 'skip':
        raise film_lib.Unreadable(f'shows no face in {len(images)} frames')
      else:
        self._no_face.append(video.name)
    yield np.stack([film_lib.fit(image, size=o.size) for image in images])


def find(folder: str, *, view: str, level: int) -> catalogue_lib.Catalogue:
  """Finds the films of a view and a level, and the neutral ones of level 1.

  Their names are such as M003/front/angry/level_3/001 in both layouts. Films of
  other views and levels are passed by; those of another layout are skipped.

  Raises:
    ValueError: if the folder holds no film, and for two films of one name.
  """
  found = catalogue_lib.find(folder)
  videos, skipped = {}, {}
  for video in found.videos:
    match = _NAME.fullmatch(video.name)
    if match is None:
      skipped[video.name] = (
          'is not <actor>/video/<view>/<emotion>/level_<1-3>/<number>')
      continue
    wanted = 1 if match['emotion'] == 'neutral' else level
    if match['view'] != view or int(match['level']) != wanted:
      continue
    name = '/'.join((match['actor'], view, match['emotion'],
                     f'level_{wanted}', match['number']))
    if name in videos:
      raise ValueError(
          f'mead: two films are {name}: {videos[name].path} and {video.path}; '
          'expected one of each. Remove one of them.')
    videos[name] = catalogue_lib.Video(name, video.path, dict(
        actor=match['actor'], emotion=match['emotion']))
  return catalogue_lib.Catalogue(
      list(videos.values()), skipped, found.ignored)


def split(
    videos: Iterable[catalogue_lib.Video], *, test_fraction: float
) -> list[catalogue_lib.Video]:
  """Divides the films of each actor and emotion; a single one is to train on.

  By a hash of their names, see `catalogue.split`.
  """
  groups = {}
  for video in videos:
    groups.setdefault(tuple(video.labels.values()), []).append(video)
  result = []
  for group in groups.values():
    if len(group) > 1:
      group = catalogue_lib.split(
          catalogue_lib.Catalogue(group), test_fraction=test_fraction).videos
    result += group
  return result
