"""The network of the judges."""

from collections.abc import Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import shapes
from seqdiff.nets import blocks
from seqdiff.nets import convnet
from seqdiff.nets import recurrent


class ClipClassifier(nn.Module):
  """Strided convolutions per frame, a bidirectional LSTM, a head per factor.

  The judge of the field (Bai et al. 2021, C-DSVAE; Naiman et al. 2023, SPYL):
  the DCGAN encoder of `convnet` and tanh; LSTM; heads of two layers.

  Attributes:
    clip_outputs: name -> number of outputs of each head on the whole clip.
    frame_outputs: name -> number of outputs of each head on single frames.
    channels: channels of the first convolution; doubled up to 8 times that.
    features: size of the features of a frame.
    hidden: hidden size of the LSTM, per direction.
    head_features: hidden size of a head.
  """

  clip_outputs: Mapping[str, int]
  frame_outputs: Mapping[str, int]
  channels: int = 64
  features: int = 128
  hidden: int = 256
  head_features: int = 256

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array
  ) -> dict[str, jax.Array]:
    """Clips (B, T, H, W, C) -> outputs by name: (B, K), or (B, T, K)."""
    h = convnet.FrameEncoder(
        self.features, self.channels, name='frame_encoder')(
            shapes.merge_frames(x))
    h = shapes.split_frames(jnp.tanh(h), x.shape[1])
    _, clip = recurrent.Bidirectional(self.hidden, name='lstm')(h, mask)

    def head(name, size, features):
      y = blocks.dense(self.head_features, name=f'{name}_layer')(features)
      return blocks.dense(size, name=f'{name}_head')(nn.relu(y))

    outputs = {n: head(n, size, clip) for n, size in self.clip_outputs.items()}
    outputs.update(
        {n: head(n, size, h) for n, size in self.frame_outputs.items()})
    return outputs
