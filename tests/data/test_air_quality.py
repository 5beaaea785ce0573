"""The air in Beijing: two stations whose values say when and where they are."""

import datetime
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from sklearn import linear_model
from sklearn import neighbors
from sklearn import pipeline
from sklearn import preprocessing

from seqdiff.data import disk
from seqdiff.data import loader
from seqdiff.data import prepare
from seqdiff.data.builders import air_quality
from seqdiff.data.builders import series

HEADER = ('No,year,month,day,hour,PM2.5,PM10,SO2,NO2,CO,O3,TEMP,PRES,DEWP,RAIN,'
          'wd,WSPM,station')
STATIONS = ('Dongsi', 'Wanliu')
# 20 hours of November, December 2015 and 30 hours of January 2016.
START, NUM_ROWS = datetime.datetime(2015, 11, 30, 4), 20 + 744 + 30
HOURS = 24


def rows_of(station):
  """PM2.5 counts the rows, +1000 at the second station; CO is row + 100."""
  rows = []
  for n in range(NUM_ROWS):
    t = START + datetime.timedelta(hours=n)
    first = n + 1000 * STATIONS.index(station)
    rows.append([n + 1, t.year, t.month, t.day, t.hour, first, 7, 7, 7, n + 100,
                 7, -1.5, 1000, 3, n / 10, 'NW', 2, station])
  return rows


def write(root, station, rows, header=HEADER):
  root.mkdir(exist_ok=True)
  lines = [header, *(','.join(map(str, row)) for row in rows)]
  path = root / f'PRSA_Data_{station}_20130301-20170228.csv'
  path.write_text('\n'.join(lines) + '\n')
  return path


@pytest.fixture
def raw(tmp_path, monkeypatch):
  monkeypatch.setattr(air_quality, 'STATIONS', STATIONS)
  monkeypatch.setattr(air_quality, 'FIRST', '2015-11-30T04')
  monkeypatch.setattr(air_quality, 'LAST', '2016-01-02T05')
  monkeypatch.setattr(air_quality, 'HOURS', HOURS)
  for station in STATIONS:
    write(tmp_path / 'raw', station, rows_of(station))
  return tmp_path / 'raw'


def build(raw, tmp_path, **options):
  return prepare.prepare('air_quality', manual_dir=str(raw),
                         data_dir=str(tmp_path / 'data'), **options)


def load(tmp_path):
  return disk.load('air_quality', data_dir=str(tmp_path / 'data'))


def names(tmp_path):
  return json.loads(next(tmp_path.rglob('split.json')).read_text())


def test_samples_are_the_first_hours_of_a_month_at_a_station(raw, tmp_path):
  told = build(raw, tmp_path)
  assert '1 train, 1 validation, 2 test clips' in told
  # 794 hours at each of two stations, four samples of 24.
  assert f'{2 * 794 - 4 * 24} of 1588 hours were left out' in told
  found, listed = load(tmp_path), names(tmp_path)
  assert listed['test'] == ['2016-01 Dongsi', '2016-01 Wanliu']
  assert sorted(listed['train'] + listed['validation']) == [
      '2015-12 Dongsi', '2015-12 Wanliu']
  pm25, pm10, co = (found.variables[i] for i in (0, 1, 4))
  for split, source in found.splits.items():
    for i, name in enumerate(listed[split]):
      item = source[i]
      assert item.keys() == {
          'x', 'observed', 'labels/month', 'labels/station', 'labels/rain'}
      assert item['x'].shape == item['observed'].shape == (HOURS, 10)
      assert item['observed'].all() and item['observed'].dtype == bool
      first = 764 if split == 'test' else 20
      station = STATIONS.index(name.split()[1])
      hours = np.arange(first, first + HOURS)
      np.testing.assert_allclose(
          item['x'][:, 0] * pm25.std + pm25.mean, hours + 1000 * station,
          rtol=1e-5)
      np.testing.assert_allclose(
          item['x'][:, 4] * co.std + co.mean, hours + 100, rtol=1e-5)
      assert item['labels/month'] == (0 if split == 'test' else 11)
      assert item['labels/station'] == station
      np.testing.assert_allclose(item['labels/rain'][:, 0], hours / 10)
      assert (item['x'][:, 1] == 0).all()  # Never changes.
  assert (pm10.mean, pm10.std, pm10.unit) == (7, 1, 'µg/m³')
  assert [(f.name, f.kind, f.size) for f in found.factors] == [
      ('month', 'static', 12), ('station', 'static', 12),
      ('rain', 'dynamic', 1)]


