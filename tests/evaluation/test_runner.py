"""The runner writes what the protocols say, under the name of the run."""

import pytest

from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.evaluation.protocols import judge
from seqdiff.evaluation.protocols import reconstruction

CONFIG = {'seed': 3, 'method': {'name': 'codes'}}
NAMES = ('reconstruction', 'judge')


def test_result_files_hold_what_the_protocols_say(toy, tmp_path):
  ctx = toy.make_context(tmp_path, seed=7)
  found = runner.run(ctx, NAMES, config=CONFIG, step=50)
  assert list(found) == list(NAMES)
  for name, protocol in zip(NAMES, (reconstruction, judge)):
    metrics, counts = protocol.run(ctx)
    written = results.read(tmp_path / 'results' / f'{name}.json')
    assert written == found[name]
    assert written.metrics == pytest.approx(metrics)
    assert (written.protocol, written.version) == (name, protocol.VERSION)
    assert (written.counts, written.step, written.seed) == (counts, 50, 7)
    assert written.config == CONFIG
    assert 0.0 < written.wall_seconds < 60.0


def test_every_protocol_is_known_by_its_file():
  for name, protocol in runner.PROTOCOLS.items():
    assert protocol.__name__ == f'seqdiff.evaluation.protocols.{name}'
    assert protocol.VERSION >= 1


def test_unknown_protocol_is_refused_before_any_runs(toy, tmp_path):
  ctx = toy.make_context(tmp_path)
  with pytest.raises(ValueError, match="Unknown protocol 'swp'. Did you mean "
                     "'swap'.*Known: judge, leakage, .*swap"):
    runner.run(ctx, ('judge', 'swp'), config=CONFIG, step=1)
  assert not list(tmp_path.iterdir())


def test_results_of_another_run_are_seen_before_any_runs(
    toy, tmp_path, monkeypatch):
  ctx = toy.make_context(tmp_path)
  runner.run(ctx, ('judge',), config=CONFIG, step=1)
  monkeypatch.setattr(reconstruction, 'run', None)  # Would fail if called.
  with pytest.raises(ValueError, match='judge.json holds the result of anoth'):
    runner.run(ctx, NAMES, config={**CONFIG, 'seed': 4}, step=1)
