"""Protocols of series: only what was observed counts, in the right units."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import observed
from seqdiff.evaluation import runner
from seqdiff.evaluation.protocols import imputation
from seqdiff.evaluation.protocols import reconstruction
from seqdiff.methods import base

NAN = np.nan
VARIABLES = (data_batch.Variable('heat', 'K', 280.0, 10.0),
             data_batch.Variable('flow', '', 0.0, 0.5))


def make_dataset(values, mask=None):
  """Series of normalised values (N, T, 2), NaN where not observed."""
  values = np.asarray(values, np.float32)
  seen = np.isfinite(values)
  arrays = {'x': np.where(seen, values, 0), 'observed': seen}
  if mask is not None:
    arrays['mask'] = np.asarray(mask, bool)
  return data_batch.Dataset(
      'plain', {'test': loader.ArraySource(arrays)}, variables=VARIABLES)


def random_values(count=5, num_frames=60):
  values = np.random.default_rng(0).normal(size=(count, num_frames, 2))
  values[np.random.default_rng(1).uniform(size=values.shape) < 0.2] = NAN
  return values


@dataclasses.dataclass(frozen=True)
class Copy:
  """The dynamic code is the step itself, which is decoded with an offset.

  From an own x_T (the series + 100) the series comes back.
  """

  offset: float = 0.0

  def encode(self, params, x, mask):
    del params, mask
    return base.Factors(static=x[:, 0], dynamic=x)

  def decode(self, params, factors, x_init):
    del params
    return jnp.where(x_init > 50.0, x_init - 100.0,
                     factors.dynamic + self.offset)

  def invert(self, params, factors, x):
    del params, factors
    return x + 100.0


class TestReconstruction:

  def _run(self, toy, tmp_path, **kw):
    dataset = make_dataset([
        [[1, 2], [3, NAN]], [[-1, NAN], [NAN, NAN]], [[2, 0], [0, 4]]])
    return reconstruction.run(toy.make_context(
        tmp_path, dataset, method=Copy(0.5), num_frames=2, **kw))

  def test_by_hand(self, toy, tmp_path):
    metrics, counts = self._run(toy, tmp_path)
    assert counts == {'clips': 3, 'values': 8}
    assert metrics['mse'] == pytest.approx(0.25)
    assert metrics['mae/heat'] == pytest.approx(5.0)  # 0.5 times 10 K.
    assert metrics['mae/flow'] == pytest.approx(0.25)
    assert metrics['encoded_x_T/mse'] < 1e-9
    # Of 1, 3, -1, 2, 0 and 2, 0, 4 the squares: 15 and 20.
    assert metrics['reference/constant/mse'] == pytest.approx(35 / 8)
    assert metrics['reference/constant/mae/heat'] == pytest.approx(70 / 5)
    assert metrics['reference/constant/mae/flow'] == pytest.approx(0.5 * 6 / 3)
    # Series 3, 1, 2 instead of 1, 2, 3 where both were observed: differences
    # 1, -2, -3 (series 1), 2 (series 2) and -3 (series 3).
    assert metrics['reference/random_pair/mse'] == pytest.approx(27 / 5)
    assert metrics['reference/random_pair/mae/heat'] == pytest.approx(90 / 4)
    assert not [name for name in metrics if 'psnr' in name]

  @pytest.mark.parametrize('batch_size', [1, 2])
  def test_batch_size_and_padding_change_nothing(
      self, toy, tmp_path, batch_size):
    found = self._run(toy, tmp_path, batch_size=batch_size)[0]
    assert found == pytest.approx(self._run(toy, tmp_path)[0])

  def test_the_other_series_is_not_the_one_before(self, toy, tmp_path):
    # Two stations of 12 months each, one colder by 4 throughout.
    dataset = make_dataset(np.repeat([-2.0, 2.0], 12)[:, None, None]
                           * np.ones((2, 2)))
    metrics, _ = reconstruction.run(toy.make_context(
        tmp_path, dataset, method=Copy(), num_frames=2))
    assert 0.25 < metrics['reference/random_pair/mse'] / 16 < 0.75
    metrics, _ = reconstruction.run(toy.make_context(
        tmp_path, dataset, method=Copy(), num_frames=2, num_clips=1))
    assert 'reference/random_pair/mse' not in metrics

  def test_variable_that_was_never_observed_has_no_error(self):
    sums = observed.error_sums(
        np.ones((1, 3, 2)), np.zeros((1, 3, 2)),
        np.array([[[True, False], [True, False], [False, False]]]))
    assert observed.mae_in_units(sums, VARIABLES) == {'heat': 10.0}
    assert observed.mse(sums) == observed.mae(sums) == 1.0


class TestImputation:

  def _run(self, toy, tmp_path, values, **kw):
    return imputation.run(toy.make_context(tmp_path, make_dataset(values), **{
        'method': Copy(), 'num_frames': np.shape(values)[1], **kw}))

  def _spans(self, toy, tmp_path, values):
    """What is hidden of these series, by task."""
    dataset = make_dataset(values)
    batch = next(loader.eval_batches(
        dataset.splits['test'], batch_size=len(values),
        num_frames=np.shape(values)[1]))
    return imputation.spans(batch, 0)

  def test_spans_are_24_steps_and_belong_to_the_series(self, toy, tmp_path):
    values = random_values(40)
    every, one = self._spans(toy, tmp_path, values).values()
    steps = every.all(2)
    np.testing.assert_array_equal(steps, every.any(2))
    np.testing.assert_array_equal(steps.sum(1), 24)
    assert (np.abs(np.diff(steps, axis=1)).sum(1) <= 2).all()  # In one piece.
    assert len(np.unique(steps.argmax(1))) > 15
    # The other task hides one variable of the same steps.
    np.testing.assert_array_equal(one.any(2), steps)
    per_variable = one.sum(1)
    np.testing.assert_array_equal(np.sort(per_variable, 1), [[0, 24]] * 40)
    assert 10 < (per_variable[:, 0] > 0).sum() < 30
    some = self._spans(toy, tmp_path, values[:7])
    np.testing.assert_array_equal(some['one_variable'], one[:7])
    other = imputation.spans({
        'x': values, 'mask': np.ones((40, 60), bool), 'index': range(40)}, 1)
    assert (other['all_variables'] != every).any((1, 2)).sum() > 30

  def test_half_of_a_short_series_is_hidden_and_no_padding(self):
    mask = np.arange(60)[None] < np.array([[10], [1], [60]])
    every = imputation.spans({
        'x': np.zeros((3, 60, 2)), 'mask': mask, 'index': range(3)},
                             0)['all_variables']
    np.testing.assert_array_equal(every.any(2).sum(1), [5, 0, 24])
    assert not every[0, 10:].any()

  def test_model_does_not_see_what_is_hidden(self, toy, tmp_path):
    metrics, counts = self._run(toy, tmp_path, random_values())
    assert counts['clips'] == 5
    for task in 'all_variables', 'one_variable':
      # A copy gives back the interpolation or zeros, as it sees them ...
      for name in f'{task}_mse', f'{task}_mae':
        assert metrics[name] == pytest.approx(
            metrics[f'reference/linear/{name}'])
        assert metrics[f'zero/{name}'] == pytest.approx(
            metrics[f'reference/constant/{name}'])
        assert abs(metrics[name] - metrics[f'zero/{name}']) > 0.1
        # ... and the series itself, if nothing is hidden.
        assert metrics[f'reference/self_reconstruction/{name}'] == 0.0

  def test_only_observed_values_count(self, toy, tmp_path):
    values = random_values()
    metrics, counts = self._run(toy, tmp_path, values)
    for task, hidden in self._spans(toy, tmp_path, values).items():
      judged = values[hidden & np.isfinite(values)]
      assert counts[f'{task}_values'] == len(judged)
      assert metrics[f'reference/constant/{task}_mse'] == pytest.approx(
          np.mean(judged**2))
      assert metrics[f'reference/constant/{task}_mae'] == pytest.approx(
          np.mean(np.abs(judged)))

  def test_error_of_an_offset(self, toy, tmp_path):
    metrics, _ = self._run(
        toy, tmp_path, np.zeros((2, 60, 2)), method=Copy(0.5))
    for row in '', 'zero/', 'reference/self_reconstruction/':
      assert metrics[f'{row}one_variable_mse'] == pytest.approx(0.25)
      assert metrics[f'{row}one_variable_mae'] == pytest.approx(0.5)

  def test_references_on_a_straight_line(self, toy, tmp_path):
    values = np.tile(np.arange(1.0, 101.0)[:, None], (3, 1, 2))
    steps = self._spans(toy, tmp_path, values)['all_variables'].any(2)
    assert steps[:, 1:-1].sum() == 3 * 24  # Both ends are known.
    metrics, _ = self._run(toy, tmp_path, values)
    for task in 'all_variables', 'one_variable':
      assert metrics[f'reference/linear/{task}_mse'] < 1e-9
      # 1 to 24 steps after the last known value: (24 + 1) (2 24 + 1) / 6.
      assert metrics[f'reference/last/{task}_mse'] == pytest.approx(25 * 49 / 6)
      assert metrics[f'reference/last/{task}_mae'] == pytest.approx(12.5)

  def test_last_value_before_the_first_one_is_the_mean(self):
    x = np.array([0.0, 0, 2, 0, 6, 0])
    known = np.array([False, False, True, False, True, False])
    found = imputation.carry_forward(
        np.stack([x, x], 1)[None], np.stack([known, known & False], 1)[None])
    np.testing.assert_allclose(
        found, [[[0, 0], [0, 0], [2, 0], [2, 0], [6, 0], [6, 0]]])

  @pytest.mark.parametrize('batch_size', [1, 3])
  def test_batch_size_and_padding_change_nothing(
      self, toy, tmp_path, batch_size):
    values = random_values()
    found = self._run(toy, tmp_path, values, batch_size=batch_size)
    expected = self._run(toy, tmp_path, values)
    assert found[0] == pytest.approx(expected[0])
    assert found[1] == expected[1]

  def test_nothing_to_judge_by_is_an_error(self, toy, tmp_path):
    with pytest.raises(ValueError, match='nothing was observed in the spans of '
                       '1 series.*num_clips'):
      self._run(toy, tmp_path, [[[1.0, 1.0]]])


@pytest.mark.parametrize('name, series, message', [
    ('imputation', False, 'coded is video; expected series'),
    ('swap', True, 'plain is series; expected video'),
    ('judge', True, 'plain is series; expected video'),
    ('solvers', True, 'plain is series; expected video')])
def test_protocol_for_other_data_is_refused(toy, name, series, message):
  dataset = make_dataset(np.zeros((1, 2, 2))) if series else toy.make_dataset()
  with pytest.raises(ValueError, match=f'Protocol {name}: {message}'):
    runner.check(['reconstruction', name], dataset)


def test_protocols_of_series_are_not_refused():
  runner.check(['imputation', 'reconstruction'],
               make_dataset(np.zeros((1, 2, 2))))
