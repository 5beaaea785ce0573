"""`csv`: anybody's series, from csv files with one row for each point of time.

  python -m seqdiff.data.prepare --dataset=csv --manual_dir=tables \
      --data_dir=data --columns=temperature,load --time=date --id=machine \
      --labels=kind --targets=wear --window=96 --stride=24

A series is the rows of one value of the column `--id`, or all of a file; a
sample is a window of it. With `--time` no window reaches over a gap. A set lies
in `<data_dir>/csv/<set>_<window>`.
"""

import collections
from collections.abc import Iterator, Sequence
import dataclasses
import datetime
import pathlib
import re

import numpy as np

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import films
from seqdiff.data import tables
from seqdiff.data.builders import base
from seqdiff.data.builders import series

SPLIT_BY = ('id', 'time')
_DELIMITERS = ',;\t'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """What the columns are, and how samples are cut and divided."""

  set: str = base.option('series', 'name for these files', form=True)
  window: int = base.option(168, 'rows of a sample', form=True)
  stride: int | None = base.option(
      None, 'rows between two samples; as many as window if not given')
  columns: str = base.option('', 'the variables; with commas')
  units: str | None = base.option(
      None, 'units of the variables; with commas')
  time: str | None = base.option(
      None, 'column of times (ISO 8601 or numbers), which must rise')
  max_gap: float | None = base.option(
      None, 'longest time between two rows of a sample, in seconds of ISO '
      '8601, or as the numbers are; 1.5 times the median of a series if not '
      'given')
  id: str | None = base.option(
      None, 'column that says which series a row is of; without it a file is '
      'one series')
  labels: str = base.option(
      '', 'columns of classes that hold for a whole series; with commas')
  targets: str = base.option(
      '', 'columns of numbers that a code should tell row by row; with commas')
  split_by: str = base.option(
      'id', 'id (a series is in one split) or time (the last rows of each '
      'series are for tests)')
  validation_fraction: float = base.option(0.15, 'share for validation')
  test_fraction: float = base.option(0.15, 'share for tests')
  seed: int = base.option(0, 'which series are for what; of split_by=id only')

  def __post_init__(self):
    series.check_options(self)
    if not re.fullmatch(r'[\w-]+', self.set):
      raise ValueError(
          f'csv: set={self.set!r}, expected letters, digits, _ and -. It is '
          'the name of a folder.')
    if self.split_by not in SPLIT_BY:
      raise errors.unknown_name('split_by', self.split_by, SPLIT_BY)
    shares = self.validation_fraction, self.test_fraction
    if min(shares) <= 0 or sum(shares) >= 1:
      raise ValueError(
          f'csv: validation_fraction={shares[0]}, test_fraction={shares[1]}, '
          'expected both above 0 and less than 1 together. Change them.')
    if self.max_gap is not None and (
        self.time is None or not self.max_gap > 0.0):
      raise ValueError(
          f'csv: max_gap={self.max_gap}, time={self.time}; expected a time '
          'above 0 and the column of times. Give both, or leave --max_gap out.')

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return f'{self.set}_{self.window}'


@dataclasses.dataclass(frozen=True)
class Rows:
  """One series: values (N, D), classes by label, targets (N,) by name.

  `gaps` are the rows that come too long after the one before.
  """

  name: str
  values: np.ndarray
  classes: dict[str, str]
  targets: dict[str, np.ndarray]
  gaps: tuple[int, ...]


