"""Stays in intensive care: small files, with all results worked out by hand."""

import collections
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import loader
from seqdiff.data import prepare
from seqdiff.data.builders import physionet2012

NAMES = ('DiasABP', 'GCS', 'HCT', 'MAP', 'NIDiasABP', 'NIMAP', 'NISysABP',
         'RespRate', 'SysABP', 'Temp')
NAN = np.nan


@pytest.mark.parametrize('name, values, expected', [
    ('DiasABP', [-1, 0, 0.9, 1, 60, 200, 201], [NAN] * 3 + [1, 60, 200, NAN]),
    ('MAP', [-1, 0.5, 1, 300], [NAN, NAN, 1, 300]),
    ('NIDiasABP', [0, 1], [NAN, 1]),
    ('NIMAP', [0, 1], [NAN, 1]),
    ('NISysABP', [0, 1], [NAN, 1]),
    ('SysABP', [0, 1, 295], [NAN, 1, 295]),
    ('RespRate', [0, 0.99, 1, 98], [NAN, NAN, 1, 98]),
    ('GCS', [3, 15, 0], [3, 15, 0]),
    ('HCT', [9, 60], [9, 60]),
    # 98.6 F = 37 C, 104 F = 40 C; 5 becomes 5 * 9 / 5 + 32 = 41.
    ('Temp', [98.6, 104, 5], [37, 40, 41]),
    # 112 F = 44.4 C is kept; 113 and 95 are not converted and are no
    # temperatures in Celsius; 96 F = 35.6 C.
    ('Temp', [112, 113, 95, 96], [400 / 9, NAN, NAN, 320 / 9]),
    ('Temp', [24.9, 25, 45, 45.1, 1, 10, -17.8, 0],
     [NAN, 25, 45, NAN, NAN, NAN, NAN, NAN]),
])
def test_each_rule_of_cleaning(name, values, expected):
  counts = collections.Counter()
  found = physionet2012.clean(name, np.array(values), counts)
  np.testing.assert_allclose(found, expected)
  impossible = np.isnan(expected).sum()
  assert counts[f'values of {name} set to missing'] == impossible


def test_what_was_converted_is_counted():
  counts = collections.Counter()
  physionet2012.clean('Temp', np.array([98.6, 104, 5, 37, 300]), counts)
  assert counts == {'values of Temp of another unit converted': 3,
                    'values of Temp set to missing': 1}


def hourly(*measured):
  counts = collections.Counter()
  names, minutes, values = zip(*measured)
  found = physionet2012.hourly(
      np.array(names), np.array(minutes), np.array(values, float), counts)
  return found, counts['values of these variables in the first minute or after '
                       'the last whole hour']


def test_an_hour_begins_after_its_first_minute_and_ends_with_its_last():
  found, outside = hourly(
      ('HR', 7, 80),  # Another variable, with which the hours begin.
      ('GCS', 7, 15),  # In none.
      ('GCS', 8, 3), ('GCS', 67, 5), ('HCT', 67, 30),  # 1 and 60 min.: hour 0.
      ('GCS', 68, 9),  # 61 min.: hour 1.
      ('Temp', 127, 36), ('Temp', 127, 38), ('Temp', 128, 39),
      ('GCS', 200, 7), ('HR', 201, 80))  # Hour 3 is not over: left out.
  expected = np.full((3, 10), NAN)
  expected[0, 1], expected[0, 2], expected[1, 1] = 4, 30, 9
  expected[1, 9], expected[2, 9] = 37, 39
  np.testing.assert_array_equal(found, expected)
  assert outside == 2


def test_impossible_values_do_not_enter_the_mean():
  found, _ = hourly(('HR', 0, 80), ('MAP', 10, 0), ('MAP', 20, 70),
                    ('RespRate', 30, 0), ('HR', 121, 80))
  np.testing.assert_array_equal(found[0, [3, 7]], [70, NAN])


@pytest.mark.parametrize('last, hours', [
    (60, 0), (61, 1), (120, 1), (121, 2), (2880, 47)])
def test_number_of_hours(last, hours):
  assert len(hourly(('HR', 0, 80), ('HR', last, 80))[0]) == hours


