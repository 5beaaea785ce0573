"""The U-Nets of DiffSDA and DiViD in PyTorch, written from the papers.

Sources: DiffSDA, arXiv:2510.05717, App. A, and what its released code does:
layer order, group norm with epsilon 1e-5, U-Nets that end at almost zero.
DiViD, arXiv:2507.13934, Sec. 4.1, with the details of latent diffusion
(arXiv:2112.10752): residual blocks of two convolutions that start as the
identity, resampling inside them, spatial transformers. Images are
(N, C, H, W), embeddings (N, E), a context (N, K, D).
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils import checkpoint


class Attention(nn.Module):
  """Residual self-attention over the pixels of an image."""

  def __init__(self, channels: int, heads: int, groups: int):
    super().__init__()
    self.heads = heads
    self.norm = nn.GroupNorm(groups, channels)
    self.qkv = nn.Conv2d(channels, 3 * channels, 1)
    self.out = nn.Conv2d(channels, channels, 1)

  def forward(
      self, x: torch.Tensor, context: torch.Tensor | None = None
  ) -> torch.Tensor:
    """(N, C, H, W) -> the same; there is no context."""
    qkv = self.qkv(self.norm(x)).flatten(2).transpose(1, 2)
    y = _attend(*qkv.chunk(3, dim=-1), self.heads)
    return x + self.out(y.transpose(1, 2).reshape(x.shape))


class TokenAttention(nn.Module):
  """Attention of tokens (N, L, C) to a context (N, K, D)."""

  def __init__(self, channels: int, context: int, heads: int):
    super().__init__()
    self.heads = heads
    self.q = nn.Linear(channels, channels, bias=False)
    self.k = nn.Linear(context, channels, bias=False)
    self.v = nn.Linear(context, channels, bias=False)
    self.out = nn.Linear(channels, channels)

  def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    return self.out(_attend(
        self.q(x), self.k(context), self.v(context), self.heads))


class SpatialTransformer(nn.Module):
  """A transformer block over pixels, between 1x1 convolutions; residual.

  Pixels attend to each other, then to the context; then a GEGLU perceptron.
  """

  def __init__(self, channels: int, context: int, heads: int, groups: int):
    super().__init__()
    self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
    self.project_in = nn.Conv2d(channels, channels, 1)
    self.norm_1 = nn.LayerNorm(channels)
    self.self_attention = TokenAttention(channels, channels, heads)
    self.norm_2 = nn.LayerNorm(channels)
    self.cross_attention = TokenAttention(channels, context, heads)
    self.norm_3 = nn.LayerNorm(channels)
    self.widen = nn.Linear(channels, 8 * channels)  # Values and gates.
    self.shrink = nn.Linear(4 * channels, channels)
    self.project_out = nn.Conv2d(channels, channels, 1)

  def forward(self, x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
    """(N, C, H, W), (N, K, D) -> (N, C, H, W)."""
    h = self.project_in(self.norm(x)).flatten(2).transpose(1, 2)
    y = self.norm_1(h)
    h = h + self.self_attention(y, y)
    h = h + self.cross_attention(self.norm_2(h), context)
    value, gate = self.widen(self.norm_3(h)).chunk(2, dim=-1)
    h = h + self.shrink(value * F.gelu(gate))
    return x + self.project_out(h.transpose(1, 2).reshape(x.shape))


class ResBlock(nn.Module):
  """A residual block whose second norm is adaptive (AdaGN) if so asked.

  Args:
    embeddings: sizes of the embeddings that modulate the second norm, one
      after the other; that of the noise level first.
    attention: None, or what follows the block.
    as_published: the last embedding scales only and no scale has the 1 added,
      as DiffSDA's paper writes AdaGN; otherwise as its code has it.
    third_conv: an adaptive block ends with a third norm and convolution.
    resample: None, 'down' (mean of 2x2 pixels) or 'up' (nearest pixel).
  """

  def __init__(
      self,
      in_channels: int,
      out_channels: int,
      *,
      embeddings: Sequence[int],
      attention: nn.Module | None,
      groups: int,
      dropout: float,
      as_published: bool,
      third_conv: bool,
      resample: str | None = None,
  ):
    super().__init__()
    self.as_published, self.resample = as_published, resample
    self.norm_1 = nn.GroupNorm(groups, in_channels)
    self.conv_1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    self.norm_2 = nn.GroupNorm(groups, out_channels)
    self.conv_2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
    self.dropout = nn.Dropout(dropout)
    sizes = [2 * out_channels] * len(embeddings)
    if as_published and embeddings:
      sizes[-1] = out_channels
    self.affines = nn.ModuleList(
        [nn.Linear(*pair) for pair in zip(embeddings, sizes)])
    self.norm_3 = self.conv_3 = None
    if third_conv and embeddings:
      self.norm_3 = nn.GroupNorm(groups, out_channels)
      self.conv_3 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
    self.shortcut = nn.Identity() if in_channels == out_channels else (
        nn.Conv2d(in_channels, out_channels, 1))
    self.attention = attention

  def forward(
      self,
      x: torch.Tensor,
      embeddings: Sequence[torch.Tensor] = (),
      context: torch.Tensor | None = None,
  ) -> torch.Tensor:
    """(N, C, H, W), activated embeddings (N, E) if any, and a context."""
    h = self._resize(F.silu(self.norm_1(x)))
    h = self.norm_2(self.conv_1(h))
    if embeddings:
      scale, shift = (a[..., None, None] for a in self._modulation(embeddings))
      h = torch.addcmul(shift, h, scale)
    h = self.conv_2(self.dropout(F.silu(h)))
    if self.conv_3 is not None:
      h = self.conv_3(self.dropout(F.silu(self.norm_3(h))))
    y = self.shortcut(self._resize(x)) + h
    return y if self.attention is None else self.attention(y, context)

  def _resize(self, x):
    if self.resample == 'down':
      return F.avg_pool2d(x, 2)
    if self.resample == 'up':
      return F.interpolate(x, scale_factor=2.0, mode='nearest')
    return x

  def _modulation(self, embeddings):
    """All affine maps of AdaGN as one: scale and shift, (N, C) each."""
    if self.as_published:
      t_scale, t_shift = self.affines[0](embeddings[0]).chunk(2, dim=-1)
      z_scale = self.affines[1](embeddings[1])
      return z_scale * t_scale, z_scale * t_shift
    scale, shift = None, None
    for affine, embedding in zip(self.affines, embeddings):
      factor, offset = affine(embedding).chunk(2, dim=-1)
      factor = 1 + factor
      scale = factor if scale is None else scale * factor
      shift = offset if shift is None else torch.addcmul(offset, shift, factor)
    return scale, shift


class Up(nn.Module):
  """Nearest-neighbour upsampling and a convolution."""

  def __init__(self, channels: int):
    super().__init__()
    self.conv = nn.Conv2d(channels, channels, 3, padding=1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.conv(F.interpolate(x, scale_factor=2.0, mode='nearest'))


class UNet(nn.Module):
  """The U-Net of both methods (12 skips at 4 levels of 2 blocks).

  `down` holds what pushes a skip, `up` what takes one, and between them the
  changes of resolution. Coordinates are (row, column) in [-1, 1].

  Args:
    embeddings: sizes of the embeddings, see `ResBlock`.
    context: size of a token of the context, if `attention` is 'cross'.
    zero_init: blocks and attention start as the identity, the result as zero.
    resample: between levels 'conv' (strided, or `Up`) or 'block' (`ResBlock`).
    attention: 'self' or 'cross' (spatial transformers).
    remat: blocks are computed again in the backward pass.
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
      embeddings: Sequence[int] = (),
      context: int | None = None,
      as_published: bool = False,
      third_conv: bool = True,
      zero_init: bool = False,
      resample: str = 'conv',
      attention: str = 'self',
      heads: int = 1,
      remat: bool = False,
  ):
    super().__init__()
    self.patch_size, self.coordinates = patch_size, coordinates
    self.zero_init, self.remat = zero_init, remat
    self._block_options = dict(
        embeddings=embeddings, groups=groups, dropout=dropout,
        as_published=as_published, third_conv=third_conv)
    self._attention_options = attention, context, heads, groups
    self._resample = resample
    self.head = nn.Conv2d(
        in_channels * patch_size**2 + 2 * coordinates, channels, 3, padding=1)
    widths = [channels * m for m in multipliers]
    width, skips = channels, [channels]
    self.down, self.up = nn.ModuleList(), nn.ModuleList()
    for level, features in enumerate(widths):
      for _ in range(num_blocks):
        self.down.append(
            self._block(width, features, level in attention_levels))
        width = features
        skips.append(width)
      if level < len(widths) - 1:
        self.down.append(self._make_resize(width, 'down'))
        skips.append(width)
    self.middle = nn.ModuleList(
        [self._block(width, width, True), self._block(width, width, False)])
    for level, features in reversed(list(enumerate(widths))):
      for _ in range(num_blocks + 1):
        self.up.append(self._block(
            width + skips.pop(), features, level in attention_levels))
        width = features
      if level > 0:
        self.up.append(self._make_resize(width, 'up'))
    self.tail_norm = nn.GroupNorm(groups, width)
    self.tail = nn.Conv2d(width, out_channels * patch_size**2, 3, padding=1)

  def forward(
      self,
      x: torch.Tensor,
      embeddings: Sequence[torch.Tensor] = (),
      context: torch.Tensor | None = None,
  ) -> torch.Tensor:
    """(N, C, H, W) -> (N, out_channels, H, W)."""
    x = F.pixel_unshuffle(x, self.patch_size) if self.patch_size > 1 else x
    if self.coordinates:
      x = torch.cat([x, _coordinates(x)], dim=1)
    embeddings = [F.silu(e) for e in embeddings]
    h = self.head(x)
    skips = [h]
    for layer in self.down:
      h = self._run(layer, h, embeddings, context)
      skips.append(h)
    for layer in self.middle:
      h = self._run(layer, h, embeddings, context)
    for layer in self.up:
      if not resizes(layer):
        h = torch.cat([h, skips.pop()], dim=1)
      h = self._run(layer, h, embeddings, context)
    y = self.tail(F.silu(self.tail_norm(h)))
    return F.pixel_shuffle(y, self.patch_size) if self.patch_size > 1 else y

  def _block(self, in_channels, out_channels, attended, resample=None):
    attention = None
    if attended:
      kind, context, heads, groups = self._attention_options
      attention = (
          SpatialTransformer(out_channels, context, heads, groups)
          if kind == 'cross' else Attention(out_channels, heads, groups))
    return ResBlock(in_channels, out_channels, attention=attention,
                    resample=resample, **self._block_options)

  def _make_resize(self, width, how):
    if self._resample == 'block':
      return self._block(width, width, False, resample=how)
    if how == 'up':
      return Up(width)
    return nn.Conv2d(width, width, 3, stride=2, padding=1)

  def _run(self, layer, h, embeddings, context):
    if not isinstance(layer, ResBlock):
      return layer(h)
    if self.remat and self.training:
      return checkpoint.checkpoint(
          layer, h, embeddings, context, use_reentrant=False)
    return layer(h, embeddings, context)


def resizes(layer: nn.Module) -> bool:
  """Whether a layer of a U-Net leads from one level to another."""
  return not isinstance(layer, ResBlock) or layer.resample is not None


def _attend(q, k, v, heads):
  """Multi-head attention: (N, L, C), twice (N, K, C) -> (N, L, C)."""
  q, k, v = (a.unflatten(-1, (heads, -1)).transpose(1, 2) for a in (q, k, v))
  return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def _coordinates(x):
  """(row, column) of each pixel, (N, 2, H, W)."""
  axes = [torch.linspace(-1.0, 1.0, n, device=x.device) for n in x.shape[2:]]
  grid = torch.stack(torch.meshgrid(*axes, indexing='ij'))
  return grid.to(x.dtype).expand(len(x), -1, -1, -1)
