r"""DiViD: DDPM with noise shared by the frames, and orthogonal codes.

Source: arXiv:2507.13934, ICCV workshops 2025. The static code s is read from
the first frame and the dynamic codes d_1..d_N from what the frames differ from
it by (`encoders.ResidualEncoder`). All frames of a clip are noised with one eps
(Eq. 1) and denoised frame by frame, each conditioned on (s, d_i) (Eq. 2).
Training minimises, jointly in the encoder and the denoiser,

  L = E | eps_theta(x_t, t, s, d_i) - eps |_1  +  lambda sum_i (s^T d_i)^2
                                                               (Eqs. 3, 4, 5)

The first term is a mean over the values of the frames, the second a sum over
the frames: the paper, which gives no lambda, does not say. The "time-varying KL
bottleneck" of the paper is a property of any DDPM and no term of the loss.

Departures are those of `conditional`.
"""

from collections.abc import Callable
import dataclasses

import chex
import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.diffusion import ddpm
from seqdiff.diffusion import samplers
from seqdiff.losses import orthogonality
from seqdiff.methods import base
from seqdiff.methods import conditional

SOLVERS = ('ddim', *samplers.SOLVERS)


@dataclasses.dataclass(frozen=True)
class Solver:
  """How clips are sampled.

  Attributes:
    name: 'ddim', or a solver of `samplers` over the same noise levels.
    num_steps: noise levels visited; NFE, but for Heun's method (2 N - 1).
    eta: 'ddim' only: 0 adds no noise in between, 1 as much as the ancestral
      sampler. The noise is shared by the frames, and a function of x_T.
    clip: None, or bound of the estimates of x0 (1 for pixels).
  """

  name: str = 'ddim'
  num_steps: int = 200
  eta: float = 0.0
  clip: float | None = None

  def __post_init__(self):
    if self.name not in SOLVERS:
      raise errors.unknown_name('sampler', self.name, SOLVERS)
    if not 0.0 <= self.eta <= 1.0 or (self.eta and self.name != 'ddim'):
      raise ValueError(
          f'sampler.eta={self.eta} with sampler.name={self.name}; expected 0, '
          'or up to 1 with ddim, the only sampler here that adds noise.')


