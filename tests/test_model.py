"""Tests of `model`: the noise of samples, and how many clips are at once."""

import dataclasses

import jax
import numpy as np
import pytest

from configs import quickstart
from seqdiff import build
from seqdiff import model
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.methods import base
from seqdiff.sampling import codes


class Noise:
  """Gives back the noise, whatever the codes are; codes are means of clips."""

  def encode(self, params, x, mask):
    del params, mask
    means = x.mean(axis=(2, 3))
    return base.Factors(static=means[:, 0], dynamic=means)

  def invert(self, params, factors, x):
    del params, factors
    return x

  def decode(self, params, factors, x_init):
    del params, factors
    return x_init


class Lengths:
  """Codes are the number of real rows."""

  def encode(self, params, x, mask):
    del params
    static = mask.sum(axis=1, keepdims=True).astype(float)
    return base.Factors(static=static, dynamic=x)


def _model(tmp_path, x_T='fresh', **settings):
  config = quickstart.get_config()
  config.data.update(size=8, num_train=1, num_test=1, **settings)
  config.sampler.x_T = x_T
  return model.Model(
      config, tmp_path, build.dataset(config), Noise(), {}, 1)


@pytest.mark.parametrize('x_T, shared', [
    ('fresh', False), ('fresh_shared', True), ('dynamics_clip', True)])
def test_codes_without_a_clip_start_as_the_config_says(x_T, shared, tmp_path):
  found = _model(tmp_path, x_T)
  x = found.decode(base.Factors(
      static=np.zeros((2, 3)), dynamic=np.zeros((2, 5, 1))), seed=3)
  assert x.shape == (2, 5, 8, 8, 3) and (x[0] != x[1]).any()
  assert (x == x[:, :1]).all() == shared


@pytest.mark.parametrize('padded', [False, True])
def test_series_have_the_codes_that_protocols_read(tmp_path, padded):
  """Series whose last row holds no value, as a user has them."""
  x = np.random.default_rng(0).normal(size=(2, 4, 1)).astype(np.float32)
  observed = np.ones(x.shape, bool)
  x[:, 3], observed[:, 3] = 0, False
  arrays = {'x': x, 'observed': observed}
  if padded:
    arrays['mask'] = observed[..., 0]
  dataset = data_batch.Dataset(
      'set', {'train': loader.ArraySource(arrays)},
      variables=(data_batch.Variable('heat', 'K', 280.0, 10.0),))
  encoder = Lengths()
  found = dataclasses.replace(
      _model(tmp_path, num_frames=4), dataset=dataset, method=encoder)
  batch = next(loader.eval_batches(
      dataset.splits['train'], batch_size=2, num_frames=4))
  protocols = codes.make_encode(encoder)({}, batch, None)
  series = np.where(observed, 10.0 * x + 280.0, np.nan)
  np.testing.assert_array_equal(found.encode(series).static, protocols.static)
  np.testing.assert_array_equal(protocols.static, [[3.0 + (not padded)]] * 2)
  # More rows than a sample has are padding if they hold no value.
  longer = np.pad(series, [(0, 0), (0, 2), (0, 0)], constant_values=np.nan)
  np.testing.assert_array_equal(found.encode(longer).static, protocols.static)


USES = {
    'encode': lambda m, a, b: m.encode(a).dynamic,
    'decode': lambda m, a, b: m.decode(m.encode(a), seed=3, first=2),
    'decode from': lambda m, a, b: m.decode(m.encode(a), x_init=b / 255.0),
    'start': lambda m, a, b: m.start(a),
    'reconstruct': lambda m, a, b: m.reconstruct(a, seed=3),
    'swap': lambda m, a, b: m.swap(a, b, seed=3),
    'swap from a clip': lambda m, a, b: m.swap(a, b, x_T='dynamics_clip'),
}


@pytest.mark.parametrize('use', USES.values(), ids=USES)
def test_no_more_clips_are_at_once_than_the_config_says(
    use, tmp_path, monkeypatch):
  a, b = np.random.default_rng(0).integers(
      256, size=(2, 5, 3, 8, 8, 3)).astype(np.uint8)
  whole = use(_model(tmp_path), a, b)
  sizes = []

  def counted(make):

    def count(sampler):
      def run(*args):
        sizes.append(next(len(a) for a in jax.tree.leaves(args) if np.ndim(a)))
        return sampler(*args)
      return run

    return lambda *args, **kwargs: count(make(*args, **kwargs))

  for module, name in ((model.codes_sampler, 'make_encode'),
                       (model.codes_sampler, 'make_decode'),
                       (model.reconstruct_sampler, 'make_reconstruct'),
                       (model.swap_sampler, 'make_swap')):
    monkeypatch.setattr(module, name, counted(getattr(module, name)))
  monkeypatch.setattr(model, '_jit', lambda function, **_: counted(
      lambda: lambda method, *args: function(method, *args))())
  small = _model(tmp_path, eval_batch_size=2)
  np.testing.assert_allclose(use(small, a, b), whole, atol=1e-6)
  assert sizes and set(sizes) == {2}
  sizes.clear()
  use(dataclasses.replace(small, batch_size=1), a, b)
  assert set(sizes) == {1}
