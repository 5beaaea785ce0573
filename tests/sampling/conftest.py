"""Two methods in closed form and a small real one, and clips."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.diffusion import edm
from seqdiff.diffusion import samplers
from seqdiff.methods import base
from seqdiff.methods import diffsda
from seqdiff.nets import convnet
from seqdiff.nets import decoders
from seqdiff.nets import encoders
from seqdiff.nets import unet


@dataclasses.dataclass(frozen=True)
class Means:
  """The static code is the mean of a clip, a dynamic code that of its frame.

  A frame is decoded as its dynamic code, plus `weight` times the static code,
  plus x_T; so x_T is what the codes do not hold.
  """

  weight: float = 1.0

  def encode(self, params, x, mask):
    frames = jnp.mean(x, axis=(2, 3, 4))
    weight = mask / jnp.sum(mask, axis=1, keepdims=True)
    static = jnp.sum(frames * weight, axis=1)[:, None]
    return base.Factors(static=static + params, dynamic=frames[..., None])

  def decode(self, params, factors, x_init):
    del params
    code = self.weight * factors.static[:, None] + factors.dynamic
    return code[..., None, None] + x_init

  def invert(self, params, factors, x):
    return x - self.decode(params, factors, 0.0)


@dataclasses.dataclass(frozen=True)
class Gaussian:
  """Frames are N(m, 0.5^2) with m a function of the codes.

  The exact denoiser is known, so that the real solvers can be used.
  """

  def encode(self, params, x, mask):
    del mask
    frames = x.reshape(x.shape[:2] + (-1,)) @ params['in']
    return base.Factors(
        static=jnp.tanh(frames.mean(axis=1)), dynamic=jnp.tanh(frames))

  def decode(self, params, factors, x_init):
    sigmas = edm.karras_sigmas(16, sigma_max=20.0)
    denoise = self._denoise(params, factors, x_init.shape)
    return samplers.heun(denoise, sigmas[0] * x_init, sigmas)

  def invert(self, params, factors, x):
    denoise = self._denoise(params, factors, x.shape)
    return samplers.encode(denoise, x, edm.karras_sigmas(16, sigma_max=20.0))

  def _denoise(self, params, factors, shape):
    codes = factors.static[:, None] + 0.5 * factors.dynamic
    mean = 0.3 * jnp.tanh(codes @ params['out']).reshape(shape)
    return lambda x, sigma: (
        0.25 * x + sigma**2 * mean) / (0.25 + sigma**2)


def make_batch(num_clips, num_frames=2, *, size=8, seed=0, start=0):
  """Random uint8 clips as a batch."""
  rng = np.random.default_rng(seed)
  shape = (num_clips, num_frames, size, size, 3)
  return {
      'x': rng.integers(90, 170, shape, np.uint8),
      'mask': np.ones(shape[:2], bool),
      'index': np.arange(start, start + num_clips, dtype=np.int32),
  }


def rows(batch, chosen):
  """The examples `chosen` of a batch."""
  return {k: v[np.asarray(chosen)] for k, v in batch.items()}


@pytest.fixture
def gaussian():
  """The method above with random weights."""
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(0.0, 1.0, shape).astype(np.float32)
  return Gaussian(), {'in': 0.2 * draw(192, 4), 'out': draw(4, 192)}


@pytest.fixture(scope='session')
def real():
  """DiffSDA with random weights that all matter: method and params."""
  method = diffsda.DiffSDA(
      encoder=encoders.SequenceEncoder(
          convnet.FrameEncoder(features=8, channels=4),
          encoders.SequenceHead(4, 2, hidden=8, aggregator='pool')),
      denoiser=decoders.AdaGNDenoiser(unet.UNet(
          out_channels=3, channels=8, multipliers=(1,), num_blocks=1,
          attention_levels=(), groups=4, dropout=0.0, patch_size=2)),
      solver=diffsda.Solver('heun', num_steps=3, sigma_max=20.0))
  batch = make_batch(1)
  batch['x'] = np.zeros(batch['x'].shape, np.float32)
  rng = np.random.default_rng(0)

  def draw(leaf):  # With numpy, for compiling `init` takes longer than all.
    fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 10.0
    values = rng.normal(0.0, fan_in**-0.5, leaf.shape).astype(np.float32)
    return values + (leaf.ndim == 1)

  abstract = jax.eval_shape(method.init, jax.random.key(0), batch)
  return method, jax.tree.map(draw, abstract)


@pytest.fixture
def toy():
  """The names above, for the tests of this directory."""
  return types.SimpleNamespace(Means=Means, make_batch=make_batch, rows=rows)
