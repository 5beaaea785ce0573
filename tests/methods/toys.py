"""Nets without weights, for tests that look at what a method does with them."""

import dataclasses

import jax.numpy as jnp
import numpy as np


@dataclasses.dataclass(frozen=True)
class Mirror:
  """An encoder without weights: codes are pixels of the clip.

  Static: the first row of pixels of the first frame; dynamic: the second row
  of each frame.
  """

  def apply(self, params, x, mask, *, train=False, rngs=None):
    del params, mask, train, rngs
    return x[:, 0, 0, :, 0], x[:, :, 1, :, 0]


@dataclasses.dataclass(frozen=True)
class Echo:
  """A denoiser net that keeps what it was given and returns zeros."""

  calls: list = dataclasses.field(default_factory=list, hash=False)

  def apply(self, params, x, c_noise, static, dynamic, *, train, rngs):
    del params, train, rngs
    self.calls.append(dict(
        x=x, c_noise=c_noise, static=static, dynamic=dynamic))
    return jnp.zeros_like(x)


def batch(size=3, frames=4, start=0):
  x = np.random.default_rng(1).normal(size=(size, frames, 4, 4, 1))
  return {'x': (0.5 * x).astype(np.float32),
          'mask': np.ones((size, frames), bool),
          'index': np.arange(start, start + size, dtype=np.int32)}