@pytest.mark.parametrize('shape, missing, kept', [
    ((40, 10), 240, True), ((40, 10), 241, False), ((39, 10), 0, False),
    ((0, 10), 0, False), ((47, 10), 282, True), ((47, 10), 283, False)])
def test_which_stays_are_kept(shape, missing, kept):
  values = np.ones(shape)
  values.flat[:missing] = NAN
  assert (physionet2012.reason_to_drop(values) is None) == kept


def test_a_weight_is_a_descriptor_at_admission_and_measured_later(tmp_path):
  def read(*rows):
    path = tmp_path / '7.txt'
    path.write_text('\n'.join([
        'Time,Parameter,Value', '00:00,RecordID,7', '00:00,ICUType,2',
        '00:00,Weight,70', *rows]))
    values, icu_type = physionet2012.read_record(
        path, 7, collections.Counter())
    assert icu_type == 2
    return values

  # From 00:30 to 02:30: 01:31 is in the second hour, which is not over.
  assert np.isnan(read('00:30,HR,80', '01:31,GCS,9', '02:30,HR,80')).all()
  # From 00:20 on it is.
  assert read('00:20,Weight,71', '01:31,GCS,9', '02:30,HR,80')[1:, 1] == [9]
  assert read().shape == (0, 10)


def stay(record, num_hours, *, icu=1, observed=4, value=1.0, at_first=NAMES):
  """Rows of a stay: each hour GCS, HCT ... are hour + value."""
  rows = [('00:00', 'RecordID', record), ('00:00', 'Age', 54),
          ('00:00', 'Gender', -1), ('00:00', 'Height', -1),
          ('00:00', 'ICUType', icu), ('00:00', 'Weight', -1),
          ('00:00', 'HR', 70)]
  for hour in range(num_hours):
    for name in at_first if hour == 0 else NAMES[1:1 + observed]:
      rows.append((f'{hour:02d}:30', name,
                   37 if name == 'Temp' else hour + value))
  return rows + [(f'{num_hours:02d}:01', 'Urine', 30)]


def write(root, stays, died=()):
  (root / 'set-a').mkdir(parents=True, exist_ok=True)
  lines = ['RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death']
  for record, rows in stays.items():
    (root / 'set-a' / f'{record}.txt').write_text('\n'.join(
        ['Time,Parameter,Value', *(','.join(map(str, r)) for r in rows)]))
    lines.append(f'{record},6,1,5,-1,{int(record in died)}')
  (root / 'Outcomes-a.txt').write_text('\n'.join(lines))
  return root


@pytest.fixture
def raw(tmp_path, monkeypatch):
  """Ten stays to be kept, numbers 110 to 119, and three that are not."""
  monkeypatch.setattr(physionet2012, 'MIN_HOURS', 3)
  monkeypatch.setattr(physionet2012, 'LENGTH', 6)
  stays = {110 + n: stay(110 + n, 3 + n % 3, icu=1 + n % 4, value=10.0 + n)
           for n in range(10)}
  stays[105] = stay(105, 2)
  stays[106] = stay(106, 5, observed=2)  # 4 * 8 of 50 values are missing.
  stays[107] = stay(107, 0)[:6]
  return write(tmp_path / 'raw', stays, died=(111, 114))


def build(raw, tmp_path, **options):
  return prepare.prepare('physionet2012', manual_dir=str(raw),
                         data_dir=str(tmp_path / 'data'), **options)


def load(tmp_path):
  return disk.load('physionet2012', data_dir=str(tmp_path / 'data'))


def names(tmp_path):
  return json.loads(next(tmp_path.rglob('split.json')).read_text())


