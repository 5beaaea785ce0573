"""Reads csv files of measurements; refuses what is not as it should be.

Every complaint names file, row and column. Rows are counted as an editor counts
lines: row 1 holds the names of the columns.
"""

from collections.abc import Sequence
import csv
import dataclasses
import math
import pathlib

import numpy as np

MISSING = ('', 'NA', 'NaN', 'nan')  # Cells without a measurement.


@dataclasses.dataclass(frozen=True)
class Table:
  """The columns of a file that were asked for.

  Attributes:
    path: the file.
    rows: number of each row in the file.
    cells: by column, the text of each row, without spaces around it.
  """

  path: pathlib.Path
  rows: Sequence[int]
  cells: dict[str, list[str]]

  def __len__(self) -> int:
    return len(self.rows)

  def problem(
      self, index: int, column: str, got: str, expected: str, way_out: str
  ) -> ValueError:
    """The error for one cell, `index` counted from the first row of data."""
    return ValueError(
        f'{self.path}, row {self.rows[index]}, column {column}: {got}; '
        f'expected {expected}. {way_out}')

  def numbers(
      self,
      column: str,
      *,
      missing: bool = False,
      low: float = -math.inf,
      high: float = math.inf,
      unit: str = '',
  ) -> np.ndarray:
    """A column as (N,) float64.

    Args:
      column: its name.
      missing: whether cells may hold no measurement; they become NaN.
      low: least value that can be right.
      high: greatest value that can be right.
      unit: of the values, for the complaint.

    Raises:
      ValueError: for a cell that is no finite number or not in this range.
    """
    cells = self.cells[column]
    absent = np.array([cell in MISSING for cell in cells], bool)
    if absent.any() and not missing:
      raise self.problem(
          int(np.argmax(absent)), column, 'no value', 'a number',
          'Fill it in or remove the row.')
    values = np.full(len(cells), np.nan)
    present = np.flatnonzero(~absent)
    texts = [cells[i] for i in present]
    try:
      values[present] = np.array(texts, np.float64)
    except ValueError:
      for index, text in zip(present, texts):
        if not _is_number(text):
          raise self.problem(
              index, column, repr(text), 'a number', 'Correct it.') from None
    wrong = ~absent & ~(np.isfinite(values) & (values >= low)
                        & (values <= high))
    if wrong.any():
      index = int(np.argmax(wrong))
      bounds = '' if math.isinf(low) and math.isinf(high) else (
          f' from {low:g} to {high:g}{" " * bool(unit)}{unit}')
      raise self.problem(
          index, column, cells[index], f'a finite number{bounds}',
          'Correct it, or convert the column if it has another unit.')
    return values


def read(
    path: pathlib.Path, columns: Sequence[str], *, delimiters: str = ','
) -> Table:
  """Reads some columns of a csv file.

  Args:
    path: the file, UTF-8, with the names of the columns in row 1.
    columns: those that must be there; others are passed by.
    delimiters: the one that row 1 holds most often is taken.

  Raises:
    ValueError: for a file that cannot be read or holds no row, a column that
      is missing or there twice, and a row of another length.
  """
  try:
    text = path.read_text(encoding='utf-8-sig')
    delimiter = max(delimiters, key=text.split('\n', 1)[0].count)
    reader = csv.reader(
        text.splitlines(), delimiter=delimiter, strict=True)
    table = [(reader.line_num, row) for row in reader if row]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise ValueError(
        f'{path} cannot be read ({error}); expected a csv file in UTF-8. Get '
        'it again.') from error
  if not table:
    raise ValueError(
        f'{path} is empty; expected a csv file with the columns '
        f'{", ".join(columns)}. Get it again.')
  names = [name.strip() for name in table[0][1]]
  for name in columns:
    if names.count(name) != 1:
      raise ValueError(
          f'{path}, row 1, column {name}: there {names.count(name)} times '
          f'among {", ".join(names)}; expected once. Use the file as it was '
          'published, or name the column so.')
  for row, values in table[1:]:
    if len(values) != len(names):
      raise ValueError(
          f'{path}, row {row}, column {names[min(len(values), len(names) - 1)]}'
          f': the row has {len(values)} cells; expected {len(names)}, as many '
          'as row 1. The file may be cut off; get it again.')
  if len(table) == 1:
    raise ValueError(
        f'{path} has no rows below row 1; expected measurements. Get it '
        'again.')
  places = {name: names.index(name) for name in columns}
  return Table(path, [row for row, _ in table[1:]], {
      name: [values[place].strip() for _, values in table[1:]]
      for name, place in places.items()})


def check_hours(
    table: Table, column: str, times: np.ndarray, *, first: str, last: str
) -> None:
  """Checks that there is one row for each hour.

  Args:
    table: the file.
    column: where its times stand.
    times: (N,) datetime64[s].
    first: time of the first row, such as '2013-03-01T00'.
    last: time of the last row.

  Raises:
    ValueError: for the first row that is not an hour after the one above, and
      for a file that begins or ends at another time.
  """
  hour = np.timedelta64(1, 'h')
  start, end = (np.datetime64(time, 's') for time in (first, last))
  count = int((end - start) / hour) + 1
  if times[0] != start:
    raise table.problem(
        0, column, f'{times[0]}', f'{start}, where the published file begins',
        'Get the whole file again.')
  check_order(table, column, times)
  steps = np.diff(times)
  wrong = np.flatnonzero(steps != hour)
  if wrong.size:
    index = int(wrong[0]) + 1
    raise table.problem(
        index, column, f'{times[index]} follows {times[index - 1]}',
        'the next hour', 'Rows are missing; get the whole file again.')
  if len(times) != count:
    raise table.problem(
        len(times) - 1, column,
        f'the file ends at {times[-1]} with {len(times)} rows',
        f'{count} rows up to {end}', 'Get the whole file again.')


def check_order(
    table: Table,
    column: str,
    times: np.ndarray,
    rows: Sequence[int] | None = None,
) -> None:
  """Checks that each row is later than the one before it.

  Args:
    table: the file.
    column: where its times stand.
    times: (N,) numbers or datetime64, of all rows.
    rows: those to be checked, by index; None = all.

  Raises:
    ValueError: for the first row that is not.
  """
  rows = np.arange(len(times)) if rows is None else np.asarray(rows)
  before, after = times[rows[:-1]], times[rows[1:]]
  wrong = np.flatnonzero(after <= before)
  if wrong.size:
    place = int(wrong[0])
    raise table.problem(
        int(rows[place + 1]), column,
        f'{after[place]} is there twice' if after[place] == before[place] else
        f'{after[place]} comes after {before[place]}',
        'later times from row to row', 'Sort the rows and remove doubles.')


def _is_number(text: str) -> bool:
  try:
    float(text)
    return True
  except ValueError:
    return False
