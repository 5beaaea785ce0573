"""DiffSDA in PyTorch: an independent peer, for parity and for speed.

Written from the papers (DiffSDA, arXiv:2510.05717; EDM, arXiv:2206.00364), not
from our JAX code.
"""

import functools
from typing import Any

import torch

from tests.peers import torch_conditional
from tests.peers import torch_samplers


class DiffSDA(torch_conditional.Conditional):
  """Encoder, denoiser, EDM loss and sampler.

  Args:
    diffusion: the section `method.diffusion` of a config.
    others: see `torch_conditional.Conditional`.
  """

  def __init__(self, *args: Any, diffusion: dict[str, Any], **others: Any):
    super().__init__(*args, **others)
    self.diffusion = diffusion

  def denoising(
      self,
      x: torch.Tensor,
      static: torch.Tensor,
      dynamic: torch.Tensor,
      noise: torch_conditional.Noise,
      step: int,
  ) -> torch.Tensor:
    """The weighted error of each value."""
    sigma = noise.level
    if sigma is None:
      sigma = self._draw_sigma(x, step)
    eps = torch.randn_like(x) if noise.eps is None else noise.eps
    wide = functools.partial(torch_conditional.wide, x=x)
    x0_hat = self._denoise(x + wide(sigma) * eps, sigma, static, dynamic)
    sigma_data = self.diffusion['sigma_data']
    weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
    return wide(weight) * (x0_hat - x).square()

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

  def denoise_fn(
      self, static: torch.Tensor, dynamic: torch.Tensor
  ) -> torch_samplers.Denoise:
    """D(x, sigma) of clips with these codes, for a float sigma."""
    return lambda x, sigma: self._denoise(
        x, x.new_full(x.shape[:2], sigma), static, dynamic)

  def _denoise(self, x, sigma, static, dynamic):
    """D(x, sigma), sigma (B, T): Karras et al. 2022, Eq. 7 and Table 1."""
    wide = functools.partial(torch_conditional.wide, x=x)
    sigma_data = self.diffusion['sigma_data']
    total = sigma**2 + sigma_data**2
    c_skip, c_out = sigma_data**2 / total, sigma * sigma_data / total.sqrt()
    c_in, c_noise = 1.0 / total.sqrt(), sigma.log() / 4.0
    y = self.denoiser(wide(c_in) * x, c_noise, static, dynamic)
    return wide(c_skip) * x + wide(c_out) * y

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
