"""Downstream protocols give the numbers that follow from codes and labels."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import codes
from seqdiff.evaluation import context
from seqdiff.evaluation import runner
from seqdiff.evaluation.protocols import downstream
from seqdiff.methods import base

STEPS, DAY = 12, 4
FACTORS = (
    data_batch.Factor('month', 'static', 12),
    data_batch.Factor('mortality', 'static', 2),
    data_batch.Factor('rain', 'dynamic', None, ('mm',), 1.0))


@dataclasses.dataclass(frozen=True)
class Telling:
  """A method whose codes are the truth, or (untrained) hold nothing."""

  def init(self, key, batch):
    del key, batch
    return 0.0  # What the codes are multiplied with.

  def encode(self, params, x, mask):
    dynamic = jnp.where(mask[..., None], x[..., :2], 50.0)  # Of padding: junk.
    return base.Factors(static=params * x[:, 0, 2:], dynamic=params * dynamic)


def _arrays(count, seed):
  """The month is in the level of 12 variables; rain and death in two more."""
  rng = np.random.default_rng(seed)
  month = rng.integers(12, size=count)
  died = rng.integers(2, size=count)
  rain = rng.exponential(size=(count, STEPS, 1)).astype(np.float32)
  sign = rng.normal(size=(count, STEPS)).astype(np.float32)
  sign[:, -1] = 3.0 * (2 * died - 1)  # Only the last step tells.
  level = np.repeat(np.eye(12, dtype=np.float32)[month][:, None], STEPS, 1)
  x = np.concatenate([rain, sign[..., None], level], axis=-1)
  hole = rng.uniform(size=rain.shape) < 0.05
  return {'x': x, 'observed': np.ones(x.shape, bool),
          'labels/month': month.astype(np.int32),
          'labels/mortality': died.astype(np.int32),
          'labels/rain': np.where(hole, np.nan, rain)}


def _padded(arrays, steps):
  """With so many steps more, which are none."""
  long = lambda a, value: np.concatenate([a, np.full(
      (len(a), steps, *a.shape[2:]), value, a.dtype)], axis=1)
  return {**arrays, 'x': long(arrays['x'], 0.0),
          'observed': long(arrays['observed'], False),
          'mask': long(np.ones(arrays['x'].shape[:2], bool), False),
          'labels/rain': long(arrays['labels/rain'], 9.0)}


def _dataset(padding=0):
  return data_batch.Dataset('toy', {
      split: loader.ArraySource(_padded(_arrays(count, seed), padding))
      for seed, (split, count) in enumerate(
          {'train': 240, 'validation': 60, 'test': 80}.items())}, FACTORS)


def _context(tmp_path, **kwargs):
  return context.Context(**{**dict(
      method=Telling(), params=jnp.float32(1.0), dataset=_dataset(),
      workdir=tmp_path, num_frames=STEPS, batch_size=32), **kwargs})


def _run(
    name, tmp_path, *, learning_rate=0.01, epochs=40, padding=0, **kwargs):
  protocol = downstream.PROTOCOLS[name]
  plan = dataclasses.replace(
      protocol.schedule, epochs=epochs, learning_rate=learning_rate)
  window = {'window': DAY, 'scale': float(DAY)} if 'rain' in name else {}
  return dataclasses.replace(protocol, schedule=plan, **window, **kwargs).run(
      _context(tmp_path, dataset=_dataset(padding),
               num_frames=STEPS + padding))


def test_codes_of_a_split_are_read_once_for_all_protocols(
    tmp_path, monkeypatch):
  really, reads = codes.read, []
  monkeypatch.setattr(codes, 'read', lambda ctx, split, **kwargs: (
      reads.append(split) or really(ctx, split, **kwargs)))
  ctx = _context(tmp_path)
  first, again = (codes.of_split(ctx, 'test') for _ in range(2))
  fresh = codes.of_split(ctx, 'test', trained=False)
  assert first is again and reads == ['test', 'test']
  assert np.any(first.static) and not np.any(fresh.static)
  # Other parameters have other codes.
  other = dataclasses.replace(ctx, params=jnp.float32(2.0))
  np.testing.assert_allclose(
      codes.of_split(other, 'test').static, 2.0 * first.static)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['rain', 'mortality'])
def test_padding_changes_no_number(tmp_path, name):
  metrics, _ = _run(name, tmp_path, epochs=1)
  padded, _ = _run(name, tmp_path, epochs=1, padding=DAY)
  assert padded == pytest.approx(metrics, rel=1e-4)
  assert len(set(metrics.values())) > 8


def test_static_code_that_tells_the_month_is_right(tmp_path):
  metrics, counts = _run('month', tmp_path)
  assert metrics['accuracy'] > 0.95
  assert metrics['reference/mean_std_logistic/accuracy'] == 1.0
  assert metrics['reference/random_forest/accuracy'] > 0.95
  assert metrics['reference/supervised/accuracy'] > 0.95
  assert counts == {'train': 240, 'validation': 60, 'test': 80, 'repeats': 3}
  # Without training there is only the most frequent class.
  train, test = _arrays(240, 0), _arrays(80, 2)
  mode = np.bincount(train['labels/month']).argmax()
  chance = np.mean(test['labels/month'] == mode)
  assert metrics['reference/constant/accuracy'] == pytest.approx(chance)
  assert metrics['reference/untrained/accuracy'] < 0.3


@pytest.mark.slow
def test_other_divisions_spread_as_the_test_split_is_small(tmp_path):
  spread = lambda **kwargs: _run('month', tmp_path, epochs=1, **kwargs)[0]
  assert not [k for k in spread() if 'other_divisions' in k]
  row = 'reference/other_divisions/accuracy'
  found = spread(independent=True)
  # All that features tell of the toy is true of any division.
  assert found[row] > 0.95 and found[f'{row}_std'] < 0.05


def test_other_divisions_are_of_all_splits_in_the_same_sizes():
  rng = np.random.default_rng(0)
  parts = [codes.Codes(
      static=rng.normal(size=(count, 2)), dynamic=np.zeros((count, 1, 1)),
      mask=np.ones((count, 1)),
      labels={'labels/month': rng.integers(0, 2, count)})
      for count in (40, 300, 60)]
  task = downstream._Task(downstream.PROTOCOLS['month'], FACTORS[0])
  runs = task._other_divisions(parts, 0)
  hits = [run['accuracy'] for run in runs]
  # Labels are noise: coins of a test split of 40 deviate by 0.079.
  assert len(hits) == 20 and abs(np.mean(hits) - 0.5) < 0.08
  assert 0.04 < np.std(hits) < 0.12
  assert np.allclose(np.multiply(hits, 40) % 1, 0)
  of_patients = [
      name for name, p in downstream.PROTOCOLS.items() if p.independent]
  assert of_patients == [
      'mortality', 'mortality_as_published', 'icu_type',
      'icu_type_as_published']


@pytest.mark.slow
def test_death_that_the_last_step_tells_is_seen_by_the_default_only(tmp_path):
  metrics, _ = _run('mortality', tmp_path, epochs=10)
  assert metrics['auroc'] > 0.95 < metrics['auprc']
  died = _arrays(80, 2)['labels/mortality']
  assert metrics['reference/constant/auprc'] == pytest.approx(died.mean())
  assert metrics['reference/constant/auroc'] == 0.5
  published, _ = _run('mortality_as_published', tmp_path, epochs=10)
  assert published['auroc'] < 0.7


def test_sum_of_the_rain_of_a_day(tmp_path):
  metrics, _ = _run('rain', tmp_path)
  assert metrics['mae'] < 0.3 * metrics['reference/constant/mae']
  # The mean of whole days, those with a gap left out, by hand.
  days = lambda a: a['labels/rain'][..., 0].reshape(-1, DAY).sum(axis=1)
  train, test = days(_arrays(240, 0)), days(_arrays(80, 2))
  assert np.isnan(test).any()
  expected = np.nanmean(np.abs(test - np.nanmean(train)))
  assert metrics['reference/constant/mae'] == pytest.approx(expected, rel=1e-5)
  month = [np.repeat(_arrays(n, s)['labels/month'], STEPS // DAY)
           for n, s in ((240, 0), (80, 2))]
  for row, reduce in (
      ('seasonal', np.nanmean), ('seasonal_median', np.nanmedian)):
    guess = np.array([reduce(train[month[0] == m]) for m in month[1]])
    assert metrics[f'reference/{row}/mae'] == pytest.approx(
        np.nanmean(np.abs(test - guess)), rel=1e-5)


def test_hours_that_fill_no_window_are_one_if_they_count():
  """Of 12 steps in windows of 5: 2 of 5, and with the rest 1 of 2."""
  arrays = _arrays(20, 3)
  series = codes.Codes(
      static=np.zeros((20, 1)), mask=np.ones((20, STEPS), bool),
      dynamic=np.concatenate([arrays['x'], arrays['observed']], -1),
      labels={k: a for k, a in arrays.items() if k.startswith('labels')})
  for rest, bounds in (False, (0, 5, 10)), (True, (0, 5, 10, 12)):
    task = downstream._Task(dataclasses.replace(
        downstream.PROTOCOLS['rain'], window=5, scale=1.0, rest=rest),
                            FACTORS[2])
    features, targets, known, month = task._windows(series)
    parts = list(zip(bounds, bounds[1:]))
    mean = np.stack(
        [arrays['x'][:, a:b].mean(axis=1) for a, b in parts], axis=1)
    np.testing.assert_allclose(
        features[:, :mean.shape[-1]], mean.reshape(-1, mean.shape[-1]),
        rtol=1e-5, atol=1e-6)
    expected = np.stack([arrays['labels/rain'][:, a:b, 0].mean(axis=1)
                         for a, b in parts], axis=1).ravel()
    np.testing.assert_array_equal(known, ~np.isnan(expected))
    np.testing.assert_allclose(targets[known], expected[known], rtol=1e-5)
    np.testing.assert_array_equal(
        month, np.repeat(arrays['labels/month'], len(parts)))


@pytest.mark.slow
def test_targets_of_other_clips_teach_nothing(tmp_path):
  metrics, _ = _run('rain_as_published', tmp_path)
  mixed, _ = _run('rain_as_published', tmp_path, own_targets=False)
  assert metrics['mae'] < 0.5 * mixed['mae']
  assert mixed['mae'] > 0.9 * mixed['reference/constant/mae']


@pytest.mark.slow
def test_the_published_second_repeat_goes_on_from_the_first(tmp_path):
  metrics, counts = _run('month_as_published', tmp_path, learning_rate=4e-5)
  alone, _ = _run('month', tmp_path, learning_rate=4e-5)
  assert counts['repeats'] == 2
  # The second has had twice the steps: the repeats differ by training.
  assert metrics['accuracy'] > alone['accuracy'] + 0.05


def test_protocols_refuse_what_they_were_fitted_to(tmp_path):
  with pytest.raises(ValueError, match='split=train, which predictors are fit'):
    downstream.PROTOCOLS['month'].run(_context(tmp_path, split='train'))


@pytest.mark.parametrize('name, splits, message', [
    ('station', ('train', 'validation', 'test'),
     'toy has the labels month, mortality, rain and the splits train, valid'),
    ('rain', ('train', 'test'), 'expected the label rain and the splits train'),
])
def test_data_that_do_not_fit_are_refused_at_once(name, splits, message):
  whole = _dataset()
  dataset = dataclasses.replace(
      whole, splits={split: whole.splits[split] for split in splits})
  with pytest.raises(ValueError, match=message):
    runner.check([name], dataset)


# Epochs, passes in each, batch size, step size, whether the best epoch is kept,
# norm of gradients, and repeats; the released codes as far as they have them.
PUBLISHED = {
    'mortality': (41, 1, 30, 1e-3, True, 1.0, 3),
    'icu_type': (41, 5, 30, 5e-5, True, None, 2),
    'month': (61, 5, 10, 1e-4, True, None, 2),
    'station': (61, 5, 10, 1e-4, True, None, 2),
    'rain': (61, 1, 10, 1e-3, False, 1.0, 3),
    'oil_temperature': (301, 1, 10, 1e-3, False, None, 3),
}
VERSIONS = {'icu_type': 2, 'month': 2, 'station': 2, 'oil_temperature': 3}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_schedules_and_what_the_corrected_ones_have_else(name):
  num_classes = {'mortality': 2, 'icu_type': 4, 'month': 12, 'station': 12}
  factor = data_batch.Factor(name, 'static', num_classes.get(name))

  def settings(form):
    protocol = downstream.PROTOCOLS[f'{name}{form}']
    plan = protocol.schedule
    return (plan.epochs, plan.passes, plan.batch_size, plan.learning_rate,
            plan.best, plan.clip_norm,
            downstream._Task(protocol, factor).repeats)

  published = PUBLISHED[name]
  assert settings('_as_published') == published
  assert settings('') == (*published[:3], 1e-3, True, 1.0, 3)
  versions = [downstream.PROTOCOLS[f'{name}{form}'].VERSION
              for form in ('', '_as_published')]
  assert versions == [1, VERSIONS.get(name, 1)]


def test_only_published_oil_has_other_windows_targets_and_last_batches():
  assert len(downstream.PROTOCOLS) == 2 * len(PUBLISHED)
  for name, protocol in downstream.PROTOCOLS.items():
    theirs = name == 'oil_temperature_as_published'
    assert (protocol.window, protocol.rest, protocol.own_targets,
            protocol.schedule.rest) == (
                (10, True, False, True) if theirs else (24, False, True, False))
