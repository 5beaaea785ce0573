"""`mug`: faces of 52 persons who make six expressions.

Aifanti, Papachristou and Delopoulos 2010, "The MUG facial expression database"
(https://mug.ee.auth.gr/fed/). It is given out on request and must not be passed
on. Two layouts are read, each with one folder of pictures per take:

  <any>/<subject>/<expression>/<take>/           the publisher's
  <any>_{train,test}/<0-5>/user<subject>_.../    of published preprocessing,
                                                 whose split is kept

Frames of a take with more than 30 are taken two by two, as published. Clips of
15 follow one another without overlap. Departures: the published code sorts
frames by the text of their number (10 before 2) and draws the first frame at
random (here the loader does, in clips prepared with more --num_frames); its
face detector and its list of left out clips are not public. Pictures are cut to
the middle square: cut them to the faces before, if they are not. Takes are
decoded and kept as in `seqdiff.data.builders.windows`.
"""

import dataclasses
import os
import pathlib
import re
from typing import Any

from seqdiff.core import errors
from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data import films as film_lib
from seqdiff.data.builders import base
from seqdiff.data.builders import frames
from seqdiff.data.builders import windows

EXPRESSIONS = ('anger', 'disgust', 'happiness', 'fear', 'sadness', 'surprise')
LAYOUT = 'subjects3/[0-9]*/anger/*/*'
LONG = 30  # Frames; of a longer take every second one is used.
_RAW = re.compile(
    rf'(?:.*/)?(?P<subject>\d+)/(?P<expression>{"|".join(EXPRESSIONS)})/[^/]+')
_PREPARED = re.compile(
    r'(?:.*/)?[^/]*_(?P<split>train|test)/(?P<expression>[0-5])/'
    r'user(?P<subject>\d+)_[^/]+')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How clips are made of takes."""

  size: int = base.option(64, 'height and width in pixels', form=True)
  num_frames: int = base.option(15, 'frames per clip')
  crop: str = base.option(
      'center', 'center (middle square), pad (black bars) or stretch')
  split_by: str = base.option(
      catalogue_lib.CLIP, 'clip, or subject: persons in test are then unseen')
  test_fraction: float = base.option(0.25, 'share of the takes for test')

  def __post_init__(self):
    frames.check_ranges(self)
    if self.split_by not in (catalogue_lib.CLIP, 'subject'):
      raise errors.unknown_name(
          'split_by', self.split_by, (catalogue_lib.CLIP, 'subject'))

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return str(self.size)


class Mug(windows.Windows):
  """TFDS builder of MUG."""

  _compressed = False  # Of any size: its clips are few.
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is the folder of MUG with subjects3/<subject>/<expression>.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> frames.FramesConfig:
    """Finds the takes, their labels and their splits; decodes nothing."""
    found = catalogue_lib.find(manual_dir)
    videos, skipped = [], {}
    for video in found.videos:
      match = _RAW.fullmatch(video.name) or _PREPARED.fullmatch(video.name)
      if match is None or not video.path.is_dir():
        skipped[video.name] = f'is none of the expressions {EXPRESSIONS}'
        continue
      parts = match.groupdict()
      expression = parts['expression']
      if expression.isdigit():
        expression = EXPRESSIONS[int(expression)]
      videos.append(dataclasses.replace(
          video, split=parts.get('split', ''),
          labels=dict(subject=parts['subject'], expression=expression)))
    given = {v.split for v in videos}
    if not videos:
      catalogue_lib.require(manual_dir, LAYOUT)  # Says which level is missing.
    if not videos or ('' in given and len(given) > 1):
      raise ValueError(
          f'mug: {manual_dir} holds {len(videos)} takes of MUG, in '
          f'{len(given)} layouts; expected subjects3/001/anger/take000/*.jpg '
          'or mug_pre2_train/0/user001_take000_00/*.jpg. Name the folder that '
          'holds one of these.')
    found = dataclasses.replace(found, videos=videos, skipped=skipped)
    if given == {''} or options.split_by != catalogue_lib.CLIP:
      found = catalogue_lib.split(
          found, by=options.split_by, test_fraction=options.test_fraction)
    elif given != {'train', 'test'}:
      raise ValueError(
          f'mug: {manual_dir} holds the split {given.pop()} only; expected the '
          'folder above, with both.')
    factors = catalogue_lib.factors_of(found, ['expression'])
    order = tuple(e for e in EXPRESSIONS if e in factors[1].values)
    factors = (factors[0], dataclasses.replace(factors[1], values=order))
    return frames.FramesConfig(
        name=options.config_name, options=options, catalogue=found,
        manual_dir=manual_dir, factors=factors)

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """As most takes are read, which have more than 30 frames."""
    options = base.read_beside(path, frames.MANIFEST)['options']
    return {'crop': options['crop'], 'stride': 2}

  def _windows_of(self, video):
    o = self.builder_config.options
    count = sum(film_lib.is_picture(name) for name in os.listdir(video.path))
    return film_lib.clips(
        video.path, size=o.size, num_frames=o.num_frames, crop=o.crop,
        stride=2 if count > LONG else 1)