class Csv(series.Series):
  """TFDS builder of csv files."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = 'manual_dir is a folder with csv files.'
  OPTIONS = Options

  @classmethod
  def collect(cls, options: Options, root: pathlib.Path) -> series.Collection:
    """Reads all csv files in the folder and below, and cuts windows."""
    variables, labels, targets = (
        names(value) for value in (
            options.columns, options.labels, options.targets))
    _check_names(variables, labels, targets)
    units = ([''] * len(variables) if options.units is None
             else options.units.split(','))
    if len(units) != len(variables):
      raise ValueError(
          f'csv: --units={options.units} of --columns={options.columns}; '
          'expected one for each column. Leave out what has none: degC,,kW.')
    found = {}
    for path in sorted(root.rglob('*.csv')):
      for rows in read(path, root, options):
        if rows.name in found:
          raise ValueError(
              f'{path}, column {options.id}: {rows.name} is in another file '
              'too; expected all rows of a series in one. Merge them.')
        found[rows.name] = rows
    if not found:
      raise ValueError(
          f'{root} holds no csv file; expected one or more. Give their folder '
          'as --manual_dir.')
    classes = {name: tuple(sorted(
        {rows.classes[name] for rows in found.values()}, key=films.natural))
               for name in labels}
    splits, report = _cut(list(found.values()), classes, options)
    return series.Collection(
        variables={name: unit.strip() for name, unit in zip(variables, units)},
        splits=splits, report=report,
        factors=(
            *(batch.Factor(name, 'static', len(values), values)
              for name, values in classes.items()),
            *(batch.Factor(name, 'dynamic', None, (name,), tolerance=1.0)
              for name in targets)))


def names(text: str) -> list[str]:
  """The names in a list with commas."""
  return [name.strip() for name in text.split(',') if name.strip()]


def read(
    path: pathlib.Path, root: pathlib.Path, options: Options
) -> Iterator[Rows]:
  """Reads the series of a file.

  Raises:
    ValueError: for columns that are missing, cells that are not what their
      column holds, times that do not rise, a label that changes, and a row
      that belongs to no series.
  """
  variables, labels, targets = (
      names(value) for value in (
          options.columns, options.labels, options.targets))
  single = [name for name in (options.time, options.id) if name is not None]
  table = tables.read(path, list(dict.fromkeys(
      [*variables, *labels, *targets, *single])), delimiters=_DELIMITERS)
  values = np.stack([table.numbers(v, missing=True) for v in variables], 1)
  numbers = {name: table.numbers(name, missing=True) for name in targets}
  for index, name in enumerate(variables):
    if np.isnan(values[:, index]).all():
      raise table.problem(
          0, name, f'no value here nor in the {len(table) - 1} rows below',
          'measurements', 'Fill the column or leave it out of --columns.')
  times = None if options.time is None else _times(table, options.time)
  places = {}
  default = path.relative_to(root).with_suffix('').as_posix()
  for index, name in enumerate(
      [default] * len(table) if options.id is None else
      table.cells[options.id]):
    if options.id is not None and name in tables.MISSING:
      raise table.problem(
          index, options.id, repr(name), 'the name of a series',
          'Fill it in or remove the row.')
    places.setdefault(name, []).append(index)
  for name, rows in places.items():
    gaps = ()
    if times is not None:
      tables.check_order(table, options.time, times, rows)
      gaps = _gaps(times[rows], options.max_gap)
    yield Rows(
        name, values[rows], {
            label: _constant(table, label, rows) for label in labels},
        {target: column[rows] for target, column in numbers.items()}, gaps)


def _gaps(times, longest):
  """The rows that come longer than that after the one before."""
  steps = np.diff(times)
  if np.issubdtype(steps.dtype, np.timedelta64):
    steps = steps / np.timedelta64(1, 's')
  if longest is None and steps.size:
    longest = 1.5 * np.median(steps)
  return tuple((np.flatnonzero(steps > longest) + 1).tolist())


def _cut(found, classes, options):
  """The samples of each split, and what was left out."""
  samples = {split: [] for split in series.SPLITS}
  left = collections.Counter()
  if options.split_by == 'id':
    split_of = _split_ids([rows.name for rows in found], options)
  for rows in found:
    length = len(rows.values)
    parts = ([(split_of[rows.name], 0, length)]
             if options.split_by == 'id' else _parts(length, options))
    for split, start, stop in _without_gaps(parts, rows.gaps):
      for first in _starts(rows.values[:stop], start, options, left):
        where = slice(first, first + options.window)
        samples[split].append(series.Sample(
            f'{rows.name} row {first}', rows.values[where], {
                **{name: known.index(rows.classes[name])
                   for name, known in classes.items()},
                **{name: column[where, None].astype(np.float32)
                   for name, column in rows.targets.items()}}))
  return samples, (
      f'{len(found)} series of {sum(len(rows.values) for rows in found)} rows, '
      f'of which {left["used"]} are in a sample.',
      f'{left["parts"]} of their parts are shorter than {options.window} rows '
      f'and gave no sample: {left["short"]} rows.',
      f'{left["tail"]} rows after the last whole window of their part are in '
      'no sample.',
      f'{left["between"]} rows between two windows are in no sample; there '
      'are none unless --stride is more than --window.',
      f'{left["windows"]} windows without any value were left out, and with '
      f'them {left["empty"]} rows that are in no other.',
      f'{sum(len(rows.gaps) for rows in found)} gaps in time, over which no '
      'sample reaches; --max_gap is the longest time between two rows of one.')


def _starts(values, start, options, left):
  """First rows of the samples of a part, from `start` to the end of `values`.

  What is in none is counted in `left`, each row once.
  """
  window, stop = options.window, len(values)
  firsts = range(start, stop - window + 1, options.stride or window)
  if not firsts:
    left.update(parts=1, short=stop - start)
    return []
  kept = [first for first in firsts
          if not np.isnan(values[first:first + window]).all()]

  def covered(starts):
    rows = np.zeros(stop, bool)
    for first in starts:
      rows[first:first + window] = True
    return int(rows.sum())

  end = firsts[-1] + window
  left.update(
      used=covered(kept), tail=stop - end, windows=len(firsts) - len(kept),
      between=end - start - covered(firsts),
      empty=covered(firsts) - covered(kept))
  return kept


def _without_gaps(parts, gaps):
  """Name, begin and end of the parts, cut at each gap."""
  for split, start, stop in parts:
    edges = [start, *(g for g in gaps if start < g < stop), stop]
    for first, last in zip(edges, edges[1:]):
      yield split, first, last


def _split_ids(found: Sequence[str], options: Options) -> dict[str, str]:
  """The split of each series."""
  if len(found) < len(series.SPLITS):
    raise ValueError(
        f'csv: {len(found)} series ({", ".join(found)}); expected at least '
        f'{len(series.SPLITS)}, one for each split. Give the column that tells '
        'series apart as --id, or set --split_by=time.')
  order = np.random.RandomState(options.seed).permutation(len(found))
  num_test, num_validation = (
      max(1, round(share * len(found)))
      for share in (options.test_fraction, options.validation_fraction))
  split_of = dict.fromkeys(found, 'train')
  for place in order[:num_test]:
    split_of[found[place]] = 'test'
  for place in order[num_test:num_test + num_validation]:
    split_of[found[place]] = 'validation'
  return split_of


def _parts(length: int, options: Options) -> list[tuple[str, int, int]]:
  """Name, begin and end of the splits of a series, one after another."""
  test = length - round(options.test_fraction * length)
  validation = test - round(options.validation_fraction * length)
  return [('train', 0, validation), ('validation', validation, test),
          ('test', test, length)]


def _times(table: tables.Table, column: str) -> np.ndarray:
  """Numbers, or ISO 8601 as datetime64[us]."""
  cells = table.cells[column]
  try:
    float(cells[0])
  except ValueError:
    times = []
    for index, text in enumerate(cells):
      try:
        time = datetime.datetime.fromisoformat(text)
        times.append(time.astimezone(datetime.UTC).replace(tzinfo=None)
                     if time.tzinfo else time)
      except ValueError:
        raise table.problem(
            index, column, repr(text), 'a time such as 2024-01-31 17:00:00',
            'Correct it, or leave --time out.') from None
    return np.array(times, 'datetime64[us]')
  return table.numbers(column)


def _constant(table: tables.Table, column: str, rows: Sequence[int]) -> str:
  """The one value of a label in these rows."""
  cells = table.cells[column]
  first = cells[rows[0]]
  for index in rows:
    if first in tables.MISSING or cells[index] != first:
      raise table.problem(
          index, column, repr(cells[index]),
          'a label' if first in tables.MISSING else
          f'{first!r} as in the first row of the series',
          'Correct it, or name the column in --targets if it changes by row.')
  return first


def _check_names(variables, labels, targets):
  if not variables:
    raise ValueError(
        'csv: --columns is missing; expected the names of the variables, such '
        'as --columns=temperature,load.')
  factors = [*labels, *targets]
  for name in factors:
    if (not name.isidentifier() or name in batch.ARRAYS or name in variables
        or factors.count(name) > 1):
      raise ValueError(
          f'csv: --labels and --targets hold {name!r}; expected different '
          'names of letters, digits and _, none of --columns and none of '
          f'{", ".join(batch.ARRAYS)}. Rename the column.')
