"""Tests of `sampling.devices`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.core import keys
from seqdiff.sampling import devices

KEY = jax.random.key(0)


@pytest.fixture
def sampler():
  """Clips of a batch with noise keyed by example, scaled by the params."""
  @jax.jit
  def sample(params, batch, key):
    eps = keys.normal(key, batch['index'], (3,))
    return params['scale'] * batch['x'] + eps
  return sample


def _batch(count):
  return {'x': np.arange(3.0 * count, dtype=np.float32).reshape(count, 3),
          'index': np.arange(count, dtype=np.int32)}


@pytest.mark.parametrize('count, used', [(16, 8), (12, 1)])
def test_clips_are_shared_out_if_the_devices_divide_them(sampler, count, used):
  # Restored parameters may be bound to one device.
  params = jax.device_put({'scale': jnp.float32(2.0)}, jax.devices()[3])
  if used == 1:
    params = {'scale': jnp.float32(2.0)}
  spread = devices.over_devices(sampler)(params, _batch(count), KEY)
  assert len(spread.sharding.device_set) == used
  np.testing.assert_allclose(
      spread, sampler({'scale': jnp.float32(2.0)}, _batch(count), KEY),
      atol=1e-6)


def test_second_call_compiles_nothing(sampler):
  spread = devices.over_devices(sampler)
  params = {'scale': jnp.float32(2.0)}
  spread(params, _batch(8), KEY)
  before = sampler._cache_size()
  spread(params, _batch(8), KEY)
  assert sampler._cache_size() == before
