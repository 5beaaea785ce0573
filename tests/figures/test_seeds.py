"""Tests of `figures.seeds`."""

import dataclasses
import math

import pytest

from seqdiff.evaluation import results
from seqdiff.figures import seeds


def _result(seed, accuracy, **changes):
  return dataclasses.replace(results.Result(
      protocol='swap', version=1, config={'seed': seed, 'data': {'size': 8}},
      seed=42, step=10, counts={'pairs': 5}, wall_seconds=2.0,
      metrics={'joint_accuracy': accuracy, 'joint_accuracy_std': 0.3}),
      **changes)


def test_metrics_are_means_and_spreads_over_seeds(tmp_path):
  files = []
  for seed, accuracy in enumerate((0.2, 0.6)):
    files.append(str(results.write(
        tmp_path / str(seed), _result(seed, accuracy))))
  out = tmp_path / 'merged.json'
  assert seeds.main(['--out', str(out), *files]) == 0
  merged = results.read(out)
  assert merged.metrics == pytest.approx(
      {'joint_accuracy': 0.4, 'joint_accuracy_std': math.sqrt(0.08)})
  assert merged.counts == {'pairs': 5, 'seeds': 2}
  assert merged.wall_seconds == 4.0 and merged.config['seed'] == 0


def test_a_reference_row_that_all_runs_have_alike_keeps_its_own_spread():
  row = 'reference/random_forest/accuracy'
  metrics = {'accuracy': 0.5, 'accuracy_std': 0.3, row: 0.5, f'{row}_std': 0.3}
  merged = seeds.merge([_result(seed, 0.5, metrics=metrics) for seed in (0, 1)])
  assert merged.metrics == {**metrics, 'accuracy_std': 0.0}


def test_a_seed_added_later_gives_what_all_at_once_give():
  runs = [_result(seed, x) for seed, x in enumerate((0.2, 0.6, 0.1, 0.7))]
  for first in (2, 3):
    later = seeds.merge([seeds.merge(runs[:first]), *runs[first:]])
    assert later.metrics == pytest.approx(seeds.merge(runs).metrics)
    assert later.counts == {'pairs': 5, 'seeds': 4}
    assert later.wall_seconds == 8.0
  with pytest.raises(ValueError, match=r'the seeds \[0, 1, 1\]'):
    seeds.merge([seeds.merge(runs[:2]), runs[1]])


@pytest.mark.parametrize('other', [
    _result(0, 0.5),  # The same seed twice.
    _result(1, 0.5, version=2),
    _result(1, 0.5, step=11),
    _result(1, 0.5, protocol='leakage'),
    _result(1, 0.5, config={'seed': 1, 'data': {'size': 9}}),
], ids=['seed', 'version', 'step', 'protocol', 'config'])
def test_other_differences_are_refused(other):
  with pytest.raises(ValueError, match='each of another seed'):
    seeds.merge([_result(0, 0.5), other])


def test_one_seed_has_no_spread():
  with pytest.raises(ValueError, match=r'1 results of the seeds \[0\]'):
    seeds.merge([_result(0, 0.5)])


def test_nothing_is_written_of_what_is_refused(tmp_path, capsys):
  path = str(results.write(tmp_path, _result(0, 0.5)))
  out = tmp_path / 'merged.json'
  assert seeds.main(['--out', str(out), path, path]) == 2
  assert 'error: 2 results' in capsys.readouterr().err and not out.exists()
