r"""Solvers of the probability-flow ODE, and its reverse.

All follow dx/dsigma = (x - D(x, sigma)) / sigma (Karras et al. 2022,
arXiv:2206.00364, Eq. 1 with sigma(t) = t, s(t) = 1) down a ladder of noise
levels sigma_0 > ... > sigma_{N-1} > sigma_N = 0, as `edm.karras_sigmas` makes
it. A solver sees only `denoise(x, sigma)`, where sigma is a float32 scalar for
the whole batch; what the model is conditioned on is inside that callable.

Each loop is a `lax.scan` over the precomputed ladder that carries x (and what
the next step needs of the last one); the last step, which is of first order,
stands after the loop. NFE is the number of calls of `denoise`.

  solver     order  NFE for N steps
  euler      1      N
  heun       2      2N - 1
  churn      2      2N - 1          stochastic
  dpmpp_2m   2      N               multistep
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import errors
from seqdiff.core import types

# The reverse ladder starts here instead of at 0, where the ODE is singular.
_ENCODE_SIGMA = 1e-5


def euler(
    denoise: types.Denoiser, x: types.Array, sigmas: np.ndarray
) -> jax.Array:
  """Euler's method.

  Args:
    denoise: D(x, sigma).
    x: start at noise level sigmas[0], i.e. sigmas[0] * eps.
    sigmas: (N + 1,) decreasing, the last one 0.

  Returns:
    The sample, shaped as x.
  """

  def body(x, sigma):
    now, following = sigma
    return x + (following - now) * _slope(denoise, x, now), None

  x, _ = jax.lax.scan(body, x, _pairs(sigmas[:-1]))
  return denoise(x, jnp.float32(sigmas[-2]))


def heun(
    denoise: types.Denoiser, x: types.Array, sigmas: np.ndarray
) -> jax.Array:
  """Heun's method, deterministic (Karras et al. 2022, Alg. 1).

  Arguments and result as for `euler`.
  """

  def body(x, sigma):
    return _heun_step(denoise, x, *sigma), None

  x, _ = jax.lax.scan(body, x, _pairs(sigmas[:-1]))
  return denoise(x, jnp.float32(sigmas[-2]))


def churn(
    denoise: types.Denoiser,
    x: types.Array,
    sigmas: np.ndarray,
    *,
    noise: Callable[[jax.Array], jax.Array],
    S_churn: float = 0.0,
    S_min: float = 0.0,
    S_max: float = float('inf'),
    S_noise: float = 1.0,
) -> jax.Array:
  """Heun's method with fresh noise at each step (Karras et al. 2022, Alg. 2).

  Args:
    denoise: D(x, sigma).
    x: start at noise level sigmas[0].
    sigmas: (N + 1,) decreasing, the last one 0.
    noise: maps the number of a step to unit Gaussian noise shaped as x.
    S_churn: amount of noise added over all steps; 0 is `heun`.
    S_min: noise is added only at levels from here ...
    S_max: ... to here.
    S_noise: standard deviation of the added noise.

  Returns:
    The sample, shaped as x.
  """
  num_steps = len(sigmas) - 1
  active = (sigmas[:-1] >= S_min) & (sigmas[:-1] <= S_max)
  gamma = np.where(active, min(S_churn / num_steps, np.sqrt(2.0) - 1.0), 0.0)
  sigma_hat = sigmas[:-1] * (1.0 + gamma)
  added = S_noise * np.sqrt(sigma_hat**2 - sigmas[:-1] ** 2)
  as_f32 = lambda a: jnp.asarray(a, jnp.float32)

  def body(x, step):
    number, added, hat, following = step
    x = x + added * noise(number)
    return _heun_step(denoise, x, hat, following), None

  steps = (jnp.arange(num_steps - 1), as_f32(added[:-1]),
           as_f32(sigma_hat[:-1]), as_f32(sigmas[1:-1]))
  x, _ = jax.lax.scan(body, x, steps)
  x = x + as_f32(added[-1]) * noise(jnp.int32(num_steps - 1))
  return denoise(x, as_f32(sigma_hat[-1]))


def dpmpp_2m(
    denoise: types.Denoiser, x: types.Array, sigmas: np.ndarray
) -> jax.Array:
  """DPM-Solver++(2M), data prediction (Lu et al., arXiv:2211.01095, Alg. 2).

  With alpha = 1 and lambda = -ln sigma the update from sigma_{i-1} to sigma_i,
  h_i = lambda_i - lambda_{i-1} and r_i = h_{i-1} / h_i, is

    x_i = sigma_i / sigma_{i-1} x_{i-1} - (exp(-h_i) - 1) D_i
    D_i = (1 + 1 / (2 r_i)) D(x_{i-1}) - 1 / (2 r_i) D(x_{i-2}).

  The first step and the last one (to sigma = 0) are of first order. Arguments
  and result as for `euler`.
  """
  log_sigma = np.log(sigmas[:-1])
  h = -np.diff(log_sigma)  # h[i] leads from level i to i + 1.
  correction = np.append(0.0, h[1:] / h[:-1] / 2.0)  # 1 / (2 r); 0 = order 1.

  def body(carry, step):
    x, last = carry
    sigma, ratio, correction = step
    x0 = denoise(x, sigma)
    mixed = x0 + correction * (x0 - last)
    return (ratio * x + (1.0 - ratio) * mixed, x0), None

  steps = tuple(jnp.asarray(a, jnp.float32)
                for a in (sigmas[:-2], np.exp(-h), correction))
  (x, _), _ = jax.lax.scan(body, (x, jnp.zeros_like(x)), steps)
  return denoise(x, jnp.float32(sigmas[-2]))


SOLVERS = {'euler': euler, 'heun': heun, 'dpmpp_2m': dpmpp_2m}


def solver(name: str) -> Callable[..., jax.Array]:
  """Returns the deterministic solver called `name`."""
  if name not in SOLVERS:
    raise errors.unknown_name('sampler', name, SOLVERS)
  return SOLVERS[name]


def num_evaluations(name: str, num_steps: int) -> int:
  """NFE of `num_steps` steps of the solver called `name`."""
  solver(name)
  return 2 * num_steps - 1 if name == 'heun' else num_steps


def encode(
    denoise: types.Denoiser, x0: types.Array, sigmas: np.ndarray
) -> jax.Array:
  """The reverse ODE, x0 -> x_T, by Heun's method (DiffSDA, Alg. 2).

  The ladder is climbed from 1e-5 instead of 0; the last step is Euler's.

  Args:
    denoise: D(x, sigma), conditioned on the factors of the same clip.
    x0: clean clips.
    sigmas: the ladder that a sampler would descend.

  Returns:
    x_T of about unit variance, shaped as x0: sampling from sigmas[0] * x_T
    gives x0 back.
  """
  up = np.append(_ENCODE_SIGMA, sigmas[-2::-1])

  def body(x, sigma):
    return _heun_step(denoise, x, *sigma), None

  x, _ = jax.lax.scan(body, jnp.asarray(x0), _pairs(up[:-1]))
  now, last = (jnp.float32(sigma) for sigma in up[-2:])
  x = x + (last - now) * _slope(denoise, x, now)
  return x / last


def _pairs(sigmas: np.ndarray) -> tuple[jax.Array, jax.Array]:
  """Consecutive levels (now, following) of a ladder, float32."""
  sigmas = jnp.asarray(sigmas, jnp.float32)
  return sigmas[:-1], sigmas[1:]


def _slope(denoise, x, sigma):
  """dx/dsigma."""
  return (x - denoise(x, sigma)) / sigma


def _heun_step(denoise, x, now, following):
  """One step of second order between two levels above 0."""
  d_cur = _slope(denoise, x, now)
  x_next = x + (following - now) * d_cur
  d_prime = _slope(denoise, x_next, following)
  return x + (following - now) * (d_cur + d_prime) / 2.0