def test_normalised_by_what_was_measured_in_training(raw, tmp_path):
  build(raw, tmp_path)
  station, = (name.split()[1] for name in names(tmp_path)['train'])
  rows = rows_of(station)
  # Of the 24 hours of training 4 are left, 1, 2, 3 and 6: their mean is 3 and
  # their variance (4 + 1 + 0 + 9) / 4. What other samples hold does not count.
  for n, value in enumerate([1, 2, 3, 6] + ['NA'] * 20, 20):
    rows[n][5] = value
  write(raw, station, rows)
  again = tmp_path / 'again'
  assert '2.08% of the values are missing' in build(raw, again)  # 20 of 960.
  pm25 = load(again).variables[0]
  assert pm25.mean == 3 and pm25.std == pytest.approx(3.5**0.5)
  item = load(again).splits['train'][0]
  assert item['observed'][:, 0].tolist() == [True] * 4 + [False] * 20
  np.testing.assert_allclose(
      item['x'][:, 0], [v / 3.5**0.5 for v in (-2, -1, 0, 3)] + [0] * 20,
      rtol=1e-6)
  batch = next(loader.train_batches(
      load(again).splits['train'], batch_size=1, num_frames=30, pad=True,
      seed=0))
  assert batch['observed'].sum() == 24 * 9 + 4
  assert batch['mask'].sum() == 24 and not batch['observed'][:, 24:].any()


def test_rain_that_was_not_measured_is_nan_and_counted(raw, tmp_path):
  rows = rows_of('Dongsi')
  rows[21][14] = rows[25][14] = 'NA'
  rows[21][6] = ''
  write(raw, 'Dongsi', rows)
  told = build(raw, tmp_path)
  # One of 4 x 24 x 10 values.
  assert '0.10% of the values are missing, and the rain of 2 hours' in told
  rain = np.concatenate([
      item['labels/rain'] for split in ('train', 'validation')
      for item in (load(tmp_path).splits[split][0],)])
  assert np.isnan(rain).sum() == 2


def test_the_real_numbers_of_samples_are_divided_367_to_65():
  samples = list(range(432))
  train, rest = series.divide(samples, share=0.85, seed=0)
  assert (len(train), len(rest)) == (367, 65)
  assert train == sorted(train) and rest == sorted(rest)
  assert sorted(train + rest) == samples
  assert series.divide(samples, share=0.85, seed=0) == (train, rest)
  assert series.divide(samples, share=0.85, seed=1)[1] != rest


def test_another_seed_in_the_same_folder_is_refused(raw, tmp_path):
  build(raw, tmp_path)
  assert 'already prepared' in build(raw, tmp_path)
  with pytest.raises(ValueError, match='seed: 0 there, 3 here'):
    build(raw, tmp_path, seed=3)
  build(raw, tmp_path / 'other', seed=3)
  assert names(tmp_path / 'other')['seed'] == 3
  with pytest.raises(ValueError, match='seed=-1, expected 0 or more'):
    build(raw, tmp_path, seed=-1)


def test_a_set_without_its_json_is_an_error(raw, tmp_path):
  build(raw, tmp_path)
  next(tmp_path.rglob('normalisation.json')).write_text('[')
  with pytest.raises(ValueError, match='no readable normalisation.json'):
    load(tmp_path)


def cell(row, column, value):
  def change(rows):
    rows[row][HEADER.split(',').index(column)] = value
  return change


