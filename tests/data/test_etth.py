"""ETTh1: a transformer whose first load counts the hours."""

import datetime
import json
import os
import pathlib

import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import prepare
from seqdiff.data.builders import etth

START = datetime.datetime(2016, 7, 1)
NUM_ROWS = 17420


def rows(start=START, num_rows=NUM_ROWS):
  """HUFL counts hours, HULL falls; OT is a tenth of HUFL modulo 300."""
  return [[start + datetime.timedelta(hours=n), n, -n, n % 24, 1.5, 0, 2,
           n % 300 / 10] for n in range(num_rows)]


def write(root, found, header='date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT'):
  root.mkdir(exist_ok=True, parents=True)
  (root / 'ETTh1.csv').write_text('\n'.join(
      [header, *(','.join(map(str, row)) for row in found)]))
  return root


def build(raw, tmp_path, **options):
  return prepare.prepare('etth', manual_dir=str(raw),
                         data_dir=str(tmp_path / 'data'), **options)


def load(tmp_path, **options):
  return disk.load('etth', data_dir=str(tmp_path / 'data'), **options)


def names(tmp_path):
  return json.loads(next(tmp_path.rglob('split.json')).read_text())


def hours_of(found, split):
  """Of each sample the first and last hour."""
  source, v = found.splits[split], found.variables[0]
  x = source.arrays['x'][:, :, 0] * v.std + v.mean
  np.testing.assert_allclose(np.diff(x, axis=1), 1, atol=0.05)
  return np.round(x[:, [0, -1]]).astype(int).tolist()


def hour(*date):
  return int((datetime.datetime(*date) - START).total_seconds() / 3600)


@pytest.fixture
def short(tmp_path, monkeypatch):
  """December 30 to March 2, 5 h; a sample is 48 hours."""
  monkeypatch.setattr(etth, 'HOURS', 48)
  monkeypatch.setattr(etth, 'FIRST', '2016-12-30T00')
  monkeypatch.setattr(etth, 'LAST', '2017-03-02T05')
  return write(tmp_path / 'raw' / 'ETT-small', rows(
      datetime.datetime(2016, 12, 30), 48 + 744 + 672 + 30))


def test_published_samples_are_the_first_hours_of_whole_months(
    tmp_path, short):
  told = build(short.parent, tmp_path)
  assert '1 train, 1 validation, 1 test clips' in told
  # March has 30 hours only: left out, with what follows the 48th hour.
  assert f'{1494 - 3 * 48} of 1494 hours were left out' in told
  found, listed = load(tmp_path), names(tmp_path)
  assert listed['test'] == ['2016-12'] and listed['seed'] == 0
  assert sorted(listed['train'] + listed['validation']) == [
      '2017-01', '2017-02']
  first = {'2016-12': 0, '2017-01': 48, '2017-02': 48 + 744}
  for split in 'train', 'validation', 'test':
    name, = listed[split]
    assert hours_of(found, split) == [[first[name], first[name] + 47]]
    item = found.splits[split][0]
    assert item['x'].shape == (48, 6) and item['observed'].all()
    assert 'mask' not in item
    assert item['labels/month'] == {'6': 11, '7': 0}[name[3]] + (
        name == '2017-02')
    np.testing.assert_allclose(
        item['labels/oil_temperature'][:, 0],
        [n % 300 / 10 for n in range(first[name], first[name] + 48)],
        rtol=1e-6)


def test_all_splits_have_the_mean_and_deviation_of_training(tmp_path, short):
  build(short, tmp_path)
  found = load(tmp_path)
  start = {'2017-01': 48, '2017-02': 792}[names(tmp_path)['train'][0]]
  # Of 48 numbers in a row: the variance is (48^2 - 1) / 12.
  hufl, hull = found.variables[:2]
  assert hufl.mean == start + 23.5 and hull.mean == -hufl.mean
  assert hufl.std == pytest.approx((2303 / 12) ** 0.5)
  assert [v.name for v in found.variables] == [
      'HUFL', 'HULL', 'MUFL', 'MULL', 'LUFL', 'LULL']
  np.testing.assert_allclose(
      found.splits['test'][0]['x'][:, 1],
      [(start + 23.5 - n) / (2303 / 12) ** 0.5 for n in range(48)], rtol=1e-5)


def test_blocks_of_a_month_share_no_hour(tmp_path):
  told = build(write(tmp_path / 'raw', rows()), tmp_path, split='blocked')
  # Twelve days hold 6 weeks that begin on different days; 24 months, every
  # fifth of which is for validation. From day 15 on there are 11 in a month of
  # 31 days (12 times), 10 of 30 (9, of which June 2018 ends early with 5), 8
  # of 28 (twice).
  assert '120 train, 24 validation, 245 test clips' in told
  found = load(tmp_path, split='blocked')
  used = {}
  for split in 'train', 'validation', 'test':
    for first, last in hours_of(found, split):
      assert last == first + 167
      used.setdefault(split, set()).update(range(first, last + 1))
  assert sum(map(len, used.values())) == len(set.union(*used.values()))
  days = {split: {(START + datetime.timedelta(hours=n)).day for n in hours}
          for split, hours in used.items()}
  assert days['train'] == days['validation'] == set(range(1, 13))
  assert days['test'] == set(range(15, 32))
  months = {(START + datetime.timedelta(hours=n)).strftime('%y-%m')
            for n in used['validation']}
  assert months == {'16-11', '17-04', '17-09', '18-02'}
  assert hours_of(found, 'test')[:2] == [
      [hour(2016, 7, 15), hour(2016, 7, 21, 23)],
      [hour(2016, 7, 16), hour(2016, 7, 22, 23)]]
  assert f'{NUM_ROWS - sum(map(len, used.values()))} of 17420 hours' in told
  # All seasons are in training and tests.
  for split in 'train', 'test':
    assert set(found.splits[split].arrays['labels/month']) == set(range(12))


