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
from torch.nn import functional as F

from tests.peers import torch_nets
from tests.peers import torch_samplers


@dataclasses.dataclass
class Noise:
  """What a training loss draws; None = draw it.

  Attributes:
    order: (B, T) frame numbers in random order, real ones first.
    static: (B, Ds), or (B, n, Ds) if not shared; of Gaussian codes.
    dynamic: (B, n, Dd), n decoded frames.
    sigma: (B, n) noise levels.
    eps: (B, n, C, H, W).
    mix: (B, C, C), how the dynamic encoder sees channels averaged.
    curves: (B, C, K), its tone curves at brightness 1/K, 2/K, ..., 1.
  """

  order: torch.Tensor | None = None
  static: torch.Tensor | None = None
  dynamic: torch.Tensor | None = None
  sigma: torch.Tensor | None = None
  eps: torch.Tensor | None = None
  mix: torch.Tensor | None = None
  curves: torch.Tensor | None = None


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
    static_frames: None, or number of frames that give the static code in
      training, other ones than the decoded if the clip has enough.
    recolour: the dynamic encoder sees random colours in training.
    centre: it sees how each frame differs from the mean frame, always.
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
      static_frames: int | None = None,
      recolour: bool = False,
      centre: bool = False,
      frames_per_step: int | None = None,
  ):
    super().__init__()
    self.encoder, self.denoiser = encoder, denoiser
    self.diffusion, self.sampler = diffusion, sampler
    self.unit_codes = unit_codes
    self.kl_weights = {'static': static_kl, 'dynamic': dynamic_kl}
    self.static_frames, self.frames_per_step = static_frames, frames_per_step
    self.recolour, self.centre = recolour, centre

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
    if self.training:
      x, mask, static, dynamic = self._read(x, mask, noise)
    else:
      static, dynamic = self._read_all(x, mask)
    static, dynamic, parts = self._limit_both(static, dynamic, mask, noise)
    codes = _concat(static, dynamic)
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
    static, dynamic = self._read_all(x, mask)
    return self._limit('static', static)[0], self._limit('dynamic', dynamic)[0]

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

  def _read_all(self, x, mask):
    """Codes of all frames, as they are read outside training."""
    static, dynamic = self.encoder(x, mask)
    if self.centre:
      dynamic = self.encoder(_centred(x, mask), mask)[1]
    return static, dynamic

  def _read(self, x, mask, noise):
    """The frames to decode and their mask; codes, read as training does."""
    count = self.frames_per_step
    order = noise.order
    if order is None and (count, self.static_frames) != (None, None):
      order = _random_order(x, mask)
    pick = lambda a: a if a is None or count is None else (
        _frames(a, order[:, :count]))
    dynamic = None
    if self.static_frames is None:
      static, dynamic = self.encoder(x, mask)
      static = static if static.ndim == 2 else pick(static)
    else:
      last = _last_real(order, mask, self.static_frames)
      static, _ = self.encoder(
          _frames(x, last), None if mask is None else _frames(mask, last))
    view = _recolour(x, noise) if self.recolour else x
    view = _centred(view, mask) if self.centre else view
    if dynamic is not None and view is x:
      dynamic = pick(dynamic)
    elif self.encoder.head.aggregator == 'pool':  # Other frames do not matter.
      _, dynamic = self.encoder(pick(view), pick(mask))
    else:
      dynamic = pick(self.encoder(view, mask)[1])
    return pick(x), pick(mask), static, dynamic

  def _limit_both(self, static, dynamic, mask, noise):
    """Codes and penalties (B,); mask (B, n) of the dynamic codes."""
    static, static_kl = self._limit('static', static, noise.static)
    dynamic, dynamic_kl = self._limit('dynamic', dynamic, noise.dynamic)
    parts = {'static_kl': static_kl, 'dynamic_kl': dynamic_kl}
    return static, dynamic, {
        name: kl if kl.ndim == 1 else _masked_mean(kl, mask)
        for name, kl in parts.items() if kl is not None}

  def _limit(self, name, code, noise=None):
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


def _frames(a, numbers):
  """Frames (B, n) of each clip of an array (B, T, ...)."""
  return a[torch.arange(len(a), device=a.device)[:, None], numbers]


def _random_order(x, mask):
  """(B, T) frame numbers in random order, real ones first."""
  score = torch.rand(x.shape[:2], device=x.device)
  if mask is not None:
    score = score + 2.0 * ~mask
  return score.argsort(dim=1)


def _last_real(order, mask, count):
  """(B, count) of the real frames, the last ones, in the order of time."""
  back = -1 - torch.arange(count, device=order.device)
  if mask is None:
    return order[:, back % order.shape[1]].sort(dim=1).values
  real = mask.sum(dim=1, keepdim=True).clamp(min=1)
  return order.gather(1, back % real).sort(dim=1).values


def _centred(x, mask):
  """Clips (B, T, C, H, W) without the mean of their real frames."""
  if mask is None:
    return x - x.mean(dim=1, keepdim=True)
  share = mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
  return x - torch.einsum('bt,btchw->bchw', share.to(x.dtype), x)[:, None]


def _recolour(x, noise):
  """Clips (B, T, C, H, W): averages of the channels, through tone curves.

  A curve connects 0 at black and its other values by straight lines.
  """
  batch, _, channels = x.shape[:3]
  mix, curves = noise.mix, noise.curves
  if mix is None:
    # Exponential numbers over their sum are uniform on the simplex.
    weight = x.new_empty(batch, channels, channels).exponential_()
    mix = weight / weight.sum(dim=-1, keepdim=True)
  if curves is None:
    curves = torch.rand(batch, channels, 4, device=x.device)
  pieces, curves = curves.shape[-1], F.pad(curves, (1, 0))
  place = pieces * torch.einsum('bdc,btchw->bdthw', mix, (x + 1.0) / 2.0)
  place = place.clamp(0.0, pieces).flatten(2)
  left = place.long().clamp(max=pieces - 1)
  tone = torch.lerp(
      curves.gather(2, left), curves.gather(2, left + 1), place - left)
  tone = tone.unflatten(2, (x.shape[1], *x.shape[3:]))
  return 2.0 * tone.transpose(1, 2) - 1.0
