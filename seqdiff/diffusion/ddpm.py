r"""DDPM: schedules, the noised clip, the L1 loss and ancestral sampling.

Theory (Ho et al. 2020, arXiv:2006.11239). With betas b_1..b_L and
abar_t = prod_{s<=t} (1 - b_s), a frame x0 is noised to

  x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) eps,   eps ~ N(0, I)      (Eq. 4)

and a network learns eps from x_t and t. Here t counts from 0 to L - 1. What a
network predicts may also be x0, or v = sqrt(abar_t) eps - sqrt(1 - abar_t) x0
(Salimans and Ho 2022, arXiv:2202.00512); each gives the other two.

DiViD (arXiv:2507.13934, Eqs. 1-3) noises all frames of a clip with one eps, and
measures the error of eps in L1.

In the coordinates x_t / sqrt(abar_t) = x0 + sigma_t eps, with
sigma_t^2 = (1 - abar_t) / abar_t, this is the process of `edm`, so the solvers
of `samplers` serve both: `ladder` gives the noise levels, `level_of` the t of
one. Euler's method on them is DDIM (Song et al. 2021, arXiv:2010.02502) without
noise; `ddim` has the noise too, and with eta = 1 it is the ancestral sampler.
"""

from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import errors
from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types

PREDICTIONS = ('eps', 'x0', 'v')
NORMS = ('l1', 'l2')


def cosine_betas(num_levels: int) -> np.ndarray:
  """Nichol and Dhariwal 2021 (arXiv:2102.09672, Eq. 17), at most 0.999."""
  u = np.arange(num_levels + 1) / num_levels
  alpha_bar = np.cos((u + 0.008) / 1.008 * np.pi / 2) ** 2
  return np.minimum(1.0 - alpha_bar[1:] / alpha_bar[:-1], 0.999)


def linear_betas(num_levels: int) -> np.ndarray:
  """What latent diffusion calls linear: a line in sqrt(beta)."""
  return np.linspace(0.0015**0.5, 0.0155**0.5, num_levels) ** 2


def line_betas(num_levels: int) -> np.ndarray:
  """The plain line of Ho et al. 2020, Section 4."""
  return np.linspace(1e-4, 0.02, num_levels)


def half_line_betas(num_levels: int) -> np.ndarray:
  """Of the prior of DiffSDA (released code): half of the plain line."""
  return np.linspace(1e-5, 1e-2, num_levels)


SCHEDULES = {'cosine': cosine_betas, 'linear': linear_betas,
             'line': line_betas, 'half_line': half_line_betas}


