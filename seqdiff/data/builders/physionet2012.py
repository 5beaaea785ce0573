"""`physionet2012`: vital signs of patients in intensive care, hour by hour.

Silva et al. 2012, "Predicting in-hospital mortality of ICU patients: the
PhysioNet/Computing in Cardiology Challenge 2012"
(https://physionet.org/content/challenge-2012/1.0.0/, ODC-By): `set-a`, one
file of 4,000 for each stay, and `Outcomes-a.txt`.

The rules are those of Tonekaboni et al. 2022, "Decoupling local and global
representations of time series" (arXiv:2202.02262), as in its code: ten
variables are cleaned (`CLEANING`) and averaged over hours; a stay is left out
if fewer than 40 hours were recorded or more than 60 % of its values are
missing. The first fifth of the others, by number of the record, is for tests;
of the rest 80 % are drawn for training and 20 % for validation (there without
a seed). Rules of that code for other variables have no effect on these ten.

Hours are counted from the first measurement of any variable. As in that code
hour k is what comes later than 60 k minutes after it and not later than
60 (k + 1), so that the first minute is in none, and an hour that is not over at
the last measurement is left out. There are never more than 47 hours, all of
which fit into the 80 to which samples are filled up.

Departure: an hourly value is the mean of its measurements; in that code one
counts twice if another variable has two measurements in its minute.
"""

import collections
from collections.abc import Mapping
import math
import pathlib
import re

import numpy as np
import tqdm

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data import tables
from seqdiff.data.builders import series

VARIABLES = {
    'DiasABP': 'mmHg', 'GCS': '', 'HCT': '%', 'MAP': 'mmHg',
    'NIDiasABP': 'mmHg', 'NIMAP': 'mmHg', 'NISysABP': 'mmHg',
    'RespRate': '1/min', 'SysABP': 'mmHg', 'Temp': '°C'}
OTHERS = (
    'ALP', 'ALT', 'AST', 'Albumin', 'BUN', 'Bilirubin', 'Cholesterol',
    'Creatinine', 'FiO2', 'Glucose', 'HCO3', 'HR', 'K', 'Lactate', 'MechVent',
    'Mg', 'Na', 'PaCO2', 'PaO2', 'Platelets', 'SaO2', 'TroponinI', 'TroponinT',
    'Urine', 'WBC', 'Weight', 'pH')
DESCRIPTORS = ('RecordID', 'Age', 'Gender', 'Height', 'ICUType')
_KNOWN = frozenset((*VARIABLES, *OTHERS, *DESCRIPTORS))
ICU_TYPES = ('coronary care', 'cardiac surgery recovery', 'medical', 'surgical')
OUTCOMES = ('survived', 'died in hospital')
FACTORS = (
    batch.Factor('icu_type', 'static', len(ICU_TYPES), ICU_TYPES),
    batch.Factor('mortality', 'static', len(OUTCOMES), OUTCOMES))

LENGTH, MIN_HOURS, MAX_MISSING = 80, 40, 0.6
TEST_SHARE, TRAIN_SHARE = 0.2, 0.8
_LAST_MINUTE = 48 * 60

# One after the other: values more than the first number and less than the
# second are changed, or are no measurements (None).
_POSITIVE = ((-math.inf, 1, None),)
CLEANING = {
    'DiasABP': (*_POSITIVE, (200, math.inf, None)),
    'MAP': _POSITIVE, 'NIDiasABP': _POSITIVE, 'NIMAP': _POSITIVE,
    'NISysABP': _POSITIVE, 'RespRate': _POSITIVE, 'SysABP': _POSITIVE,
    'Temp': (
        (1, 10, lambda x: x * 9 / 5 + 32),
        (95, 113, lambda fahrenheit: (fahrenheit - 32) * 5 / 9),
        (-math.inf, 25, None), (45, math.inf, None)),
}


