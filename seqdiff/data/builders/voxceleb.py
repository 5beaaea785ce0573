"""`voxceleb`: faces of 1,251 celebrities in interviews, from YouTube.

Nagrani, Chung and Zisserman 2017, "VoxCeleb: a large-scale speaker
identification dataset" (arXiv:1706.08612). Read is the release of cropped
faces, about 4 frames per second, of which DiffSDA (arXiv:2510.05717) has
153,516 clips:

  [unzippedIntervalFaces/]data/<Speaker_Name>/1.6/<youtube_id>/<clip>/*.jpg

The split is that of speaker verification: the 40 speakers whose names begin
with E, id10270 to id10309, are for tests (4,874 clips). Folders may have the
names or the numbers of the speakers. `--splits` is a csv file (speaker,split)
with another division; speakers that it does not name are skipped.

Departures from the released code: frames are in the order of their numbers, not
of the text of their names; windows begin at the first frame and follow one
another, and the loader draws the first frame within a window (one of 32 holds
most clips whole); frames are kept as in `seqdiff.data.builders.windows`.
"""

import dataclasses
import pathlib
import re
from typing import Any

from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data.builders import base
from seqdiff.data.builders import frames
from seqdiff.data.builders import windows

LAYOUT = 'data/*/1.6/*/*/*.jpg'
_NAME = re.compile(r'data/(?P<speaker>[^/]+)/1\.6/[^/]+/[^/]+')
_NUMBER = re.compile(r'id(\d+)')
_TEST_NUMBERS = range(10270, 10310)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How clips are made of the pictures, and how they are divided."""

  size: int = base.option(256, 'height and width in pixels', form=True)
  num_frames: int = base.option(32, 'frames per clip, at most')
  take: str = base.option(
      'first', 'first (one window per clip) or all (windows in a row)')
  splits: str | None = base.option(
      None, 'csv file: speaker,split (train or test)')

  def __post_init__(self):
    windows.check(self)

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return str(self.size)


class Voxceleb(windows.Windows):
  """TFDS builder of the faces of VoxCeleb1."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      f'manual_dir is the folder of cropped faces, with {LAYOUT}.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> frames.FramesConfig:
    """Finds the clips, their speakers and their splits; decodes nothing."""
    root = pathlib.Path(manual_dir).expanduser()
    if (root / 'unzippedIntervalFaces').is_dir():
      root = root / 'unzippedIntervalFaces'
    found = catalogue_lib.find(catalogue_lib.require(root, LAYOUT))
    videos, skipped, strays = [], {}, []
    for video in found.videos:
      match = _NAME.fullmatch(video.name)
      if match is None:
        skipped[video.name] = f'is not of the form {LAYOUT}'
        continue
      speaker = match['speaker']
      videos.append(dataclasses.replace(
          video, labels=dict(speaker=speaker),
          split='test' if is_for_tests(speaker) else 'train'))
    found = catalogue_lib.of_layout(found, videos, skipped, LAYOUT)
    if options.splits is not None:
      found, strays = catalogue_lib.split_by_csv(
          found, options.splits, by='speaker')
    elif {v.split for v in videos} != {'train', 'test'}:
      names = sorted({v.labels['speaker'] for v in videos})
      raise ValueError(
          f'voxceleb: {root} holds {len(names)} speakers, such as {names[0]}; '
          'expected some whose names begin with E (or id10270 to id10309), for '
          'tests, and some others to train on. Unpack all parts, or give '
          '--splits.')
    return frames.FramesConfig(
        name=options.config_name, options=options, catalogue=found,
        manual_dir=manual_dir, factors=catalogue_lib.factors_of(found),
        rows_without_clip=strays)

  def summary(self) -> str:
    """Also how many of the speakers for tests were there."""
    config = self.builder_config
    found = {v.labels['speaker'] for v in config.catalogue.videos
             if v.split == 'test'}
    if config.options.splits is not None or len(found) == len(_TEST_NUMBERS):
      return super().summary()
    return (f' {len(found)} of {len(_TEST_NUMBERS)} test speakers found.'
            + super().summary())

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """By their middle: cut other films to the face before."""
    return {'crop': 'center'}


def is_for_tests(speaker: str) -> bool:
  """Whether a speaker, a name or a number, is in the test split."""
  number = _NUMBER.fullmatch(speaker)
  if number is not None:
    return int(number[1]) in _TEST_NUMBERS
  return speaker.startswith('E')
