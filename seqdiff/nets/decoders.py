"""Denoisers F(x, c_noise, a): the decoders of the diffusion methods."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import shapes
from seqdiff.nets import blocks
from seqdiff.nets import unet


class VideoDenoiser(nn.Module):
  """The AdaGN U-Net of DiffSDA (arXiv:2510.05717, App. A), frame by frame.

  A frame is conditioned on its noise level first and on a = [d, s] second,
  the dynamic code before the static code as in the released code.

  Attributes:
    backbone: the U-Net.
  """

  backbone: unet.UNet

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      c_noise: jax.Array,
      static: jax.Array,
      dynamic: jax.Array,
      *,
      train: bool = False,
  ) -> jax.Array:
    """F for each frame.

    Args:
      x: (B, T, H, W, C) scaled noised clips.
      c_noise: (B, T) noise conditioning.
      static: (B, Ds), or (B, T, Ds) if it is not shared.
      dynamic: (B, T, Dd).
      train: whether dropout is active.

    Returns:
      (B, T, H, W, C) float32.
    """
    channels = self.backbone.channels
    if static.ndim == 2:
      static = jnp.broadcast_to(
          static[:, None], dynamic.shape[:2] + static.shape[-1:])
    codes = jnp.concatenate([dynamic, static], axis=-1)
    noise = blocks.NoiseEmbedding(channels, name='noise_embedding')(
        c_noise.reshape(-1))
    factors = blocks.dense(4 * channels, name='factor_embedding')(
        shapes.merge_frames(codes))
    y = self.backbone(
        shapes.merge_frames(x), (noise, factors), train=train)
    return shapes.split_frames(y, x.shape[1])
