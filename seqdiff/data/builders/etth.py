"""`etth`: six loads of an electricity transformer and the heat of its oil.

Zhou et al. 2021, "Informer" (arXiv:2012.07436); `ETTh1.csv` of
https://github.com/zhouhaoyi/ETDataset (CC BY-ND 4.0): 17,420 hours from
2016-07-01 to 2018-06-26. x holds the loads; the temperature of the oil is a
label, in degrees Celsius.

The form `as_published` is that of the literature: a sample is the first 672
hours of a month, 23 in all; 2016 is for tests, of the others 85 % are drawn for
training. All tests are then of July to December 2016, 11 degrees warmer than
the training, so that the error tells the shift and little else.

In the form `blocked` all seasons are in all splits: windows within the days 1
to 12 of each month are for training, in every fifth month for validation, and
windows from day 15 on for tests. No window reaches out of its block; two days
lie between the training and the tests of a month, none before the next month.
"""

import dataclasses
import datetime
import pathlib

import numpy as np

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import tables
from seqdiff.data.builders import base
from seqdiff.data.builders import series

LOADS = ('HUFL', 'HULL', 'MUFL', 'MULL', 'LUFL', 'LULL')
_FORMS = ('as_published', 'blocked')
FIRST, LAST = '2016-07-01T00', '2018-06-26T19'
HOURS = 672  # Of a published sample: 28 days.
TEST_YEAR = '2016'
TRAIN_SHARE = 0.85
TRAIN_DAYS, TEST_DAY = 12, 15  # Last day of training, first of tests.
VALIDATION_MONTH = 5  # Every fifth.
FACTORS = (
    series.MONTH,
    batch.Factor('oil_temperature', 'dynamic', None, ('°C',), tolerance=1.0),
)
_OIL = dict(unit='°C', low=-60, high=150)
_WINDOW, _STRIDE = 168, 24


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """What a sample is and how samples are divided."""

  split: str = base.option(
      'as_published', 'as_published (months, 2016 for tests) or blocked '
      '(windows, all seasons in all splits)', form=True)
  window: int = base.option(
      _WINDOW, 'hours of a sample; of split=blocked only', form=True)
  stride: int = base.option(
      _STRIDE, 'hours between two windows; of split=blocked only')
  seed: int = base.option(
      0, 'which months are for validation; of split=as_published only')

  def __post_init__(self):
    series.check_options(self)
    if self.split not in _FORMS:
      raise errors.unknown_name('split', self.split, _FORMS)
    if self.split == 'as_published' and (
        (self.window, self.stride) != (_WINDOW, _STRIDE)):
      raise ValueError(
          f'etth: window={self.window}, stride={self.stride} with '
          'split=as_published, expected none: its samples are months. Leave '
          'them out, or choose split=blocked.')

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return self.split if self.split == 'as_published' else (
        f'{self.split}_{self.window}')


class Etth(series.Series):
  """TFDS builder of ETTh1."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is a folder with ETTh1.csv of '
      'https://github.com/zhouhaoyi/ETDataset (ETT-small).')
  OPTIONS = Options

  @classmethod
  def collect(
      cls, options: Options, root: pathlib.Path
  ) -> series.Collection:
    """Reads the file and cuts it."""
    paths = sorted(root.rglob('ETTh1.csv'))
    if len(paths) != 1:
      raise ValueError(
          f'{root} holds {len(paths)} files ETTh1.csv; expected one. Get it '
          'from https://github.com/zhouhaoyi/ETDataset, folder ETT-small, and '
          'name its folder as --manual_dir.')
    loads, oil, times = read(paths[0])

    def sample(name, where):
      return series.Sample(name, loads[where], {
          'month': series.month_class(name),
          'oil_temperature': oil[where, None].astype(np.float32)})

    cut = _months if options.split == 'as_published' else _blocks
    splits, report = cut(sample, times, options)
    return series.Collection(
        variables=dict.fromkeys(LOADS, ''),  # The publisher gives no unit.
        factors=FACTORS,
        splits=splits, report=(report,))


def read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Reads ETTh1.csv.

  Returns:
    Loads (N, 6) and temperature of the oil (N,), float64, and times (N,)
    datetime64[s].

  Raises:
    ValueError: for a file that is not as published.
  """
  table = tables.read(path, ('date', *LOADS, 'OT'))
  times = []
  for index, text in enumerate(table.cells['date']):
    try:
      times.append(datetime.datetime.fromisoformat(text))
    except ValueError:
      raise table.problem(
          index, 'date', repr(text), 'a time such as 2016-07-01 00:00:00',
          'Correct it.') from None
  times = np.array(times, 'datetime64[s]')
  tables.check_hours(table, 'date', times, first=FIRST, last=LAST)
  loads = np.stack([table.numbers(name) for name in LOADS], 1)
  return loads, table.numbers('OT', **_OIL), times


def _months(sample, times, options):
  """The first 672 hours of each month."""
  samples = [
      sample(name, slice(where.start, where.start + HOURS))
      for name, where in series.months(times).items()
      if where.stop - where.start >= HOURS]
  test = [s for s in samples if s.name.startswith(TEST_YEAR)]
  train, validation = series.divide(
      [s for s in samples if not s.name.startswith(TEST_YEAR)],
      share=TRAIN_SHARE, seed=options.seed)
  left_out = len(times) - HOURS * len(samples)
  return dict(train=train, validation=validation, test=test), (
      f'{left_out} of {len(times)} hours were left out: a sample is the first '
      f'{HOURS} of its month, and a shorter month is none.')


def _blocks(sample, times, options):
  """Windows within the first or the last days of each month."""
  splits, used = {split: [] for split in series.SPLITS}, set()
  day = times.astype('datetime64[D]') - times.astype('datetime64[M]')
  for number, (name, where) in enumerate(series.months(times).items(), 1):
    days = day[where].astype(int) + 1  # Of the month, from 1 on.
    early = 'train' if number % VALIDATION_MONTH else 'validation'
    for split, inside in (
        (early, days <= TRAIN_DAYS), ('test', days >= TEST_DAY)):
      hours = np.flatnonzero(inside)
      for first in hours[:1 - options.window or None:options.stride]:
        start = where.start + int(first)
        stop = start + options.window
        used.update(range(start, stop))
        splits[split].append(sample(f'{name} hour {first}', slice(start, stop)))
  return splits, (
      f'{len(times) - len(used)} of {len(times)} hours are in no window: the '
      f'days {TRAIN_DAYS + 1} to {TEST_DAY - 1} of each month, and what is '
      'left over at the end of a block.')
