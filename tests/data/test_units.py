"""Series in units become batches and come back."""

import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.data import units

NAN = np.nan
HEAT = data_batch.Variable('heat', 'K', 280.0, 10.0)
FLOW = data_batch.Variable('flow', '', -1.0, 0.5)
BOTH = (HEAT, FLOW)


def test_by_hand():
  batch = units.to_batch(
      [[[290, NAN], [NAN, NAN], [280, -2], [NAN, NAN], [NAN, NAN]]], BOTH)
  np.testing.assert_array_equal(
      batch['x'], [[[1, 0], [0, 0], [0, -2], [0, 0], [0, 0]]])
  assert batch['x'].dtype == np.float32
  np.testing.assert_array_equal(
      batch['observed'][0, :, 0], [True, False, True, False, False])
  # A row without any value is padding at the end only.
  np.testing.assert_array_equal(
      batch['mask'], [[True, True, True, False, False]])
  np.testing.assert_array_equal(batch['index'], [0])
  back = units.to_series(batch['x'], BOTH, batch['mask'][..., None])
  np.testing.assert_array_equal(back, np.array(
      [[[290, -1], [280, -1], [280, -2], [NAN, NAN], [NAN, NAN]]], np.float32))
  assert back.dtype == np.float32


def test_what_comes_back_is_what_was_given():
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, 7, 2)).astype(np.float32)
  observed = rng.uniform(size=x.shape) < 0.6
  observed[:, -1] = True
  found = units.to_batch(units.to_series(x, BOTH, observed), BOTH)
  np.testing.assert_array_equal(found['observed'], observed)
  # float32 in units: 280 / 10 times its precision.
  np.testing.assert_allclose(found['x'], np.where(observed, x, 0), atol=1e-5)
  assert found['mask'].all()


def test_series_are_read_as_their_prepared_samples_are():
  """The last row holds no value; it is real, unless its sample says not."""
  series = np.array([[290, NAN], [280, -2], [NAN, NAN]])
  x, observed = units.normalise(series, np.array([280, -1]), np.array([10, .5]))
  for extra in {}, {'mask': np.array([True, True, False])}:
    item = {'x': x, 'observed': observed, **extra}
    dataset = data_batch.Dataset('set', {'train': [item]}, variables=BOTH)
    prepared = next(loader.eval_batches([item], batch_size=1, num_frames=3))
    given = units.to_batch(
        series[None], BOTH,
        num_real=0 if data_batch.is_padded(dataset) else len(series))
    for name in 'x', 'observed', 'mask':
      np.testing.assert_array_equal(given[name], prepared[name])


@pytest.mark.parametrize('series, message', [
    (np.zeros((4, 2)), r'shape \(4, 2\); expected \(B, T, 2\).*heat, flow'),
    (np.zeros((1, 4, 3)), r'shape \(1, 4, 3\); expected \(B, T, 2\).*Choose'),
    (np.zeros((0, 4, 2)), r'\(0, 4, 2\); expected .* one or more of each'),
    ([[['1', '2']]], 'type <U1; expected numbers'),
    ([[[1, 2]], [[3, np.inf]]], 'Series 1 is infinite in row 0, flow; expec'),
    ([[[1, 2]], [[NAN, NAN]]], 'Series 1 has no value in any row; expected'),
])
def test_series_of_another_form_are_refused(series, message):
  with pytest.raises(ValueError, match=message):
    units.to_batch(series, BOTH)
