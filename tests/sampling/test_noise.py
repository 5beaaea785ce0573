"""Fresh noise belongs to the example; wrong names are refused."""

import jax
import numpy as np
import pytest

from seqdiff.sampling import noise

SHAPE = (4, 8, 8, 3)
KEY = jax.random.key(3)


@pytest.mark.parametrize('kind', noise.FRESH)
def test_noise_depends_on_key_and_index_only(kind):
  draw = lambda index, key=KEY: np.asarray(
      noise.fresh(kind, key, np.array(index, np.int32), SHAPE))
  three = draw([7, 2, 5])
  np.testing.assert_array_equal(draw([5, 2, 7]), three[::-1])
  np.testing.assert_array_equal(draw([2]), three[1:2])
  others = [three[0], three[2], draw([2], jax.random.key(4))[0]]
  for other in others:
    correlation = np.corrcoef(other.ravel(), three[1].ravel())[0, 1]
    assert abs(correlation) < 0.3


def test_noise_is_unit_gaussian():
  x = np.asarray(noise.fresh('fresh', KEY, np.arange(32), SHAPE))
  # 24,576 values: standard errors are 0.006 and 0.005.
  assert abs(x.mean()) < 0.03
  assert abs(x.std() - 1.0) < 0.03


def test_only_shared_noise_is_the_same_in_all_frames():
  index = np.arange(2)
  shared = np.asarray(noise.fresh('fresh_shared', KEY, index, SHAPE))
  np.testing.assert_array_equal(
      shared, np.broadcast_to(shared[:, :1], (2,) + SHAPE))
  assert np.abs(shared[0] - shared[1]).mean() > 0.5
  own = np.asarray(noise.fresh('fresh', KEY, index, SHAPE))
  assert np.abs(own[:, 1:] - own[:, :-1]).mean() > 0.5


@pytest.mark.parametrize('kind, message', [
    ('fesh', "Unknown x_T 'fesh'. Did you mean 'fresh'.*encoded, fresh, "),
    ('dynamics_clip', "Unknown x_T 'dynamics_clip'.*Known: encoded"),
])
def test_unknown_x_T_lists_the_known_ones(kind, message):
  with pytest.raises(ValueError, match=message):
    noise.check(kind, ('encoded',))


def test_known_x_T_is_accepted():
  for kind in (*noise.FRESH, 'encoded'):
    noise.check(kind, ('encoded',))