class Physionet2012(series.Series):
  """TFDS builder of set A of the PhysioNet challenge of 2012."""

  MANUAL_DOWNLOAD_INSTRUCTIONS = (
      'manual_dir is a folder with set-a/ and Outcomes-a.txt of '
      'https://physionet.org/content/challenge-2012/1.0.0/.')
  OPTIONS = series.Options

  @classmethod
  def collect(
      cls, options: series.Options, root: pathlib.Path
  ) -> series.Collection:
    """Reads all stays and keeps those that the rules allow."""
    died = read_outcomes(root / 'Outcomes-a.txt')
    paths = find(root / 'set-a', died)
    samples, counts = [], collections.Counter()
    for record, path in tqdm.tqdm(paths.items(), desc='reading'):
      values, icu_type = read_record(path, record, counts)
      reason = reason_to_drop(values)
      if reason is None:
        samples.append(series.Sample(str(record), values, {
            'icu_type': icu_type - 1, 'mortality': died[record]}))
      else:
        counts[f'stays {reason}'] += 1
    count = int(TEST_SHARE * len(samples))
    train, validation = series.divide(
        samples[count:], share=TRAIN_SHARE, seed=options.seed)
    return series.Collection(
        variables=VARIABLES, factors=FACTORS, length=LENGTH,
        splits=dict(train=train, validation=validation, test=samples[:count]),
        report=(f'{len(samples)} of {len(paths)} stays were kept.',
                'Left out, set to missing or changed by a rule:',
                *(f'  {n} {what}' for what, n in sorted(counts.items()))))


def find(folder: pathlib.Path, died: Mapping[int, int]) -> dict[
    int, pathlib.Path]:
  """The file of each stay, in the order of the numbers of the records.

  Raises:
    ValueError: unless there is one for each row of the outcomes.
  """
  paths = {}
  for path in sorted(folder.glob('*.txt')):
    if re.fullmatch(r'\d+', path.stem):
      other = paths.setdefault(int(path.stem), path)
      if other != path:
        raise ValueError(
            f'{other} and {path} are of one record; expected a single file of '
            'it. Remove one of them.')
  for these, those, what in (
      (died, paths, f'{folder} holds no file of'),
      (paths, died, f'Outcomes-a.txt beside {folder} has no row of')):
    missing = sorted(set(these) - set(those))
    if missing:
      raise ValueError(
          f'{what} {len(missing)} records, such as {missing[0]}; expected '
          'set-a/<RecordID>.txt for each row of Outcomes-a.txt. Get both from '
          'https://physionet.org/content/challenge-2012/1.0.0/.')
  return {record: paths[record] for record in sorted(paths)}


def read_outcomes(path: pathlib.Path) -> dict[int, int]:
  """1 for each record of a patient who died in hospital, else 0."""
  table = tables.read(path, ('RecordID', 'In-hospital_death'))
  died = {}
  for index, (record, outcome) in enumerate(zip(
      table.numbers('RecordID'), table.numbers('In-hospital_death'))):
    if outcome not in (0, 1):
      raise table.problem(
          index, 'In-hospital_death', f'{outcome:g}', '0 or 1', 'Correct it.')
    if record in died:
      raise table.problem(
          index, 'RecordID', f'{record:g} is there twice', 'one row for each',
          'Remove one of them.')
    died[int(record)] = int(outcome)
  return died


