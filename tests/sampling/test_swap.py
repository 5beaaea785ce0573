"""A swap holds the static code of a, the dynamic codes of b, and its x_T."""

import jax
import numpy as np
import pytest

from seqdiff.core import keys
from seqdiff.data import batch as data_batch
from seqdiff.sampling import reconstruct
from seqdiff.sampling import swap

KEY = jax.random.key(6)
X_TS = ('fresh', 'fresh_shared', 'dynamics_clip', 'static_clip')


def _clips(values):
  """Clips (B, T, 1, 1, 1) of plain numbers."""
  x = np.asarray(values, np.float32)[..., None, None, None]
  return {'x': x, 'mask': np.ones(x.shape[:2], bool),
          'index': np.arange(len(x), dtype=np.int32)}


def _swap(toy, x_T, a, b):
  return np.asarray(
      swap.make_swap(toy.Means(), x_T=x_T)(0.0, a, b, KEY))[..., 0, 0, 0]


def test_by_hand(toy):
  a, b = _clips([[0.1, 0.3]]), _clips([[-0.2, 0.0]])
  # Codes: s_a = 0.2, d_b = -0.2, 0.0. Their sum is 0.0, 0.2.
  noise = np.asarray(keys.normal(KEY, a['index'], (2, 1, 1, 1))).ravel()
  shared = np.asarray(keys.normal(KEY, a['index'], (1, 1, 1, 1))).ravel()
  expected = {
      'fresh': [0.0 + noise[0], 0.2 + noise[1]],
      'fresh_shared': [0.0 + shared[0], 0.2 + shared[0]],
      # x_T of b is x_b - (s_b + d_b) = -s_b = 0.1 in both frames.
      'dynamics_clip': [0.1, 0.3],
      # x_T of a is x_a - (s_a + d_a) = -s_a = -0.2 in both frames.
      'static_clip': [-0.2, 0.0],
  }
  for x_T in X_TS:
    np.testing.assert_allclose(
        _swap(toy, x_T, a, b)[0], np.clip(expected[x_T], -1, 1), atol=1e-6)


def test_x_T_only_by_hand(toy):
  a, b, c = _clips([[0.1, 0.3]]), _clips([[-0.2, 0.0]]), _clips([[0.5, 0.4]])
  find = lambda x_T: np.asarray(swap.make_x_T_only(toy.Means(), x_T=x_T)(
      0.0, a, b, c, KEY))[0, :, 0, 0, 0]
  # s_a + d_c is 0.7, 0.6; x_T is as in the swap of a and b above.
  np.testing.assert_allclose(find('dynamics_clip'), [0.8, 0.7], atol=1e-6)
  np.testing.assert_allclose(find('static_clip'), [0.5, 0.4], atol=1e-6)


@pytest.mark.parametrize('x_T, gap', [('dynamics_clip', 'b'),
                                      ('static_clip', 'a')])
def test_gaps_are_decoded_from_the_codes_before_x_T_is(toy, x_T, gap):
  clips = {'a': _clips([[0.4, 0.0]]), 'b': _clips([[-0.2, 0.0]])}
  for batch in clips.values():
    batch['observed'] = np.ones(batch['x'].shape, bool)
  whole = _swap(toy, x_T, **clips)
  clips[gap]['observed'] = np.array([[1, 0]]).reshape(1, 2, 1, 1, 1) > 0
  found = _swap(toy, x_T, **clips)
  assert found[0, 0] == whole[0, 0]
  # A gap was decoded from its own codes and noise: that noise is its x_T.
  start = float(keys.normal(KEY, np.arange(1), (1, 1, 1, 1)).ravel()[0])
  np.testing.assert_allclose(found[0, 1], 0.2 + start, atol=1e-6)


def test_each_clip_is_read_under_its_own_mask(toy):
  a, b = _clips([[0.1, 0.3, 0.9]]), _clips([[-0.2, 0.0, 0.1]])
  a['mask'][0, 2] = False  # s_a = 0.2 as before; s_b = -1/30.
  found = _swap(toy, 'dynamics_clip', a, b)[0]
  np.testing.assert_allclose(
      found, np.array([0.0, 0.2, 0.3]) + 0.1 / 3, atol=1e-6)


