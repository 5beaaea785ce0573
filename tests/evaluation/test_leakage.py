"""Tests of the leakage protocol: what counts, and what its numbers mean."""

import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.evaluation import codes
from seqdiff.evaluation import probes
from seqdiff.evaluation.protocols import leakage


def _run(toy, tmp_path, kind, dataset=None, **kw):
  dataset = dataset or toy.make_dataset(80, 2)
  return leakage.run(toy.make_context(
      tmp_path, dataset, method=toy.Codes(kind), num_frames=2, **kw))


def test_codes_that_hold_their_own_factors_do_not_leak(toy, tmp_path):
  metrics, counts = _run(toy, tmp_path, 'right')
  assert metrics['s_to_s/who'] == 1.0
  assert metrics['d_to_d/act'] == 1.0
  assert metrics['d_to_d/pose'] > 0.99
  # On 80 clips: chance and about three standard errors (0.05 each).
  for name in 'd_to_s/who', 's_to_d/act':
    chance = metrics[f'reference/chance/{name}']
    assert chance < 0.5
    assert metrics[name] < chance + 0.15
  assert metrics['s_to_d/pose'] < 0.1
  assert abs(metrics['leakage']) < 0.2
  assert counts == {'clips': 80, 'folds': 5}
  assert {name.split('/')[1] for name in metrics if name.startswith('probe/')
          and name.endswith('d_to_s/who')} == {
              f'{pooling}_{probe}' for pooling in ('concatenated', 'mean')
              for probe in ('linear', 'perceptron')}


def test_dynamic_code_that_holds_all_leaks_all(toy, tmp_path):
  metrics, _ = _run(toy, tmp_path, 'copy_b')
  assert metrics['d_to_s/who'] > 0.8  # Beside 20 numbers of noise.


def _say(monkeypatch, says):
  """Probes that give the scores of `says(input sizes, y, classes)`."""
  monkeypatch.setattr(
      leakage.probes, 'score', lambda inputs, y, groups, classes: probes.Scores(
          *says(inputs, y, classes), {}))


def test_score_is_relative_to_chance(toy, tmp_path, monkeypatch):
  dataset = toy.make_dataset(80, 2)
  act = dataset.splits['test'].arrays['labels/act']

  def says(inputs, y, classes):  # Held out, and in sample.
    if set(inputs) == {''} and classes and np.array_equal(y, act):
      return 0.6, 0.9  # s -> act
    if not classes and next(iter(inputs.values())).shape[-1] == 1:
      return 0.3, 0.5  # s -> pose: the toy's static code is one number.
    return 1.0, 1.0

  _say(monkeypatch, says)
  metrics, _ = _run(toy, tmp_path, 'right', dataset)
  chance = np.bincount(act).max() / 80
  assert metrics['reference/chance/s_to_d/act'] == chance
  assert metrics['reference/chance/s_to_d/pose'] == 0.0
  assert metrics['s_to_d/act'] == 0.6
  cross = [(0.6 - chance) / (1 - chance), 0.3, 1.0]  # s->d twice, d->s.
  assert metrics['leakage'] == pytest.approx(np.mean(cross))
  assert metrics['average'] == pytest.approx((0.6 + 0.3 + 1.0) / 3)
  assert metrics['in_sample/average'] == pytest.approx((0.9 + 0.5 + 1.0) / 3)


def test_padding_and_what_was_not_measured_are_not_read(monkeypatch):
  rng = np.random.default_rng(0)
  mask = np.arange(6)[None] < np.array([3, 4] * 5)[:, None]
  found = codes.Codes(
      rng.normal(size=(10, 2)), rng.normal(size=(10, 6, 3)), mask,
      labels={})
  y, pose = np.arange(10) % 2, rng.normal(size=(10, 6, 1))
  pose[0, 1] = np.nan
  seen = []
  monkeypatch.setattr(leakage.probes, 'score', lambda *args, **kw: seen.append(
      (*args, kw['classes'])))

  def look(found, pose):
    seen.clear()
    for source in 's', 'd':
      leakage._per_clip(source, found, y, np.arange(10))
      leakage._frame_by_frame(source, found, pose, np.arange(10))
    return list(seen)

  before = look(found, pose)
  junk = codes.Codes(
      found.static, np.where(mask[..., None], found.dynamic, 7.0), mask, {})
  after = look(junk, np.where(mask[..., None], pose, -5.0))
  for (inputs, *rest), (inputs_2, *rest_2) in zip(before, after, strict=True):
    assert inputs.keys() == inputs_2.keys()
    for a, b in zip([*inputs.values(), *rest], [*inputs_2.values(), *rest_2]):
      np.testing.assert_array_equal(a, b)
  pooled = before[2][0]['mean']
  np.testing.assert_allclose(pooled[0], found.dynamic[0, :3].mean(axis=0))
  frames, values, clips, _ = before[3]
  assert len(values) == mask.sum() - 1 and np.isfinite(values).all()
  assert np.bincount(clips).tolist() == [2, *mask.sum(axis=1)[1:]]
  assert frames[''].shape == (len(values), 3)


def test_clips_of_one_film_stay_together(toy, tmp_path, monkeypatch):
  groups = []
  monkeypatch.setattr(leakage.probes, 'score', lambda inputs, y, g, classes: (
      groups.append(g), probes.Scores(0.0, 0.0, {}))[1])
  dataset = toy.make_dataset(12, 2)
  names = tuple(f'film{i // 2}.mp4#{i % 2}' for i in range(12))
  named = data_batch.Dataset(
      dataset.name, dataset.splits, dataset.factors, names={'test': names})
  _run(toy, tmp_path, 'right', named)
  assert all(len(np.unique(g)) == 6 for g in groups)
  groups.clear()
  _run(toy, tmp_path, 'right', dataset)
  assert all(len(np.unique(g)) == 12 for g in groups)


@pytest.mark.parametrize('others', [0, 4])
def test_factor_of_one_class_or_of_rare_ones_is_left_out(
    toy, tmp_path, monkeypatch, others):
  _say(monkeypatch, lambda *_: (0.5, 0.5))
  dataset = toy.make_dataset(20)
  dataset.splits['test'].arrays['labels/who'][:] = [1] * others + [2] * (
      20 - others)
  metrics, _ = leakage.run(toy.make_context(tmp_path, dataset))
  assert not [name for name in metrics if 'who' in name]
  assert np.isfinite(metrics['leakage'])


def test_fewer_clips_than_folds_are_an_error(toy, tmp_path):
  with pytest.raises(ValueError, match='4 clips of 4 films; .* 5.*num_clips'):
    leakage.run(toy.make_context(tmp_path, num_clips=4))