def read_record(
    path: pathlib.Path, record: int, counts: collections.Counter[str]
) -> tuple[np.ndarray, int]:
  """Reads, cleans and averages the measurements of a stay.

  Args:
    path: its file, with the columns Time, Parameter and Value.
    record: its RecordID.
    counts: what was left out or changed is added to these.

  Returns:
    Means over hours, (hours, 10) float64, NaN = not measured; and the ICU type,
    1 to 4.

  Raises:
    ValueError: for an unknown parameter, a time that is none or earlier than
      the one above, a value that is no number, and a wrong descriptor.
  """
  table = tables.read(path, ('Time', 'Parameter', 'Value'))
  minutes = _minutes(table)
  values = table.numbers('Value', missing=True)
  names = np.array(table.cells['Parameter'])
  descriptors = {'RecordID': record}
  measured = np.zeros(len(names), bool)
  for index, name in enumerate(table.cells['Parameter']):
    if not name:
      counts['rows without the name of a parameter'] += 1
    elif name not in _KNOWN:
      raise table.problem(
          index, 'Parameter', repr(name), 'a parameter of the challenge',
          str(errors.unknown_name('parameter', name, _KNOWN)))
    elif np.isnan(values[index]):
      raise table.problem(
          index, 'Value', 'no value', 'a number', 'Remove the row.')
    elif name in DESCRIPTORS:
      if values[index] != descriptors.setdefault(name, values[index]) and (
          name in ('RecordID', 'ICUType')):
        raise table.problem(
            index, 'Value', f'{name} {values[index]:g}',
            f'{descriptors[name]:g} as before and in the name of the file',
            'Get the file again.')
    else:  # The weight at 00:00 is a descriptor, later ones are measured.
      measured[index] = name != 'Weight' or minutes[index] > 0
  icu_type = descriptors.get('ICUType')
  if icu_type not in (1, 2, 3, 4):
    raise ValueError(
        f'{path}, column Parameter: ICUType {icu_type}; expected a row of it '
        'with 1, 2, 3 or 4. Get the file again.')
  return hourly(names[measured], minutes[measured], values[measured],
                counts), int(icu_type)


def hourly(
    names: np.ndarray,
    minutes: np.ndarray,
    values: np.ndarray,
    counts: collections.Counter[str],
) -> np.ndarray:
  """Means of the cleaned measurements over hours, (hours, 10)."""
  if not len(minutes):
    return np.full((0, len(VARIABLES)), np.nan)
  since = minutes - minutes[0]
  hour = -(-since // 60) - 1  # Half-open: 1 to 60 minutes are hour 0.
  num_hours = max(0, -(-int(since[-1]) // 60) - 1)
  means = np.full((num_hours, len(VARIABLES)), np.nan)
  for column, name in enumerate(VARIABLES):
    chosen = names == name
    kept = clean(name, values[chosen], counts)
    when = hour[chosen]
    inside = (when >= 0) & (when < num_hours)
    counts['values of these variables in the first minute or after the last '
           'whole hour'] += int((~inside).sum())
    for k in np.unique(when[inside]):
      here = kept[(when == k) & np.isfinite(kept)]
      if here.size:
        means[k, column] = here.mean()
  return means


def clean(
    name: str, values: np.ndarray, counts: collections.Counter[str]
) -> np.ndarray:
  """Applies the rules of `CLEANING`; NaN for what is no measurement."""
  values = values.astype(np.float64)
  for above, below, change in CLEANING.get(name, ()):
    chosen = (values > above) & (values < below)
    if chosen.any():
      done = 'set to missing' if change is None else 'of another unit converted'
      counts[f'values of {name} {done}'] += int(chosen.sum())
      values[chosen] = np.nan if change is None else change(values[chosen])
  return values


def reason_to_drop(values: np.ndarray) -> str | None:
  """Why a stay is left out; None if it is kept."""
  if not len(values):
    return 'without a whole hour of measurements'
  if len(values) < MIN_HOURS:
    return f'of fewer than {MIN_HOURS} hours'
  if np.isnan(values).mean() > MAX_MISSING:
    return f'of which more than {MAX_MISSING:.0%} is missing'
  return None


def _minutes(table: tables.Table) -> np.ndarray:
  """The times, HH:MM since admission, in minutes, which never fall."""
  minutes = []
  for index, text in enumerate(table.cells['Time']):
    match = re.fullmatch(r'(\d{2}):([0-5]\d)', text)
    minute = 60 * int(match[1]) + int(match[2]) if match else -1
    if not 0 <= minute <= _LAST_MINUTE:
      raise table.problem(
          index, 'Time', repr(text), 'HH:MM from 00:00 to 48:00', 'Correct it.')
    if minutes and minute < minutes[-1]:
      raise table.problem(
          index, 'Time', f'{text} comes after {table.cells["Time"][index - 1]}',
          'no earlier time than above', 'Sort the rows.')
    minutes.append(minute)
  return np.array(minutes)
