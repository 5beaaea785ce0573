"""The runner writes what the protocols say, under the name of the run."""

import pytest

from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.evaluation.protocols import downstream
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


def test_what_is_done_is_kept_if_asked(toy, tmp_path, monkeypatch):
  again = lambda step, resume: runner.run(
      toy.make_context(tmp_path), NAMES, config=CONFIG, step=step,
      resume=resume)
  before, ran = again(50, False), []
  for protocol in reconstruction, judge:
    monkeypatch.setattr(
        protocol, 'run', lambda ctx, name=protocol: ran.append(name) or (
            {'mse': 0.0}, {}))
  assert again(50, True) == before and not ran
  monkeypatch.setattr(judge, 'VERSION', judge.VERSION + 1)
  found = again(50, True)
  assert ran == [judge] and found['reconstruction'] == before['reconstruction']
  ran.clear()
  again(50, False)
  assert ran == [reconstruction, judge]
  ran.clear()
  again(60, True)  # Of other weights.
  assert ran == [reconstruction, judge]


def test_every_protocol_is_known_by_its_file():
  for name, protocol in runner.PROTOCOLS.items():
    if name in downstream.PROTOCOLS:
      assert name.removesuffix('_as_published') == protocol.factor
      assert name.endswith('_as_published') == protocol.as_published
    else:
      assert protocol.__name__ == f'seqdiff.evaluation.protocols.{name}'
    assert protocol.VERSION >= 1


def test_unknown_protocol_is_refused_before_any_runs(toy, tmp_path):
  ctx = toy.make_context(tmp_path)
  with pytest.raises(ValueError, match="Unknown protocol 'swp'. Did you mean "
                     "'swap'.*Known: .*judge, leakage, .*swap"):
    runner.run(ctx, ('judge', 'swp'), config=CONFIG, step=1)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name, kinds, message', [
    ('judge', (), 'no labels; expected some'),
    ('leakage', (), 'no labels; expected some'),
    ('swap', (), 'no labels; expected static and dynamic ones'),
    ('swap', ('static',), 'static labels; expected static and dynamic ones'),
    ('swap', ('dynamic',), 'dynamic labels; expected static and dynamic ones'),
])
def test_protocol_without_its_labels_is_refused_before_any_runs(
    toy, tmp_path, name, kinds, message):
  ctx = toy.make_context(tmp_path, toy.make_dataset(
      factors=[f for f in (toy.WHO, toy.ACT, toy.POSE) if f.kind in kinds]))
  with pytest.raises(ValueError, match=f'{name}: coded has {message}'):
    runner.run(ctx, ('reconstruction', name), config=CONFIG, step=1)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('name, kinds', [
    ('judge', ('static',)), ('leakage', ('dynamic',)),
    ('swap', ('static', 'dynamic')), ('reconstruction', ()), ('solvers', ())])
def test_protocol_with_its_labels_is_not_refused(toy, name, kinds):
  runner.check([name], toy.make_dataset(
      factors=[f for f in (toy.WHO, toy.ACT) if f.kind in kinds]))


def test_results_of_another_run_are_seen_before_any_runs(
    toy, tmp_path, monkeypatch):
  ctx = toy.make_context(tmp_path)
  runner.run(ctx, ('judge',), config=CONFIG, step=1)
  monkeypatch.setattr(reconstruction, 'run', None)  # Would fail if called.
  with pytest.raises(ValueError, match='judge.json holds the result of anoth'):
    runner.run(ctx, NAMES, config={**CONFIG, 'seed': 4}, step=1)
