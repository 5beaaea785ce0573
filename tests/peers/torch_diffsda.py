"""DiffSDA in PyTorch: an independent peer, for parity and for speed.

Written from the papers (DiffSDA, arXiv:2510.05717; EDM, arXiv:2206.00364) and
the descriptions of the departures, not from our JAX code. It is built from the
same configs. Clips are (B, T, C, H, W). What is random can be passed as `Noise`
and is drawn by torch otherwise.

  model = torch_diffsda.from_config(config)
  loss, parts = model(x)
  clips = model.swap(x_a, x_b)
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from tests.peers import torch_nets
from tests.peers import torch_samplers


@dataclasses.dataclass
class Noise:
  """What a training loss draws; None = draw it.

  Attributes:
    frames: (B, n) indices of the decoded frames.
    static: (B, halves, Ds), or (B, T, Ds) if not shared; of Gaussian codes.
    dynamic: (B, T, Dd).
    sigma: (B, n) noise levels.
    eps: (B, n, C, H, W).
    mix: (B, halves, C, C), colours of what the dynamic encoder sees.
    gamma: (B, halves, C).
  """

  frames: torch.Tensor | None = None
  static: torch.Tensor | None = None
  dynamic: torch.Tensor | None = None
  sigma: torch.Tensor | None = None
  eps: torch.Tensor | None = None
  mix: torch.Tensor | None = None
  gamma: torch.Tensor | None = None


class DiffSDA(nn.Module):
  """Encoder, denoiser, EDM loss and sampler.

  Args:
    encoder: clips -> codes; twice the size where `*_kl` is given.
    denoiser: F(x, c_noise, codes).
    diffusion: the section `method.diffusion` of a config.
    sampler: the section `sampler` of a config.
    unit_codes: codes (or their means) have mean square 1.
    static_kl: None, or weight of the KL of a Gaussian static code.
    dynamic_kl: None, or weight of the KL of Gaussian dynamic codes.
    kl_ramp: None, or (first step, last step, factor on both weights).
    cross_static: halves of a clip exchange static codes in training.
    recolour: the dynamic encoder sees random colours in training.
    frames_per_step: None, or number of frames decoded in training.
  """

  def __init__(
      self,
      encoder: torch_nets.Encoder,
      denoiser: torch_nets.Denoiser,
      *,
      diffusion: dict[str, Any],
      sampler: dict[str, Any],
      unit_codes: bool = False,
      static_kl: float | None = None,
      dynamic_kl: float | None = None,
      kl_ramp: tuple[int, int, float] | None = None,
      cross_static: bool = False,
      recolour: bool = False,
      frames_per_step: int | None = None,
  ):
    super().__init__()
    self.encoder, self.denoiser = encoder, denoiser
    self.diffusion, self.sampler = diffusion, sampler
    self.unit_codes = unit_codes
    self.kl_weights = {'static': static_kl, 'dynamic': dynamic_kl}
    self.kl_ramp = kl_ramp
    self.cross_static, self.recolour = cross_static, recolour
    self.frames_per_step = frames_per_step

  def forward(
      self,
      x: torch.Tensor,
      mask: torch.Tensor | None = None,
      *,
      noise: Noise | None = None,
      step: int = 0,
  ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of each clip (B,) and its parts; random codes in train mode."""
    noise = Noise() if noise is None else noise
    halves = 2 if self.training and self.cross_static else 1
    static, dynamic, parts = self._codes(x, mask, halves, noise)
    if self.kl_ramp is not None:
      first, last, factor = self.kl_ramp
      part = min(max((step - first) / (last - first), 0.0), 1.0)
      parts = {k: v * (1.0 + part * (factor - 1.0)) for k, v in parts.items()}
    codes = _concat(static, dynamic)
    if self.training and self.frames_per_step is not None:
      frames = noise.frames
      if frames is None:
        frames = _choose_frames(x, mask, self.frames_per_step)
      clip = torch.arange(len(x), device=x.device)[:, None]
      x, codes = x[clip, frames], codes[clip, frames]
      mask = None if mask is None else mask[clip, frames]
    sigma = noise.sigma
    if sigma is None:
      sigma = self._draw_sigma(x, step)
    eps = torch.randn_like(x) if noise.eps is None else noise.eps
    x0_hat = self._denoise(x + _wide(sigma) * eps, sigma, codes)
    sigma_data = self.diffusion['sigma_data']
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    per_frame = weight * (x0_hat - x).square().mean(dim=(2, 3, 4))
    parts = {'denoising': _masked_mean(per_frame, mask), **parts}
    return sum(parts.values()), parts

  def encode(
      self, x: torch.Tensor, mask: torch.Tensor | None = None
  ) -> tuple[torch.Tensor, torch.Tensor]:
    """Static (B, Ds) and dynamic (B, T, Dd) codes, or their means."""
    static, dynamic, _ = self._codes(x, mask, 1, None)
    return static, dynamic

  def decode(
      self, static: torch.Tensor, dynamic: torch.Tensor, x_T: torch.Tensor
  ) -> torch.Tensor:
    """Codes and unit noise -> clips, by the solver of the config."""
    sigmas = self._ladder()
    solve = torch_samplers.SOLVERS[self.sampler['name']]
    return solve(self.denoise_fn(static, dynamic), sigmas[0] * x_T, sigmas)

  def invert(
      self, static: torch.Tensor, dynamic: torch.Tensor, x: torch.Tensor
  ) -> torch.Tensor:
    """Clips -> unit x_T by the reverse ODE."""
    return torch_samplers.invert(
        self.denoise_fn(static, dynamic), x, self._ladder())

  @torch.no_grad()
  def swap(
      self,
      a: torch.Tensor,
      b: torch.Tensor,
      *,
      mask_a: torch.Tensor | None = None,
      mask_b: torch.Tensor | None = None,
      x_T: torch.Tensor | None = None,
  ) -> torch.Tensor:
    """Clips with the static code of `a` and the dynamic codes of `b`.

    x_T is drawn or inverted as `config.sampler.x_T` says, if not given. Call it
    in eval mode.
    """
    static_a, dynamic_a = self.encode(a, mask_a)
    static_b, dynamic_b = self.encode(b, mask_b)
    kind = self.sampler['x_T']
    if x_T is not None:
      pass
    elif kind == 'dynamics_clip':
      x_T = self.invert(static_b, dynamic_b, b)
    elif kind == 'static_clip':
      x_T = self.invert(static_a, dynamic_a, a)
    elif kind == 'fresh_shared':
      x_T = torch.randn_like(b[:, :1]).expand_as(b)
    else:
      x_T = torch.randn_like(b)
    return self.decode(static_a, dynamic_b, x_T).clamp(-1.0, 1.0)

  def denoise_fn(
      self, static: torch.Tensor, dynamic: torch.Tensor
  ) -> torch_samplers.Denoise:
    """D(x, sigma) of clips with these codes, for a float sigma."""
    codes = _concat(static, dynamic)
    return lambda x, sigma: self._denoise(
        x, x.new_full(x.shape[:2], sigma), codes)

  def _denoise(self, x, sigma, codes):
    """D(x, sigma), sigma (B, T): Karras et al. 2022, Eq. 7 and Table 1."""
    sigma_data = self.diffusion['sigma_data']
    total = sigma**2 + sigma_data**2
    c_skip, c_out = sigma_data**2 / total, sigma * sigma_data / total.sqrt()
    c_in, c_noise = 1.0 / total.sqrt(), sigma.log() / 4.0
    y = self.denoiser(_wide(c_in) * x, c_noise, codes)
    return _wide(c_skip) * x + _wide(c_out) * y

  def _codes(self, x, mask, halves, noise):
    """Codes and penalties (B,); the halves of a clip are clips of their own.

    With two halves the static code is one per frame, that of the other half.
    """
    split = lambda a: a.unflatten(1, (halves, -1)).flatten(0, 1)
    part_mask = None if mask is None else split(mask)
    static, dynamic = self.encoder(split(x), part_mask)
    if self.training and self.recolour:
      _, dynamic = self.encoder(_recolour(split(x), noise), part_mask)
    static_noise = dynamic_noise = None
    if noise is not None and noise.static is not None:
      static_noise = noise.static.reshape(*static.shape[:-1], -1)
    if noise is not None and noise.dynamic is not None:
      dynamic_noise = split(noise.dynamic)
    static, static_kl = self._limit('static', static, static_noise)
    dynamic, dynamic_kl = self._limit('dynamic', dynamic, dynamic_noise)
    parts = {}
    for name, kl in ('static_kl', static_kl), ('dynamic_kl', dynamic_kl):
      if kl is not None:
        kl = kl if kl.ndim == 1 else _masked_mean(kl, part_mask)
        parts[name] = kl.unflatten(0, (-1, halves)).mean(dim=1)
    if halves == 2:
      static = _exchange(static, part_mask, dynamic.shape[1])
    return static, dynamic.reshape(*x.shape[:2], -1), parts

  def _limit(self, name, code, noise):
    """The code, of unit size and Gaussian if so configured, and its KL."""
    weight, log_var = self.kl_weights[name], None
    if weight is not None:
      code, log_var = code.chunk(2, dim=-1)
      log_var = log_var - 4.0  # A standard deviation of exp(-2) at first.
    if self.unit_codes:
      code = code * (code.square().mean(dim=-1, keepdim=True) + 1e-6).rsqrt()
    if weight is None:
      return code, None
    kl = 0.5 * (code.square() + log_var.exp() - 1.0 - log_var).sum(dim=-1)
    if self.training:
      noise = torch.randn_like(code) if noise is None else noise
      code = code + (0.5 * log_var).exp() * noise
    return code, weight * kl

  def _draw_sigma(self, x, step):
    """Log-normal, one for each frame or for each clip."""
    d = self.diffusion
    count = 1 if d['shared_sigma'] else x.shape[1]
    mean = d['p_mean']
    if d['p_mean_start'] is not None:
      part = min(step / d['p_mean_steps'], 1.0)
      mean = d['p_mean_start'] + part * (mean - d['p_mean_start'])
    n = torch.randn(len(x), count, device=x.device)
    return (mean + d['p_std'] * n).exp().expand(x.shape[:2])

  def _ladder(self):
    s = self.sampler
    return torch_samplers.ladder(
        s['num_steps'], s['sigma_min'], s['sigma_max'], s['rho'])


