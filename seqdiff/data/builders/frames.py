"""`frames`: anybody's videos, films or folders of pictures.

  python -m seqdiff.data.prepare --dataset=frames --manual_dir=videos \
      --data_dir=data --size=32

A set lies in `<data_dir>/frames/<set>_<size>`. Beside its clips is a
`manifest.json` with the options, the factors, the videos of each split, and
which videos were skipped and why.
"""

from collections.abc import Sequence
import dataclasses
import json
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import catalogue as catalogue_lib
from seqdiff.data import films as film_lib
from seqdiff.data.builders import base
from seqdiff.data.builders import shuffling

MANIFEST = 'manifest.json'
_SHOWN = 20  # Skipped videos that are named on the screen.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How clips are made of videos."""

  set: str = base.option(
      'videos', 'name for this collection of videos', form=True)
  size: int = base.option(64, 'height and width in pixels', form=True)
  num_frames: int = base.option(12, 'frames per clip')
  stride: int = base.option(1, 'every stride-th frame')
  fps: float | None = base.option(
      None, 'frames per second by the clock, instead of stride')
  crop: str = base.option(
      'center', 'center (middle square), pad (black bars) or stretch')
  take: str = base.option(
      'all', 'all (consecutive clips of a video) or first (one per video)')
  pattern: str | None = base.option(
      None, 'labels from the path, such as {person}/{action}/{clip}')
  labels: str | None = base.option(
      None, 'csv file: path of the clip, then one column per label')
  dynamic: str = base.option(
      '', 'labels of what is done, not of who does it; with commas')
  split_by: str = base.option(
      catalogue_lib.CLIP, 'clip, or a label that train and test do not share')
  test_fraction: float = base.option(0.2, 'share of the videos for test')

  def __post_init__(self):
    check_ranges(self)
    if not re.fullmatch(r'[\w-]+', self.set):
      raise ValueError(
          f'frames: set={self.set!r}, expected letters, digits, _ and -. It is '
          'the name of a folder.')
    if self.take not in film_lib.TAKES:
      raise errors.unknown_name('take', self.take, film_lib.TAKES)
    if self.fps is not None and self.stride != 1:
      raise ValueError(
          f'frames: fps={self.fps} and stride={self.stride}, expected one of '
          'them. Leave the other out.')
    if self.pattern is not None and self.labels is not None:
      raise ValueError(
          'frames: pattern and labels are both given, expected one of them. '
          'Add what the path says to the csv file.')

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return f'{self.set}_{self.size}'


def check_ranges(
    options: Any, *, crops: Sequence[str] = film_lib.CROPS
) -> None:
  """Raises ValueError for a number out of range or an unknown crop."""
  for field in dataclasses.fields(options):
    value = getattr(options, field.name)
    if field.name == 'crop' and value not in crops:
      raise errors.unknown_name('crop', value, crops)
    if field.name == 'test_fraction':
      wanted, fine = 'a share between 0 and 1 (both excluded)', 0 < value < 1
    elif isinstance(value, int):
      wanted, fine = '1 or more', value >= 1
    elif isinstance(value, float):
      wanted, fine = 'more than 0', value > 0
    else:
      continue
    if not fine:
      raise ValueError(
          f'{field.name}={value}, expected {wanted}. Change --{field.name}.')


@dataclasses.dataclass(eq=False, repr=False)
class FramesConfig(tfds.core.BuilderConfig):
  """One collection of videos; fields as in the manifest."""

  options: Any = None
  manual_dir: str = ''
  catalogue: catalogue_lib.Catalogue | None = None
  factors: tuple[batch.Factor, ...] = ()
  rows_without_clip: list[str] = dataclasses.field(default_factory=list)

  def __post_init__(self):
    self.manual_dir = base.absolute(self.manual_dir)


