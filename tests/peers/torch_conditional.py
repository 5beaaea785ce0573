"""What the PyTorch peers share: codes, how they are read and limited, swaps.

Written from the descriptions of the departures, not from our JAX code. Clips
are (B, T, C, H, W), series (B, T, F). What is random can be passed as `Noise`
and is drawn by torch otherwise.

  model = torch_build.from_config(config)
  loss, parts = model(x)
  clips = model.swap(x_a, x_b)
"""

import abc
import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


@dataclasses.dataclass
class Noise:
  """What a training loss draws; None = draw it.

  With several draws of each clip B counts them all, those of a clip together.

  Attributes:
    order: (B, T) frame numbers in random order, real ones first.
    static: (B, Ds), or (B, n, Ds) if not shared; of Gaussian codes.
    dynamic: (B, n, Dd), n decoded frames.
    level: (B, n) noise levels: sigma of DiffSDA, t of DiViD.
    eps: (B, n, ...).
    mix: (B, C, C), how the dynamic encoder sees channels averaged.
    curves: (B, C, K), its tone curves at brightness 1/K, 2/K, ..., 1.
    kept: (B,), 0 for clips that are decoded without dynamic codes, or 1.
  """

  order: torch.Tensor | None = None
  static: torch.Tensor | None = None
  dynamic: torch.Tensor | None = None
  level: torch.Tensor | None = None
  eps: torch.Tensor | None = None
  mix: torch.Tensor | None = None
  curves: torch.Tensor | None = None
  kept: torch.Tensor | None = None


