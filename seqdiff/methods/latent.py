"""A method of latents behind a frozen first stage, seen as one of clips.

Training sees latents that were encoded before (`data.latents`) and normalised,
and only the parameters of the method. Everything else sees clips, and a bundle
of parameters

  {'method': ..., 'first_stage': ..., 'mean': (c,), 'std': (c,)}

with which latents are (z - mean) / std.
"""

from collections.abc import Callable
import dataclasses
import math

import jax
import jax.numpy as jnp

from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.methods import autoencoder
from seqdiff.methods import base


@dataclasses.dataclass(frozen=True)
class Latent:
  """A method of latents; see `methods.base.Method`.

  Attributes:
    method: the method, on latents (B, T, h, w, c).
    first_stage: clips -> latents and back, frame by frame.
    sees_frames: whether the encoder of the method sees clips, not latents.
    chunk: frames that pass the first stage at once, which bounds the memory.
  """

  method: base.Method
  first_stage: autoencoder.Autoencoder
  sees_frames: bool = False
  chunk: int = 64

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters of the method, for batches of latents."""
    return self.method.init(key, batch)

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of the method on a batch of latents."""
    return self.method.loss(params, batch, key, step=step, train=train)

  def encode(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> base.Factors:
    """Clips -> factors."""
    seen = x if self.sees_frames else self._to_latents(params, x)
    return self.method.encode(params['method'], seen, mask)

  def decode(
      self, params: types.Params, factors: base.Factors, x_init: types.Array
  ) -> jax.Array:
    """Factors and unit noise shaped as the clips -> clips.

    A frame of the noise has more values than its latent, which starts from the
    first ones.
    """
    shape = self._latent_shape(x_init.shape[2:])
    values = x_init.reshape(*x_init.shape[:2], -1)[..., :math.prod(shape)]
    z = self.method.decode(
        params['method'], factors, values.reshape(*x_init.shape[:2], *shape))
    mean, std = self._normalisation(params)
    return self._decode(params, z * std + mean)

  def invert(
      self, params: types.Params, factors: base.Factors, x: types.Array
  ) -> jax.Array:
    """Clips and their factors -> what `decode` starts from, else zeros."""
    z = self.method.invert(
        params['method'], factors, self._to_latents(params, x))
    z = z.reshape(*z.shape[:2], -1)
    unused = math.prod(x.shape[2:]) - z.shape[-1]
    return jnp.pad(z, ((0, 0), (0, 0), (0, unused))).reshape(x.shape)

  def through_first_stage(
      self, params: types.Params, x: types.Array
  ) -> jax.Array:
    """Clips encoded and decoded by the first stage alone: the best possible."""
    return self._decode(params, self._encode(params, x))

  def _to_latents(self, params, x):
    mean, std = self._normalisation(params)
    return (self._encode(params, x) - mean) / std

  def _encode(self, params, x):
    one = jnp.ones((1, 1), bool)
    return self._in_chunks(lambda frame: self.first_stage.encode(
        params['first_stage'], frame, one), x)

  def _decode(self, params, z):
    return self._in_chunks(lambda frame: self.first_stage.decode(
        params['first_stage'], frame), z)

  def _in_chunks(self, function: Callable[[jax.Array], jax.Array], x):
    """A function of one frame (1, 1, ...), for all frames of x (B, T, ...)."""
    frames = shapes.merge_frames(x)
    y = jax.lax.map(lambda frame: function(frame[None, None])[0, 0], frames,
                    batch_size=min(self.chunk, len(frames)))
    return shapes.split_frames(y, x.shape[1])

  def _normalisation(self, params):
    """Mean and standard deviation with the axes of latents."""
    return (params[name].reshape(1, 1, 1, 1, -1) for name in ('mean', 'std'))

  def _latent_shape(self, shape):
    """(H, W, C) of a frame -> (h, w, c) of its latent."""
    net = self.first_stage.net
    factor = 2 ** (len(net.multipliers) - 1)
    return shape[0] // factor, shape[1] // factor, net.embed_dim