def from_config(
    config: Any, *, image_size: int | None = None, channels_last: bool = False
) -> DiffSDA:
  """The peer of `seqdiff.build.method(config)`, on the current device.

  Args:
    config: a config of DiffSDA on video.
    image_size: side of a frame; None = `config.data.size`.
    channels_last: memory format of the convolutions.
  """
  options = config.method.to_dict()
  if options.pop('name') != 'diffsda':
    raise ValueError(f'method {config.method.name!r}, expected diffsda.')
  size = config.data.size if image_size is None else image_size
  dtype = getattr(torch, options.pop('dtype'))
  remat, channels = options.pop('remat'), options.pop('image_channels')
  codes = options['static_dim'] + options['dynamic_dim']
  head = {k: options.pop(k) for k in (
      'static_dim', 'dynamic_dim', 'hidden', 'aggregator', 'causal',
      'shared_static', 'feature_norm')}
  for name in 'static', 'dynamic':  # Mean and log variance.
    head[f'{name}_dim'] *= 1 if options[f'{name}_kl'] is None else 2
  encoder, denoiser = options.pop('encoder'), options.pop('denoiser')
  head['local_features'] = encoder.get('local_features', 0)
  if encoder.pop('kind') == 'convnet':
    frames = torch_nets.ConvNet(channels, size, **encoder)
    features = encoder['features']
  else:
    frames = torch_nets.UNet(channels, 1, remat=remat, **encoder)
    features = size**2
  unet = torch_nets.UNet(
      channels, channels, embedding=4 * denoiser['channels'], remat=remat,
      as_published=options.pop('as_published'), **denoiser)
  model = DiffSDA(
      torch_nets.Encoder(
          frames, torch_nets.SequenceHead(features, **head), dtype),
      torch_nets.Denoiser(unet, denoiser['channels'], codes, dtype),
      sampler=config.sampler.to_dict(), **options)
  torch_nets.initialise(model)
  if channels_last:
    model = model.to(memory_format=torch.channels_last)
  return model