def test_windows_and_strides_lie_side_by_side(tmp_path):
  raw = write(tmp_path / 'raw', rows())
  build(raw, tmp_path, split='blocked')
  # Twelve days: 288 = 240 + 2 * 24; 288 = 2 * 100 + 88.
  assert '60 train, 12 validation' in build(
      raw, tmp_path, split='blocked', window=240)
  assert '40 train, 8 validation' in build(
      raw, tmp_path, split='blocked', window=100, stride=100)
  assert {p.name for p in (tmp_path / 'data' / 'etth').iterdir()} == {
      'blocked_168', 'blocked_240', 'blocked_100'}
  assert load(tmp_path, split='blocked', window=100).splits['train'][0][
      'x'].shape == (100, 6)
  with pytest.raises(ValueError, match='stride: 100 there, 24 here'):
    build(raw, tmp_path, split='blocked', window=100)
  with pytest.raises(ValueError, match='train holds no samples; .*shorter'):
    build(raw, tmp_path, split='blocked', window=289)


@pytest.mark.parametrize('options, message', [
    (dict(split='random'), "Unknown split 'random'. Known: as_published, bl"),
    (dict(window=100), 'window=100, stride=24 with split=as_published'),
    (dict(split='blocked', window=0), 'window=0, expected 1 or more'),
    (dict(split='blocked', stride=0), 'stride=0, expected 1 or more'),
    (dict(weeks=3), "option of etth 'weeks'"),
])
def test_wrong_options_are_refused(tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    build(tmp_path, tmp_path, **options)


def cell(row, column, value):
  def change(found):
    found[row][column] = value
  return change


@pytest.mark.parametrize('change, message', [
    (cell(3, 0, '1.7.2016'), "row 5, column date: '1.7.2016'; expected a time"),
    (cell(3, 0, START), 'row 5, column date: 2016-07-01T00:00:00 comes after '
                        '2016-07-01T02:00:00'),
    (cell(3, 0, START + datetime.timedelta(hours=2)), 'row 5, .*there twice'),
    (lambda found: found.pop(3), 'row 5, .*T04:00:00 follows .*T02:00:00'),
    (lambda found: found.pop(), 'ends at 2018-06-26T18:00:00 with 17419 rows; '
                                'expected 17420 rows up to 2018-06-26T19:00'),
    (cell(2, 4, ''), 'row 4, column MULL: no value'),
    (cell(2, 4, 'nan'), 'row 4, column MULL: no value'),
    (cell(2, 4, '-inf'), 'row 4, column MULL: -inf; expected a finite number'),
    (cell(2, 7, 300), 'row 4, column OT: 300; expected .*-60 to 150 °C'),
])
def test_a_file_that_is_not_as_published_is_refused(
    tmp_path, change, message):
  found = rows()
  change(found)
  raw = write(tmp_path / 'raw', found)
  with pytest.raises(ValueError, match=f'ETTh1.csv, .*{message}'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


def test_a_missing_column_or_file_is_named(tmp_path):
  raw = write(tmp_path / 'raw', rows(), 'date,HUFL,HULL,MUFL,MULL,LUFL,LULL,T')
  with pytest.raises(ValueError, match='ETTh1.csv, row 1, column OT: there 0'):
    build(raw, tmp_path)
  (raw / 'ETTh1.csv').rename(raw / 'ETTh2.csv')
  with pytest.raises(ValueError, match='holds 0 files ETTh1.csv; expected one'):
    build(raw, tmp_path)


def test_real_data_give_the_known_errors_of_constants(tmp_path):
  raw = pathlib.Path(os.environ.get('SEQDIFF_DATA', '/nowhere')) / 'etth'
  if not raw.is_dir():
    pytest.skip('SEQDIFF_DATA names no folder with etth')
  assert '14 train, 3 validation, 6 test' in build(raw, tmp_path)
  found = load(tmp_path)
  days = {split: source.arrays['labels/oil_temperature'].reshape(
      len(source), 28, 24).mean(-1) for split, source in found.splits.items()}
  months = {split: source.arrays['labels/month']
            for split, source in found.splits.items()}
  rest = np.concatenate([days['train'], days['validation']])
  rest_months = np.concatenate([months['train'], months['validation']])
  # Measured from the same file by other code.
  assert rest.mean() == pytest.approx(10.63, abs=0.005)
  assert days['test'].mean() == pytest.approx(21.59, abs=0.005)
  assert abs(days['test'] - rest.mean()).mean() == pytest.approx(
      11.95, abs=0.005)
  seasonal = np.concatenate([rest[rest_months == m] for m in months['test']])
  assert abs(days['test'] - seasonal).mean() == pytest.approx(9.58, abs=0.005)