def test_the_first_fifth_is_for_tests_and_all_is_padded(raw, tmp_path):
  told = build(raw, tmp_path)
  assert '6 train, 2 validation, 2 test clips' in told
  assert '10 of 13 stays were kept' in told
  for line in ('1 stays of fewer than 3 hours',
               '1 stays of which more than 60% is missing',
               '1 stays without a whole hour of measurements'):
    assert f'\n  {line}' in told
  found, listed = load(tmp_path), names(tmp_path)
  assert listed['test'] == ['110', '111']
  rest = listed['train'] + listed['validation']
  assert sorted(rest) == [str(n) for n in range(112, 120)]
  assert listed['train'] == sorted(listed['train'])
  gcs = found.variables[1]
  for split, source in found.splits.items():
    for i, name in enumerate(listed[split]):
      item, n = source[i], int(name) - 110
      hours = 3 + n % 3
      real = np.arange(6) < hours
      np.testing.assert_array_equal(item['mask'], real)
      np.testing.assert_array_equal(item['observed'], real[:, None] & (
          np.isin(NAMES, NAMES[1:5]) | (np.arange(6) == 0)[:, None]))
      assert (item['x'][~item['observed']] == 0).all()
      np.testing.assert_allclose(
          item['x'][real, 1] * gcs.std + gcs.mean,
          10.0 + n + np.arange(hours), rtol=1e-5)
      assert item['labels/icu_type'] == n % 4
      assert item['labels/mortality'] == (n in (1, 4))
  assert [(f.name, f.kind, f.num_classes) for f in found.factors] == [
      ('icu_type', 'static', 4), ('mortality', 'static', 2)]
  batch = next(loader.eval_batches(
      found.splits['test'], batch_size=2, num_frames=6))
  assert batch['mask'].sum() == 3 + 4
  assert batch['observed'].sum() == 4 * (3 + 4) + 2 * 6


def test_the_seed_decides_what_is_for_validation(raw, tmp_path):
  drawn = set()
  for seed in range(4):
    build(raw, tmp_path / str(seed), seed=seed)
    drawn.add(tuple(names(tmp_path / str(seed))['validation']))
  assert len(drawn) > 1
  build(raw, tmp_path / 'again', seed=3)
  assert names(tmp_path / 'again') == names(tmp_path / '3')


def test_mean_and_deviation_are_of_observed_values_of_training(
    tmp_path, monkeypatch):
  monkeypatch.setattr(physionet2012, 'MIN_HOURS', 1)
  monkeypatch.setattr(physionet2012, 'VARIABLES', {'GCS': '', 'HCT': '%'})
  stays = {n: stay(n, 2, observed=1, value=900 if n == 1 else 1,
                   at_first=NAMES[1:2]) for n in range(1, 9)}
  for n in range(2, 9):
    stays[n].insert(8, ('00:40', 'HCT', 20 + n))
  build(write(tmp_path / 'raw', stays), tmp_path)
  gcs, hct = load(tmp_path).variables
  # Hours hold 1 and 2; the test holds 900. Of seven others five train.
  assert (gcs.mean, gcs.std) == (1.5, 0.5)
  train = [20 + int(n) for n in names(tmp_path)['train']]
  assert len(train) == 5 and hct.mean == pytest.approx(np.mean(train))
  assert hct.std == pytest.approx(
      (sum((v - sum(train) / 5) ** 2 for v in train) / 5) ** 0.5)


def row(*values):
  return lambda rows: rows.insert(9, values)