def test_the_motion_sets_the_length(toy):
  a, b = _clips([[0.1, 0.3]]), _clips([[-0.2, 0.0, 0.1]])
  for x_T in X_TS[:3]:
    assert _swap(toy, x_T, a, b).shape == (1, 3)
  with pytest.raises(ValueError, match=r'static_clip.*\(2, 1, 1.*\(3, 1, 1'):
    _swap(toy, 'static_clip', a, b)


def test_noise_is_that_of_a(toy):
  a, b = _clips([[0.0] * 8]), _clips([[0.0] * 8])
  other = lambda batch: {**batch, 'index': batch['index'] + 7}
  first = _swap(toy, 'fresh', a, b)
  np.testing.assert_array_equal(_swap(toy, 'fresh', a, other(b)), first)
  assert np.mean(_swap(toy, 'fresh', other(a), b) != first) > 0.5


def test_pixels_are_scaled_and_results_clipped(toy):
  a, b = toy.make_batch(2), toy.make_batch(2, seed=1)
  scaled = [{**batch, 'x': data_batch.to_float(batch['x'])} for batch in (a, b)]
  sampler = swap.make_swap(toy.Means(), x_T='dynamics_clip')
  np.testing.assert_allclose(
      sampler(0.0, a, b, KEY), sampler(0.0, *scaled, KEY), atol=1e-6)
  assert np.abs(sampler(5.0, a, b, KEY)).max() <= 1.0


@pytest.mark.parametrize('make, x_T, same_as', [
    ('real', 'fresh', 'fresh'), ('gaussian', 'fresh_shared', 'fresh_shared'),
    ('gaussian', 'dynamics_clip', 'encoded'),
    ('gaussian', 'static_clip', 'encoded')])
def test_swap_with_itself_is_reconstruction(
    toy, request, make, x_T, same_as):
  method, params = request.getfixturevalue(make)
  a = toy.make_batch(8, start=4)
  # Two programs: equal up to rounding.
  np.testing.assert_allclose(
      swap.make_swap(method, x_T=x_T)(params, a, a, KEY),
      reconstruct.make_reconstruct(method, x_T=same_as)(params, a, KEY),
      atol=1e-6)


@pytest.mark.parametrize('x_T', ['fresh', 'dynamics_clip'])
def test_result_does_not_depend_on_the_batch_around_it(toy, gaussian, x_T):
  method, params = gaussian
  sampler = swap.make_swap(method, x_T=x_T)
  a, b = toy.make_batch(8), toy.make_batch(8, seed=1, start=50)
  together = np.asarray(sampler(params, a, b, KEY))
  order = [5, 2]
  some = sampler(params, toy.rows(a, order), toy.rows(b, order), KEY)
  np.testing.assert_allclose(some, together[order], atol=1e-4)
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:8]), ('data',))
  place = lambda tree, *axes: jax.device_put(
      tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)))
  eight = sampler(place(params), place(a, 'data'), place(b, 'data'), KEY)
  np.testing.assert_allclose(eight, together, atol=1e-4)


def test_both_clips_matter_to_a_real_method(toy, real):
  method, params = real
  a, b = toy.make_batch(8), toy.make_batch(8, seed=1)
  c = {**toy.make_batch(8, seed=2), 'index': a['index']}
  sampler = swap.make_swap(method, x_T='fresh')
  first = sampler(params, a, b, KEY)
  assert np.abs(sampler(params, c, b, KEY) - first).mean() > 1e-3
  assert np.abs(sampler(params, a, c, KEY) - first).mean() > 1e-3


def test_unknown_x_T_is_refused(toy):
  with pytest.raises(ValueError, match="x_T 'encoded'.*Known: dynamics_clip"):
    swap.make_swap(toy.Means(), x_T='encoded')
