"""Tests of `methods.glr`: a measured 0 is no missing value."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.methods import glr
from seqdiff.nets import glr as nets
from seqdiff.sampling import codes
from seqdiff.sampling import reconstruct
from seqdiff.sampling import swap

KEY = jax.random.key(5)
STEP = 4  # Two of its three values were measured, and one of them is 0.


def _batch(measured=True):
  """One series; whether its 0 counts as measured."""
  x = np.random.default_rng(0).normal(size=(1, 6, 3)).astype(np.float32)
  x[0, STEP] = 0.5, 0.0, 0.0
  observed = np.ones(x.shape, bool)
  observed[0, STEP] = True, measured, False
  return {'x': x, 'observed': observed, 'mask': np.ones((1, 6), bool),
          'index': np.arange(1)}


@pytest.fixture(scope='module')
def real():
  """A method that reads steps with two values or more; its parameters."""
  method = glr.GLR(
      local_encoder=nets.LocalEncoder(3, (16, 16)),
      global_encoder=nets.GlobalEncoder(2, (16, 16)),
      decoder=nets.WindowDecoder(3, 3, (16, 16)), window=3, global_frames=6,
      kernels=('rbf',), num_scales=3, min_measured=2)
  rng = np.random.default_rng(2)
  return method, jax.tree.map(
      lambda a: (0.5 * rng.normal(size=a.shape)).astype(np.float32),
      jax.eval_shape(method.init, KEY, _batch()))


def _far(found, other):
  """Largest difference of any value."""
  return max(jax.tree.leaves(jax.tree.map(
      lambda a, b: float(np.abs(a - b).max()), found, other)))


def _everything(method, params, batch):
  """Codes, losses and samples."""
  loss = jax.jit(lambda batch, train: method.loss(
      params, batch, KEY, step=jnp.int32(0), train=train)[1]['local_kl'],
                 static_argnums=1)
  return {'codes': codes.make_encode(method)(params, batch, None),
          'loss': (loss(batch, True), loss(batch, False)),
          'again': reconstruct.make_reconstruct(method)(params, batch, KEY),
          'swap': swap.make_swap(method, x_T='fresh')(
              params, batch, batch, KEY)}


def test_a_measured_zero_is_read_wherever_series_are(real):
  method, params = real
  kept, batch = _everything(method, params, _batch()), _batch()
  batch['x'] = np.where(batch['x'] == 0, np.float32(1e-7), batch['x'])
  near = _everything(method, params, batch)
  missing = _everything(method, params, _batch(measured=False))
  for name, found in kept.items():
    assert _far(found, near[name]) < 1e-5 < 1e-3 < _far(found, missing[name])


def test_who_does_not_know_what_was_measured_takes_a_zero_for_missing(real):
  method, params = real
  batch = _batch()
  found = method.encode(params, batch['x'], batch['mask'])
  missing = method.encode_observed(params, batch['x'], batch['mask'],
                                   _batch(measured=False)['observed'])
  assert _far(found, missing) == 0.0
