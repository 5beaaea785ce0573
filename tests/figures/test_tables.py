"""Tables say what the result files say; a stale README is noticed."""

import pathlib
import shutil

import pytest

from seqdiff.evaluation import results
from seqdiff.figures import layouts
from seqdiff.figures import tables

ROOT = pathlib.Path(__file__).resolve().parents[2]
EMPTY = '# T\n<!-- table:results -->\nold\n<!-- /table -->\nend\n'

TABLE = """\
| config | data set | step | seeds | hardware | static (%) | dynamic (%) | \
joint (%) |
| :-- | :-- | :-- | :-- | :-- | --: | --: | --: |
| [fast](configs/fast.py) | puppets | 1,500 | 1 | 2 CPU cores | 95.0 | \
90.2 | 85.6 |
| ↳ real |  |  |  |  | 99.0 | 98.0 | – |
| ↳ random pair |  |  |  |  | 10.0 | – | – |
| ↳ copy a |  |  |  |  | – | – | 1.0 |
| ↳ all mean |  |  |  |  | – | – | 3.0 |
| [large](configs/large.py) | sprites | 20 | 4 | 8 × NVIDIA H200 | \
50.0 ± 1.5 | – | 12.3 |
"""


def _commit(directory, folder, protocol, metrics, **changes) -> None:
  """Puts a result file where committed ones lie."""
  values = {
      'protocol': protocol,
      'version': 1,
      'config': {'data': {'name': 'puppets'}},
      'seed': 0,
      'step': 1500,
      'counts': {},
      'wall_seconds': 420.0,
      'metrics': metrics,
      'hardware': {'platform': 'cpu', 'device_kind': 'cpu', 'device_count': 1,
                   'cpu_count': 2, 'jax_version': '0'},
  }  # fmt: skip
  path = results.write(
      directory / 'run', results.Result(**(values | changes))
  )
  (directory / folder).mkdir(exist_ok=True)
  shutil.move(path, directory / folder / path.name)
  shutil.rmtree(directory / 'run')


@pytest.fixture(name='committed')
def _committed(tmp_path):
  directory = tmp_path / 'results'
  directory.mkdir()
  _commit(directory, 'fast', 'swap', {
      'static_accuracy': 0.95,
      'dynamic_accuracy': 0.902,
      'joint_accuracy': 0.8561,
      'reference/copy-a/joint_accuracy': 0.01,
      'reference/all_mean/joint_accuracy': 0.03,
      'reference/real/static_accuracy': 0.99,
      'reference/real/dynamic_accuracy': 0.98,
      'reference/random_pair/static_accuracy': 0.1,
  })  # fmt: skip
  _commit(
      directory, 'large', 'swap',
      {'static_accuracy': 0.5, 'static_accuracy_std': 0.015,
       'joint_accuracy': 0.123},
      config={'data': {'name': 'sprites'}},
      step=20,
      counts={'seeds': 4},
      wall_seconds=9000.0,
      hardware={'platform': 'gpu', 'device_kind': 'NVIDIA H200',
                'device_count': 8, 'cpu_count': 64, 'jax_version': '0'},
  )  # fmt: skip
  _commit(directory, 'fast', 'judge', {
      'skin_accuracy': 1.0, 'action_accuracy': 0.985, 'loss': 3.0,
      'reference/chance/skin_accuracy': 0.2,
  })  # fmt: skip
  _commit(directory, 'fast', 'reconstruction', {'mse': 0.00123456, 'psnr': 29})
  return directory


def test_results_become_rows_with_their_references_below(committed):
  found = tables.read_results(committed)
  assert tables.render(layouts.TABLES['results'], found) == TABLE


def test_unknown_reference_rows_come_last(tmp_path):
  _commit(tmp_path, 'fast', 'swap', {
      'reference/a/joint_accuracy': 0.1,
      'reference/copy_b/joint_accuracy': 0.2,
  })  # fmt: skip
  text = tables.render(layouts.TABLES['results'], tables.read_results(tmp_path))
  rows = [line.split(' | ')[0] for line in text.splitlines()[3:]]
  assert rows == ['| ↳ copy b', '| ↳ a']


def test_pattern_lists_its_metrics_in_one_cell(committed):
  found = tables.read_results(committed)
  text = tables.render(layouts.TABLES['judge'], found)
  row = text.splitlines()[2]
  assert row.endswith('| 1,500 | action 98.5, skin 100.0 |')


