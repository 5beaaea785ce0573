"""`taichi_hd`: persons who do tai chi, from YouTube.

Siarohin et al. 2019, "First order motion model for image animation"
(arXiv:2003.00196), in the layout of its preprocessing, pictures or films:

  [taichi-png/]{train,test}/<youtube_id>#<first>#<last>.mp4[/*.png]

DiffSDA (arXiv:2510.05717) has 3,081 clips of 64 pixels, merges both folders and
takes one clip in ten for tests. It trains with every fourth frame, for which
windows of 64 frames leave room. There are no labels, so that the static one is
the id of the YouTube video, which stands for a person in one place.

Departures from the released code: its split is a draw of scikit-learn from an
unsorted list, ours goes by a hash of names; frames are in the order of their
numbers, there in that of the disk; it draws them from whole videos, here from
their first window (of whole videos with --num_frames=1024); flips and colour
jitter in training are not done (its module is not published, the paper does not
name them); and frames that are not square are cut to their middle.
"""

import dataclasses
import pathlib
from typing import Any

from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data import films as film_lib
from seqdiff.data.builders import base
from seqdiff.data.builders import frames
from seqdiff.data.builders import windows

LAYOUTS = ('train/*#*', 'test/*#*')
SPLITS = ('clip', 'given')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How clips are made of the videos, and how they are divided."""

  size: int = base.option(64, 'height and width in pixels', form=True)
  num_frames: int = base.option(64, 'frames per clip, at most')
  take: str = base.option(
      'first', 'first (one window per video) or all (windows in a row)')
  split_by: str = base.option(
      catalogue_lib.CLIP, 'clip, or given: by the folders train and test')
  test_fraction: float = base.option(
      0.1, 'share of the videos for test, if split by clip')

  def __post_init__(self):
    windows.check(self, split_by=SPLITS)

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return str(self.size)


class TaichiHd(windows.Windows):
  """TFDS builder of TaiChi-HD."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is the folder taichi-png with train/ and test/.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> frames.FramesConfig:
    """Finds the videos and their splits; decodes nothing."""
    root = pathlib.Path(manual_dir).expanduser()
    if (root / 'taichi-png').is_dir():
      root = root / 'taichi-png'
    for layout in LAYOUTS:
      catalogue_lib.require(root, layout)
    found = catalogue_lib.find(root)
    film_lib.require_pyav(v.path for v in found.videos)
    videos, skipped = [], {}
    for video in found.videos:
      folder, _, name = video.name.removesuffix('.mp4').rpartition('/')
      if folder not in ('train', 'test') or '#' not in name:
        skipped[video.name] = f'is none of {", ".join(LAYOUTS)}'
        continue
      videos.append(catalogue_lib.Video(
          f'{folder}/{name}', video.path, dict(video=name.split('#')[0]),
          folder))
    found = catalogue_lib.of_layout(
        found, videos, skipped, ' or '.join(LAYOUTS))
    if options.split_by == catalogue_lib.CLIP:
      found = catalogue_lib.split(found, test_fraction=options.test_fraction)
    return frames.FramesConfig(
        name=options.config_name, options=options, catalogue=found,
        manual_dir=manual_dir, factors=catalogue_lib.factors_of(found))

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """By their middle, at their own rate."""
    return {'crop': 'center'}
