"""Encoders and denoisers of the peer in PyTorch, written from the papers.

Sources: DiffSDA, arXiv:2510.05717, App. A, and its released code; DiViD,
arXiv:2507.13934, Secs. 3.2 and 4.1. Clips are (B, T, C, H, W), or series
(B, T, F). Nothing here knows of JAX; `weights` maps the parameters.
"""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import rnn as rnn_utils

from tests.peers import torch_skip_mlp
from tests.peers import torch_unet


class ConvNet(nn.Module):
  """Strided 4x4 convolutions down to a side of at most 4, then linear."""

  def __init__(self, in_channels: int, size: int, *, channels: int,
               features: int):
    super().__init__()
    layers, width, limit = [], channels, 8 * channels
    while size > 4:
      layers += [nn.Conv2d(in_channels, width, 4, stride=2, padding=1),
                 nn.GroupNorm(4, width), nn.LeakyReLU(0.2)]
      in_channels, width, size = width, min(2 * width, limit), size // 2
    self.layers = nn.Sequential(*layers)
    self.out_channels = in_channels  # Of the last convolution.
    self.features = nn.Linear(in_channels * size**2, features)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.features(self.layers(x).flatten(1))


class SequenceHead(nn.Module):
  """Features of each frame (B, T, D) -> static and dynamic codes.

  'lstm': a bidirectional LSTM, its last states for the static code, and a tanh
  RNN over its outputs for the dynamic codes; causal: two plain LSTMs instead.
  'pool': perceptrons on each frame; their mean gives the static code.
  read_padding: as if all frames were real.
  """

  def __init__(
      self,
      features: int,
      *,
      static_dim: int,
      dynamic_dim: int,
      hidden: int,
      aggregator: str,
      causal: bool,
      shared_static: bool,
      feature_norm: bool,
      read_padding: bool = False,
  ):
    super().__init__()
    self.aggregator, self.shared_static = aggregator, shared_static
    self.read_padding = read_padding
    self.norm = (
        nn.LayerNorm(features, eps=1e-6) if feature_norm else nn.Identity())
    width = hidden
    if aggregator == 'lstm':
      self.lstm = nn.LSTM(
          features, hidden, batch_first=True, bidirectional=not causal)
      width = hidden if causal else 2 * hidden
      recurrence = nn.LSTM if causal else nn.RNN  # RNN: tanh.
      self.dynamic_rnn = recurrence(width, hidden, batch_first=True)
    elif aggregator == 'pool':
      self.static_layer = nn.Linear(features, hidden)
      self.dynamic_layer = nn.Linear(features, hidden)
    else:
      raise ValueError(f'aggregator {aggregator!r}, expected lstm or pool.')
    self.static_head = nn.Linear(width, static_dim)
    self.dynamic_head = nn.Linear(hidden, dynamic_dim)

  def forward(
      self, x: torch.Tensor, mask: torch.Tensor | None = None
  ) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, T, D), mask (B, T) or None -> (B, [T,] Ds), (B, T, Dd)."""
    read = self._lstm if self.aggregator == 'lstm' else self._pool
    mask = None if self.read_padding else mask
    per_clip, per_frame, dynamic = read(self.norm(x), mask)
    static = per_clip if self.shared_static else per_frame
    return self.static_head(static), self.dynamic_head(dynamic)

  def _lstm(self, x, mask):
    outputs, (last, _) = self.lstm(_pack(x, mask))
    states, _ = self.dynamic_rnn(outputs)
    outputs, states = (_unpack(a, mask) for a in (outputs, states))
    # (directions, B, h) -> (B, directions h), the forward state first.
    return last.transpose(0, 1).flatten(1), outputs, states

  def _pool(self, x, mask):
    static = F.silu(self.static_layer(x))
    if mask is None:
      pooled = static.mean(dim=1)
    else:
      weight = mask.to(static.dtype)[..., None]
      pooled = (static * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)
    return pooled, static, F.silu(self.dynamic_layer(x))


class Encoder(nn.Module):
  """A net for each frame and a head over the frames."""

  def __init__(self, frames: nn.Module, head: SequenceHead,
               dtype: torch.dtype = torch.float32):
    super().__init__()
    self.frames, self.head, self.dtype = frames, head, dtype
    self.frame_by_frame = head.aggregator == 'pool'

  def forward(
      self, x: torch.Tensor, mask: torch.Tensor | None = None
  ) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips (B, T, ...) -> as `SequenceHead`."""
    return self.head(_features(self.frames, x, self.dtype), mask)


