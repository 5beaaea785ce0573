"""`air_quality`: the air at twelve stations in Beijing, hour by hour.

Zhang et al. 2017, "Cautionary tales on air-quality improvement in Beijing"
(Proc. R. Soc. A 473), as "Beijing Multi-Site Air Quality" of the UCI repository
(https://archive.ics.uci.edu/dataset/501, CC BY 4.0): twelve files
`PRSA_Data_<station>_20130301-20170228.csv`.

A sample is the first 672 hours of a month at a station: 576 samples of ten
variables. The year 2016 is for tests; of the other samples 85 % are drawn for
training and 15 % for validation (Tonekaboni et al. 2022, "Decoupling local and
global representations of time series", arXiv:2202.02262; its draw has no seed).
The twelve stations of a month share its weather, so that neighbours of nearly
every sample for validation are in training.
"""

from collections.abc import Mapping
import datetime
import pathlib
import re

import numpy as np

from seqdiff.data import batch
from seqdiff.data import tables
from seqdiff.data.builders import series

STATIONS = (
    'Aotizhongxin', 'Changping', 'Dingling', 'Dongsi', 'Guanyuan', 'Gucheng',
    'Huairou', 'Nongzhanguan', 'Shunyi', 'Tiantan', 'Wanliu', 'Wanshouxigong')
FIRST, LAST = '2013-03-01T00', '2017-02-28T23'
HOURS = 672  # Of a sample: 28 days.
TEST_YEAR = '2016'
TRAIN_SHARE = 0.85

FACTORS = (
    series.MONTH,
    batch.Factor('station', 'static', len(STATIONS), STATIONS),
    batch.Factor('rain', 'dynamic', None, ('mm',), tolerance=1.0),
)

# Unit and the values that it allows, wide enough for any weather but not for
# kelvin, pascal or milligrams.
VARIABLES = {
    'PM2.5': ('µg/m³', 0, 5000),
    'PM10': ('µg/m³', 0, 5000),
    'SO2': ('µg/m³', 0, 5000),
    'NO2': ('µg/m³', 0, 5000),
    'CO': ('µg/m³', 30, 50000),
    'O3': ('µg/m³', 0, 5000),
    'TEMP': ('°C', -60, 60),
    'PRES': ('hPa', 850, 1100),
    'DEWP': ('°C', -80, 40),
    'WSPM': ('m/s', 0, 60),
}
_RAIN = ('mm', 0, 500)
_TIME = ('year', 'month', 'day', 'hour')


class AirQuality(series.Series):
  """TFDS builder of the Beijing multi-site air quality data."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is a folder with the files PRSA_Data_*.csv of '
      'https://archive.ics.uci.edu/dataset/501.')
  OPTIONS = series.Options

  @classmethod
  def collect(
      cls, options: series.Options, root: pathlib.Path
  ) -> series.Collection:
    """Reads the twelve files and cuts them into months."""
    samples, num_rows = {}, 0
    for station, path in find(root).items():
      values, rain, times = read_station(path, station)
      num_rows += len(times)
      for month, where in series.months(times).items():
        where = slice(where.start, min(where.stop, where.start + HOURS))
        if where.stop - where.start == HOURS:
          samples[month, station] = series.Sample(
              f'{month} {station}', values[where], {
                  'month': series.month_class(month),
                  'station': STATIONS.index(station),
                  'rain': rain[where, None].astype(np.float32)})
    samples = [samples[key] for key in sorted(samples)]
    test = [s for s in samples if s.name.startswith(TEST_YEAR)]
    train, validation = series.divide(
        [s for s in samples if not s.name.startswith(TEST_YEAR)],
        share=TRAIN_SHARE, seed=options.seed)
    left_out = num_rows - HOURS * len(samples)
    missing = np.mean([np.isnan(s.values).mean() for s in samples])
    rain = sum(int(np.isnan(s.labels['rain']).sum()) for s in samples)
    return series.Collection(
        variables={name: unit for name, (unit, _, _) in VARIABLES.items()},
        factors=FACTORS,
        splits=dict(train=train, validation=validation, test=test),
        report=(
            f'{left_out} of {num_rows} hours were left out: a sample is the '
            f'first {HOURS} of its month, and a shorter month is none.',
            f'{missing:.2%} of the values are missing, and the rain of {rain} '
            'hours.'))


def find(root: pathlib.Path) -> Mapping[str, pathlib.Path]:
  """The file of each station, by its name.

  Raises:
    ValueError: unless there is one of each.
  """
  found = {}
  for path in sorted(root.rglob('PRSA_Data_*.csv')):
    name = re.fullmatch(r'PRSA_Data_(\w+?)_\d+-\d+\.csv', path.name)
    if name is None or name[1] not in STATIONS:
      raise ValueError(
          f'{path} is of no known station; expected PRSA_Data_<station>_'
          f'20130301-20170228.csv of {", ".join(STATIONS)}. Remove it.')
    if name[1] in found:
      raise ValueError(
          f'{path} and {found[name[1]]} are of one station; expected one file '
          'of each. Remove one of them.')
    found[name[1]] = path
  missing = [station for station in STATIONS if station not in found]
  if missing:
    raise ValueError(
        f'{root} holds no file PRSA_Data_<station>_20130301-20170228.csv of '
        f'{", ".join(missing)}; expected one of each of {len(STATIONS)} '
        'stations. Get them from https://archive.ics.uci.edu/dataset/501.')
  return {station: found[station] for station in STATIONS}


def read_station(
    path: pathlib.Path, station: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Reads the file of a station.

  Returns:
    Values (N, 10) of `VARIABLES`, rain (N,) in mm, both float64 with NaN where
    nothing was measured, and times (N,) datetime64[s].

  Raises:
    ValueError: for a file that is not as published: hours that are missing or
      there twice, a value that cannot have its unit, a variable without any.
  """
  table = tables.read(path, (*_TIME, *VARIABLES, 'RAIN', 'station'))
  for index, name in enumerate(table.cells['station']):
    if name != station:
      raise table.problem(
          index, 'station', repr(name), f'{station}, which the file is named',
          'Get the file again.')
  times = _times(table)
  tables.check_hours(table, 'hour', times, first=FIRST, last=LAST)
  columns = {name: table.numbers(
      name, missing=True, unit=unit, low=low, high=high)
             for name, (unit, low, high) in {
                 **VARIABLES, 'RAIN': _RAIN}.items()}
  for name, values in columns.items():
    if np.isnan(values).all():
      raise table.problem(
          0, name, f'no value here nor in the {len(table) - 1} rows below',
          'measurements', 'Get the file again.')
  rain = columns.pop('RAIN')
  return np.stack(list(columns.values()), 1), rain, times


def _times(table: tables.Table) -> np.ndarray:
  """Year, month, day and hour of each row as datetime64[s]."""
  parts = [table.numbers(name) for name in _TIME]
  times = []
  for index, row in enumerate(zip(*parts)):
    try:
      if any(v != int(v) for v in row):
        raise ValueError('no whole numbers')
      times.append(datetime.datetime(*map(int, row)))
    except (ValueError, OverflowError) as error:
      raise table.problem(
          index, ', '.join(_TIME), ' '.join(f'{v:g}' for v in row),
          f'a date and an hour ({error})', 'Correct it.') from error
  return np.array(times, 'datetime64[s]')