# Row 2 of the file is row 0 here.
@pytest.mark.parametrize('change, message', [
    (lambda rows: rows.pop(100), 'row 102, column hour: 2015-12-04T09:00:00 '
                                 'follows 2015-12-04T07:00:00'),
    (lambda rows: rows.pop(), 'row 794, column hour: the file ends at 2016-01-0'
                              '2T04:00:00 with 793 rows; expected 794'),
    (lambda rows: rows.insert(5, rows[5]), 'row 8, column hour: .*there twice'),
    (lambda rows: rows.reverse(), 'row 2, column hour: .*file begins'),
    (lambda rows: rows.insert(9, rows.pop(8)),
     'row 11, column hour: 2015-11-30T12:00:00 comes after 2015-11-30T13:00'),
    (cell(3, 'month', 13), 'row 5, column year, month, day, hour: 2015 13 30 7;'
                           ' expected a date'),
    (cell(3, 'hour', 3.5), 'row 5, .* 3.5; expected a date.*no whole numbers'),
    (cell(3, 'year', 1e20), 'row 5, .*1e.20 .*; expected a date and an hour'),
    (cell(3, 'day', 'x'), "row 5, column day: 'x'; expected a number"),
    (cell(4, 'TEMP', 300), 'row 6, column TEMP: 300; expected a finite number '
                           'from -60 to 60 °C. .*another unit'),
    (cell(4, 'PRES', 100000), 'row 6, column PRES: 100000; .*1100 hPa'),
    (cell(4, 'CO', 0.3), 'row 6, column CO: 0.3; expected .*from 30'),
    (cell(4, 'SO2', 'inf'), 'row 6, column SO2: inf; expected a finite'),
    (cell(4, 'O3', 'many'), "row 6, column O3: 'many'; expected a number"),
    (cell(6, 'station', 'Wanliu'), "row 8, column station: 'Wanliu'; expected "
                                   'Dongsi, which the file is named'),
    (lambda rows: [cell(n, 'NO2', 'NA')(rows) for n in range(NUM_ROWS)],
     'row 2, column NO2: no value here nor in the 793 rows below'),
])
def test_a_file_that_is_not_as_published_is_refused(
    raw, tmp_path, change, message):
  rows = rows_of('Dongsi')
  change(rows)
  write(raw, 'Dongsi', rows)
  with pytest.raises(ValueError, match=f'PRSA_Data_Dongsi.*csv, {message}'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


def test_a_missing_column_is_named(raw, tmp_path):
  write(raw, 'Dongsi', rows_of('Dongsi'), HEADER.replace('TEMP', 'TEMP_F'))
  with pytest.raises(ValueError, match='Dongsi.*row 1, column TEMP: there 0 t'):
    build(raw, tmp_path)


def test_a_variable_that_training_never_measured_is_refused(raw, tmp_path):
  build(raw, tmp_path / 'once')
  station, = (n.split()[1] for n in names(tmp_path / 'once')['train'])
  rows = rows_of(station)
  for n in range(20, 20 + HOURS):
    cell(n, 'WSPM', 'NA')(rows)
  write(raw, station, rows)
  with pytest.raises(ValueError, match='variable WSPM is missing in every row'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


def test_a_month_without_any_value_is_refused(raw, tmp_path):
  rows = rows_of('Dongsi')
  for n in range(20, 20 + HOURS):
    for name in HEADER.split(',')[5:-1]:
      cell(n, name, 'NA')(rows)
  write(raw, 'Dongsi', rows)
  with pytest.raises(ValueError, match='-12 Dongsi has no value at all; expec'):
    build(raw, tmp_path)
  assert not (tmp_path / 'data').exists()


@pytest.mark.parametrize('change, message', [
    (lambda p: p.unlink(), 'no file PRSA_Data_<station>.* of Dongsi; expected'),
    (lambda p: p.rename(p.with_name('PRSA_Data_Paris_1-2.csv')),
     'PRSA_Data_Paris_1-2.csv is of no known station; expected .*Dongsi, Wanl'),
    (lambda p: p.with_name('PRSA_Data_Dongsi_1-2.csv').touch(),
     'are of one station; expected one file of each'),
])
def test_files_that_are_missing_or_too_many(raw, tmp_path, change, message):
  change(raw / 'PRSA_Data_Dongsi_20130301-20170228.csv')
  with pytest.raises(ValueError, match=message):
    build(raw, tmp_path)


def test_a_folder_that_is_none(tmp_path):
  with pytest.raises(ValueError, match='is no folder; expected that manual'):
    build(tmp_path / 'none', tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore:Mean of empty', 'ignore:Degrees of free')
def test_real_data_have_the_published_counts_and_can_be_told_apart(tmp_path):
  pack = pathlib.Path(os.environ.get('SEQDIFF_DATA', '/nowhere'))
  if not (pack / 'air_quality').is_dir():
    pytest.skip('SEQDIFF_DATA names no folder with air_quality')
  subprocess.run(
      [sys.executable, pack / 'tools' / 'unpack_raw.py', pack, 'air_quality',
       tmp_path / 'raw'], check=True)
  told = build(tmp_path / 'raw', tmp_path)
  assert '367 train, 65 validation, 144 test clips' in told
  assert '33696 of 420768 hours were left out' in told
  assert '1.70% of the values are missing, and the rain of 377 hours' in told
  found = load(tmp_path)
  features, months = {}, {}
  for split, source in found.splits.items():
    x = np.where(source.arrays['observed'], source.arrays['x'], np.nan)
    features[split] = np.concatenate([np.nanmean(x, 1), np.nanstd(x, 1)], 1)
    months[split] = source.arrays['labels/month']
  train = np.concatenate([features['train'], features['validation']])
  months['train'] = np.concatenate([months['train'], months['validation']])
  # Measured from the same files by other code: 1-NN 67.4 %, logistic
  # regression 68.75 % (its strength was not noted; 50 is ours).
  for classifier, expected in (
      (neighbors.KNeighborsClassifier(1), 0.674),
      (linear_model.LogisticRegression(C=50, max_iter=5000), 0.6875)):
    fill = np.nanmean(train, 0)
    model = pipeline.make_pipeline(preprocessing.StandardScaler(), classifier)
    model.fit(np.where(np.isnan(train), fill, train), months['train'])
    test = np.where(np.isnan(features['test']), fill, features['test'])
    assert model.score(test, months['test']) == pytest.approx(
        expected, abs=0.01)