class ResidualEncoder(nn.Module):
  """DiViD: s from the first frame, d_i from what frame i differs from it by.

  Args:
    frames: a net for each frame.
    features: size of what it gives, flattened.
    aggregator: 'transformer' (ReLU), or 'lstm' (bidirectional).
    layers: of the aggregator.
    width: of the projected residuals.
    heads: of the transformer.
    hidden: of its perceptrons and of the static perceptron.
    static_layers: hidden layers of the latter.
    dropout: of the transformer.
    residual: False: features are not subtracted.
    feature_norm: features are normalised first.
    pre_norm: the transformer's norms come first, and one at its end.
  """

  frame_by_frame = False

  def __init__(
      self,
      frames: nn.Module,
      features: int,
      *,
      static_dim: int,
      dynamic_dim: int,
      aggregator: str,
      layers: int,
      width: int,
      heads: int,
      hidden: int,
      static_layers: int,
      dropout: float,
      residual: bool,
      feature_norm: bool,
      pre_norm: bool,
      dtype: torch.dtype = torch.float32,
  ):
    super().__init__()
    self.frames, self.dtype, self.residual = frames, dtype, residual
    self.aggregator = aggregator
    self.norm = (
        nn.LayerNorm(features, eps=1e-6) if feature_norm else nn.Identity())
    sizes = [features] + static_layers * [hidden]
    self.static_layers = nn.ModuleList(
        [nn.Linear(*pair) for pair in zip(sizes, sizes[1:])])
    self.static_head = nn.Linear(sizes[-1], static_dim)
    self.project = nn.Linear(features, width)
    if aggregator == 'transformer':
      self.dropout = nn.Dropout(dropout)
      self.layers = nn.ModuleList([
          nn.TransformerEncoderLayer(
              width, heads, hidden, dropout, batch_first=True,
              norm_first=pre_norm)
          for _ in range(layers)])
      self.last_norm = nn.LayerNorm(width) if pre_norm else nn.Identity()
    elif aggregator == 'lstm':
      self.lstm = nn.LSTM(
          width, width, layers, batch_first=True, bidirectional=True)
      width = 2 * width
    else:
      raise ValueError(f'aggregator {aggregator!r}: transformer or lstm?')
    self.dynamic_head = nn.Linear(width, dynamic_dim)

  def forward(
      self, x: torch.Tensor, mask: torch.Tensor | None = None
  ) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips (B, T, C, H, W), mask (B, T) -> (B, Ds), (B, T, Dd)."""
    features = self.norm(_features(self.frames, x, self.dtype))
    static = features[:, 0]
    for layer in self.static_layers:
      static = F.relu(layer(static))
    if self.residual:
      features = features - features[:, :1]
    h = self.project(features)
    if self.aggregator == 'transformer':
      places = torch.arange(h.shape[1], device=h.device)
      h = self.dropout(h + sinusoids(places, h.shape[2]).to(h.dtype))
      for layer in self.layers:
        h = layer(h, src_key_padding_mask=None if mask is None else ~mask)
      h = self.last_norm(h)
    else:
      h = _unpack(self.lstm(_pack(h, mask))[0], mask)
    return self.static_head(static), self.dynamic_head(h)


class NoiseEmbedding(nn.Module):
  """Random Fourier features, frequencies N(0, 16^2), and two layers."""

  def __init__(self, channels: int):
    super().__init__()
    self.register_buffer('frequencies', 16.0 * torch.randn(channels // 2))
    self.linear_1 = nn.Linear(channels, 4 * channels)
    self.linear_2 = nn.Linear(4 * channels, 4 * channels)

  def forward(self, c_noise: torch.Tensor) -> torch.Tensor:
    phase = 2.0 * torch.pi * torch.outer(c_noise, self.frequencies)
    h = torch.cat([phase.cos(), phase.sin()], dim=-1)
    return F.silu(self.linear_2(F.silu(self.linear_1(h))))


class TimeEmbedding(nn.Module):
  """Sinusoids of a step and two layers."""

  def __init__(self, channels: int):
    super().__init__()
    self.channels = channels
    self.linear_1 = nn.Linear(channels, 4 * channels)
    self.linear_2 = nn.Linear(4 * channels, 4 * channels)

  def forward(self, t: torch.Tensor) -> torch.Tensor:
    h = sinusoids(t, self.channels).to(self.linear_1.weight.dtype)
    return self.linear_2(F.silu(self.linear_1(h)))


class Denoiser(nn.Module):
  """DiffSDA's F(x, c_noise, [d, s]): a U-Net or perceptrons, with AdaGN."""

  def __init__(self, net: torch_unet.UNet | torch_skip_mlp.SkipMLP,
               channels: int, codes: int, dtype: torch.dtype = torch.float32):
    super().__init__()
    self.net, self.dtype = net, dtype
    self.noise_embedding = NoiseEmbedding(channels)
    self.codes_embedding = nn.Linear(codes, 4 * channels)

  def forward(
      self,
      x: torch.Tensor,
      c_noise: torch.Tensor,
      static: torch.Tensor,
      dynamic: torch.Tensor,
  ) -> torch.Tensor:
    """(B, T, ...), (B, T), codes -> (B, T, ...)."""
    codes = torch.cat([dynamic, _per_frame(static, dynamic)], dim=-1)
    embeddings = (self.noise_embedding(c_noise.flatten()),
                  self.codes_embedding(codes.flatten(0, 1)))
    with low_precision(x.device, self.dtype):
      y = self.net(x.flatten(0, 1), embeddings)
    return y.to(x.dtype).unflatten(0, x.shape[:2])


