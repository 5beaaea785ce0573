"""The networks of the judges."""

from collections.abc import Mapping

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import shapes
from seqdiff.nets import blocks
from seqdiff.nets import convnet
from seqdiff.nets import recurrent

NETWORKS = ('lstm', 'r2plus1d')


class ClipClassifier(nn.Module):
  """Features of frames and of the clip, and a head of two layers per factor.

  Attributes:
    clip_outputs: name -> number of outputs of each head on the whole clip.
    frame_outputs: name -> number of outputs of each head on single frames.
    network: 'lstm', the judge of the field (Bai et al. 2021, C-DSVAE; Naiman et
      al. 2023, SPYL): the DCGAN encoder of `convnet`, tanh, a bidirectional
      LSTM. Or 'r2plus1d' (Tran et al. 2018, arXiv:1711.11248): residual blocks
      with convolutions over space and over time in turn, which see motion at
      every level, for large clips and long training.
    channels: channels of the first convolution; doubled up to 8 times that.
    features: 'lstm': size of the features of a frame.
    hidden: 'lstm': hidden size, per direction.
    head_features: hidden size of a head.
  """

  clip_outputs: Mapping[str, int]
  frame_outputs: Mapping[str, int]
  network: str = 'lstm'
  channels: int = 64
  features: int = 128
  hidden: int = 256
  head_features: int = 256

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array
  ) -> dict[str, jax.Array]:
    """Clips (B, T, H, W, C) -> outputs by name: (B, K), or (B, T, K).

    Raises:
      ValueError: for an unknown network.
    """
    if self.network not in NETWORKS:
      raise errors.unknown_name('network', self.network, NETWORKS)
    read = self._lstm if self.network == 'lstm' else self._r2plus1d
    frames, clip = read(x, mask)

    def head(name, size, features):
      y = blocks.dense(self.head_features, name=f'{name}_layer')(features)
      return blocks.dense(size, name=f'{name}_head')(nn.relu(y))

    outputs = {n: head(n, size, clip) for n, size in self.clip_outputs.items()}
    outputs.update({
        n: head(n, size, frames) for n, size in self.frame_outputs.items()})
    return outputs

  def _lstm(self, x, mask):
    """Features of frames (B, T, D), and of the clip (B, E)."""
    h = convnet.FrameEncoder(
        self.features, self.channels, name='frame_encoder')(
            shapes.merge_frames(x))
    h = shapes.split_frames(jnp.tanh(h), x.shape[1])
    _, clip = recurrent.Bidirectional(self.hidden, name='lstm')(h, mask)
    return h, clip

  def _r2plus1d(self, x, mask):
    """As `_lstm`."""
    h = nn.relu(Conv2Plus1(self.channels, 2, name='stem')(x, mask))
    width, level = self.channels, 0
    while min(h.shape[2:4]) > 4:
      width = min(2 * width, 8 * self.channels)
      h = Block2Plus1(width, name=f'block_{level}')(h, mask)
      level += 1
    frames = jnp.mean(h, axis=(2, 3))
    weight = mask.astype(frames.dtype)[..., None]
    total = jnp.maximum(jnp.sum(weight, axis=1), 1.0)
    return frames, jnp.sum(weight * frames, axis=1) / total


class Block2Plus1(nn.Module):
  """Residual block of two `Conv2Plus1`, of which the first halves the sides."""

  features: int

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
    """(B, T, 2H, 2W, C), mask (B, T) -> (B, T, H, W, features)."""
    h = nn.relu(Conv2Plus1(self.features, 2, name='conv_1')(x, mask))
    h = Conv2Plus1(self.features, name='conv_2')(h, mask)
    x = blocks.conv(self.features, kernel=1, stride=2, name='shortcut')(
        shapes.merge_frames(x))
    return nn.relu(shapes.split_frames(x, mask.shape[1]) + h)


class Conv2Plus1(nn.Module):
  """Convolution of 3 x 3 pixels, norm, ReLU, convolution of 3 frames, norm.

  Frames with mask 0 count as zeros. Departure: group norm of each frame (4
  groups) instead of batch norm, so that a clip is judged by itself.

  Attributes:
    features: channels of the result.
    stride: of the pixels.
  """

  features: int
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array, mask: jax.Array) -> jax.Array:
    """(B, T, H, W, C), mask (B, T) -> (B, T, H/stride, W/stride, features)."""
    num_frames = mask.shape[1]
    norm = lambda name, h: blocks.GroupNorm(4, name=name)(h)
    h = blocks.conv(self.features, stride=self.stride, name='space')(
        shapes.merge_frames(x))
    h = shapes.split_frames(nn.relu(norm('space_norm', h)), num_frames)
    h = h * mask[..., None, None, None]
    h = jnp.pad(h, ((0, 0), (1, 1)) + ((0, 0),) * 3)
    h = jnp.concatenate([h[:, i:i + num_frames] for i in range(3)], axis=-1)
    h = blocks.dense(self.features, name='time')(h)
    return shapes.split_frames(
        norm('time_norm', shapes.merge_frames(h)), num_frames)
