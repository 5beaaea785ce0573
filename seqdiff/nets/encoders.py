"""Sequence encoders: clip -> static code and dynamic codes.

Source: DiffSDA (arXiv:2510.05717, App. A and released code): a U-Net maps each
frame to one channel, a bidirectional LSTM reads the frames, its last states
give the static code, and a tanh RNN over its outputs the dynamic codes.
"""

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import shapes
from seqdiff.nets import blocks
from seqdiff.nets import convnet
from seqdiff.nets import recurrent
from seqdiff.nets import unet

AGGREGATORS = ('lstm', 'pool')


class SequenceHead(nn.Module):
  """Features of each frame -> one static code, one dynamic code per frame.

  Attributes:
    static_dim: size Ds of the static code.
    dynamic_dim: size Dd of a dynamic code.
    hidden: hidden size of the recurrences or of the perceptrons.
    aggregator: 'lstm' as in DiffSDA, or 'pool': the static code comes from the
      mean of per-frame features, a dynamic code from its own frame only.
      Departure: 'pool' learns several times faster.
    causal: 'lstm' only: one-directional LSTMs, so that a dynamic code does not
      see the future (paper). Default False: as in the released code.
    shared_static: False: one static code per frame (ablation, Table 10).
    feature_norm: LayerNorm of the features of each frame. Departure.
  """

  static_dim: int
  dynamic_dim: int
  hidden: int
  aggregator: str = 'lstm'
  causal: bool = False
  shared_static: bool = True
  feature_norm: bool = False

  @nn.compact
  def __call__(
      self, features: jax.Array, mask: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(B, T, D), mask (B, T) -> static (B, Ds), dynamic (B, T, Dd).

    The static code is (B, T, Ds) if it is not shared.

    Raises:
      ValueError: for an unknown aggregator.
    """
    if self.aggregator not in AGGREGATORS:
      raise errors.unknown_name('aggregator', self.aggregator, AGGREGATORS)
    if self.feature_norm:
      features = nn.LayerNorm(name='feature_norm')(features)
    read = self._lstm if self.aggregator == 'lstm' else self._pool
    per_clip, per_frame_static, per_frame = read(features, mask)
    static = blocks.dense(self.static_dim, name='static_head')(
        per_clip if self.shared_static else per_frame_static)
    dynamic = blocks.dense(self.dynamic_dim, name='dynamic_head')(per_frame)
    return static, dynamic

  def _lstm(self, features, mask):
    """The recurrences of DiffSDA, as its code or (causal) as its paper."""
    if self.causal:
      outputs, last = recurrent.Recurrence(
          self.hidden, xavier=True, name='lstm')(features, mask)
      states, _ = recurrent.Recurrence(
          self.hidden, name='dynamic_lstm')(outputs, mask)
    else:
      outputs, last = recurrent.Bidirectional(
          self.hidden, name='lstm')(features, mask)
      states, _ = recurrent.Recurrence(
          self.hidden, cell='rnn', name='rnn')(outputs, mask)
    return last, outputs, states

  def _pool(self, features, mask):
    """Perceptrons per frame; the mean over the real frames is the clip's."""
    layer = lambda name: blocks.dense(self.hidden, name=name)
    static = nn.silu(layer('static_layer')(features))
    weight = mask.astype(static.dtype)[..., None]
    total = jnp.maximum(jnp.sum(weight, axis=1), 1.0)
    pooled = jnp.sum(static * weight, axis=1) / total
    dynamic = nn.silu(layer('dynamic_layer')(features))
    return pooled, static, dynamic


class VideoEncoder(nn.Module):
  """A U-Net for each frame, flattened, and a head over the frames.

  Attributes:
    backbone: maps frames (B*T, H, W, C) to feature maps (B*T, H, W, c), as in
      DiffSDA, or to vectors (B*T, c). Departure: `convnet.FrameEncoder` is
      several times cheaper.
    head: maps flattened features to codes.
  """

  backbone: unet.UNet | convnet.FrameEncoder
  head: SequenceHead

  @property
  def frame_by_frame(self) -> bool:
    """Whether a dynamic code is read from its own frame alone."""
    return self.head.aggregator == 'pool'

  def __call__(
      self, x: jax.Array, mask: jax.Array, *, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    """Clips (B, T, H, W, C), mask (B, T) -> as `SequenceHead`."""
    features = self.backbone(shapes.merge_frames(x), train=train)
    features = features.reshape(x.shape[0], x.shape[1], -1)
    return self.head(features, mask)
