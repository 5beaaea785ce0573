"""Folding frames into the batch and back; broadcasting; masked means."""

import jax
import jax.numpy as jnp

from seqdiff.core import types


def merge_frames(x: types.Array) -> types.Array:
  """(B, T, ...) -> (B*T, ...)."""
  return x.reshape((x.shape[0] * x.shape[1],) + x.shape[2:])


def split_frames(x: types.Array, num_frames: int) -> types.Array:
  """(B*T, ...) -> (B, T, ...)."""
  return x.reshape((-1, num_frames) + x.shape[1:])


def expand_like(a: types.Array, x: types.Array) -> types.Array:
  """Appends axes of size 1 to `a` until it has as many axes as `x`."""
  return jnp.reshape(a, jnp.shape(a) + (1,) * (jnp.ndim(x) - jnp.ndim(a)))


def masked_mean(per_frame: types.Array, mask: types.Array) -> jax.Array:
  """Mean over the real frames of each clip: (B, T), (B, T) -> (B,)."""
  weight = mask.astype(jnp.float32)
  return jnp.sum(per_frame * weight, axis=1) / jnp.maximum(
      jnp.sum(weight, axis=1), 1.0)