def test_pattern_lists_spreads_beside_their_means_only(tmp_path):
  _commit(tmp_path, 'fast', 'leakage', {
      'leakage': 0.1, 's_to_d/act': 0.2, 's_to_d/act_std': 0.03,
      'reference/chance/s_to_d/act': 0.1,
      'reference/chance/s_to_d/act_std': 0.0})  # fmt: skip
  text = tables.render(layouts.TABLES['leakage'], tables.read_results(tmp_path))
  assert '| 10.0 | – | – | act 20.0 ± 3.0 |' in text
  assert 'act 10.0 ± 0.0' in text and '_std' not in text


def test_config_without_numbers_of_a_table_has_no_row(tmp_path):
  _commit(tmp_path, 'fast', 'benchmark', {
      'train_step/flops': 2.5e9, 'train_step/temp_bytes': 3 * 2**20,
      'sweep/data.batch_size=8/train_step/per_second': 4.0})  # fmt: skip
  _commit(tmp_path, 'slow', 'benchmark', {'train_step/ratio_eager': 0.8})
  found = tables.read_results(tmp_path)
  _, _, *rows = tables.render(layouts.TABLES['cost'], found).splitlines()
  assert rows == ['| [fast](configs/fast.py) | 2 CPU cores | 2.5 |'
                  ' – | – | – | – | 3 | – |']
  _, _, *rows = tables.render(layouts.TABLES['sweep'], found).splitlines()
  assert rows == ['| [fast](configs/fast.py) | 2 CPU cores |'
                  ' data.batch_size=8 | 4 | – | – | – |']


def test_what_a_pattern_stands_for_may_be_a_row_in_order_of_numbers(tmp_path):
  _commit(tmp_path, 'fast', 'orthogonality', {
      f'{weight}/{name}': value for name, value in (
          ('denoising_ratio', 1.25), ('denoising_ratio_std', 0.5))
      for weight in ('1e-05', '0.001', '0')})  # fmt: skip
  found = tables.read_results(tmp_path)
  _, _, *rows = tables.render(
      layouts.TABLES['orthogonality'], found).splitlines()
  assert [row.split(' | ')[4:6] for row in rows] == [
      [weight, '1.25 ± 0.5'] for weight in ('0', '1e-05', '0.001')]


def test_table_of_some_configs_shows_no_others(tmp_path):
  for name in 'divid_x-a', 'quickstart_y-a':
    _commit(tmp_path, name, 'swap', {'joint_accuracy': 0.5})
  found = tables.read_results(tmp_path)
  for table, shown in ('parts', 'divid_x'), ('levers', 'quickstart_y'):
    _, _, *rows = tables.render(layouts.TABLES[table], found).splitlines()
    assert [row.startswith(f'| [{shown}:a]') for row in rows] == [True]


def test_each_protocol_of_given_results_has_a_table_with_all_configs(tmp_path):
  for name in 'glr_x', 'glr_x-row':
    _commit(tmp_path, name, 'leakage', {'leakage': 0.25}, version=2)
    _commit(tmp_path, name, 'mortality', {
        'auprc': 0.5, 'auprc_std': 0.1, 'reference/constant/auprc': 0.2})
  of_leakage, of_mortality = tables.of_each_protocol(
      tables.read_results(tmp_path)).split('\nmortality:\n\n')
  _, _, title, _, *rows = of_leakage.splitlines()
  assert title == tables.render(layouts.TABLES['leakage'], {}).splitlines()[0]
  assert [row.split(' | ')[4:6] for row in rows] == [['2', '25.0']] * 2
  assert [row.split(' | ')[0] for row in rows] == [
      '| [glr_x](configs/glr_x.py)', '| [glr_x:row](configs/glr_x.py)']
  _, _, *rows = of_mortality.splitlines()
  assert [row.split(' | ')[-1] for row in rows] == [
      'auprc 0.5 ± 0.1 |', 'auprc 0.2 |'] * 2


def test_plain_numbers_are_not_per_cents(committed):
  found = tables.read_results(committed)
  text = tables.render(layouts.TABLES['reconstruction'], found)
  assert text.splitlines()[2].endswith('| 0.001235 | 29 | – | – |')