class Conditional(nn.Module, abc.ABC):
  """An encoder, a denoiser, and what is done to the codes between them.

  Args:
    encoder: clips -> codes; twice the size where `*_kl` is given.
    denoiser: (clips, noise levels (B, n), static, dynamic) -> clips.
    sampler: the section `sampler` of a config.
    unit_codes: codes (or their means) have mean square 1.
    static_kl: None, or weight of the KL of a Gaussian static code.
    dynamic_kl: None, or weight of the KL of Gaussian dynamic codes.
    static_frames: None, or number of frames that give the static code in
      training, other ones than the decoded if the clip has enough.
    recolour: the dynamic encoder sees random colours in training.
    centre: it sees how each frame differs from the mean frame, always.
    dynamic_dropout: share of the clips of a training step that are decoded
      with dynamic codes of 0.
    frames_per_step: None, or number of frames decoded in training.
    count_missing: the loss is a mean over all values, observed or not.
    noise_draws: how often a training step repeats each clip.
  """

  def __init__(
      self,
      encoder: nn.Module,
      denoiser: nn.Module,
      *,
      sampler: dict[str, Any],
      unit_codes: bool = False,
      static_kl: float | None = None,
      dynamic_kl: float | None = None,
      static_frames: int | None = None,
      recolour: bool = False,
      centre: bool = False,
      dynamic_dropout: float = 0.0,
      frames_per_step: int | None = None,
      count_missing: bool = False,
      noise_draws: int = 1,
  ):
    super().__init__()
    self.encoder, self.denoiser, self.sampler = encoder, denoiser, sampler
    self.unit_codes = unit_codes
    self.kl_weights = {'static': static_kl, 'dynamic': dynamic_kl}
    self.static_frames, self.frames_per_step = static_frames, frames_per_step
    self.recolour, self.centre = recolour, centre
    self.dynamic_dropout = dynamic_dropout
    self.count_missing, self.noise_draws = count_missing, noise_draws

  @abc.abstractmethod
  def denoising(
      self,
      x: torch.Tensor,
      static: torch.Tensor,
      dynamic: torch.Tensor,
      noise: Noise,
      step: int,
  ) -> torch.Tensor:
    """The denoising loss of each value, shaped as x (B, n, ...)."""

  def penalties(
      self,
      static: torch.Tensor,
      dynamic: torch.Tensor,
      mask: torch.Tensor | None,
      count: torch.Tensor | int,
  ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Further parts of the loss, and what is only reported, (B,) each.

    Args:
      static: the static code.
      dynamic: (B, n, Dd), of the decoded frames.
      mask: None, or (B, n).
      count: number of real frames of each clip, decoded or not.
    """
    return {}, {}

  @abc.abstractmethod
  def decode(
      self, static: torch.Tensor, dynamic: torch.Tensor, x_T: torch.Tensor
  ) -> torch.Tensor:
    """Codes and unit noise -> clips, by the solver of the config."""

  @abc.abstractmethod
  def invert(
      self, static: torch.Tensor, dynamic: torch.Tensor, x: torch.Tensor
  ) -> torch.Tensor:
    """Clips -> unit x_T by the reverse ODE."""

  def forward(
      self,
      x: torch.Tensor,
      mask: torch.Tensor | None = None,
      observed: torch.Tensor | None = None,
      *,
      noise: Noise | None = None,
      step: int = 0,
  ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The loss of each clip (B,) and its parts; random codes in train mode.

    Args:
      x: clips.
      mask: None, or (B, T), true for real frames.
      observed: None, or shaped as x, false for values that are missing.
      noise: what is random.
      step: number of the update.
    """
    noise = Noise() if noise is None else noise
    draws = self.noise_draws if self.training else 1
    x, mask, observed = (
        a if a is None or draws == 1 else a.repeat_interleave(draws, dim=0)
        for a in (x, mask, observed))
    count = x.shape[1] if mask is None else mask.sum(dim=1)
    share = self._measured(mask, observed)
    if self.training:
      (x, mask, observed), static, dynamic = self._read(
          x, mask, observed, noise)
    else:
      static, dynamic = self._read_all(x, mask)
    static, dynamic, parts = self._limit_both(static, dynamic, mask, noise)
    if self.training and self.dynamic_dropout:
      kept = noise.kept
      if kept is None:
        kept = torch.rand(len(x), device=x.device) >= self.dynamic_dropout
      dynamic = kept[:, None, None] * dynamic
    error = self.denoising(x, static, dynamic, noise, step)
    more, reported = self.penalties(static, dynamic, mask, count)
    parts = {'denoising': self._mean(error, mask, observed) / share,
             **parts, **more}
    parts, reported = (
        {k: v.unflatten(0, (-1, draws)).mean(dim=1) for k, v in d.items()}
        for d in (parts, reported))
    return sum(parts.values()), {**parts, **reported}

  def encode(
      self, x: torch.Tensor, mask: torch.Tensor | None = None
  ) -> tuple[torch.Tensor, torch.Tensor]:
    """Static (B, Ds) and dynamic (B, T, Dd) codes, or their means."""
    static, dynamic = self._read_all(x, mask)
    return self._limit('static', static)[0], self._limit('dynamic', dynamic)[0]

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
      x_T = shared_noise(b)
    else:
      x_T = torch.randn_like(b)
    clips = self.decode(static_a, dynamic_b, x_T)
    return clips.clamp(-1.0, 1.0) if clips.ndim == 5 else clips

  def _mean(self, error, mask, observed):
    """The error of each clip, with 0 for what was not observed."""
    if observed is not None:
      error = error * observed
    if observed is not None and self.count_missing:
      return error.flatten(1).mean(dim=1)
    return masked_mean(error.flatten(2).mean(dim=2), mask)

  def _measured(self, mask, observed):
    """The share that the loss is divided by, of all frames of each clip."""
    if observed is None or self.count_missing:
      return 1.0
    return masked_mean(observed.float().mean(dim=2), mask).clamp(min=1e-6)

  def _read_all(self, x, mask):
    """Codes of all frames, as they are read outside training."""
    static, dynamic = self.encoder(x, mask)
    if self.centre:
      dynamic = self.encoder(_centred(x, mask), mask)[1]
    return static, dynamic

  def _read(self, x, mask, observed, noise):
    """What to decode, as the arguments; codes, read as training does."""
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
    elif self.encoder.frame_by_frame:  # Other frames do not matter.
      _, dynamic = self.encoder(pick(view), pick(mask))
    else:
      dynamic = pick(self.encoder(view, mask)[1])
    return [pick(a) for a in (x, mask, observed)], static, dynamic

  def _limit_both(self, static, dynamic, mask, noise):
    """Codes and penalties (B,); mask (B, n) of the dynamic codes."""
    static, static_kl = self._limit('static', static, noise.static)
    dynamic, dynamic_kl = self._limit('dynamic', dynamic, noise.dynamic)
    parts = {'static_kl': static_kl, 'dynamic_kl': dynamic_kl}
    return static, dynamic, {
        name: kl if kl.ndim == 1 else masked_mean(kl, mask)
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


def to_clips(x: np.ndarray, device: str = 'cpu') -> torch.Tensor:
  """Host clips (B, T, H, W, C) -> float (B, T, C, H, W); uint8 to [-1, 1].

  Series (B, T, F) are the same on both sides.
  """
  clips = torch.as_tensor(x, device=device).movedim(-1, 2).contiguous()
  return clips / 127.5 - 1.0 if clips.dtype == torch.uint8 else clips


def wide(a: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
  """(B, T) -> (B, T, 1, ...), to go with x (B, T, ...)."""
  return a[(...,) + (x.ndim - 2) * (None,)]


def shared_noise(x: torch.Tensor) -> torch.Tensor:
  """One frame of unit noise for all frames of a clip (B, T, ...)."""
  return torch.randn_like(x[:, :1]).expand_as(x)


def masked_mean(
    per_frame: torch.Tensor, mask: torch.Tensor | None
) -> torch.Tensor:
  """Mean over the real frames, (B, T) -> (B,)."""
  if mask is None:
    return per_frame.mean(dim=1)
  weight = mask.to(per_frame.dtype)
  return (per_frame * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


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
  """Clips (B, T, ...) without the mean of their real frames."""
  if mask is None:
    return x - x.mean(dim=1, keepdim=True)
  share = mask / mask.sum(dim=1, keepdim=True).clamp(min=1)
  return x - torch.einsum('bt,bt...->b...', share.to(x.dtype), x)[:, None]


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
