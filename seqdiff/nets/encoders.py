"""Sequence encoders: clip -> static code and dynamic codes.

Source: DiffSDA (arXiv:2510.05717, App. A and released code): a U-Net maps each
frame to one channel, a bidirectional LSTM reads the frames, its last states
give the static code, and a tanh RNN over its outputs the dynamic codes.
`ResidualEncoder` is that of DiViD.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import shapes
from seqdiff.nets import blocks
from seqdiff.nets import convnet
from seqdiff.nets import recurrent
from seqdiff.nets import skip_mlp
from seqdiff.nets import transformer
from seqdiff.nets import unet

AGGREGATORS = ('lstm', 'pool')
RESIDUAL_AGGREGATORS = ('transformer', 'lstm')
INITS = {  # Of linear layers, and of queries, keys and values.
    'fan_in': (blocks.FAN_IN, blocks.STACKED),
    'xavier': (blocks.XAVIER, blocks.XAVIER)}


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
    read_padding: whether padded frames are read like real ones (released code,
      series).
  """

  static_dim: int
  dynamic_dim: int
  hidden: int
  aggregator: str = 'lstm'
  causal: bool = False
  shared_static: bool = True
  feature_norm: bool = False
  read_padding: bool = False

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
    if self.read_padding:
      mask = jnp.ones_like(mask)
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


class SequenceEncoder(nn.Module):
  """A network for each frame, flattened, and a head over the frames.

  Attributes:
    backbone: as in DiffSDA a U-Net, which maps frames (B*T, H, W, C) to feature
      maps (B*T, H, W, c), or for series a `SkipMLP`, (B*T, F) -> (B*T, c).
      Departure: `convnet.FrameEncoder` is several times cheaper than a U-Net.
    head: maps flattened features to codes.
  """

  backbone: unet.UNet | convnet.FrameEncoder | skip_mlp.SkipMLP
  head: SequenceHead

  @property
  def frame_by_frame(self) -> bool:
    """Whether a dynamic code is read from its own frame alone."""
    return self.head.aggregator == 'pool'

  def __call__(
      self, x: jax.Array, mask: jax.Array, *, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    """Clips (B, T, ...), mask (B, T) -> as `SequenceHead`."""
    features = self.backbone(shapes.merge_frames(x), train=train)
    features = features.reshape(x.shape[0], x.shape[1], -1)
    return self.head(features, mask)


class ResidualEncoder(nn.Module):
  """DiViD's encoder (arXiv:2507.13934, Secs. 3.2 and 4.1).

  The static code is read from the features f_1 of the first frame alone, the
  dynamic codes from the residuals f_i - f_1 of all frames, r_1 = 0 included.

  Attributes:
    static_dim: size Ds of the static code.
    dynamic_dim: size Dd of a dynamic code.
    backbone: None: features are the flattened values of a frame, as of the
      latents of a frozen first stage; or a network as in `SequenceEncoder`.
    aggregator: 'transformer', or 'lstm' (ablation, Table 2).
    layers: layers of the aggregator: 4 for 'transformer', 2 for 'lstm'.
    width: size of the projected residuals, and hidden size of an LSTM.
    heads: heads of the transformer.
    hidden: hidden size of its perceptrons and of the static perceptron.
    static_layers: hidden layers of the static perceptron.
    dropout: dropout rate of the transformer.
    residual: False: features are not subtracted. Departure.
    feature_norm: LayerNorm of the features of each frame, without which small
      residuals are lost beside the positions. Departure.
    causal: whether a dynamic code does not see the future. Departure.
    pre_norm, scale_inputs: of the transformer, see there. Departures.
    kernel_init: 'fan_in', how layers start in PyTorch (but for biases of 0),
      or 'xavier', with which codes are longer at first: (s^T d_i)^2 is hundreds
      of times larger, and with it what lambda weighs. Departure.
  """

  static_dim: int
  dynamic_dim: int
  backbone: nn.Module | None = None
  aggregator: str = 'transformer'
  layers: int = 4
  width: int = 256
  heads: int = 32
  hidden: int = 1024
  static_layers: int = 2
  dropout: float = 0.1
  residual: bool = True
  feature_norm: bool = False
  causal: bool = False
  pre_norm: bool = False
  scale_inputs: bool = False
  kernel_init: str = 'fan_in'

  @property
  def frame_by_frame(self) -> bool:
    """Whether a dynamic code is read from its own frame alone."""
    return False

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array, *, train: bool = False
  ) -> tuple[jax.Array, jax.Array]:
    """Clips (B, T, H, W, C), mask (B, T) -> (B, Ds), (B, T, Dd).

    Raises:
      ValueError: for an unknown aggregator or kernel_init.
    """
    if self.aggregator not in RESIDUAL_AGGREGATORS:
      raise errors.unknown_name(
          'aggregator', self.aggregator, RESIDUAL_AGGREGATORS)
    if self.kernel_init not in INITS:
      raise errors.unknown_name('kernel_init', self.kernel_init, INITS)
    init, projection_init = INITS[self.kernel_init]
    dense = functools.partial(blocks.dense, init=init)
    frames = shapes.merge_frames(x)
    if self.backbone is not None:
      frames = self.backbone(frames, train=train)
    features = frames.reshape(*x.shape[:2], -1)
    if self.feature_norm:
      features = nn.LayerNorm(name='feature_norm')(features)
    static = features[:, 0]
    for i in range(self.static_layers):
      static = nn.relu(dense(self.hidden, name=f'static_layer_{i}')(static))
    static = dense(self.static_dim, name='static_head')(static)
    if self.residual:
      features = features - features[:, :1]
    h = dense(self.width, name='project')(features)
    if self.aggregator == 'transformer':
      h = transformer.TransformerEncoder(
          self.layers, self.heads, self.hidden, self.dropout, self.causal,
          self.pre_norm, self.scale_inputs, init, projection_init,
          name='transformer')(h, mask, train=train)
    else:
      lstm = recurrent.Recurrence if self.causal else functools.partial(
          recurrent.Bidirectional, xavier=self.kernel_init == 'xavier')
      for i in range(self.layers):
        h, _ = lstm(self.width, name=f'lstm_{i}')(h, mask)
    dynamic = dense(self.dynamic_dim, name='dynamic_head')(h)
    return static, dynamic