@pytest.mark.parametrize('change, message', [
    (row('00:30', 'Tmep', 37), "row 11, column Parameter: 'Tmep'; expected a pa"
                               ".*Did you mean 'Temp'"),
    (row('00:30', 'Temp_F', 98), "column Parameter: 'Temp_F'"),
    (row('00:30', 'Temp', 'warm'), "row 11, column Value: 'warm'; expected a"),
    (row('00:30', 'Temp', ''), 'row 11, column Value: no value'),
    (row('00:30', 'Temp', 'inf'), 'row 11, column Value: inf; expected a fini'),
    (row('00:15', 'Temp', 37), 'row 11, column Time: 00:15 comes after 00:30'),
    (row('0:30', 'Temp', 37), "row 11, column Time: '0:30'; expected HH:MM"),
    (row('00:60', 'Temp', 37), "row 11, column Time: '00:60'; expected HH:MM"),
    (lambda rows: rows.append(('48:01', 'HR', 7)), "Time: '48:01'; expected H"),
    (lambda rows: rows.pop(4), 'column Parameter: ICUType None; expected a ro'),
    (row('00:30', 'ICUType', 3), 'row 11, column Value: ICUType 3; expected 2'),
    (lambda rows: rows.__setitem__(4, ('00:00', 'ICUType', 5)), 'ICUType 5.0;'),
    (lambda rows: rows.__setitem__(0, ('00:00', 'RecordID', 7)),
     'row 2, column Value: RecordID 7; expected 115'),
    (lambda rows: rows.clear(), 'no rows below row 1'),
    (row('00:30', 'Temp'), 'row 11, column Value: the row has 2 cells'),
])
def test_a_file_that_is_not_as_published_is_refused(
    raw, tmp_path, change, message):
  rows = stay(115, 4, icu=2)
  change(rows)
  text = '\n'.join(','.join(map(str, r)) for r in rows)
  (raw / 'set-a' / '115.txt').write_text('Time,Parameter,Value\n' + text)
  with pytest.raises(ValueError, match=rf'115\.txt.* {message}'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


def test_two_files_of_one_record_are_refused(raw, tmp_path):
  text = (raw / 'set-a' / '115.txt').read_text()
  (raw / 'set-a' / '0115.txt').write_text(text)
  with pytest.raises(ValueError, match=r'0115.txt and .*115.txt are of one'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


def test_rows_without_a_name_are_left_out_and_counted(raw, tmp_path):
  with (raw / 'set-a' / '115.txt').open('a') as file:
    file.write('\n40:00,,3\n40:00,,\n')
  assert '\n  2 rows without the name of a parameter' in build(raw, tmp_path)


@pytest.mark.parametrize('old, new, message', [
    ('115,6', '116,6', 'Outcomes-a.txt, row 8, column RecordID: 116 is there '),
    ('115,6', '999,6', r'set-a holds no file of 1 records, such as 999'),
    ('\n115,6,1,5,-1,0', '', 'has no row of 1 records, such as 115; expected'),
    ('115,6,1,5,-1,0', '115,6,1,5,-1,2', 'column In-hospital_death: 2; expect'),
    ('In-hospital_death', 'death', 'row 1, column In-hospital_death: there 0'),
])
def test_outcomes_that_do_not_fit(raw, tmp_path, old, new, message):
  path = raw / 'Outcomes-a.txt'
  path.write_text(path.read_text().replace(old, new, 1))
  with pytest.raises(ValueError, match=message):
    build(raw, tmp_path)


def test_files_that_are_not_there(raw, tmp_path):
  (raw / 'Outcomes-a.txt').unlink()
  with pytest.raises(ValueError, match='Outcomes-a.txt cannot be read .*No su'):
    build(raw, tmp_path)


@pytest.mark.slow
def test_real_data_have_the_known_counts(tmp_path):
  pack = pathlib.Path(os.environ.get('SEQDIFF_DATA', '/nowhere'))
  if not (pack / 'physionet2012').is_dir():
    pytest.skip('SEQDIFF_DATA names no folder with physionet2012')
  subprocess.run(
      [sys.executable, pack / 'tools' / 'unpack_raw.py', pack, 'physionet2012',
       tmp_path / 'raw'], check=True)
  types = collections.Counter(
      physionet2012.read_record(path, int(path.stem), collections.Counter())[1]
      for path in (tmp_path / 'raw' / 'set-a').iterdir())
  # As published.
  assert types == {1: 577, 2: 874, 3: 1481, 4: 1068}
  died = physionet2012.read_outcomes(tmp_path / 'raw' / 'Outcomes-a.txt')
  assert sum(died.values()) == 554
  told = build(tmp_path / 'raw', tmp_path)
  # Counted from the same measurements by other code.
  assert '1189 train, 298 validation, 371 test clips' in told
  assert '1858 of 4000 stays were kept' in told
  assert '2078 stays of which more than 60% is missing' in told
  labels = np.concatenate([
      source.arrays['labels/icu_type']
      for source in load(tmp_path).splits.values()])
  assert np.bincount(labels).tolist() == [188, 476, 562, 632]
