"""The autoencoders of latent diffusion in PyTorch, written from the paper.

Source: arXiv:2112.10752 and the names and shapes of the published checkpoints,
so that a state dict of `Autoencoder` looks like one of these. Images are
(N, C, H, W). Nothing here knows of JAX.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


def _norm(channels, groups):
  return nn.GroupNorm(groups, channels, eps=1e-6)


class Block(nn.Module):
  """Two convolutions and a shortcut."""

  def __init__(self, in_channels: int, out_channels: int, groups: int):
    super().__init__()
    self.norm1 = _norm(in_channels, groups)
    self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 1, 1)
    self.norm2 = _norm(out_channels, groups)
    self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1)
    if in_channels != out_channels:
      self.nin_shortcut = nn.Conv2d(in_channels, out_channels, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    h = self.conv1(F.silu(self.norm1(x)))
    h = self.conv2(F.silu(self.norm2(h)))
    return h + (self.nin_shortcut(x) if hasattr(self, 'nin_shortcut') else x)


class Attention(nn.Module):
  """Attention with one head; weights over keys by an explicit softmax."""

  def __init__(self, channels: int, groups: int):
    super().__init__()
    self.norm = _norm(channels, groups)
    self.q, self.k, self.v, self.proj_out = (
        nn.Conv2d(channels, channels, 1) for _ in range(4))

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    h = self.norm(x)
    q, k, v = (f(h).flatten(2) for f in (self.q, self.k, self.v))
    weights = torch.softmax(
        torch.einsum('nci,ncj->nij', q, k) / x.shape[1] ** 0.5, dim=-1)
    y = torch.einsum('nij,ncj->nci', weights, v)
    return x + self.proj_out(y.view_as(x))


class Halve(nn.Module):
  """A convolution of stride 2, padded at the right and at the bottom."""

  def __init__(self, channels: int):
    super().__init__()
    self.conv = nn.Conv2d(channels, channels, 3, stride=2)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.conv(F.pad(x, (0, 1, 0, 1)))


class Double(nn.Module):
  """Nearest-neighbour upsampling and a convolution."""

  def __init__(self, channels: int):
    super().__init__()
    self.conv = nn.Conv2d(channels, channels, 3, 1, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    return self.conv(F.interpolate(x, scale_factor=2.0, mode='nearest'))


def _level(widths, attention, groups):
  """The blocks of a level, and attention layers if it has any."""
  level = nn.Module()
  level.block = nn.ModuleList(
      Block(i, o, groups) for i, o in zip(widths, widths[1:]))
  level.attn = nn.ModuleList(
      Attention(o, groups) for o in widths[1:] if attention)
  return level


def _run(level, h):
  for i, block in enumerate(level.block):
    h = block(h)
    if len(level.attn):
      h = level.attn[i](h)
  return h


def _middle(channels, groups):
  mid = nn.Module()
  mid.block_1 = Block(channels, channels, groups)
  mid.attn_1 = Attention(channels, groups)
  mid.block_2 = Block(channels, channels, groups)
  return mid


class Encoder(nn.Module):
  """Image -> features."""

  def __init__(self, in_channels: int, out_channels: int, *, ch: int,
               ch_mult: Sequence[int], num_res_blocks: int,
               attn_levels: Sequence[int], groups: int):
    super().__init__()
    self.conv_in = nn.Conv2d(in_channels, ch, 3, 1, 1)
    self.down = nn.ModuleList()
    width = ch
    for i, multiplier in enumerate(ch_mult):
      level = _level([width] + [ch * multiplier] * num_res_blocks,
                     i in attn_levels, groups)
      width = ch * multiplier
      if i < len(ch_mult) - 1:
        level.downsample = Halve(width)
      self.down.append(level)
    self.mid = _middle(width, groups)
    self.norm_out = _norm(width, groups)
    self.conv_out = nn.Conv2d(width, out_channels, 3, 1, 1)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    h = self.conv_in(x)
    for level in self.down:
      h = _run(level, h)
      if hasattr(level, 'downsample'):
        h = level.downsample(h)
    h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
    return self.conv_out(F.silu(self.norm_out(h)))


class Decoder(nn.Module):
  """Features -> image; level 0 is that of the image, as in the encoder."""

  def __init__(self, in_channels: int, out_channels: int, *, ch: int,
               ch_mult: Sequence[int], num_res_blocks: int,
               attn_levels: Sequence[int], groups: int):
    super().__init__()
    width = ch * ch_mult[-1]
    self.conv_in = nn.Conv2d(in_channels, width, 3, 1, 1)
    self.mid = _middle(width, groups)
    levels = []
    for i in reversed(range(len(ch_mult))):
      level = _level([width] + [ch * ch_mult[i]] * (num_res_blocks + 1),
                     i in attn_levels, groups)
      width = ch * ch_mult[i]
      if i:
        level.upsample = Double(width)
      levels.append(level)
    self.up = nn.ModuleList(levels[::-1])
    self.norm_out = _norm(width, groups)
    self.conv_out = nn.Conv2d(width, out_channels, 3, 1, 1)

  def forward(self, z: torch.Tensor) -> torch.Tensor:
    h = self.conv_in(z)
    h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h)))
    for level in reversed(self.up):
      h = _run(level, h)
      if hasattr(level, 'upsample'):
        h = level.upsample(h)
    return self.conv_out(F.silu(self.norm_out(h)))


class Autoencoder(nn.Module):
  """Both, with a codebook if `n_embed` is given, else Gaussian."""

  def __init__(self, *, z_channels: int, embed_dim: int,
               n_embed: int | None, channels: int = 3, **sizes):
    super().__init__()
    double = 1 if n_embed else 2
    self.encoder = Encoder(channels, double * z_channels, **sizes)
    self.decoder = Decoder(z_channels, channels, **sizes)
    self.quant_conv = nn.Conv2d(double * z_channels, double * embed_dim, 1)
    self.post_quant_conv = nn.Conv2d(embed_dim, z_channels, 1)
    if n_embed:
      self.quantize = nn.Module()
      self.quantize.embedding = nn.Embedding(n_embed, embed_dim)

  def encode(self, x: torch.Tensor) -> torch.Tensor:
    """What a diffusion model is trained on."""
    z = self.quant_conv(self.encoder(x))
    return z if hasattr(self, 'quantize') else z.chunk(2, dim=1)[0]

  def decode(self, z: torch.Tensor) -> torch.Tensor:
    if hasattr(self, 'quantize'):
      codes = self.quantize.embedding.weight
      pixels = z.permute(0, 2, 3, 1)
      nearest = torch.cdist(
          pixels.flatten(0, 2).double(), codes.double()).argmin(dim=1)
      z = codes[nearest].view_as(pixels).permute(0, 3, 1, 2)
    return self.decoder(self.post_quant_conv(z))
