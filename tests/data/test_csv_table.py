"""A user's own series: machines whose rows count."""

import json
import re

import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import prepare
from seqdiff.data.builders import csv_table

HEADER = 'time,machine,heat,load,kind,wear'


def rows(machine, num_rows, *, start=0, kind='pump'):
  """heat counts the rows from start, load is its square, wear a tenth."""
  return [[f'2024-01-{1 + n // 24:02d} {n % 24:02d}:00', machine, start + n,
           (start + n) ** 2, kind, (start + n) / 10] for n in range(num_rows)]


def write(root, name, found, header=HEADER):
  root.mkdir(parents=True, exist_ok=True)
  (root / name).write_text('\n'.join(
      [header, *(','.join(map(str, row)) for row in found)]))


@pytest.fixture
def raw(tmp_path):
  """Ten machines in two files, of 20 rows; two kinds."""
  for part in range(2):
    machines = [n for n in range(10) if n % 2 == part]
    found = [r for n in machines for r in rows(
        f'm{n}', 20, start=100 * n, kind=('pump', 'fan 10', 'fan 9')[n % 3])]
    write(tmp_path / 'raw', f'part{part}.csv', found)
  return tmp_path / 'raw'


MACHINES = dict(columns='heat, load', id='machine', time='time', labels='kind',
                targets='wear', window=8, stride=4)


def build(raw, tmp_path, **options):
  return prepare.prepare(
      'csv', manual_dir=str(raw), data_dir=str(tmp_path / 'data'),
      **(MACHINES | options))


def load(tmp_path, window=8):
  return disk.load('csv', data_dir=str(tmp_path / 'data'), window=window)


def names(tmp_path):
  return json.loads(next(tmp_path.rglob('split.json')).read_text())


def first_rows(found, split):
  heat = found.variables[0]
  return [round(float(item['x'][0, 0] * heat.std + heat.mean))
          for item in map(found.splits[split].__getitem__,
                          range(len(found.splits[split])))]


def test_windows_of_whole_machines(raw, tmp_path):
  # Windows at rows 0, 4, 8 and 12; 0.15 of 10 machines is 2 for each.
  assert '24 train, 8 validation, 8 test clips' in build(raw, tmp_path)
  found, listed = load(tmp_path), names(tmp_path)
  assert (tmp_path / 'data' / 'csv' / 'series_8').is_dir()
  machines = {}
  kind, wear = found.factors
  assert kind.values == ('fan 9', 'fan 10', 'pump') and kind.kind == 'static'
  assert (wear.num_classes, wear.kind, wear.values) == (
      None, 'dynamic', ('wear',))
  for split in 'train', 'validation', 'test':
    for i, (name, first) in enumerate(zip(
        listed[split], first_rows(found, split))):
      machine, row = first // 100, first % 100
      assert name == f'm{machine} row {row}' and row in (0, 4, 8, 12)
      item = found.splits[split][i]
      assert item['observed'].all() and item['x'].shape == (8, 2)
      assert kind.values[item['labels/kind']] == (
          'pump', 'fan 10', 'fan 9')[machine % 3]
      np.testing.assert_allclose(
          item['labels/wear'][:, 0], (first + np.arange(8)) / 10, rtol=1e-6)
      machines.setdefault(split, set()).add(machine)
  assert sorted(sum(map(list, machines.values()), [])) == list(range(10))


def test_split_by_time_takes_the_last_rows_for_tests(tmp_path):
  write(tmp_path / 'raw', 'a.csv', rows('m', 100))
  write(tmp_path / 'raw' / 'sub', 'b.csv', rows('m', 5))
  told = build(tmp_path / 'raw', tmp_path, id=None, split_by='time', window=6,
               stride=3, labels='', targets='', validation_fraction=0.1,
               test_fraction=0.2)
  # Rows 0 to 69, 70 to 79 and 80 to 99; b is too short, all three parts of it.
  assert '2 series of 105 rows, of which 96 are in a sample' in told
  assert '\n3 of their parts are shorter than 6 rows and gave no' in told
  # The last windows end with rows 68, 78 (begins at 73) and 97.
  assert '\n4 rows after the last whole window of their part are in no' in told
  found = load(tmp_path, window=6)
  assert first_rows(found, 'train') == list(range(0, 65, 3))
  assert first_rows(found, 'validation') == [70, 73]
  assert first_rows(found, 'test') == [80, 83, 86, 89, 92]
  assert names(tmp_path)['test'][0] == 'a row 80'
  assert found.factors == ()