class TokenDenoiser(nn.Module):
  """DiViD's U-Net: frame i attends to the two tokens s and d_i.

  Args:
    net: the U-Net, with a context; or without one, and with [s, d_i] as its
      second embedding.
    token_dims: None, or (Ds, Dd, D) to bring both codes to size D first.
  """

  def __init__(self, net: torch_unet.UNet, channels: int, *,
               cross: bool, token_dims: tuple[int, int, int] | None,
               dtype: torch.dtype = torch.float32):
    super().__init__()
    self.net, self.cross, self.dtype = net, cross, dtype
    self.time_embedding = TimeEmbedding(channels)
    self.static_token = self.dynamic_token = nn.Identity()
    if token_dims is not None:
      static_dim, dynamic_dim, size = token_dims
      self.static_token = nn.Linear(static_dim, size)
      self.dynamic_token = nn.Linear(dynamic_dim, size)

  def forward(
      self,
      x: torch.Tensor,
      t: torch.Tensor,
      static: torch.Tensor,
      dynamic: torch.Tensor,
  ) -> torch.Tensor:
    """(B, T, C, H, W), (B, T), codes -> (B, T, C, H, W)."""
    static = _per_frame(self.static_token(static), dynamic)
    tokens = [a.flatten(0, 1) for a in (static, self.dynamic_token(dynamic))]
    embeddings, context = [self.time_embedding(t.flatten())], None
    if self.cross:
      context = torch.stack(tokens, dim=1)
    else:
      embeddings.append(torch.cat(tokens, dim=-1))
    with low_precision(x.device, self.dtype):
      y = self.net(x.flatten(0, 1), embeddings, context)
    return y.to(x.dtype).unflatten(0, x.shape[:2])


