"""Plain strided convolutions: the frame encoder of judges and baselines."""

from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.nets import blocks


class FrameEncoder(nn.Module):
  """The DCGAN encoder of the field (DSVAE, C-DSVAE, SPYL): image -> vector.

  Convolutions 4x4 of stride 2, each with norm and LeakyReLU(0.2), until a side
  has at most 4 pixels, then one linear layer. Departure: group norm (4 groups)
  instead of batch norm, so that a clip is encoded by itself.

  Attributes:
    features: size of the result.
    channels: channels of the first convolution; doubled up to 8 times that.
    dtype: type of the computation; the result is float32.
  """

  features: int
  channels: int = 64
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: jax.Array, *, train: bool = False) -> jax.Array:
    """(B, H, W, C) -> (B, features)."""
    del train
    width, level = self.channels, 0
    while min(x.shape[1:3]) > 4:
      x = blocks.conv(width, kernel=4, stride=2, pad=1, name=f'conv_{level}',
                      dtype=self.dtype)(x)
      x = blocks.GroupNorm(4, dtype=self.dtype, name=f'norm_{level}')(x)
      x = nn.leaky_relu(x, 0.2)
      width, level = min(2 * width, 8 * self.channels), level + 1
    x = x.reshape(x.shape[0], -1).astype(jnp.float32)
    return blocks.dense(self.features, name='features')(x)
