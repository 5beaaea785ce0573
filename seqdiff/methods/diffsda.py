r"""DiffSDA: one score-matching loss, a shared static and small dynamic codes.

Source: arXiv:2510.05717, ICLR 2026. Clips x_0^{1:V}, here x0 with frames 1..T,
are encoded into one static code s and dynamic codes d^1..d^T; the paper's s_0,
d_0^tau. The joint is

  p(s, d^{1:T}) * prod_tau p(x_0^tau | x_T^tau, s, d^tau),

a prior over the codes (trained afterwards) times a conditional diffusion per
frame. Training minimises the one loss

  E  lambda(sigma) | D(x0^tau + sigma eps; sigma, s, d^tau) - x0^tau |^2

over frames, sigma and eps (independent per frame), jointly in the encoder and
the denoiser; the encoder sees the clean clip. Nothing but the shapes of the
codes, one s for all frames and a small d, separates the factors.

Departures are those of `conditional`; `nets` and `edm` name further ones.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.diffusion import edm
from seqdiff.diffusion import samplers
from seqdiff.methods import base
from seqdiff.methods import conditional


@dataclasses.dataclass(frozen=True)
class Solver:
  """How clips are sampled: the name of a solver and its ladder of sigmas.

  Attributes:
    name: 'heun', 'euler' or 'dpmpp_2m'.
    num_steps: solver steps N; NFE is `samplers.num_evaluations`.
    sigma_min: last noise level above 0.
    sigma_max: first noise level.
    rho: spacing of the ladder (Karras et al. 2022, Eq. 5).
  """

  name: str = 'heun'
  num_steps: int = 32
  sigma_min: float = 0.002
  sigma_max: float = 80.0
  rho: float = 7.0

  @property
  def sigmas(self) -> np.ndarray:
    """The ladder, (num_steps + 1,)."""
    return edm.karras_sigmas(
        self.num_steps, sigma_min=self.sigma_min, sigma_max=self.sigma_max,
        rho=self.rho)


@dataclasses.dataclass(frozen=True)
class DiffSDA(conditional.Conditional):
  """The method as an object without weights; see `methods.base.Method`.

  Attributes:
    diffusion: constants of the loss.
    solver: how `decode` samples.
    count_missing: series only: the loss is a mean over all values, those that
      are missing and the padding included (released code). Default: over what
      was observed.
    noise_draws: how often each clip of a batch is encoded, noised and decoded
      (released code: 10, series); the loss is the mean.
  """

  diffusion: edm.EDM = edm.EDM()
  solver: Solver = Solver()
  count_missing: bool = False
  noise_draws: int = 1

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
    draws = self.noise_draws if train else 1
    batch = {k: jnp.repeat(a, draws, axis=0) for k, a in batch.items()}
    # Each draw has noise of its own; a single one that of its clip.
    batch['index'] = draws * batch['index'] + jnp.arange(
        len(batch['index'])) % draws
    index = batch['index']
    shown, codes, penalty = self._read(params['encoder'], batch, key, train)
    x, mask, observed = shown['x'], shown['mask'], shown.get('observed')
    sigma = self.diffusion.sample_sigma(
        keys.named(key, 'sigma'), index, x.shape[1], step=step)
    eps = keys.normal(keys.named(key, 'eps'), index, x.shape[1:])
    inner = self._denoise(
        params, codes, key=keys.of_batch(key, 'dropout', index), train=train)
    per_frame = self.diffusion.loss(inner, x, eps, sigma, observed)
    if observed is not None and self.count_missing:
      denoising = jnp.mean(per_frame, axis=1)
    else:
      denoising = shapes.masked_mean(per_frame, mask)
      denoising /= data_batch.observed_share(batch)
    parts = {name: jnp.mean(a.reshape(-1, draws), axis=1)
             for name, a in {'denoising': denoising, **penalty}.items()}
    return sum(parts.values()), parts

  def decode(
      self, params: types.Params, factors: base.Factors, x_init: types.Array
  ) -> jax.Array:
    """Factors and unit noise x_T -> clips, in [-1, 1] up to solver error."""
    chex.assert_equal_shape_prefix([factors.dynamic, x_init], 2)
    sigmas = self.solver.sigmas
    return samplers.solver(self.solver.name)(
        self.denoise_fn(params, factors), sigmas[0] * x_init, sigmas)

  def invert(
      self, params: types.Params, factors: base.Factors, x: types.Array
  ) -> jax.Array:
    """Clips and their factors -> x_T, so that `decode` gives the clips back."""
    return samplers.encode(
        self.denoise_fn(params, factors), x, self.solver.sigmas)

  def denoise_fn(
      self, params: types.Params, factors: base.Factors
  ) -> types.Denoiser:
    """D(x, sigma) of the clips with these factors; sigma () or (B, T)."""
    inner = self._denoise(params, factors)

    @jax.jit  # Solvers call it in several places; it is traced once.
    def denoise(x, sigma):
      sigma = jnp.broadcast_to(sigma, x.shape[:2])
      return self.diffusion.denoise(inner, x, sigma)

    return denoise