class Frames(base.Builder):
  """TFDS builder of a folder of videos."""

  VERSION = tfds.core.Version('1.0.0')
  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is a folder with films or folders of pictures.')
  OPTIONS = Options

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> FramesConfig:
    """Finds the videos, their labels and their splits; decodes nothing."""
    found = catalogue_lib.find(manual_dir)
    film_lib.require_pyav(v.path for v in found.videos)
    strays = []
    if options.fps is not None:
      for video in found.videos:
        if video.path.is_dir():
          raise ValueError(
              f'--fps={options.fps:g} was given, but {video.path} is a folder '
              'of pictures, which have no times; expected films only. Use '
              '--stride.')
    if options.pattern is not None:
      found = catalogue_lib.label_by_path(found, options.pattern)
    elif options.labels is not None:
      table = pathlib.Path(options.labels).expanduser()
      found, strays = catalogue_lib.label_by_csv(found, table)
      found = dataclasses.replace(found, ignored=[
          name for name in found.ignored if not table.is_file() or not (
              pathlib.Path(manual_dir).expanduser() / name).samefile(table)])
    dynamic = [name.strip() for name in options.dynamic.split(',')]
    factors = catalogue_lib.factors_of(found, [n for n in dynamic if n])
    found = catalogue_lib.split(
        found, by=options.split_by, test_fraction=options.test_fraction)
    return FramesConfig(
        name=options.config_name, options=options, catalogue=found,
        manual_dir=manual_dir, factors=factors,
        rows_without_clip=strays)

  @classmethod
  def factors_in(cls, path: pathlib.Path) -> tuple[batch.Factor, ...]:
    """As kept in the manifest."""
    return tuple(
        batch.Factor(f['name'], f['kind'], len(f['values']), tuple(f['values']))
        for f in base.read_beside(path, MANIFEST)['factors'])

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """Crop and rate of the clips."""
    options = base.read_beside(path, MANIFEST)['options']
    return {name: options[name] for name in ('crop', 'stride', 'fps')}

  @classmethod
  def names_in(cls, path: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Name of the video, '#', number of the clip in it."""
    splits = base.read_beside(path, MANIFEST)['splits']
    return {split: tuple(shuffling.order(
        (_name(v['video'], k) for v in videos for k in range(v['clips'])),
        split)) for split, videos in splits.items()}

  @classmethod
  def lengths_in(cls, path: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """As kept in the manifest; older ones have no lengths."""
    splits = base.read_beside(path, MANIFEST)['splits']
    known = {_name(v['video'], k): length for videos in splits.values()
             for v in videos for k, length in enumerate(v.get('lengths', ()))}
    names = cls.names_in(path)
    if known.keys() != {name for split in names.values() for name in split}:
      return {}
    return {split: tuple(known[name] for name in names[split])
            for split in splits}

  @classmethod
  def options_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """As kept in the manifest."""
    return base.read_beside(path, MANIFEST)['options']

  @classmethod
  def differences(
      cls, path: pathlib.Path, options: Any, manual_dir: str
  ) -> list[str]:
    """Options and folder that are not those of the manifest."""
    return base.changes(
        base.read_beside(path, MANIFEST), options, manual_dir)

  def summary(self) -> str:
    """The videos that gave no or not all clips, and what else was passed by."""
    skipped = base.read_beside(self.data_path, MANIFEST)['skipped']
    config = self.builder_config
    total = len(config.catalogue.videos) + len(config.catalogue.skipped)
    lines = [f'  {name}: {reason}' for name, reason in skipped.items()]
    if len(lines) > _SHOWN:
      lines[_SHOWN:] = [f'  and {len(lines) - _SHOWN} more']
    if skipped:
      lines.insert(0, f'{len(skipped)} of {total} videos were skipped:')
    for what, names in (('Files that are no video', config.catalogue.ignored),
                        ('Rows without a video', config.rows_without_clip)):
      if names:
        lines.append(f'{what}: {len(names)}, such as {names[0]}.')
    return ''.join(f'\n{line}' for line in [
        *lines, f'All names are in {self.data_path / MANIFEST}.'])

  def _info(self) -> tfds.core.DatasetInfo:
    return tfds.core.DatasetInfo(
        builder=self,
        description=__doc__,
        features=tfds.features.FeaturesDict({
            'x': self._feature(),
            **{factor.name: np.int32 for factor in self.builder_config.factors},
        }))

  def _feature(self):
    """How a clip is written."""
    shape, dtype = self._clip_form()
    # The default encoding reads 25 times slower.
    return tfds.features.Tensor(shape=shape, dtype=dtype, encoding='bytes')

  def _clip_form(self):
    """Shape, in which None is any number of frames, and dtype of a clip."""
    o = self.builder_config.options
    return (o.num_frames, o.size, o.size, 3), np.uint8

  def _split_generators(self, dl_manager):
    del dl_manager
    self._lengths = {}  # Frames of the clips of each video that was used.
    self._problems = dict(self.builder_config.catalogue.skipped)
    return {split: self._generate_examples(split)
            for split in ('train', 'test')}

  def _generate_examples(self, split):
    config = self.builder_config
    videos = [v for v in config.catalogue.videos if v.split == split]
    for video, clips in self._read(tqdm.tqdm(videos, desc=split)):
      labels = {f.name: f.values.index(video.labels[f.name])
                for f in config.factors}
      lengths = []
      try:
        for clip in clips:
          yield _name(video.name, len(lengths)), {'x': clip, **labels}
          lengths.append(len(clip))
      except film_lib.Unreadable as error:
        kept = (f'; {len(lengths)} clips before that were used'
                if lengths else '')
        self._problems[video.name] = f'{error}{kept}'
      if lengths:
        self._lengths[video.name] = lengths
    if not any(v.name in self._lengths for v in videos):
      reasons = '; '.join(
          f'{v.name} {self._problems[v.name]}' for v in videos[:3])
      raise ValueError(
          f'The split {split} holds no clips: none of its {len(videos)} videos '
          f'can be used ({reasons}{"; ..." if len(videos) > 3 else ""}). '
          'Expected at least one; nothing was written. Repair or remove such '
          'videos, add others, or if they are short choose fewer frames.')

  def _read(self, videos):
    """Each video and its clips, in order."""
    return ((video, self._clips_of(video)) for video in videos)

  def _clips_of(self, video):
    """The clips of one video; raises Unreadable."""
    o = self.builder_config.options
    return film_lib.clips(
        video.path, size=o.size, num_frames=o.num_frames, crop=o.crop,
        stride=o.stride, fps=o.fps, take=o.take)

  def _remarks(self) -> dict[str, Any]:
    """What else the manifest tells."""
    return {}

  def _download_and_prepare(self, dl_manager, download_config):
    super()._download_and_prepare(dl_manager, download_config)
    config = self.builder_config
    manifest = dict(
        manual_dir=config.manual_dir,
        options=dataclasses.asdict(config.options),
        factors=[dict(name=f.name, kind=f.kind, values=f.values)
                 for f in config.factors],
        splits={split: [
            dict(video=v.name, clips=len(self._lengths[v.name]),
                 lengths=self._lengths[v.name], labels=v.labels)
            for v in config.catalogue.videos
            if v.split == split and v.name in self._lengths]
                for split in ('train', 'test')},
        skipped=self._problems,
        ignored=list(config.catalogue.ignored),
        rows_without_clip=config.rows_without_clip, **self._remarks())
    # TFDS gives the folder its name only after this.
    (self.data_path / MANIFEST).write_text(json.dumps(manifest, indent=1))


def _name(video: str, number: int) -> str:
  """Name of a clip of a video."""
  return f'{video}#{number}'
