"""DiViD in PyTorch: an independent peer, for parity and for speed.

Written from the papers (DiViD, arXiv:2507.13934; DDPM, arXiv:2006.11239;
improved DDPM, arXiv:2102.09672; DDIM, arXiv:2010.02502), not from our JAX code.
Steps t count from 0.
"""

from collections.abc import Callable
import math
from typing import Any

import torch

from tests.peers import torch_conditional
from tests.peers import torch_samplers


def cumulative_alphas(schedule: str, num_levels: int) -> list[float]:
  """abar_t for t = 0 .. num_levels - 1, in double precision."""
  f64 = dict(dtype=torch.float64, device='cpu')
  if schedule == 'cosine':
    u = torch.arange(num_levels + 1, **f64) / num_levels
    f = ((u + 0.008) / 1.008 * math.pi / 2).cos().square()
    betas = (1.0 - f[1:] / f[:-1]).clamp(max=0.999)
  elif schedule == 'linear':  # Of latent diffusion: in sqrt(beta).
    betas = torch.linspace(
        math.sqrt(0.0015), math.sqrt(0.0155), num_levels, **f64).square()
  elif schedule == 'line':  # Of DDPM.
    betas = torch.linspace(1e-4, 0.02, num_levels, **f64)
  else:
    raise ValueError(f'schedule {schedule!r}: cosine, linear or line?')
  return (1.0 - betas).cumprod(dim=0).tolist()


