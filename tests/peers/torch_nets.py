"""The networks of DiffSDA in PyTorch, written from the paper.

Source: arXiv:2510.05717, App. A, and what its released code does: layer order,
group norm with epsilon 1e-5, Xavier-uniform weights, U-Nets that end at almost
zero. Images are (N, C, H, W), clips (B, T, C, H, W), embeddings (N, E). Nothing
here knows of JAX; `weights` maps the parameters.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import rnn as rnn_utils
from torch.utils import checkpoint


class Attention(nn.Module):
  """Residual single-head self-attention over the pixels of an image."""

  def __init__(self, channels: int, groups: int):
    super().__init__()
    self.norm = nn.GroupNorm(groups, channels)
    self.qkv = nn.Conv2d(channels, 3 * channels, 1)
    self.out = nn.Conv2d(channels, channels, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    # (N, 3 C, H, W) -> three of (N, 1 head, H W, C).
    qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).unsqueeze(1)
    y = F.scaled_dot_product_attention(*qkv.chunk(3, dim=-1))
    return x + self.out(y.squeeze(1).transpose(1, 2).reshape(x.shape))


class ResBlock(nn.Module):
  """Two convolutions; or three, the second norm adaptive (AdaGN).

  Args:
    embedding: None, or size of the two embeddings that modulate the second
      norm, that of the noise level first.
    as_published: the last embedding scales only and no scale has the 1 added,
      as the paper writes AdaGN; otherwise as its code has it.
  """

  def __init__(
      self,
      in_channels: int,
      out_channels: int,
      *,
      embedding: int | None,
      attention: bool,
      groups: int,
      dropout: float,
      as_published: bool,
  ):
    super().__init__()
    self.as_published = as_published
    self.norm_1 = nn.GroupNorm(groups, in_channels)
    self.conv_1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    self.norm_2 = nn.GroupNorm(groups, out_channels)
    self.conv_2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
    self.dropout = nn.Dropout(dropout)
    if embedding is not None:
      self.noise_affine = nn.Linear(embedding, 2 * out_channels)
      self.codes_affine = nn.Linear(
          embedding, out_channels * (1 if as_published else 2))
      self.norm_3 = nn.GroupNorm(groups, out_channels)
      self.conv_3 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
    self.shortcut = nn.Identity() if in_channels == out_channels else (
        nn.Conv2d(in_channels, out_channels, 1))
    self.attention = (
        Attention(out_channels, groups) if attention else nn.Identity())

  def forward(
      self, x: torch.Tensor, embeddings: Sequence[torch.Tensor] = ()
  ) -> torch.Tensor:
    """(N, C, H, W) and activated embeddings (N, E), if any."""
    h = self.norm_2(self.conv_1(F.silu(self.norm_1(x))))
    if embeddings:
      scale, shift = (a[..., None, None] for a in self._modulation(*embeddings))
      h = torch.addcmul(shift, h, scale)
    h = self.conv_2(self.dropout(F.silu(h)))
    if embeddings:
      h = self.conv_3(self.dropout(F.silu(self.norm_3(h))))
    return self.attention(self.shortcut(x) + h)

  def _modulation(self, noise, codes):
    """Both affine maps of AdaGN as one: scale and shift, (N, C) each."""
    t_scale, t_shift = self.noise_affine(noise).chunk(2, dim=-1)
    if self.as_published:
      z_scale = self.codes_affine(codes)
      return z_scale * t_scale, z_scale * t_shift
    z_scale, z_shift = self.codes_affine(codes).chunk(2, dim=-1)
    return (1 + t_scale) * (1 + z_scale), (1 + z_scale) * t_shift + z_shift


class Up(nn.Module):
  """Nearest-neighbour upsampling and a convolution."""

  def __init__(self, channels: int):
    super().__init__()
    self.conv = nn.Conv2d(channels, channels, 3, padding=1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.conv(F.interpolate(x, scale_factor=2.0, mode='nearest'))


class UNet(nn.Module):
  """The U-Net of both sides of DiffSDA (spec: 12 skips at 4 levels of 2).

  `down` holds what pushes a skip, `up` what takes one, and between them the
  changes of resolution. Coordinates are (row, column) in [-1, 1].
  """

  def __init__(
      self,
      in_channels: int,
      out_channels: int,
      *,
      channels: int,
      multipliers: Sequence[int],
      num_blocks: int,
      attention_levels: Sequence[int],
      groups: int,
      dropout: float,
      patch_size: int = 1,
      coordinates: bool = False,
      embedding: int | None = None,
      as_published: bool = False,
      remat: bool = False,
  ):
    super().__init__()
    self.patch_size, self.coordinates = patch_size, coordinates
    self.remat = remat

    def block(in_channels, out_channels, attention):
      return ResBlock(
          in_channels, out_channels, embedding=embedding, attention=attention,
          groups=groups, dropout=dropout, as_published=as_published)

    self.head = nn.Conv2d(
        in_channels * patch_size**2 + 2 * coordinates, channels, 3, padding=1)
    widths = [channels * m for m in multipliers]
    width, skips = channels, [channels]
    self.down, self.up = nn.ModuleList(), nn.ModuleList()
    for level, features in enumerate(widths):
      for _ in range(num_blocks):
        self.down.append(block(width, features, level in attention_levels))
        width = features
        skips.append(width)
      if level < len(widths) - 1:
        self.down.append(nn.Conv2d(width, width, 3, stride=2, padding=1))
        skips.append(width)
    self.middle = nn.ModuleList(
        [block(width, width, True), block(width, width, False)])
    for level, features in reversed(list(enumerate(widths))):
      for _ in range(num_blocks + 1):
        self.up.append(
            block(width + skips.pop(), features, level in attention_levels))
        width = features
      if level > 0:
        self.up.append(Up(width))
    self.tail_norm = nn.GroupNorm(groups, width)
    self.tail = nn.Conv2d(width, out_channels * patch_size**2, 3, padding=1)

  def forward(
      self, x: torch.Tensor, embeddings: Sequence[torch.Tensor] = ()
  ) -> torch.Tensor:
    """(N, C, H, W) -> (N, out_channels, H, W)."""
    x = F.pixel_unshuffle(x, self.patch_size) if self.patch_size > 1 else x
    if self.coordinates:
      x = torch.cat([x, _coordinates(x)], dim=1)
    embeddings = [F.silu(e) for e in embeddings]
    h = self.head(x)
    skips = [h]
    for layer in self.down:
      h = self._run(layer, h, embeddings)
      skips.append(h)
    for layer in self.middle:
      h = self._run(layer, h, embeddings)
    for layer in self.up:
      if not isinstance(layer, Up):
        h = torch.cat([h, skips.pop()], dim=1)
      h = self._run(layer, h, embeddings)
    y = self.tail(F.silu(self.tail_norm(h)))
    return F.pixel_shuffle(y, self.patch_size) if self.patch_size > 1 else y

  def _run(self, layer, h, embeddings):
    if not isinstance(layer, ResBlock):
      return layer(h)
    if self.remat and self.training:
      return checkpoint.checkpoint(layer, h, embeddings, use_reentrant=False)
    return layer(h, embeddings)


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
  ):
    super().__init__()
    self.aggregator, self.shared_static = aggregator, shared_static
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
    per_clip, per_frame, dynamic = read(self.norm(x), mask)
    static = per_clip if self.shared_static else per_frame
    return self.static_head(static), self.dynamic_head(dynamic)

  def _lstm(self, x, mask):
    total = x.shape[1]
    if mask is not None:
      x = rnn_utils.pack_padded_sequence(
          x, _lengths(mask), batch_first=True, enforce_sorted=False)
    outputs, (last, _) = self.lstm(x)
    states, _ = self.dynamic_rnn(outputs)
    if mask is not None:
      outputs, states = (
          rnn_utils.pad_packed_sequence(
              a, batch_first=True, total_length=total)[0]
          for a in (outputs, states))
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

  def forward(
      self, x: torch.Tensor, mask: torch.Tensor | None = None
  ) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips (B, T, C, H, W) -> as `SequenceHead`."""
    with low_precision(x.device, self.dtype):
      features = self.frames(x.flatten(0, 1))
    features = features.to(x.dtype).flatten(1).unflatten(0, x.shape[:2])
    return self.head(features, mask)


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