@dataclasses.dataclass(frozen=True)
class DiViD(conditional.Conditional):
  """The method as an object without weights; see `methods.base.Method`.

  Attributes:
    diffusion: schedule and loss.
    solver: how `decode` samples.
    orthogonality: weight lambda of L_orth.
    normalised: whether L_orth is of squared cosines. Departure.
    scale: what clips are multiplied by before they are noised; less than 1 is
      more noise at each t (Chen 2023, arXiv:2301.10972). Departure.
  """

  diffusion: ddpm.DDPM = ddpm.DDPM()
  solver: Solver = Solver()
  orthogonality: float = 1e-3
  normalised: bool = False
  scale: float = 1.0

  def __post_init__(self):
    super().__post_init__()
    if not self.scale > 0.0:
      raise ValueError(
          f'method.scale={self.scale}; expected a positive number, as in the '
          'paper 1.')

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of each clip (B,), see `methods.base.Trainable`."""
    del step
    index, num_real = batch['index'], jnp.sum(batch['mask'], axis=1)
    shown, codes, penalty = self._read(params['encoder'], batch, key, train)
    x, mask = shown['x'], shown['mask']
    t = self.diffusion.sample_t(keys.named(key, 't'), index, x.shape[1])
    eps = self.diffusion.sample_eps(
        keys.named(key, 'eps'), index, x.shape[1:])
    net = self._denoise(
        params, codes, key=keys.of_batch(key, 'dropout', index), train=train)
    per_frame = self.diffusion.loss(net, self.scale * x, eps, t)
    denoising = shapes.masked_mean(per_frame, mask)
    parts = {'denoising': denoising, **penalty}
    if self.orthogonality:
      products = orthogonality.squared_products(
          codes.static, codes.dynamic, normalised=self.normalised)
      # A sum over all frames, also if only some of them are decoded.
      parts['orthogonality'] = self.orthogonality * num_real * (
          shapes.masked_mean(products, mask))
    return sum(parts.values()), {**parts, **_geometry(codes, mask)}

  def decode(
      self, params: types.Params, factors: base.Factors, x_init: types.Array
  ) -> jax.Array:
    """Factors and unit noise x_T -> clips."""
    chex.assert_equal_shape_prefix([factors.dynamic, x_init], 2)
    solver, diffusion = self.solver, self.diffusion
    if solver.name == 'ddim':
      x = ddpm.ddim(
          self._estimate_fn(params, factors), x_init, diffusion,
          solver.num_steps, eta=solver.eta, noise=_noise_of(x_init))
    else:
      sigmas = diffusion.ladder(solver.num_steps)
      x = samplers.solver(solver.name)(
          self.denoise_fn(params, factors),
          jnp.hypot(1.0, sigmas[0]) * x_init, sigmas)
    return x / self.scale

  def invert(
      self, params: types.Params, factors: base.Factors, x: types.Array
  ) -> jax.Array:
    """Clips and their factors -> x_T, so that `decode` gives the clips back."""
    sigmas = self.diffusion.ladder(self.solver.num_steps)
    x_init = samplers.encode(
        self.denoise_fn(params, factors), self.scale * x, sigmas)
    return x_init * sigmas[0] / jnp.hypot(1.0, sigmas[0])

  def denoise_fn(
      self, params: types.Params, factors: base.Factors
  ) -> types.Denoiser:
    """D(scale x0 + sigma eps, sigma), for the solvers of `samplers`."""
    estimate = self._estimate_fn(params, factors)

    def denoise(x, sigma):
      t = self.diffusion.level_of(sigma)
      _, eps = estimate(x / jnp.hypot(1.0, sigma), t)
      return x - sigma * eps  # Also between two levels.

    return denoise

  def _estimate_fn(self, params, factors):
    """(x_t, t ()) -> estimates of x0 and eps of the clips with these codes."""
    net = self._denoise(params, factors)

    @jax.jit  # Solvers call it in several places; it is traced once.
    def estimate(x, t):
      t = jnp.broadcast_to(t, x.shape[:2])
      x0, eps = self.diffusion.estimate(net(x, t), x, t)
      if self.solver.clip is not None:
        bound = self.scale * self.solver.clip
        x0 = jnp.clip(x0, -bound, bound)
        eps = self.diffusion.eps_of(x0, x, t)
      return x0, eps

    return estimate


def _geometry(codes, mask) -> dict[str, jax.Array]:
  """What L_orth acts on, to be logged: (B,) each."""
  length = lambda a: jnp.sqrt(jnp.sum(jnp.square(a), axis=-1))
  parts = {'static_length': length(codes.static),
           'dynamic_length': shapes.masked_mean(length(codes.dynamic), mask)}
  if codes.static.shape[-1] == codes.dynamic.shape[-1]:
    parts['squared_cosine'] = shapes.masked_mean(
        orthogonality.squared_products(
            codes.static, codes.dynamic, normalised=True), mask)
  return parts


def _noise_of(x_init) -> Callable[[jax.Array], jax.Array]:
  """Number of a step -> unit noise, one frame for all frames of a clip.

  It is drawn from keys that the values of x_T give, so that a sample is a
  function of its codes and x_T whatever else is in the batch.
  """
  seeds = jax.lax.bitcast_convert_type(
      x_init.reshape(x_init.shape[0], -1)[:, 0].astype(jnp.float32), jnp.uint32)

  def noise(number):
    key = jax.random.fold_in(jax.random.key(0), number)
    drawn = keys.normal(key, seeds, (1,) + x_init.shape[2:])
    return jnp.broadcast_to(drawn, x_init.shape)

  return noise
