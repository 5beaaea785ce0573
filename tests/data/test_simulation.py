"""Series of `glr_simulation`: labels are exact, draws depend on the seed."""

import numpy as np
import pytest

from seqdiff.data import loader
from seqdiff.data import simulation


def _arrays(split='train', **options):
  dataset = simulation.glr_simulation(**options)
  return loader.ArraySource.of(dataset.splits[split]).arrays


def test_values_by_hand():
  # t = 9.9. Rising, fast: 0.5 (-1.5 + 0.495 + 1.8 sin(63.02535746)) =
  # 0.5 (-1.005 + 1.8 * 0.19229906); falling, slow: 0.8 (1.5 - 0.495 +
  # 1.2 sin(31.51267873)) = 0.8 (1.005 + 1.2 * 0.09660132).
  rising, falling = (simulation.signal(k, k, 100) for k in (0, 1))
  assert rising.shape == (100, 1)
  np.testing.assert_allclose((rising[0, 0], falling[0, 0]), (-0.75, 1.2))
  np.testing.assert_allclose(
      (rising[99, 0], falling[99, 0]), (-0.32943085, 0.89673726), rtol=1e-6)


def test_labels_are_exactly_what_is_drawn():
  arrays = _arrays(noise=0.0, missing=0.0)
  for x, trend, season in zip(
      arrays['x'], arrays['labels/trend'], arrays['labels/season']):
    np.testing.assert_allclose(
        x, simulation.signal(trend, season, 100), rtol=1e-6)
  pairs = 2 * arrays['labels/trend'] + arrays['labels/season']
  assert (np.bincount(pairs) > 340 / 4 - 40).all()  # None is rare.


def test_items_are_as_a_source_promises():
  dataset = simulation.glr_simulation(num_frames=7)
  item = dataset.splits['train'][0]
  assert item['x'].shape == item['observed'].shape == (7, 1)
  assert item['x'].dtype == np.float32 and item['observed'].dtype == bool
  assert set(item) == {'x', 'observed'} | {f.key for f in dataset.factors}
  assert [f.kind for f in dataset.factors] == ['static', 'dynamic']
  variable, = dataset.variables
  assert (variable.mean, variable.std) == (0.0, 1.0)
  assert {k: len(v) for k, v in dataset.splits.items()} == {
      'train': 340, 'validation': 85, 'test': 75}  # Of 500.


def test_noise_and_missing_values_are_as_many_as_asked():
  arrays, clean = _arrays(), _arrays(noise=0.0, missing=0.0)
  seen = arrays['observed']
  assert abs(seen.mean() - 0.7) < 0.01
  np.testing.assert_array_equal(arrays['x'][~seen], 0.0)
  assert abs((arrays['x'] - clean['x'])[seen].std() - 0.1) < 0.002


def test_a_series_depends_on_seed_and_index_only():
  few, many = _arrays(num_train=3), _arrays(num_train=9)
  for name, values in few.items():
    np.testing.assert_array_equal(values, many[name][:3])
  for other in (_arrays(num_train=3, seed=1), _arrays('validation'),
                _arrays('test')):
    assert (np.abs(other['x'][:3] - few['x']).max(axis=(1, 2)) > 0.01).all()
  assert (many['x'][:-1] != many['x'][1:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize('option, message', [
    ({'num_frames': 0}, 'num_frames=0, expected at least 1. Set config.da'),
    ({'num_validation': 0}, 'num_validation=0, expected at least 1'),
    ({'missing': 1.0}, 'missing=1.0, expected a share from 0 to less than 1'),
    ({'noise': -0.1}, 'noise=-0.1, expected 0 or more'),
])
def test_values_out_of_range_are_named(option, message):
  with pytest.raises(ValueError, match=f'glr_simulation: {message}'):
    simulation.glr_simulation(**option)


@pytest.mark.parametrize('index', [-1, 85])
def test_series_that_does_not_exist_is_an_index_error(index):
  source = simulation.glr_simulation().splits['validation']
  with pytest.raises(IndexError, match=f'series {index} of 85'):
    source[index]