class DiViD(torch_conditional.Conditional):
  """Encoder, denoiser, DDPM loss, orthogonality and samplers.

  Args:
    diffusion: the section `method.diffusion` of a config.
    orthogonality: weight of the sum over the frames of (s, d_i)^2.
    normalised: whether these are squared cosines.
    scale: clips are noised after they are multiplied by it.
    others: see `torch_conditional.Conditional`.
  """

  def __init__(
      self,
      *args: Any,
      diffusion: dict[str, Any],
      orthogonality: float,
      normalised: bool,
      scale: float,
      **others: Any,
  ):
    super().__init__(*args, **others)
    self.diffusion, self.scale = diffusion, scale
    self.orthogonality, self.normalised = orthogonality, normalised
    self.alphas = cumulative_alphas(
        diffusion['schedule'], diffusion['num_levels'])
    for name, values in (
        ('signal', [math.sqrt(a) for a in self.alphas]),
        ('spread', [math.sqrt(1.0 - a) for a in self.alphas])):
      self.register_buffer(name, torch.tensor(values), persistent=False)

  def denoising(
      self,
      x: torch.Tensor,
      static: torch.Tensor,
      dynamic: torch.Tensor,
      noise: torch_conditional.Noise,
      step: int,
  ) -> torch.Tensor:
    """The error of each value."""
    d, t, eps = self.diffusion, noise.level, noise.eps
    x = self.scale * x
    if t is None:
      draws = (len(x), 1 if d['shared_t'] else x.shape[1])
      t = torch.randint(len(self.alphas), draws, device=x.device)
      t = t.expand(x.shape[:2])
    if eps is None:
      eps = (torch_conditional.shared_noise(x) if d['shared_eps'] else
             torch.randn_like(x))
    signal, spread = (
        torch_conditional.wide(a[t], x) for a in (self.signal, self.spread))
    output = self.denoiser(signal * x + spread * eps, t, static, dynamic)
    if d['prediction'] == 'v':
      error = output - (signal * eps - spread * x)
    else:
      error = output - {'eps': eps, 'x0': x}[d['prediction']]
    return error.abs() if d['norm'] == 'l1' else error.square()

  def penalties(
      self,
      static: torch.Tensor,
      dynamic: torch.Tensor,
      mask: torch.Tensor | None,
      count: torch.Tensor | int,
  ) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The orthogonality term, and lengths and cosines of the codes."""
    powers = [code.square().sum(dim=-1) for code in (static, dynamic)]
    reported = {
        'static_length': powers[0].sqrt(),
        'dynamic_length': torch_conditional.masked_mean(
            powers[1].sqrt(), mask)}
    if static.shape[-1] != dynamic.shape[-1]:
      return {}, reported
    squares = torch.einsum('bd,bid->bi', static, dynamic).square()
    cosines = torch_conditional.masked_mean(
        squares / (powers[0][:, None] * powers[1]).clamp(min=1e-12), mask)
    reported['squared_cosine'] = cosines
    if not self.orthogonality:
      return {}, reported
    mean = cosines if self.normalised else (
        torch_conditional.masked_mean(squares, mask))
    # The decoded frames stand for all frames of the clip.
    return {'orthogonality': self.orthogonality * count * mean}, reported

  def decode(
      self,
      static: torch.Tensor,
      dynamic: torch.Tensor,
      x_T: torch.Tensor,
      step_noise: Callable[[int], torch.Tensor] | None = None,
  ) -> torch.Tensor:
    """Codes and unit noise -> clips, by the solver of the config.

    Args:
      static: the static code.
      dynamic: (B, T, Dd).
      x_T: (B, T, C, H, W).
      step_noise: number of a step -> what DDIM with eta > 0 adds after it,
        shaped as x_T; by default drawn, one frame for all frames of a clip.
    """
    if self.sampler['name'] == 'ddim':
      x = self._ddim(static, dynamic, x_T, step_noise)
    else:
      sigmas = self._ladder()
      solve = torch_samplers.SOLVERS[self.sampler['name']]
      x = solve(self.denoise_fn(static, dynamic),
                math.sqrt(1.0 + sigmas[0] ** 2) * x_T, sigmas)
    return x / self.scale

  def invert(
      self, static: torch.Tensor, dynamic: torch.Tensor, x: torch.Tensor
  ) -> torch.Tensor:
    """Clips -> unit x_T by the reverse ODE."""
    sigmas = self._ladder()
    noise = torch_samplers.invert(
        self.denoise_fn(static, dynamic), self.scale * x, sigmas)
    return noise * sigmas[0] / math.sqrt(1.0 + sigmas[0] ** 2)

  def denoise_fn(
      self, static: torch.Tensor, dynamic: torch.Tensor
  ) -> torch_samplers.Denoise:
    """D(x, sigma) of x = scale x0 + sigma eps.

    The network is asked at the t nearest to sigma; its eps is what x differs
    from x0 by, also if x has another sigma than t.
    """
    logs = [math.log(_sigma(a)) for a in self.alphas]

    def denoise(x, sigma):
      target = math.log(sigma)
      t = min(range(len(logs)), key=lambda t: abs(logs[t] - target))
      _, eps = self._estimate(
          x / math.sqrt(1.0 + sigma**2), t, static, dynamic)
      return x - sigma * eps

    return denoise

  def _ddim(self, static, dynamic, x, step_noise):
    """Song et al. 2021, Eqs. 12 and 16; the last step leads to x0."""
    eta, levels = self.sampler['eta'], self._levels()
    for number, t in enumerate(levels):
      now, following = self.alphas[t], 1.0
      if number + 1 < len(levels):
        following = self.alphas[levels[number + 1]]
      variance = eta**2 * (1 - following) / (1 - now) * (1 - now / following)
      x0, eps = self._estimate(x, t, static, dynamic)
      x = (math.sqrt(following) * x0
           + math.sqrt(1 - following - variance) * eps)
      if variance > 0.0:
        n = (torch_conditional.shared_noise(x) if step_noise is None else
             step_noise(number))
        x = x + math.sqrt(variance) * n
    return x

  def _estimate(self, x, t, static, dynamic):
    """x0 and eps of x_t for one step t."""
    signal, spread = (
        math.sqrt(a) for a in (self.alphas[t], 1.0 - self.alphas[t]))
    t = torch.full(x.shape[:2], t, device=x.device)
    output = self.denoiser(x, t, static, dynamic)
    kind, clip = self.diffusion['prediction'], self.sampler['clip']
    if kind == 'eps':
      x0, eps = (x - spread * output) / signal, output
    elif kind == 'v':
      x0, eps = signal * x - spread * output, spread * x + signal * output
    else:
      x0, eps = output, (x - signal * output) / spread
    if clip is not None:
      x0 = x0.clamp(-self.scale * clip, self.scale * clip)
      eps = (x - signal * x0) / spread
    return x0, eps

  def _levels(self):
    """The steps that a sampler visits, evenly down to 0."""
    count = self.sampler['num_steps']
    return [i * len(self.alphas) // count for i in reversed(range(count))]

  def _ladder(self):
    return [*(_sigma(self.alphas[t]) for t in self._levels()), 0.0]


def _sigma(alpha):
  """Standard deviation of the noise in x_t / sqrt(abar_t)."""
  return math.sqrt((1.0 - alpha) / alpha)