def to_clips(x: np.ndarray, device: str = 'cpu') -> torch.Tensor:
  """Host clips (B, T, H, W, C) -> float (B, T, C, H, W); uint8 to [-1, 1]."""
  clips = torch.as_tensor(x, device=device).permute(0, 1, 4, 2, 3).contiguous()
  return clips / 127.5 - 1.0 if clips.dtype == torch.uint8 else clips


def _wide(a):
  """(B, T) -> (B, T, 1, 1, 1)."""
  return a[..., None, None, None]


def _masked_mean(per_frame, mask):
  """Mean over the real frames, (B, T) -> (B,)."""
  if mask is None:
    return per_frame.mean(dim=1)
  weight = mask.to(per_frame.dtype)
  return (per_frame * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


def _concat(static, dynamic):
  """[d, s] of each frame, (B, T, Dd + Ds)."""
  if static.ndim == 2:
    static = static[:, None].expand(-1, dynamic.shape[1], -1)
  return torch.cat([dynamic, static], dim=-1)


def _exchange(static, mask, num_frames):
  """Static codes of halves (2 B, [T/2,] Ds) -> of the other half, (B, T, Ds).

  A half whose other half has no real frame keeps its own.
  """
  if static.ndim == 2:
    static = static[:, None].expand(-1, num_frames, -1)
  own = static.unflatten(0, (-1, 2))
  given = own.flip(1)
  if mask is not None:
    real = mask.any(dim=1).unflatten(0, (-1, 2)).flip(1)
    given = torch.where(real[..., None, None], given, own)
  return given.flatten(1, 2)


def _recolour(x, noise):
  """Clips (N, T, C, H, W), each with its channels averaged and a gamma."""
  channels = x.shape[2]
  mix, gamma = noise.mix, noise.gamma
  if mix is None:
    weight = torch.distributions.Dirichlet(torch.ones(channels)).sample(
        (len(x), channels)).to(x.device)
    amount = torch.rand(len(x), 1, 1, device=x.device)
    mix = torch.lerp(torch.eye(channels, device=x.device), weight, amount)
    gamma = 2.0 ** (2.0 * torch.rand(len(x), channels, device=x.device) - 1.0)
  mix, gamma = mix.reshape(-1, channels, channels), gamma.reshape(-1, channels)
  brightness = ((x + 1.0) / 2.0).clamp(1e-3, 1.0)
  mixed = torch.einsum('ndc,ntchw->ntdhw', mix, brightness)
  return 2.0 * mixed ** gamma[:, None, :, None, None] - 1.0


def _choose_frames(x, mask, count):
  """Indices (B, count) of random frames, real ones first."""
  score = torch.rand(x.shape[:2], device=x.device)
  if mask is not None:
    score = score + 2.0 * ~mask
  return score.argsort(dim=1)[:, :count]
