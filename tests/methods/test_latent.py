"""Tests of `methods.latent`, with a first stage that can be done by hand."""

import dataclasses

import jax.numpy as jnp
import numpy as np

from seqdiff.methods import base
from seqdiff.methods import latent


@dataclasses.dataclass(frozen=True)
class Net:
  """What `latent` reads of the network: halves once, to two channels."""

  multipliers: tuple[int, ...] = (1, 2)
  embed_dim: int = 2


@dataclasses.dataclass(frozen=True)
class Stage:
  """A latent is each second pixel, and its double plus one."""

  net: Net = Net()

  def encode(self, params, x, mask):
    del mask
    z = x[:, :, ::2, ::2]
    return params * jnp.concatenate([z, 2.0 * z + 1.0], axis=-1)

  def decode(self, params, z):
    x = z[..., :1] / params
    return jnp.repeat(jnp.repeat(x, 2, axis=2), 2, axis=3)


@dataclasses.dataclass(frozen=True)
class Inner:
  """Keeps the mean latent; decodes to it plus x_T, and inverts that."""

  def init(self, key, batch):
    del key, batch
    net = {'backbone': {'head': np.zeros((2, 1))}, 'project': np.ones(3)}
    return {'encoder': {'params': net}, 'denoiser': np.ones(2)}

  def encode(self, params, z, mask):
    del mask
    return base.Factors(static=z.mean(axis=(1, 2, 3)), dynamic=params * z)

  def decode(self, params, factors, x_init):
    assert x_init.shape == factors.dynamic.shape
    return factors.dynamic / params + x_init

  def invert(self, params, factors, z):
    return z - factors.dynamic / params + 0.5


METHOD = latent.Latent(Inner(), Stage())
MEAN, STD = np.float32([1.0, -2.0]), np.float32([2.0, 4.0])
PARAMS = {'method': 3.0, 'first_stage': 0.5, 'mean': MEAN, 'std': STD}
X = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1)).astype(np.float32)
ONES = np.ones((2, 3), bool)


def test_method_sees_normalised_latents():
  factors = METHOD.encode(PARAMS, X, ONES)
  z = X[:, :, ::2, ::2]
  expected = (0.5 * np.concatenate([z, 2 * z + 1], -1) - MEAN) / STD
  np.testing.assert_allclose(factors.dynamic, 3.0 * expected, rtol=1e-5)


def test_method_may_see_the_frames():
  method = dataclasses.replace(METHOD, sees_frames=True)
  np.testing.assert_array_equal(
      method.encode(PARAMS, X, ONES).dynamic, 3.0 * X)


def test_clips_come_back_without_noise():
  factors = METHOD.encode(PARAMS, X, ONES)
  back = METHOD.decode(PARAMS, factors, np.zeros_like(X))
  expected = np.kron(X[..., 0][:, :, ::2, ::2], np.ones((2, 2)))
  np.testing.assert_allclose(back[..., 0], expected, atol=1e-5)
  np.testing.assert_allclose(
      METHOD.through_first_stage(PARAMS, X), back, atol=1e-5)


def test_chunks_of_frames_change_nothing():
  x = np.concatenate([X, -X])  # 12 frames.
  factors = METHOD.encode(PARAMS, x, np.ones((4, 3), bool))
  noise = np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
  assert METHOD.chunk == 64
  for chunk in 4, 5:  # The last chunk of 5 has 2.
    method = dataclasses.replace(METHOD, chunk=chunk)
    np.testing.assert_array_equal(
        method.decode(PARAMS, factors, noise),
        METHOD.decode(PARAMS, factors, noise))
    np.testing.assert_array_equal(
        method.encode(PARAMS, x, np.ones((4, 3), bool)).dynamic,
        factors.dynamic)


def test_latents_start_from_the_first_values_of_the_noise():
  factors = METHOD.encode(PARAMS, X, ONES)
  noise = np.zeros_like(X)
  # Eight of the sixteen values of a frame: (row, column, channel).
  noise[0, 1].reshape(-1)[2] = 1.0
  back = METHOD.decode(PARAMS, factors, noise) - METHOD.decode(
      PARAMS, factors, 0 * noise)
  # Row 0, column 1, channel 0; a value of one is std / 0.5 in pixels.
  expected = np.zeros_like(X)
  expected[0, 1, :2, 2:] = 4.0
  np.testing.assert_allclose(back, expected, atol=1e-5)
  noise[:] = 0.0
  noise[:, :].reshape(2, 3, -1)[..., 8:] = 7.0  # These are not used.
  np.testing.assert_allclose(
      METHOD.decode(PARAMS, factors, noise),
      METHOD.decode(PARAMS, factors, 0 * noise), atol=1e-6)


def test_inverted_clips_have_their_x_T_where_decoding_reads_it():
  factors = METHOD.encode(PARAMS, X, ONES)
  x_init = METHOD.invert(PARAMS, factors, X)
  assert x_init.shape == X.shape
  flat = np.asarray(x_init).reshape(2, 3, -1)
  np.testing.assert_allclose(flat[..., :8], np.full((2, 3, 8), 0.5), atol=1e-5)
  np.testing.assert_array_equal(flat[..., 8:], np.zeros((2, 3, 8)))


def test_training_is_that_of_the_method_on_latents():

  class Trained:
    def init(self, key, batch):
      return batch['x'].shape

    def loss(self, params, batch, key, *, step, train):
      return batch['x'].sum() + params, {'step': step, 'train': train}

  method = latent.Latent(Trained(), Stage())
  batch = {'x': X}
  assert method.init(None, batch) == X.shape
  loss, parts = method.loss(2.0, batch, None, step=5, train=True)
  np.testing.assert_allclose(loss, X.sum() + 2.0, rtol=1e-6)
  assert parts == {'step': 5, 'train': True}