def test_table_without_results_says_so_in_one_row(tmp_path):
  text = tables.render(layouts.TABLES['leakage'], tables.read_results(tmp_path))
  assert text.splitlines()[2] == '|' + ' – |' * 12


def test_only_what_is_between_the_markers_changes(committed):
  new = tables.update(EMPTY, tables.read_results(committed))
  assert new == (
      f'# T\n<!-- table:results -->\n{TABLE}<!-- /table -->\nend\n'
  )
  assert tables.update(new, tables.read_results(committed)) == new


def test_links_start_where_the_readme_is(committed):
  found = tables.read_results(committed)
  assert '[fast](fast.py)' in tables.update(EMPTY, found, 'configs')
  assert '[fast](../configs/fast.py)' in tables.update(EMPTY, found, 'seqdiff')


def test_two_tables_are_kept_apart(committed):
  readme = EMPTY + EMPTY.replace('results', 'judge')
  new = tables.update(readme, tables.read_results(committed))
  head, tail = new.split('<!-- table:judge -->')
  assert TABLE in head and 'action 98.5' in tail and 'old' not in new


def _run(committed, readme, *flags) -> int:
  return tables.main(
      [*flags, '--readmes', str(readme), '--results', str(committed)]
  )


def test_stale_readme_is_noticed_and_repaired(
    committed, tmp_path, capsys, monkeypatch):
  monkeypatch.chdir(tmp_path)
  readme = pathlib.Path('README.md')
  readme.write_text(EMPTY)
  assert _run(committed, readme, '--check') == 1
  assert 'out of date. Run: python -m seqdiff' in capsys.readouterr().err
  assert readme.read_text() == EMPTY
  assert _run(committed, readme) == 0
  assert TABLE in readme.read_text()
  assert _run(committed, readme, '--check') == 0
  _commit(committed, 'fast', 'swap', {'static_accuracy': 0.96})
  assert _run(committed, readme, '--check') == 1


def test_unknown_table_lists_the_known():
  readme = EMPTY.replace('results', 'leakages')
  with pytest.raises(ValueError, match="'leakage'.*Known: .*judge"):
    tables.update(readme, {})


@pytest.mark.parametrize(
    'readme',
    [EMPTY.replace('<!-- /table -->', ''),
     EMPTY.replace('<!-- /table -->', '') + EMPTY,
     EMPTY + EMPTY.replace('<!-- /table -->', '')],
)
def test_open_marker_is_refused(readme):
  with pytest.raises(ValueError, match=r'\[.results.*only [01] are closed'):
    tables.update(readme, {})


def test_file_named_after_another_protocol_is_refused(committed):
  path = committed / 'fast' / 'swap.json'
  path.rename(path.with_name('leakage.json'))
  with pytest.raises(ValueError, match='rename it to swap.json'):
    tables.read_results(committed)


def test_readmes_of_this_repository_are_in_sync(monkeypatch, capsys):
  monkeypatch.chdir(ROOT)
  assert tables.main(['--check']) == 0, capsys.readouterr().err


def test_variants_have_a_table_of_their_own_without_references(tmp_path):
  metrics = {'joint_accuracy': 0.5, 'reference/real/joint_accuracy': 1.0}
  _commit(tmp_path, 'plain', 'swap', metrics)
  _commit(tmp_path, 'quickstart_study-lever_a', 'swap', metrics)
  found = tables.read_results(tmp_path)
  variants = tables.render(layouts.TABLES['levers'], found).splitlines()[2:]
  assert len(variants) == 1 and variants[0].startswith(
      '| [quickstart_study:lever_a](configs/quickstart_study.py) |')
  assert 'study' not in tables.render(layouts.TABLES['results'], found)


def test_a_table_of_configs_and_their_variants_has_references_of_both(tmp_path):
  metrics = {'mse': 0.5, 'reference/constant/mse': 1.0}
  for name in 'plain', 'plain-pool':
    _commit(tmp_path, name, 'reconstruction', metrics)
  lines = tables.render(
      layouts.TABLES['reconstruction'],
      tables.read_results(tmp_path)).splitlines()[2:]
  assert [line.split(' |')[0].split('](')[0] for line in lines] == [
      '| [plain', '| ↳ constant', '| [plain:pool', '| ↳ constant']