class Denoiser(nn.Module):
  """F(x, c_noise, [d, s]): the U-Net modulated by noise level and codes."""

  def __init__(self, unet: UNet, channels: int, codes: int,
               dtype: torch.dtype = torch.float32):
    super().__init__()
    self.unet, self.dtype = unet, dtype
    self.noise_embedding = NoiseEmbedding(channels)
    self.codes_embedding = nn.Linear(codes, 4 * channels)

  def forward(
      self, x: torch.Tensor, c_noise: torch.Tensor, codes: torch.Tensor
  ) -> torch.Tensor:
    """(B, T, C, H, W), (B, T), (B, T, Dd + Ds) -> (B, T, C, H, W)."""
    embeddings = (self.noise_embedding(c_noise.flatten()),
                  self.codes_embedding(codes.flatten(0, 1)))
    with low_precision(x.device, self.dtype):
      y = self.unet(x.flatten(0, 1), embeddings)
    return y.to(x.dtype).unflatten(0, x.shape[:2])


def low_precision(device: torch.device, dtype: torch.dtype) -> torch.autocast:
  """Mixed precision, or nothing for float32."""
  return torch.autocast(
      device.type, dtype=torch.bfloat16, enabled=dtype != torch.float32)


@torch.no_grad()
def initialise(model: nn.Module) -> None:
  """Xavier-uniform, zero biases, U-Nets that end at almost zero."""
  for module in model.modules():
    if isinstance(module, (nn.Conv2d, nn.Linear)):
      nn.init.xavier_uniform_(module.weight)
      nn.init.zeros_(module.bias)
  for module in model.modules():
    if isinstance(module, Attention):
      for weight in module.qkv.weight.chunk(3):
        nn.init.xavier_uniform_(weight)
    elif isinstance(module, UNet):
      nn.init.xavier_uniform_(module.tail.weight, gain=1e-5)
    elif isinstance(module, SequenceHead) and module.aggregator == 'lstm':
      nn.init.xavier_uniform_(module.lstm.weight_ih_l0)
      nn.init.xavier_uniform_(module.lstm.weight_hh_l0)
      nn.init.zeros_(module.lstm.bias_ih_l0)


def _coordinates(x):
  """(row, column) of each pixel, (N, 2, H, W)."""
  axes = [torch.linspace(-1.0, 1.0, n, device=x.device) for n in x.shape[2:]]
  grid = torch.stack(torch.meshgrid(*axes, indexing='ij'))
  return grid.to(x.dtype).expand(len(x), -1, -1, -1)


def _lengths(mask):
  """Numbers of real frames, which padding follows, on the host."""
  mask = mask.cpu()
  lengths = mask.sum(dim=1)
  if not torch.equal(mask, torch.arange(mask.shape[1]) < lengths[:, None]):
    raise ValueError('mask with a gap; expected padding at the end of clips.')
  if (lengths == 0).any():
    raise ValueError('clip without a real frame.')
  return lengths
