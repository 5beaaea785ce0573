"""`celebv_hq`: faces of celebrities, from YouTube, with labels of appearance.

Zhu et al. 2022, "CelebV-HQ: a large-scale video facial attributes dataset"
(arXiv:2207.12393; https://celebv-hq.github.io), 35,666 clips for non-commercial
use, as its download script leaves them:

  celebvhq_info.json
  <folder>/<youtube_id>_<number>.mp4     folder: 35666, or --folder

  {"meta_info": {"appearance_mapping": [40 names], ...},
   "clips": {"<youtube_id>_<number>": {"attributes": {
       "appearance": [40 times 0 or 1], "action": [35], "emotion": {...}}}}}

A film without an entry is skipped, an entry without a film is counted: many
are gone from YouTube. `--attributes` names attributes of appearance (such as
male,young) that become static labels `no` and `yes`. One film in five is for
tests, by a hash of names; `--splits` is a csv file (clip,split) with another
division.

`--crop=face` cuts each frame by itself to the square around its face that
`seqdiff.data.faces.follow` describes; `center` takes the middle square, for
films that are cut already (512_face_crop in the released code of DiffSDA,
arXiv:2510.05717). Departures from that code: its detector is FaceXZoo's, ours a
Haar cascade, unless `--detector=module:function` names another; it writes the
faces to films of 512 pixels before they shrink to 256; its split is a list that
is not released; and it draws frames from whole films, here from their first
window (of whole films with --num_frames=1024).
"""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
import json
import pathlib
from typing import Any

from seqdiff.core import errors
from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data import faces
from seqdiff.data import films as film_lib
from seqdiff.data.builders import base
from seqdiff.data.builders import frames
from seqdiff.data.builders import windows

INFO = 'celebvhq_info.json'
CROPS = ('face', 'center')
_VALUES = ('no', 'yes')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How clips are made of the films, and what is known of them."""

  size: int = base.option(256, 'height and width in pixels', form=True)
  num_frames: int = base.option(32, 'frames per clip, at most')
  take: str = base.option(
      'first', 'first (one window per film) or all (windows in a row)')
  crop: str = base.option('face', 'face, or center (middle square)')
  detector: str = base.option(
      'haar', 'what finds faces: haar, or module:function of your own, from a '
      'grey picture (H, W) to boxes (left, top, width, height)')
  folder: str = base.option('35666', 'the one that holds the films')
  attributes: str = base.option(
      '', 'labels: attributes of appearance, such as male,young')
  splits: str | None = base.option(
      None, 'csv file: clip,split (train or test)')
  test_fraction: float = base.option(
      0.2, 'share of the films for test, without a csv file')

  def __post_init__(self):
    windows.check(self, crop=CROPS)

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return str(self.size)


class CelebvHq(windows.Windows):
  """TFDS builder of CelebV-HQ."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      f'manual_dir is a folder with {INFO} and the films in 35666/.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> frames.FramesConfig:
    """Finds the films, their labels and their splits; decodes nothing."""
    if options.crop == 'face':
      faces.named(options.detector)  # Says now if it is not there.
    catalogue_lib.require(manual_dir, INFO)
    root = catalogue_lib.require(manual_dir, f'{options.folder}/*.mp4')
    known = read_info(root / INFO, _names(options.attributes))
    found = catalogue_lib.find(root / options.folder)
    film_lib.require_pyav(v.path for v in found.videos)
    videos = [dataclasses.replace(v, labels=known[v.name])
              for v in found.videos if v.name in known]
    if not videos:
      raise ValueError(
          f'celebv_hq: {root / INFO} has {len(known)} clips, but none of '
          f'{len(found.videos)} films in {root / options.folder}, such as '
          f'{found.videos[0].name}; expected their names. Name another '
          '--folder.')
    strays = sorted(known.keys() - {v.name for v in videos})
    found = dataclasses.replace(found, videos=videos, skipped={
        v.name: f'has no entry in {INFO}'
        for v in found.videos if v.name not in known})
    if options.splits is None:
      found = catalogue_lib.split(found, test_fraction=options.test_fraction)
    else:
      found, others = catalogue_lib.split_by_csv(found, options.splits)
      strays += others
    factors = tuple(
        dataclasses.replace(f, num_classes=2, values=_VALUES)
        for f in catalogue_lib.factors_of(found))
    return frames.FramesConfig(
        name=options.config_name, options=options, catalogue=found,
        manual_dir=manual_dir, factors=factors, rows_without_clip=strays)

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """By their middle: cut other films to the face before."""
    return {'crop': 'center'}

  def _windows_of(self, video):
    options = self.builder_config.options
    if options.crop == 'center':
      return super()._windows_of(video)
    return super()._windows_of(
        video, through=functools.partial(
            faces.follow, detector=faces.named(options.detector)))


def read_info(
    path: pathlib.Path, attributes: Sequence[str] = ()
) -> dict[str, Mapping[str, str]]:
  """The labels of each clip.

  Args:
    path: the publisher's json file.
    attributes: names of attributes of appearance, in small letters.

  Returns:
    For each clip 'no' or 'yes' for each of `attributes`.

  Raises:
    ValueError: if the file is not of this form or knows no such attribute.
  """
  try:
    content = json.loads(path.read_text())
    names = [name.lower() for name in content['meta_info'][
        'appearance_mapping']]
    values = {clip: entry['attributes']['appearance']
              for clip, entry in content['clips'].items()}
    wrong = [clip for clip, row in values.items() if len(row) != len(names)
             or not set(row) <= {0, 1}]
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise ValueError(
        f'{path} cannot be read ({error!r}); expected the json file of '
        'CelebV-HQ: meta_info with appearance_mapping, and clips with '
        'attributes. Download it again.') from error
  if wrong:
    raise ValueError(
        f'{path}: {len(wrong)} clips, such as {wrong[0]}, have no list of '
        f'{len(names)} times 0 or 1 for appearance; expected one value for '
        'each name of appearance_mapping. Download it again.')
  for name in attributes:
    if name not in names:
      raise errors.unknown_name('attribute of appearance', name, names)
  return {clip: {name: _VALUES[row[names.index(name)]] for name in attributes}
          for clip, row in values.items()}


def _names(text: str) -> list[str]:
  """What stands between commas, in small letters."""
  return [name.strip().lower() for name in text.split(',') if name.strip()]
