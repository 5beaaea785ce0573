"""Solvers of the probability-flow ODE in PyTorch, written from the papers.

dx/dsigma = (x - D(x, sigma)) / sigma; Karras et al. 2022 (arXiv:2206.00364),
Lu et al. 2022 (arXiv:2211.01095). `denoise(x, sigma)` takes a float sigma.
"""

from collections.abc import Callable, Sequence
import math

import torch

Denoise = Callable[[torch.Tensor, float], torch.Tensor]


def ladder(
    num_steps: int, sigma_min: float, sigma_max: float, rho: float
) -> list[float]:
  """num_steps noise levels from sigma_max to sigma_min, and 0 (Eq. 5)."""
  top, bottom = sigma_max ** (1 / rho), sigma_min ** (1 / rho)
  ramp = torch.linspace(0, 1, num_steps, dtype=torch.float64)
  return [*((top + ramp * (bottom - top)) ** rho).tolist(), 0.0]


def heun(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float],
) -> torch.Tensor:
  """Karras et al. 2022, Alg. 1; the step to 0 is Euler's, so D itself."""
  for now, following in zip(sigmas[:-2], sigmas[1:-1]):
    x = _heun_step(denoise, x, now, following)
  return denoise(x, sigmas[-2])


def euler(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]
) -> torch.Tensor:
  """First order."""
  for now, following in zip(sigmas, sigmas[1:]):
    x0 = denoise(x, now)
    x = x0 + following / now * (x - x0)
  return x


def dpmpp_2m(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]
) -> torch.Tensor:
  """DPM-Solver++(2M), Alg. 2, with lambda = -ln sigma and alpha = 1.

  The first and the last step are of first order.
  """
  last_x0 = last_h = None
  for now, following in zip(sigmas, sigmas[1:]):
    x0 = denoise(x, now)
    if following == 0.0:
      return x0
    h = math.log(now) - math.log(following)
    mixed = x0
    if last_x0 is not None:
      mixed = torch.lerp(last_x0, x0, 1.0 + h / (2.0 * last_h))
    x = following / now * x - math.expm1(-h) * mixed
    last_x0, last_h = x0, h


def invert(
    denoise: Denoise, x: torch.Tensor, sigmas: Sequence[float]
) -> torch.Tensor:
  """Up the ladder from 1e-5 by Heun, Euler last (DiffSDA, Alg. 2); unit x_T."""
  *up, last = [1e-5, *reversed(sigmas[:-1])]
  for now, following in zip(up, up[1:]):
    x = _heun_step(denoise, x, now, following)
  x = x + (last - up[-1]) * (x - denoise(x, up[-1])) / up[-1]
  return x / last


SOLVERS = {'heun': heun, 'euler': euler, 'dpmpp_2m': dpmpp_2m}


def _heun_step(denoise, x, now, following):
  d_cur = (x - denoise(x, now)) / now
  proposal = x + (following - now) * d_cur
  d_prime = (proposal - denoise(proposal, following)) / following
  return x + (following - now) * 0.5 * (d_cur + d_prime)
