"""A reconstruction holds what the factors hold, plus its x_T."""

import jax
import numpy as np
import pytest

from seqdiff.core import keys
from seqdiff.data import batch as data_batch
from seqdiff.sampling import reconstruct

KEY = jax.random.key(5)


def _error(guess, batch):
  return np.mean(np.square(guess - data_batch.to_float(batch['x'])))


def test_fresh_is_the_codes_plus_noise_of_the_example(toy):
  batch = toy.make_batch(4, start=10)
  found = reconstruct.make_reconstruct(toy.Means())(0.0, batch, KEY)
  x = data_batch.to_float(batch['x'])
  codes = x.mean((2, 3, 4)) + x.mean((1, 2, 3, 4))[:, None]
  noise = keys.normal(KEY, batch['index'], x.shape[1:])
  expected = np.clip(codes[..., None, None, None] + noise, -1.0, 1.0)
  np.testing.assert_allclose(found, expected, atol=1e-6)
  assert np.mean(np.abs(expected) == 1.0) > 0.1  # The clip does something.


def test_masked_frames_are_not_encoded(toy):
  batch = toy.make_batch(2)
  batch['mask'][:, 1] = False
  changed = {**batch, 'x': batch['x'].copy()}
  changed['x'][:, 1] = 255
  sampler = reconstruct.make_reconstruct(toy.Means(), x_T='fresh_shared')
  np.testing.assert_array_equal(
      sampler(0.0, batch, KEY)[:, 0], sampler(0.0, changed, KEY)[:, 0])


def test_encoded_x_T_gives_the_clip_back(toy):
  batch = toy.make_batch(4)
  found = reconstruct.make_reconstruct(toy.Means(), x_T='encoded')(
      0.0, batch, KEY)
  np.testing.assert_allclose(
      found, data_batch.to_float(batch['x']), atol=1e-6)


def test_gaps_of_a_series_are_decoded_and_have_no_x_T_of_their_own(toy):
  batch = toy.make_batch(3)
  seen = np.random.default_rng(0).uniform(size=batch['x'].shape) < 0.5
  x = np.where(seen, data_batch.to_float(batch['x']), 0).astype(np.float32)
  batch |= {'x': x, 'observed': seen}
  found = reconstruct.make_reconstruct(toy.Means(), x_T='encoded')(
      0.0, batch, KEY)
  fresh = reconstruct.make_reconstruct(toy.Means(), x_T='fresh_shared')(
      0.0, batch, KEY)
  np.testing.assert_allclose(found, np.where(seen, x, fresh), atol=1e-6)


def test_encoded_x_T_inverts_a_solver(toy, gaussian):
  method, params = gaussian
  batch = toy.make_batch(4)
  error = {
      x_T: _error(reconstruct.make_reconstruct(method, x_T=x_T)(
          params, batch, KEY), batch)
      for x_T in ('fresh', 'fresh_shared', 'encoded')}
  assert error['fresh'] > 0.1
  assert error['fresh_shared'] > 0.1
  assert error['encoded'] < 1e-3


@pytest.mark.parametrize('x_T', ['fresh', 'fresh_shared', 'encoded'])
def test_result_does_not_depend_on_the_batch_around_it(toy, gaussian, x_T):
  method, params = gaussian
  sampler = reconstruct.make_reconstruct(method, x_T=x_T)
  batch = toy.make_batch(4, start=20)
  together = np.asarray(sampler(params, batch, KEY))
  backwards = sampler(params, toy.rows(batch, [3, 2, 1, 0]), KEY)
  np.testing.assert_allclose(backwards[::-1], together, atol=1e-4)
  alone = sampler(params, toy.rows(batch, [2]), KEY)
  np.testing.assert_allclose(alone[0], together[2], atol=1e-4)
  other = sampler(params, {**batch, 'index': batch['index'] + 1}, KEY)
  if x_T != 'encoded':
    assert np.abs(other - together).mean() > 0.01


def test_same_result_on_one_and_eight_devices(toy, real):
  method, params = real
  sampler = reconstruct.make_reconstruct(method)
  batch = toy.make_batch(8, start=4)
  one = sampler(params, batch, KEY)
  mesh = jax.sharding.Mesh(np.array(jax.devices()[:8]), ('data',))
  place = lambda tree, *axes: jax.device_put(
      tree, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes)))
  eight = sampler(place(params), place(batch, 'data'), KEY)
  assert len(eight.sharding.device_set) == 8
  np.testing.assert_allclose(eight, one, atol=1e-4)


def test_same_sampler_is_made_once(toy):
  make = reconstruct.make_reconstruct
  assert make(toy.Means(), x_T='fresh') is make(toy.Means(), x_T='fresh')
  assert make(toy.Means()) is not make(toy.Means(weight=0.5))


def test_unknown_x_T_is_refused(toy):
  with pytest.raises(ValueError, match="x_T 'static_clip'.*Known: encoded"):
    reconstruct.make_reconstruct(toy.Means(), x_T='static_clip')