@dataclasses.dataclass(frozen=True)
class DDPM:
  """Constants of the process and of its loss.

  Attributes:
    schedule: name of the betas: 'cosine', 'linear' (of latent diffusion),
      'line' or 'half_line'.
    num_levels: number of noise levels L.
    prediction: what the network gives: 'eps', 'x0' or 'v'.
    norm: of its error: 'l1' (DiViD) or 'l2' (Ho et al.).
    shared_eps: True: one eps for all frames of a clip (DiViD, Eq. 1).
    shared_t: True: one t for all frames of a clip.
  """

  schedule: str = 'cosine'
  num_levels: int = 1000
  prediction: str = 'eps'
  norm: str = 'l1'
  shared_eps: bool = True
  shared_t: bool = True

  def __post_init__(self):
    for name, known in (('schedule', SCHEDULES), ('prediction', PREDICTIONS),
                        ('norm', NORMS)):
      if getattr(self, name) not in known:
        raise errors.unknown_name(
            f'method.diffusion.{name}', getattr(self, name), known)
    if self.num_levels < 2:
      raise ValueError(
          f'method.diffusion.num_levels={self.num_levels}; expected 2 or more '
          'noise levels, as in the papers 1000.')

  @property
  def alpha_bar(self) -> np.ndarray:
    """abar_t for t = 0 .. L - 1, (L,) float64, falling from about 1 to 0."""
    return np.cumprod(1.0 - SCHEDULES[self.schedule](self.num_levels))

  @property
  def sigmas(self) -> np.ndarray:
    """sigma_t = sqrt((1 - abar_t) / abar_t), (L,) float64, rising."""
    return np.sqrt((1.0 - self.alpha_bar) / self.alpha_bar)

  def sample_t(
      self, key: types.Key, index: types.Array, num_frames: int
  ) -> jax.Array:
    """Uniform noise levels for training: (B, num_frames) int32."""
    num_draws = 1 if self.shared_t else num_frames
    draw = lambda k: jax.random.randint(k, (num_draws,), 0, self.num_levels)
    t = jax.vmap(draw)(keys.per_example(key, index))
    return jnp.broadcast_to(t, (t.shape[0], num_frames))

  def sample_eps(
      self, key: types.Key, index: types.Array, shape: tuple[int, ...]
  ) -> jax.Array:
    """Noise (B, *shape) of clips of `shape` (T, ...); see `shared_eps`."""
    drawn = (1,) + shape[1:] if self.shared_eps else shape
    eps = keys.normal(key, index, drawn)
    return jnp.broadcast_to(eps, (eps.shape[0],) + tuple(shape))

  def noise(
      self, x0: types.Array, eps: types.Array, t: types.Array
  ) -> jax.Array:
    """x_t of Eq. 4: clips (B, T, ...), noise likewise, t (B, T)."""
    signal, spread = self._coefficients(t, x0)
    return signal * x0 + spread * eps

  def target(
      self, x0: types.Array, eps: types.Array, t: types.Array
  ) -> jax.Array:
    """What the network should give, shaped as x0."""
    if self.prediction == 'eps':
      return eps
    if self.prediction == 'x0':
      return x0
    signal, spread = self._coefficients(t, x0)
    return signal * eps - spread * x0

  def estimate(
      self, output: types.Array, x_t: types.Array, t: types.Array
  ) -> tuple[jax.Array, jax.Array]:
    """The x0 and the eps that an output of the network stands for."""
    signal, spread = self._coefficients(t, x_t)
    if self.prediction == 'v':
      return signal * x_t - spread * output, spread * x_t + signal * output
    if self.prediction == 'x0':
      return output, self.eps_of(output, x_t, t)
    return (x_t - spread * output) / signal, output

  def eps_of(
      self, x0: types.Array, x_t: types.Array, t: types.Array
  ) -> jax.Array:
    """The noise that makes x_t of x0."""
    signal, spread = self._coefficients(t, x_t)
    return (x_t - signal * x0) / spread

  def loss(
      self,
      net: Callable[[jax.Array, jax.Array], jax.Array],
      x0: types.Array,
      eps: types.Array,
      t: types.Array,
  ) -> jax.Array:
    """Error of each frame (DiViD, Eq. 3; Ho et al. 2020, Eq. 14).

    Args:
      net: (x_t, t) -> prediction, shaped as x_t.
      x0: (B, T, ...) clean clips.
      eps: unit Gaussian noise, shaped as x0.
      t: (B, T) noise levels.

    Returns:
      (B, T) mean over the values of a frame.
    """
    output = net(self.noise(x0, eps, t), t).astype(jnp.float32)
    error = output - self.target(x0, eps, t)
    error = jnp.abs(error) if self.norm == 'l1' else jnp.square(error)
    return jnp.mean(error, axis=tuple(range(2, error.ndim)))

  def levels(self, num_steps: int) -> np.ndarray:
    """The t that a sampler visits: (num_steps,) int, evenly down to 0.

    As in latent diffusion the first one lies below L - 1, unless all are
    visited: at the end of the cosine schedule nothing but noise is left, and
    an error of eps there would be blown up by 1 / sqrt(abar).

    Raises:
      ValueError: for no steps, or for more steps than levels.
    """
    if not 1 <= num_steps <= self.num_levels:
      raise ValueError(
          f'sampler.num_steps={num_steps}; expected 1 to {self.num_levels}, '
          'the noise levels of the process. Set config.sampler.num_steps.')
    return np.arange(num_steps)[::-1] * self.num_levels // num_steps

  def ladder(self, num_steps: int) -> np.ndarray:
    """`levels` as sigmas and a last 0, for the solvers of `samplers`."""
    return np.append(self.sigmas[self.levels(num_steps)], 0.0)

  def level_of(self, sigma: types.Array) -> jax.Array:
    """The t whose sigma_t is nearest to sigma () by ratio, () int32."""
    table = jnp.asarray(np.log(self.sigmas), jnp.float32)
    return jnp.argmin(jnp.abs(table - jnp.log(sigma)))

  def _coefficients(self, t, x):
    """Of x0 and of eps in x_t, with the axes of x."""
    table = np.sqrt(np.stack([self.alpha_bar, 1.0 - self.alpha_bar]))
    signal, spread = jnp.asarray(table, jnp.float32)[:, t]
    return shapes.expand_like(signal, x), shapes.expand_like(spread, x)


def ddim(
    estimate: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]],
    x: types.Array,
    diffusion: DDPM,
    num_steps: int,
    *,
    eta: float = 0.0,
    noise: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
  """Song et al. 2021 (arXiv:2010.02502), Eqs. 12 and 16.

  Args:
    estimate: (x_t, t ()) -> estimates of x0 and of eps.
    x: x_T, unit Gaussian noise.
    diffusion: the process.
    num_steps: noise levels visited, see `DDPM.levels`.
    eta: 0: no noise is added; 1: as much as the ancestral sampler adds.
    noise: number of the step -> unit noise shaped as x; needed for eta > 0.

  Returns:
    The sample, shaped as x.
  """
  levels = diffusion.levels(num_steps)
  now = diffusion.alpha_bar[levels]
  following = np.append(now[1:], 1.0)
  added = eta * np.sqrt((1 - following) / (1 - now) * (1 - now / following))
  kept = np.sqrt(1 - following - added**2)
  as_f32 = lambda a: jnp.asarray(a, jnp.float32)

  def body(x, step):
    number, t, signal, kept, added = step
    x0, eps = estimate(x, t)
    x = signal * x0 + kept * eps
    return (x + added * noise(number) if eta else x), None

  steps = (jnp.arange(num_steps), jnp.asarray(levels, jnp.int32),
           as_f32(np.sqrt(following)), as_f32(kept), as_f32(added))
  return jax.lax.scan(body, jnp.asarray(x), steps)[0]