def test_what_was_not_measured_is_zero_and_empty_windows_are_counted(tmp_path):
  found = rows('m', 100)
  for n in range(10, 20):
    found[n][2] = found[n][3] = 'NA'
  found[3][2] = ''
  write(tmp_path / 'raw', 'a.csv', found)
  told = build(tmp_path / 'raw', tmp_path, split_by='time', window=5,
               stride=None)
  assert '12 train' in told  # 70 / 5 windows, of which two are empty.
  assert ('\n2 windows without any value were left out, and with them 10 rows '
          'that are in no other') in told
  item = load(tmp_path, window=5).splits['train'][0]
  assert item['observed'][:, 0].tolist() == [True, True, True, False, True]
  assert item['observed'][:, 1].all() and item['x'][3, 0] == 0


@pytest.mark.parametrize('stride, window, counts', [
    # Of 70, 15 and 15 rows, in the first of which 20 to 31 hold nothing: starts
    # 0, 4, ..., 60, of which 20 and 24 are empty; all their rows but 24 to 27
    # are in others. Then 70, 74; 85, 89.
    (4, 8, dict(used=100 - 2 - 3 - 3 - 4, short=0, tail=8, between=0, empty=4)),
    # Starts 0, 12, ..., 60 with 4 rows between, of which 24 is empty; 70; 85.
    (12, 8, dict(used=5 * 8 + 16, short=0, tail=16, between=20, empty=8)),
    # Starts 0, 30; the other two parts are too short.
    (30, 20, dict(used=40, short=30, tail=20, between=10, empty=0)),
])
def test_each_row_without_a_sample_is_counted_once(
    tmp_path, stride, window, counts):
  found = rows('m', 100)
  for n in range(20, 32):
    found[n][2] = found[n][3] = 'NA'
  write(tmp_path / 'raw', 'a.csv', found)
  options = csv_table.Options(**(MACHINES | dict(
      window=window, stride=stride, split_by='time')))
  report = ' '.join(csv_table.Csv.collect(options, tmp_path / 'raw').report)
  told = re.search(
      r'of 100 rows, of which (?P<used>\d+) are in a sample.* gave no sample: '
      r'(?P<short>\d+) rows.* (?P<tail>\d+) rows after the last.* '
      r'(?P<between>\d+) rows between two windows.* '
      r'with them (?P<empty>\d+) rows', report)
  assert {k: int(v) for k, v in told.groupdict().items()} == counts
  assert sum(counts.values()) == 100


@pytest.mark.parametrize('as_numbers', [False, True])
def test_no_window_reaches_over_a_gap_in_time(tmp_path, as_numbers):
  found = rows('m', 100)
  found = found[:20] + found[22:26] + found[29:]  # 20, 4 and 71 hours.
  if as_numbers:
    for row in found:
      row[0] = row[2]
  write(tmp_path / 'raw', 'a.csv', found)
  options = dict(split_by='time', window=6, stride=6)
  told = build(tmp_path / 'raw', tmp_path, **options)
  assert '\n2 gaps in time, over which no sample reaches' in told
  heat = first_rows(load(tmp_path, window=6), 'train')
  # Rows 0 to 66 of 95 are for training; row 24 is the first after the gaps.
  assert heat == [0, 6, 12, 29, 35, 41, 47, 53, 59, 65]
  hours = 1 if as_numbers else 3600
  told = build(tmp_path / 'raw', tmp_path, set='any', max_gap=3.5 * hours,
               **options)
  assert '\n1 gaps in time' in told
  told = build(tmp_path / 'raw', tmp_path, set='all', max_gap=4.0 * hours,
               **options)
  assert '\n0 gaps in time' in told and '11 train' in told


def test_units_are_those_of_the_columns(tmp_path):
  write(tmp_path / 'raw', 'a.csv', rows('m', 100))
  build(tmp_path / 'raw', tmp_path, split_by='time', units='degC, kW')
  units = {v.name: v.unit for v in load(tmp_path).variables}
  assert units == {'heat': 'degC', 'load': 'kW'}


