"""Tests of `figures.choose_lambda`."""

import json

import pytest

from seqdiff.evaluation import results
from seqdiff.figures import choose_lambda


def _run(home, weight, last, seed=0, rows=200, **method):
  """A run whose last tenth has the two losses `last` in turns."""
  home.mkdir()
  (home / 'config.json').write_text(json.dumps(
      {'seed': seed, 'method': {'orthogonality': weight, **method}}))
  losses = [9.0] * (rows - rows // 10) + [*last] * (rows // 20)
  (home / 'metrics.jsonl').write_text(''.join(
      json.dumps({'step': i, 'denoising': loss, 'static_length': 2 * loss})
      + '\n'
      for i, loss in enumerate(losses)))
  return str(home)


def test_largest_weight_within_two_per_cent_is_chosen():
  losses = {0.0: 1.0, 1e-4: 0.99, 1e-3: 1.02, 1e-2: 1.03, 1e-1: 1.5}
  assert choose_lambda.choose(losses) == 1e-3
  assert choose_lambda.choose({0.0: 1.0, 1e-3: 2.0}) == 0.0


def test_runs_are_read_at_the_end_of_their_logs(tmp_path, capsys):
  runs = [_run(tmp_path / f'{w:g}', w, last) for w, last in (
      (0.0, [0.9, 1.1]), (0.001, [1.0, 1.02]), (0.1, [1.2, 1.2]))]
  assert choose_lambda.main(runs) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[1] == '0.001: denoising 1.01, +1.0%'
  assert lines[-1] == 'method.orthogonality=0.001'


def test_what_was_found_is_kept(tmp_path):
  runs = [_run(tmp_path / f'{w:g}-{seed}', w, [loss, loss], seed)
          for w, loss in ((0.0, 1.0), (0.01, 1.2)) for seed in (3, 4)]
  out = tmp_path / 'orthogonality.json'
  assert choose_lambda.main([f'--out={out}', *runs]) == 0
  found = results.read(out)
  assert found.metrics == pytest.approx({
      '0/denoising_ratio': 1.0, '0/static_length': 2.0,
      '0.01/denoising_ratio': 1.2, '0.01/static_length': 2.4})
  assert (found.step, found.counts) == (199, {'seeds': 2})


def test_loss_of_a_weight_is_the_mean_over_its_seeds(tmp_path, capsys):
  # 0.1 is within 2 % of 0 with the seed 1 alone, 0.01 with neither alone.
  runs = [_run(tmp_path / f'{w:g}-{seed}', w, [loss, loss], seed)
          for w, losses in ((0.0, (1.0, 1.2)), (0.01, (0.9, 1.3)),
                            (0.1, (1.1, 1.2)))
          for seed, loss in enumerate(losses)]
  assert choose_lambda.main(runs) == 0
  lines = capsys.readouterr().out.splitlines()
  assert lines[0] == '0: denoising 1.1, +0.0%'
  assert lines[2] == '0.1: denoising 1.15, +4.5%'
  assert lines[-1] == 'method.orthogonality=0.01'


def test_runs_that_do_not_compare_are_refused(tmp_path, capsys):
  a = _run(tmp_path / 'a', 0.0, [1.0, 1.0])
  b = _run(tmp_path / 'b', 0.1, [1.0, 1.0], static_dim=3)
  c = _run(tmp_path / 'c', 0.1, [], rows=0)
  d = _run(tmp_path / 'd', 0.0, [1.0, 1.0])
  e = _run(tmp_path / 'e', 0.1, [1.0, 1.0], seed=1)
  f = _run(tmp_path / 'f', 0.1, [1.0, 1.0], rows=80)
  for runs, message in (
      ([a, b], 'differ in more than'), ([a], 'expected one with 0'),
      ([b], 'expected one with 0'), ([a, c], 'c is no run of DiViD'),
      ([str(tmp_path)], 'is no run of DiViD'),
      ([a, d], 'd is a second run with method.orthogonality=0 and seed=0'),
      ([a, e], '{0.0: [0], 0.1: [1]}; expected the same'),
      ([a, f], '80 losses, 8 of them in the last tenth; expected at least '
               '10 there, as each is of one batch. Train it anew with a '
               'smaller --config.train.log_every')):
    assert choose_lambda.main(runs) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize('weight', [0.0, 0.1])
def test_one_run_is_no_choice(weight):
  with pytest.raises(ValueError, match='expected one with 0 and some'):
    choose_lambda.choose({weight: 1.0})
