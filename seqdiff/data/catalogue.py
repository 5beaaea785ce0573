"""Finds the videos in a folder, their labels, and which of them are for tests.

A *video* is a film or a folder of pictures (see `seqdiff.data.films`); clips
are cut out of it. Its name is its path in the folder without the suffix.
Nothing is decoded here, so that all that can be wrong with names and labels
is known before the first clip is written.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
import csv
import dataclasses
import hashlib
import os
import pathlib
import re

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import films as film_lib

CLIP = 'clip'  # In a pattern: what is no label; as a group: the video itself.


@dataclasses.dataclass(frozen=True)
class Video:
  """One video.

  Attributes:
    name: its path in the folder, without suffix, parts joined by '/'.
    path: where it is.
    labels: value of each label.
    split: 'train' or 'test'.
  """

  name: str
  path: pathlib.Path
  labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
  split: str = 'train'


@dataclasses.dataclass(frozen=True)
class Catalogue:
  """What was found in a folder.

  Attributes:
    videos: those to be used, by name.
    skipped: name and reason of each other video.
    ignored: files that are neither a film nor a frame.
  """

  videos: Sequence[Video]
  skipped: Mapping[str, str] = dataclasses.field(default_factory=dict)
  ignored: Sequence[str] = ()


def find(folder: str | os.PathLike[str]) -> Catalogue:
  """Finds all films, and all folders of pictures that hold no film.

  Raises:
    ValueError: if the folder is not there or holds no video, or for two
      videos of one name.
  """
  root = pathlib.Path(folder).expanduser()
  found, ignored = [], []
  for here, files in walk(root):
    films = [f for f in files if film_lib.is_film(f)]
    pictures = [f for f in files if film_lib.is_picture(f)]
    found += films or [here] * bool(pictures)
    used = set(films or pictures)  # Beside films pictures are thumbnails.
    ignored += [str(f.relative_to(root)) for f in files if f not in used]
  if not found:
    raise ValueError(
        f'{root} holds no video; expected films '
        f'({", ".join(sorted(film_lib.FILMS))}) or folders of pictures '
        f'({", ".join(sorted(film_lib.PICTURES))}), at any depth.')
  videos = {}
  for path in found:
    inside = path.relative_to(root) if path != root else pathlib.Path(root.name)
    name = (inside if path.is_dir() else inside.with_suffix('')).as_posix()
    if name in videos:
      raise ValueError(
          f'Two clips have the name {name!r}: {videos[name].path} and {path}; '
          'expected one of each, since the same clip must not be both in '
          'train and in test. Rename or remove one of them.')
    videos[name] = Video(name, path)
  order = sorted(videos, key=film_lib.natural)
  return Catalogue(
      [videos[name] for name in order], ignored=sorted(ignored))


def walk(
    folder: str | os.PathLike[str],
) -> Iterator[tuple[pathlib.Path, list[pathlib.Path]]]:
  """Each folder below one, and its files; links are followed, once.

  What begins with a dot is passed by.

  Raises:
    ValueError: if the folder is not there.
  """
  root = _root(folder)
  seen = set()
  for place, folders, files in os.walk(root, followlinks=True):
    here = pathlib.Path(place)
    if here.resolve() in seen:  # A link back.
      folders.clear()
      continue
    seen.add(here.resolve())
    folders[:] = [f for f in folders if not f.startswith('.')]
    yield here, [here / f for f in files if not f.startswith('.')]


def require(folder: str | os.PathLike[str], pattern: str) -> pathlib.Path:
  """Returns the folder, if it is laid out as its publisher's.

  Args:
    folder: the one that was given.
    pattern: where files are in it, such as 'data/*/1.6/*/*/*.jpg'.

  Raises:
    ValueError: names the first level that is not there, and what is instead.
  """
  root = _root(folder)
  parts = pattern.split('/')
  for level, part in enumerate(parts):
    above = '/'.join(parts[:level])
    if next(root.glob('/'.join((*parts[:level], part))), None) is None:
      here = next(root.glob(above)) if above else root
      there = sorted(p.name for p in here.iterdir()) if here.is_dir() else []
      names = ', '.join(there[:3]) + ', ...' * (len(there) > 3)
      raise ValueError(
          f'{here} holds {names or "nothing"}, but no {part}; expected '
          f'{pattern} in {root}. Name the folder that holds {parts[0]}, or '
          'unpack what is missing.')
  return root


def label_by_path(catalogue: Catalogue, pattern: str) -> Catalogue:
  """Reads labels from the names; videos of another form are skipped.

  Args:
    catalogue: from `find`.
    pattern: such as '{person}/{action}/{clip}' or 'a{action}_s{person}_{clip}'.
      Each {label} stands for some characters within one part of the path;
      {clip} is no label.

  Raises:
    ValueError: for a pattern that is not of this form or fits no video.
  """
  parts = re.split(r'\{(.*?)\}', pattern)
  names = parts[1::2]
  labels = [name for name in names if name != CLIP]
  _check_labels(labels, f'--pattern={pattern}')
  if not labels or len(set(names)) < len(names) or '{' in ''.join(parts[::2]):
    raise ValueError(
        f'--pattern={pattern} is no pattern; expected labels in braces, each '
        'once, such as {person}/{action}/{clip}.')
  form = re.compile(''.join(
      f'(?P<{part}>[^/]+?)' if k % 2 else re.escape(part)
      for k, part in enumerate(parts)))
  found = {v.name: form.fullmatch(v.name) for v in catalogue.videos}
  if not any(found.values()):
    raise ValueError(
        f'--pattern={pattern} fits none of {len(found)} videos, such as '
        f'{catalogue.videos[0].name!r}; expected the form of these names '
        '(paths in the folder, without suffix).')
  return _label(
      catalogue,
      {name: {label: match[label] for label in labels}
       for name, match in found.items() if match},
      f'its name has not the form {pattern}')


def label_by_csv(
    catalogue: Catalogue, table: str | os.PathLike[str]
) -> tuple[Catalogue, list[str]]:
  """Reads labels from a table; videos without labels are skipped.

  Args:
    catalogue: from `find`.
    table: a csv file (with ',', ';' or tabs) with names of columns in its first
      line. The first column has the path of each video in the folder, or its
      name alone; each other column is a label.

  Returns:
    The catalogue, and the rows that belong to no video.

  Raises:
    ValueError: for a file that cannot be read or has another form, for a video
      with two rows and for a row with two videos.
  """
  columns, rows = _read_csv(pathlib.Path(table).expanduser(), '--labels')
  _check_labels(columns, f'--labels={table}')
  paths, alone = {}, {}
  for video in catalogue.videos:
    name = pathlib.PurePosixPath(video.name)
    paths[video.name] = paths[str(name.with_name(video.path.name))] = video.name
    for key in {name.name, video.path.name}:
      alone.setdefault(key, []).append(video.name)
  labels, strays = {}, []
  for line, key, values in rows:
    key = pathlib.PureWindowsPath(key).as_posix().removeprefix('./')
    names = [paths[key]] if key in paths else alone.get(key, [])
    if len(names) > 1:
      raise ValueError(
          f'{table}, line {line}: {key!r} is the name of {len(names)} clips, '
          f'{names[0]!r} and {names[1]!r}; expected one. Give the path in the '
          'folder of videos.')
    if names and names[0] in labels:
      raise ValueError(
          f'{table}, line {line}: {names[0]!r} has labels already; expected '
          'one line for each clip. Remove one of them.')
    if not names:
      strays.append(f'line {line}: {key}')
    elif all(values):
      labels[names[0]] = dict(zip(columns, values))
  if not labels:
    raise ValueError(
        f'{table} has labels for none of {len(catalogue.videos)} videos; '
        'expected in its first column paths such as '
        f'{catalogue.videos[0].name!r}.')
  return _label(catalogue, labels, f'a label is missing in {table}'), strays


def of_layout(
    catalogue: Catalogue,
    videos: Sequence[Video],
    skipped: Mapping[str, str],
    layout: str,
) -> Catalogue:
  """Those videos that lie where a set has them; of the others, why not.

  Raises:
    ValueError: if there is none.
  """
  if not videos:
    raise ValueError(
        f'None of {len(catalogue.videos)} videos, such as '
        f'{catalogue.videos[0].name!r}, lies where it was expected: {layout}. '
        "Give the folder that the publisher's files were unpacked into.")
  return dataclasses.replace(catalogue, videos=videos, skipped=skipped)


def factors_of(
    catalogue: Catalogue, dynamic: Iterable[str] = ()
) -> tuple[batch.Factor, ...]:
  """The labels as factors; those in `dynamic` are of that kind.

  Raises:
    ValueError: if a label in `dynamic` does not exist.
  """
  labels = list(catalogue.videos[0].labels)
  for name in dynamic:
    if name not in labels:
      raise errors.unknown_name('label in --dynamic', name, labels)
  factors = []
  for name in labels:
    values = {video.labels[name] for video in catalogue.videos}
    factors.append(batch.Factor(
        name, 'dynamic' if name in dynamic else 'static', len(values),
        tuple(sorted(values, key=film_lib.natural))))
  return tuple(factors)


def split(
    catalogue: Catalogue, *, by: str = CLIP, test_fraction: float
) -> Catalogue:
  """Divides the videos between 'train' and 'test'.

  Groups are ordered by a hash of their names; the first ones are for tests. It
  is the same on every machine, and one more video moves few others.

  Args:
    catalogue: the labelled videos.
    by: 'clip', or the label whose values are divided: videos of one value,
      such as a person, are then all in one split.
    test_fraction: share of the groups for 'test'; neither split gets none.

  Raises:
    ValueError: for an unknown label or a single group.
  """
  labels = list(catalogue.videos[0].labels)
  if by != CLIP and by not in labels:
    raise errors.unknown_name('label in --split_by', by, [CLIP, *labels])
  group = lambda v: v.name if by == CLIP else v.labels[by]
  order = sorted({group(v) for v in catalogue.videos}, key=lambda name: (
      hashlib.sha256(name.encode()).hexdigest()))
  if len(order) < 2:
    raise ValueError(
        f'All usable videos ({len(catalogue.videos)}) have one {by}, '
        f'{order[0]!r}; expected at least two, one for train and one for test. '
        'Add videos (a long one can be cut into files), or choose another '
        '--split_by.')
  count = min(max(round(test_fraction * len(order)), 1), len(order) - 1)
  test = set(order[:count])
  return dataclasses.replace(catalogue, videos=[
      dataclasses.replace(v, split='test' if group(v) in test else 'train')
      for v in catalogue.videos])


def split_by_csv(
    catalogue: Catalogue, table: str | os.PathLike[str], *, by: str = CLIP
) -> tuple[Catalogue, list[str]]:
  """Divides the videos as a table says; videos that are not in it are skipped.

  Args:
    catalogue: the labelled videos.
    table: a csv file with two columns: the name of each video (it may end in
      .mp4), or the value of its label, and 'train' or 'test'.
    by: 'clip', or the label whose values are in the table.

  Returns:
    The catalogue, and the rows that belong to no video.

  Raises:
    ValueError: for a file that cannot be read or has another form, and if a
      split gets no video.
  """
  columns, rows = _read_csv(pathlib.Path(table).expanduser(), '--splits')
  splits = {}
  for line, key, (split, *_) in rows:
    key = key.removesuffix('.mp4')
    if split not in ('train', 'test') or splits.get(key, split) != split:
      raise ValueError(
          f'{table}, line {line}: {key!r} is in {split!r}; expected train or '
          'test, once for each.')
    splits[key] = split
  group = lambda v: v.name if by == CLIP else v.labels[by]
  strays = sorted(splits.keys() - {group(v) for v in catalogue.videos})
  videos = [dataclasses.replace(v, split=splits[group(v)])
            for v in catalogue.videos if group(v) in splits]
  if {v.split for v in videos} != {'train', 'test'}:
    raise ValueError(
        f'{table} names {len(videos)} of {len(catalogue.videos)} videos, by '
        f'{by} such as {group(catalogue.videos[0])!r}; expected some in train '
        f'and some in test. Its columns are {by} and {columns[0]}.')
  skipped = {**catalogue.skipped, **{
      v.name: f'{by} {group(v)} is not in {table}'
      for v in catalogue.videos if group(v) not in splits}}
  return dataclasses.replace(catalogue, videos=videos, skipped=skipped), strays


def _root(folder: str | os.PathLike[str]) -> pathlib.Path:
  root = pathlib.Path(folder).expanduser()
  if not root.is_dir():
    raise ValueError(
        f'{root} is no folder; expected one that holds videos or folders of '
        'pictures. Give it as --manual_dir.')
  return root


def _label(
    catalogue: Catalogue, labels: Mapping[str, Mapping[str, str]], reason: str
) -> Catalogue:
  """Keeps the videos that have labels; `reason` is why others have none."""
  return dataclasses.replace(
      catalogue,
      videos=[dataclasses.replace(v, labels=labels[v.name])
              for v in catalogue.videos if v.name in labels],
      skipped={**catalogue.skipped, **{
          v.name: reason for v in catalogue.videos if v.name not in labels}})


def _check_labels(names: Sequence[str], where: str) -> None:
  for name in names:
    if (not name.isidentifier() or name in batch.ARRAYS
        or names.count(name) > 1):
      raise ValueError(
          f'{where} has a label {name!r}; expected different names of letters, '
          f'digits and _, and none of {", ".join(batch.ARRAYS)}, which a clip '
          'has. Rename it.')


def _read_csv(
    path: pathlib.Path, flag: str
) -> tuple[list[str], list[tuple[int, str, list[str]]]]:
  """Names of the labels; for each row its line, first cell and other cells."""
  try:
    text = path.read_text(encoding='utf-8-sig')
    head = text.split('\n', 1)[0]
    lines = csv.reader(
        text.splitlines(), delimiter=max(',;\t', key=head.count), strict=True)
    table = [(lines.line_num, [cell.strip() for cell in row]) for row in lines]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise ValueError(
        f'{flag}={path} cannot be read ({error}); expected a csv file in '
        'UTF-8.') from error
  table = [(line, row) for line, row in table if any(row)]
  if not table or len(table[0][1]) < 2:
    raise ValueError(
        f'{flag}={path} has no columns; expected a first line such as '
        '"clip,person,action" and one line for each clip.')
  columns = table[0][1]
  for line, row in table[1:]:
    if len(row) != len(columns):
      raise ValueError(
          f'{path}, line {line} has {len(row)} cells; expected '
          f'{len(columns)}, as many as the first line.')
  return columns[1:], [(line, row[0], row[1:]) for line, row in table[1:]]