def test_other_options_are_refused_in_the_same_folder(raw, tmp_path):
  build(raw, tmp_path)
  assert 'already prepared' in build(raw, tmp_path)
  with pytest.raises(ValueError, match='stride: 4 there, 8 here'):
    build(raw, tmp_path, stride=8)
  with pytest.raises(ValueError, match='manual_dir: .*raw there, .*other here'):
    build(tmp_path / 'other', tmp_path)
  assert '24 train' in build(raw, tmp_path, set='second')


@pytest.mark.parametrize('change, message', [
    (lambda r: r[3].__setitem__(0, '2024-01-01 01:00'),
     'row 5, column time: 2024-01-01T01:00.* comes after 2024-01-01T02:00'),
    (lambda r: r[3].__setitem__(0, '2024-01-01 02:00'), 'row 5, .*there twice'),
    (lambda r: r[3].__setitem__(0, 'noon'), "row 5, column time: 'noon'; expe"),
    (lambda r: r[3].__setitem__(4, 'fan 9'),
     "row 5, column kind: 'fan 9'; expected 'pump' as in the first row"),
    (lambda r: r[0].__setitem__(4, ''), "row 2, column kind: ''; expected a l"),
    (lambda r: r[3].__setitem__(1, 'NA'),
     "row 5, column machine: 'NA'; expected the name of a series"),
    (lambda r: r[3].__setitem__(2, 'inf'), 'row 5, column heat: inf; expected'),
    (lambda r: r[3].__setitem__(5, 'x'), "row 5, column wear: 'x'; expected a"),
    (lambda r: r[3].pop(), 'row 5, column wear: the row has 5 cells'),
    (lambda r: [row.__setitem__(3, 'NA') for row in r],
     'row 2, column load: no value here nor in the 99 rows below'),
])
def test_wrong_cells_are_named(raw, tmp_path, change, message):
  found = [r for n in range(5) for r in rows(f'm{2 * n}', 20)]
  change(found)
  write(raw, 'part0.csv', found)
  with pytest.raises(ValueError, match=f'part0.csv, {message}'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


@pytest.mark.parametrize('options, message', [
    (dict(columns=''), '--columns is missing; expected'),
    (dict(columns='heat,cold'), 'row 1, column cold: there 0 times'),
    (dict(id='number'), 'row 1, column number: there 0 times'),
    (dict(labels='kind,kind'), "'kind'; expected different names"),
    (dict(labels='heat'), "'heat'; expected different names"),
    (dict(targets='mask'), "'mask'; expected .*none of x, mask, observed"),
    (dict(set='a b'), "set='a b', expected letters"),
    (dict(units='degC'), '--units=degC of --columns=heat, load; expected one'),
    (dict(max_gap=0.0), 'max_gap=0.0, time=time; expected a time above 0'),
    (dict(max_gap=9.0, time=None), 'max_gap=9.0, time=None; expected a time'),
    (dict(window=0), 'window=0, expected 1 or more'),
    (dict(split_by='day'), "Unknown split_by 'day'. Known: id, time"),
    (dict(test_fraction=0.9), 'expected both above 0 and less than 1 together'),
    (dict(window=21), 'the split train holds no samples; .*shorter windows'),
    (dict(window=21), 'gave no sample.* 0 gaps in time'),
])
def test_wrong_options_are_refused(raw, tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    build(raw, tmp_path, **options)


def test_series_that_cannot_be_told_apart(tmp_path):
  write(tmp_path / 'raw', 'a.csv', rows('m', 40))
  with pytest.raises(ValueError, match=r'1 series \(m\); expected at least 3'):
    build(tmp_path / 'raw', tmp_path)
  write(tmp_path / 'raw', 'b.csv', rows('m', 40))
  with pytest.raises(ValueError, match='b.csv, column machine: m is in anoth'):
    build(tmp_path / 'raw', tmp_path)
  (tmp_path / 'none').mkdir()
  with pytest.raises(ValueError, match='holds no csv file; expected one'):
    build(tmp_path / 'none', tmp_path)
