r"""EDM: noise levels, preconditioning and the score-matching loss.

Theory (Karras et al. 2022, "Elucidating the design space of diffusion-based
generative models", arXiv:2206.00364). Data x0 of standard deviation sigma_data
is noised to x = x0 + sigma * eps, eps ~ N(0, I). A denoiser D(x, sigma) that
minimises E |D(x, sigma) - x0|^2 gives the score

  grad log p(x; sigma) = (D(x, sigma) - x) / sigma^2.                  (Eq. 3)

D wraps the raw network F, called `inner_net` here, such that F sees an input
and learns a target of unit variance:

  D(x, sigma) = c_skip x + c_out F(c_in x, c_noise)                    (Eq. 7)

  c_skip  = sigma_data^2 / (sigma^2 + sigma_data^2)
  c_out   = sigma sigma_data / sqrt(sigma^2 + sigma_data^2)
  c_in    = 1 / sqrt(sigma^2 + sigma_data^2)
  c_noise = ln(sigma) / 4                                          (Table 1)

Training draws ln(sigma) ~ N(P_mean, P_std^2) and weights the squared error by
1 / c_out^2, which is a unit weight on the error of F (Eq. 8).

DiffSDA (arXiv:2510.05717) draws sigma and eps independently for each frame.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types


@dataclasses.dataclass(frozen=True)
class Preconditioning:
  """The four coefficients of Karras et al. 2022, Table 1, shaped as sigma."""

  c_skip: types.Array
  c_out: types.Array
  c_in: types.Array
  c_noise: types.Array


@dataclasses.dataclass(frozen=True)
class EDM:
  """Constants of the EDM loss.

  Attributes:
    sigma_data: standard deviation of the data.
    P_mean: mean of ln(sigma) in training.
    P_std: standard deviation of ln(sigma) in training.
    shared_sigma: False: one sigma per frame (DiffSDA); True: one per clip.
    P_mean_start: None, or the mean of ln(sigma) at step 0, from which it
      moves in a line to `P_mean`. Departure: the papers keep it constant.
    P_mean_steps: number of steps of that move.
  """

  sigma_data: float = 0.5
  P_mean: float = -1.2
  P_std: float = 1.2
  shared_sigma: bool = False
  P_mean_start: float | None = None
  P_mean_steps: int = 1

  def preconditioning(self, sigma: types.Array) -> Preconditioning:
    """Returns the coefficients for each `sigma` > 0, in float32."""
    sigma = jnp.asarray(sigma, jnp.float32)
    total = jnp.square(sigma) + self.sigma_data**2
    return Preconditioning(
        c_skip=self.sigma_data**2 / total,
        c_out=sigma * self.sigma_data * jax.lax.rsqrt(total),
        c_in=jax.lax.rsqrt(total),
        c_noise=jnp.log(sigma) / 4.0,
    )

  def weight(self, sigma: types.Array) -> jax.Array:
    """Loss weight 1 / c_out^2 (Karras et al. 2022, Table 1)."""
    sigma = jnp.asarray(sigma, jnp.float32)
    return (jnp.square(sigma) + self.sigma_data**2) / jnp.square(
        sigma * self.sigma_data
    )

  def denoise(
      self,
      inner_net: Callable[[jax.Array, jax.Array], jax.Array],
      x: types.Array,
      sigma: types.Array,
  ) -> jax.Array:
    """D(x, sigma) of Eq. 7.

    Args:
      inner_net: F(c_in x, c_noise); may compute in low precision.
      x: (B, T, ...) noised clips.
      sigma: (B, T) noise level of each frame.

    Returns:
      Estimate of x0, float32, shaped as x.
    """
    c = self.preconditioning(sigma)
    wide = lambda a: shapes.expand_like(a, x)
    raw = inner_net(wide(c.c_in) * x, c.c_noise).astype(jnp.float32)
    return wide(c.c_skip) * x + wide(c.c_out) * raw

  def sample_sigma(
      self,
      key: types.Key,
      index: types.Array,
      num_frames: int,
      *,
      step: types.Array = 0,
  ) -> jax.Array:
    """Draws training noise levels: (B, num_frames), keyed by example."""
    num_draws = 1 if self.shared_sigma else num_frames
    n = keys.normal(key, index, (num_draws,))
    n = jnp.broadcast_to(n, (n.shape[0], num_frames))
    mean = self.P_mean
    if self.P_mean_start is not None:
      part = jnp.clip(step / self.P_mean_steps, 0.0, 1.0)
      mean = self.P_mean_start + part * (self.P_mean - self.P_mean_start)
    return jnp.exp(mean + self.P_std * n)

  def loss(
      self,
      inner_net: Callable[[jax.Array, jax.Array], jax.Array],
      x0: types.Array,
      eps: types.Array,
      sigma: types.Array,
      observed: types.Array | None = None,
  ) -> jax.Array:
    """Weighted denoising error of each frame (Eq. 8; DiffSDA's only loss).

    Args:
      inner_net: as in `denoise`.
      x0: (B, T, ...) clean clips.
      eps: unit Gaussian noise, shaped as x0.
      sigma: (B, T) noise level of each frame.
      observed: None, or shaped as x0, 0 for values whose error does not count.

    Returns:
      (B, T) mean over all values of a frame.
    """
    x_noisy = x0 + shapes.expand_like(sigma, x0) * eps
    error = jnp.square(self.denoise(inner_net, x_noisy, sigma) - x0)
    if observed is not None:
      error = error * observed
    error = jnp.mean(error, axis=tuple(range(2, error.ndim)))
    return self.weight(sigma) * error


def karras_sigmas(
    num_steps: int,
    *,
    sigma_min: float = 0.002,
    sigma_max: float = 80.0,
    rho: float = 7.0,
) -> np.ndarray:
  """The ladder of noise levels that a sampler descends (Eq. 5).

  Args:
    num_steps: number of solver steps N, at least 2.
    sigma_min: last level above 0.
    sigma_max: first level.
    rho: larger values put more steps at low noise.

  Returns:
    (num_steps + 1,) float64, from sigma_max down to sigma_min, then 0.

  Raises:
    ValueError: if num_steps < 2 or the levels are not ordered.
  """
  if num_steps < 2:
    raise ValueError(
        f'num_sampling_steps={num_steps}, expected at least 2: the ladder '
        'runs from sigma_max to sigma_min. Set config.sampler.num_steps.'
    )
  if not 0.0 < sigma_min < sigma_max:
    raise ValueError(
        f'sigma_min={sigma_min}, sigma_max={sigma_max}; expected '
        '0 < sigma_min < sigma_max. Set them in config.sampler.'
    )
  ramp = np.arange(num_steps) / (num_steps - 1)
  low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
  return np.append((high + ramp * (low - high)) ** rho, 0.0)
