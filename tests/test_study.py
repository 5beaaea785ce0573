"""Tests of `seqdiff.study`, with a `seqdiff.main` that takes no time."""

import json
import pathlib
import subprocess
import sys

import pytest

from seqdiff import study
from seqdiff.evaluation import results

CONFIGS = ['configs/quickstart.py', 'configs/quickstart_ablation.py:noise']


@pytest.fixture
def runs(monkeypatch):
  """Commands that were run; each writes a result with its seed as score."""
  commands = []

  def run(command, **kwargs):
    assert command[:3] == [sys.executable, '-m', 'seqdiff.main']
    commands.append(command[3:])
    options = dict(arg[2:].split('=', 1) for arg in command[3:])
    seed = int(options['config.seed'])
    stopped = options.get('stop') == str(seed)
    kwargs['stdout'].write(
        'Stopped; the same command continues.' if stopped else 'a word')
    if options.get('fail') != str(seed):
      results.write(options['workdir'], results.Result(
          protocol='swap', version=1, seed=42, step=9, counts={},
          wall_seconds=1.0, metrics={'joint_accuracy': seed / 4},
          config={'seed': seed, 'name': options['config'],
                  'data': {'name': 'puppets'}}))
    return subprocess.CompletedProcess(
        command, 3 if options.get('fail') == str(seed) else 0)

  monkeypatch.setattr(subprocess, 'run', run)
  return commands


def _study(tmp_path, *args):
  return study.main([
      *CONFIGS, f'--workdir={tmp_path / "runs"}', f'--out={tmp_path / "out"}',
      *args])


def test_each_config_runs_with_each_seed_and_becomes_one_result(
    tmp_path, runs):
  assert _study(tmp_path, '--seeds=3', '--', '--config.data.size=8') == 0
  assert [command[:2] for command in runs] == [
      [f'--config={config}', f'--config.seed={seed}']
      for config in CONFIGS for seed in range(3)]
  assert all(command[-1] == '--config.data.size=8' for command in runs)
  for name in 'quickstart', 'quickstart_ablation-noise':
    merged = results.read(tmp_path / 'out' / name / 'swap.json')
    assert merged.metrics['joint_accuracy'] == 0.25
    assert merged.counts == {'seeds': 3}


def test_what_was_merged_is_printed_as_a_table(tmp_path, runs, capsys):
  _study(tmp_path, '--seeds=3')
  text = capsys.readouterr().out.partition('\nswap:\n\n')[2]
  title, _, *rows = [line.split(' | ') for line in text.splitlines()]
  assert title[0] == '| config' and title[-1] == 'joint (%) |'
  assert [row[:4] + row[-1:] for row in rows] == [
      [f'| [{name}](configs/{file}.py)', 'puppets', '9', '3', '25.0 ± 25.0 |']
      for name, file in (
          ('quickstart', 'quickstart'),
          ('quickstart_ablation:noise', 'quickstart_ablation'))]


def test_what_is_done_is_not_done_again_unless_flags_differ(tmp_path, runs):
  _study(tmp_path, '--seeds=2')
  _study(tmp_path, '--seeds=3')
  assert len(runs) == 6
  _study(tmp_path, '--seeds=3', '--', '--config.data.size=8')
  assert len(runs) == 12


def test_a_mean_of_more_seeds_is_not_replaced(tmp_path, runs, capsys):
  _study(tmp_path, '--seeds=3')
  before = (tmp_path / 'out' / 'quickstart' / 'swap.json').read_text()
  assert _study(tmp_path, '--seeds=2', '--', '--config.data.size=8') == 2
  assert 'is the mean of 3 seeds; expected as many or more' in (
      capsys.readouterr().err)
  assert len(runs) == 6
  assert (tmp_path / 'out' / 'quickstart' / 'swap.json').read_text() == before


def test_single_seed_has_no_spread(tmp_path, runs):
  assert _study(tmp_path, '--seeds=1') == 0
  merged = results.read(tmp_path / 'out' / 'quickstart' / 'swap.json')
  assert merged.metrics == {'joint_accuracy': 0.0}


def test_run_that_fails_ends_the_study_with_its_last_words(
    tmp_path, runs, capsys):
  assert _study(tmp_path, '--seeds=3', '--', '--fail=1') == 2
  error = capsys.readouterr().err
  assert 'seed 1 ended with exit code 3' in error and 'a word' in error
  assert not (tmp_path / 'out').exists()
  assert _study(tmp_path, '--seeds=1', '--', '--fail=1') == 0


def test_run_that_was_stopped_is_not_done(tmp_path, runs, capsys):
  assert _study(tmp_path, '--seeds=1', '--', '--stop=0') == 2
  assert 'the same command continues' in capsys.readouterr().err
  assert not list(tmp_path.rglob('done.json'))


def test_results_of_another_config_are_not_replaced(tmp_path, runs, capsys):
  path = tmp_path / 'out' / 'quickstart' / 'swap.json'
  path.parent.mkdir(parents=True)
  _study(tmp_path, '--seeds=1')
  content = results.read(path)
  other = {**content.config, 'name': 'other'}
  results.write_file(path, results.Result(**{
      **{k: getattr(content, k) for k in content.__dataclass_fields__},
      'config': other}))
  before = path.read_text()
  assert _study(tmp_path, '--seeds=1') == 2
  assert 'is of another config' in capsys.readouterr().err
  assert path.read_text() == before


@pytest.mark.parametrize('configs, args, message', [
    (['configs/none.py'], [], 'configs/none.py is no config file'),
    (['configs/quickstart.py'] * 2, [], 'expected different names'),
    (['configs/quickstart.py'], ['--seeds=0'], '--seeds=0; expected 1')])
def test_impossible_study_is_refused_before_the_first_run(
    tmp_path, runs, capsys, configs, args, message):
  assert study.main([*configs, f'--workdir={tmp_path}', *args]) == 2
  assert message in capsys.readouterr().err and not runs


def test_finished_run_remembers_its_command(tmp_path, runs):
  _study(tmp_path, '--seeds=1')
  done = pathlib.Path(tmp_path, 'runs', 'quickstart-0', 'done.json')
  assert json.loads(done.read_text())[2:] == runs[0]
