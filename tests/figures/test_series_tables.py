"""Tests of `figures.series_tables`."""

import dataclasses

from seqdiff import study
from seqdiff.evaluation import results
from seqdiff.figures import series_tables
from seqdiff.figures import tables

HARDWARE = {'platform': 'cpu', 'device_kind': 'cpu', 'device_count': 1,
            'cpu_count': 2, 'jax_version': '0'}


def _result(protocol, metrics, **counts):
  return results.Result(
      protocol=protocol, version=1, config={'data': {'name': 'x'}}, seed=0,
      step=10, counts=counts, wall_seconds=1.0, metrics=metrics,
      hardware=HARDWARE)


FOUND = {
    'diffsda_physionet': {
        'icu_type': _result('icu_type', {
            'accuracy': 0.6, 'accuracy_std': 0.0123,
            'reference/mean_std_logistic/accuracy': 0.55}),
        'mortality_as_published': _result('mortality_as_published', {
            'auprc': 0.4, 'auroc': 0.7, 'reference/constant/auprc': 0.125})},
    'diffsda_etth1': {
        'oil_temperature': _result('oil_temperature', {
            'mae': 2.5, 'reference/seasonal/mae': 3.25,
            'reference/median/mae': 3.0, 'reference/seasonal_median/mae': 2.75,
            'reference/mean_std_ridge/mae': 4.0}, seeds=3)},
    'glr_physionet': {'icu_type': _result('icu_type', {
        'accuracy': 0.5, 'reference/mean_std_logistic/accuracy': 0.45,
        'reference/other_divisions/accuracy': 0.35})},
}


def _rows(text):
  rows = [[cell.strip() for cell in line.strip('|').split('|')]
          for line in text.splitlines()]
  titles = rows[0]
  return {row[0]: dict(zip(titles, row)) for row in rows[2:]}


def test_each_number_stands_in_the_column_of_its_task():
  rows = _rows(series_tables.corrected(FOUND))
  assert rows['DiffSDA, ours']['ICU type (%)'] == '60.0 ± 1.2'
  assert rows['DiffSDA, ours']['oil, MAE (°C)'] == '2.5'
  assert rows['GLR, ours']['ICU type (%)'] == '50.0'
  assert not [label for label in rows if 'VAE' in label]  # There is no number.
  assert rows['DiffSDA, steps × seeds (version)'][
      'oil, MAE (°C)'] == '10 × 3 (1)'
  assert rows['GLR, steps × seeds (version)'][
      'ICU type (%)'] == '10 × 1 (1)'
  assert rows['GLR, steps × seeds (version)']['oil, MAE (°C)'] == '–'
  linear = rows['mean and deviation, linear']
  assert (linear['ICU type (%)'], linear['oil, MAE (°C)']) == ('55.0', '4')
  for label, number in (('mean of the month', '3.25'), ('median', '3'),
                        ('median of the month', '2.75')):
    assert rows[label]['oil, MAE (°C)'] == number
  assert rows['DiffSDA, ours']['mortality, AUPRC'] == '–'
  # The result of DiffSDA has none.
  others = rows['the same on 20 other divisions']
  assert (others['ICU type (%)'], others['oil, MAE (°C)']) == ('35.0', '–')


def test_published_numbers_stand_beside_the_published_protocols_only():
  text = series_tables.as_published(FOUND)
  rows = _rows(text)
  assert rows['constant']['mortality, AUPRC'] == '0.125'
  assert rows['DiffSDA, ours']['mortality, AUROC'] == '0.7'
  assert rows['DiffSDA, published']['mortality, AUROC'] == '0.87 ± 0.004'
  assert rows['C-DSVAE, published']['ICU type (%)'] == '32.5'
  assert rows['DiffSDA, published']['station (%)'] == '–'
  assert 'published |' not in series_tables.corrected(FOUND)


def test_rows_of_a_study_are_found_by_the_form_of_their_protocol(tmp_path):
  # As `seqdiff.study` writes them, of two seeds of two variants of a config.
  for config, protocol, errors in (
      ('configs/diffsda_etth1.py', 'oil_temperature', (2.0, 3.0)),
      ('configs/diffsda_etth1.py:months', 'oil_temperature_as_published',
       (8.0, 9.0))):
    homes = [tmp_path / f'{results.name_of(config)}-{seed}' for seed in (0, 1)]
    for seed, (home, error) in enumerate(zip(homes, errors)):
      result = _result(protocol, {'mae': error})
      results.write(home, dataclasses.replace(
          result, config={**result.config, 'seed': seed}))
    study.merge(homes, tmp_path / 'out' / results.name_of(config))
  found = tables.read_results(tmp_path / 'out')
  assert set(found) == {'diffsda_etth1', 'diffsda_etth1-months'}
  ours = lambda text: _rows(text)['DiffSDA, ours']['oil, MAE (°C)']
  assert ours(series_tables.corrected(found)) == '2.5 ± 0.71'
  assert ours(series_tables.as_published(found)) == '8.5 ± 0.71'


def test_the_variant_as_published_stands_in_the_published_table_only():
  of = lambda error: {p: _result(p, {'mae': error})
                      for p in ('rain', 'rain_as_published')}
  found = {'diffsda_air_quality': of(1.0),
           'diffsda_air_quality-as_published': of(2.0),
           'glr_air_quality-as_published': of(3.0)}
  cell = lambda text, method: _rows(text).get(
      f'{method}, ours', {}).get('rain, MAE (mm)')
  for method, corrected, published in (
      ('DiffSDA', '1', '2'), ('GLR', None, '3')):
    assert cell(series_tables.corrected(found), method) == corrected
    assert cell(series_tables.as_published(found), method) == published


def test_a_pooled_variant_has_a_row_of_its_own_and_stands_for_no_other():
  found = {'diffsda_air_quality-pool': {'rain': _result(
      'rain', {'mae': 1.5, 'reference/untrained/mae': 2.5})}}
  rows = _rows(series_tables.corrected(found))
  of = lambda label: rows[label]['rain, MAE (mm)']
  assert of('DiffSDA, pooled, ours') == '1.5'
  assert of('pooled encoder without training') == '2.5'
  assert not {'DiffSDA, ours', 'encoder without training'} & set(rows)


def test_a_short_training_has_a_row_of_its_own():
  result = _result('rain', {'mae': 1.5, 'reference/untrained/mae': 2.5})
  found = {'diffsda_air_quality-short': {'rain': result}}
  rows = _rows(series_tables.corrected(found))
  assert rows['DiffSDA, short, ours']['rain, MAE (mm)'] == '1.5'
  assert rows['encoder without training']['rain, MAE (mm)'] == '2.5'
  assert 'DiffSDA, ours' not in rows


def test_a_readme_can_have_both():
  text = '<!-- table:series -->\n<!-- /table -->\n'
  filled = tables.update(text, FOUND)
  assert series_tables.corrected(FOUND) in filled