def low_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
  """Mixed precision, or nothing for float32."""
  return torch.autocast(
      device.type, dtype=torch.bfloat16, enabled=dtype != torch.float32)


def sinusoids(t: torch.Tensor, size: int) -> torch.Tensor:
  """cos and then sin at size / 2 frequencies from 1 down: (..., size)."""
  half = torch.arange(size // 2, device=t.device, dtype=torch.float32)
  phase = t[..., None] * 1e4 ** (-half / len(half))
  return torch.cat([phase.cos(), phase.sin()], dim=-1)


@torch.no_grad()
def initialise(model: nn.Module) -> None:
  """Xavier-uniform, zero biases, U-Nets that end at (almost) zero."""
  for module in model.modules():
    if isinstance(module, (nn.Conv2d, nn.Linear)):
      nn.init.xavier_uniform_(module.weight)
      if module.bias is not None:
        nn.init.zeros_(module.bias)
  for module in model.modules():
    if isinstance(module, torch_unet.Attention):
      for weight in module.qkv.weight.chunk(3):
        nn.init.xavier_uniform_(weight)
    elif isinstance(module, torch_unet.UNet):
      nn.init.xavier_uniform_(module.tail.weight, gain=1e-5)
    elif isinstance(module, SequenceHead) and module.aggregator == 'lstm':
      nn.init.xavier_uniform_(module.lstm.weight_ih_l0)
      nn.init.xavier_uniform_(module.lstm.weight_hh_l0)
      nn.init.zeros_(module.lstm.bias_ih_l0)
    elif isinstance(module, torch_skip_mlp.SkipMLP):
      module.reset_parameters()
  for unet in model.modules():
    if isinstance(unet, torch_unet.UNet) and unet.zero_init:
      for layer in _last_layers(unet):
        nn.init.zeros_(layer.weight)


def _last_layers(unet):
  """What is zero in a U-Net that starts as the identity."""
  yield unet.tail
  for module in unet.modules():
    if isinstance(module, torch_unet.ResBlock):
      yield module.conv_2 if module.conv_3 is None else module.conv_3
    elif isinstance(module, torch_unet.Attention):
      yield module.out
    elif isinstance(module, torch_unet.SpatialTransformer):
      yield module.project_out


def _features(net, x, dtype):
  """(B, T, ...) -> (B, T, D), by a net for each frame."""
  with low_precision(x.device, dtype):
    features = net(x.flatten(0, 1))
  return features.to(x.dtype).flatten(1).unflatten(0, x.shape[:2])


def _per_frame(static, dynamic):
  """A static code for each frame, (B, T, Ds)."""
  if static.ndim == 3:
    return static
  return static[:, None].expand(-1, dynamic.shape[1], -1)


def _pack(x, mask):
  """(B, T, D), mask (B, T) or None -> what a recurrence reads."""
  if mask is None:
    return x
  return rnn_utils.pack_padded_sequence(
      x, _lengths(mask), batch_first=True, enforce_sorted=False)


def _unpack(x, mask):
  """The outputs of a recurrence on what `_pack` gave -> (B, T, D)."""
  if mask is None:
    return x
  return rnn_utils.pad_packed_sequence(
      x, batch_first=True, total_length=mask.shape[1])[0]


def _lengths(mask):
  """Numbers of real frames, which padding follows, on the host."""
  mask = mask.cpu()
  lengths = mask.sum(dim=1)
  if not torch.equal(mask, torch.arange(mask.shape[1]) < lengths[:, None]):
    raise ValueError('mask with a gap; expected padding at the end of clips.')
  if (lengths == 0).any():
    raise ValueError('clip without a real frame.')
  return lengths
