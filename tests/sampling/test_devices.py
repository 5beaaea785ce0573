"""Tests of `sampling.devices`."""

import weakref

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


@pytest.mark.parametrize('count, share', [(16, 2), (12, 2), (3, 1)])
def test_clips_are_shared_out_over_the_devices(sampler, count, share):
  held = []

  @jax.jit
  def watched(params, batch, key):
    held.append(batch['x'].shape)
    return {'clips': sampler(params, batch, key)}

  # Restored parameters may be bound to one device.
  params = jax.device_put({'scale': jnp.float32(2.0)}, jax.devices()[3])
  spread = devices.over_devices(watched)(params, _batch(count), KEY)
  assert held == [(share, 3)]
  np.testing.assert_allclose(
      spread['clips'],
      sampler({'scale': jnp.float32(2.0)}, _batch(count), KEY), atol=1e-6)


def test_a_device_takes_the_turns_of_its_own_frames_only(capfd):

  @jax.jit
  def in_chunks(params, x, key):
    def frame(x):
      jax.debug.callback(lambda: print('turn'))
      return params * x

    return jax.lax.map(frame, x.reshape(-1)).reshape(x.shape)

  x = np.arange(48.0, dtype=np.float32).reshape(16, 3)
  found = devices.over_devices(in_chunks)(jnp.float32(2.0), x, None)
  np.testing.assert_array_equal(found, 2.0 * x)
  jax.effects_barrier()
  assert capfd.readouterr().out.count('turn') == 48


def test_parameters_are_put_once_for_all_samplers(monkeypatch):
  put, puts = jax.device_put, []
  monkeypatch.setattr(jax, 'device_put', lambda tree, *args: puts.append(
      tree) or put(tree, *args))
  times_x, plus_x = (devices.over_devices(jax.jit(f)) for f in (
      lambda params, batch, key: params['a'] * batch['x'],
      lambda params, batch, key: params['a'] + batch['x']))
  found = lambda sampler, params: float(sampler(params, _batch(8), None)[1, 0])
  times = lambda params: sum(tree is params for tree in puts)
  old, new = {'a': jnp.float32(2.0)}, {'a': jnp.float32(5.0)}
  assert [found(times_x, p) for p in (old, old, new, old)] == [6, 6, 15, 6]
  assert [found(plus_x, p) for p in (new, old)] == [8, 5]
  assert (times(old), times(new)) == (1, 1)


def test_the_same_arrays_in_another_tree_are_other_parameters():
  copies, a, b = devices._Copies(), jnp.float32(1.0), jnp.float32(2.0)
  put = lambda tree: dict(tree)
  assert copies.of({'a': a, 'b': b}, put) == {'a': a, 'b': b}
  assert copies.of({'c': a, 'd': b}, put) == {'c': a, 'd': b}
  assert copies.of({'a': b, 'b': a}, put) == {'a': b, 'b': a}


def test_parameters_that_are_gone_are_not_kept():
  copies, kept = devices._Copies(), []
  put = lambda tree: kept.append({'a': tree['a'] + 1.0}) or kept[-1]
  params = {'a': jnp.float32(2.0)}
  copies.of(params, put)
  gone = weakref.ref(kept.pop()['a'])
  assert gone() is not None
  del params
  assert gone() is None


def test_second_call_compiles_nothing(sampler, caplog):
  spread = devices.over_devices(sampler)
  params = {'scale': jnp.float32(2.0)}
  with jax.log_compiles():
    spread(params, _batch(8), KEY)
    assert 'Compiling' in caplog.text
    caplog.clear()
    spread(params, _batch(8), KEY)
    assert 'Compiling' not in caplog.text
