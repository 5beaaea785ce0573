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

Departures, all off by default. `unit_codes` scales codes to unit size.
`static_kl` and `dynamic_kl` make a code Gaussian, N(mu, sigma^2), at the price
of KL(N(mu, sigma^2) | N(0, I)), so that what one code tells the other need not
tell again; with `unit_codes` most of the price is fixed. With
`static_frames` the static code of a training clip is read from that many random
frames, and with `recolour` its dynamic codes from a copy in random colours;
with `centre` dynamic codes are always read from what differs from the mean
frame: so neither can hold what the other is for (see `views`).
`frames_per_step` decodes a random subset of the frames: without `static_frames`
an unbiased estimate of the loss. `nets` and `edm` name further ones.
"""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.diffusion import edm
from seqdiff.diffusion import samplers
from seqdiff.losses import gaussian
from seqdiff.methods import base
from seqdiff.methods import views
from seqdiff.nets import decoders
from seqdiff.nets import encoders

# Gaussian codes start with a standard deviation of exp(-2), not of 1.
_INITIAL_LOG_VAR = -4.0


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
class DiffSDA:
  """The method as an object without weights; see `methods.base.Method`.

  Parameters are {'encoder': ..., 'denoiser': ...}.

  Attributes:
    encoder: clip -> codes.
    denoiser: F(x, c_noise, codes).
    diffusion: constants of the loss.
    solver: how `decode` samples.
    unit_codes: whether codes (or their means) have a mean square of 1.
    static_kl: None, or weight of the KL of the static code.
    dynamic_kl: None, or weight of the KL of the dynamic codes.
    static_frames: None, or number of frames from which the static code is read
      in training; as few of them as possible are decoded too.
    recolour: whether the dynamic encoder sees random colours in training.
    centre: whether it sees each frame without the mean frame of its clip.
    frames_per_step: None, or number of frames decoded per clip in training.
  """

  encoder: encoders.VideoEncoder
  denoiser: decoders.VideoDenoiser
  diffusion: edm.EDM = edm.EDM()
  solver: Solver = Solver()
  unit_codes: bool = False
  static_kl: float | None = None
  dynamic_kl: float | None = None
  static_frames: int | None = None
  recolour: bool = False
  centre: bool = False
  frames_per_step: int | None = None

  def __post_init__(self):
    for name in 'static_frames', 'frames_per_step':
      count = getattr(self, name)
      if count is not None and count < 1:
        raise ValueError(
            f'method.{name}={count}, expected 1 or more frames, or None for '
            'all of them.')

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`."""
    x, mask = batch['x'], batch['mask']
    encoder = self.encoder.init(keys.named(key, 'encoder'), x, mask)
    codes, _ = self._codes(encoder, x, mask)
    denoiser = self.denoiser.init(
        keys.named(key, 'denoiser'), x, jnp.zeros(x.shape[:2]),
        codes.static, codes.dynamic)
    return {'encoder': encoder, 'denoiser': denoiser}

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
    x, mask, index = batch['x'], batch['mask'], batch['index']
    if train:
      x, mask, codes, penalty = self._draw(
          params['encoder'], x, mask, key, index)
    else:
      codes, penalty = self._codes(params['encoder'], x, mask)
    sigma = self.diffusion.sample_sigma(
        keys.named(key, 'sigma'), index, x.shape[1], step=step)
    eps = keys.normal(keys.named(key, 'eps'), index, x.shape[1:])
    inner = self._inner_net(
        params['denoiser'], codes, key=keys.named(key, 'dropout'), train=train)
    per_frame = self.diffusion.loss(inner, x, eps, sigma)
    denoising = shapes.masked_mean(per_frame, mask)
    return denoising + sum(penalty.values()), {
        'denoising': denoising, **penalty}

  def encode(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> base.Factors:
    """Clips -> factors (the means, if codes are Gaussian)."""
    return self._codes(params['encoder'], x, mask)[0]

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
    inner = self._inner_net(params['denoiser'], factors)

    def denoise(x, sigma):
      sigma = jnp.broadcast_to(sigma, x.shape[:2])
      return self.diffusion.denoise(inner, x, sigma)

    return denoise

  def _inner_net(self, params, codes, *, key=None, train=False):
    """F of the clips with these codes."""
    rngs = {'dropout': key} if train else None
    return lambda x, c_noise: self.denoiser.apply(
        params, x, c_noise, codes.static, codes.dynamic, train=train,
        rngs=rngs)

  def _codes(self, params, x, mask):
    """The codes (their means, if Gaussian) and the penalties on them (B,)."""
    static, dynamic = self.encoder.apply(params, x, mask)
    if self.centre:
      _, dynamic = self.encoder.apply(params, views.centre(x, mask), mask)
    return self._limit_both(static, dynamic, mask)

  def _draw(self, params, x, mask, key, index):
    """What a training step decodes: random frames, and their random codes.

    Returns:
      Frames (B, n, H, W, C), their mask (B, n), codes, and penalties (B,).
    """
    encode = lambda name, x, mask: self.encoder.apply(
        params, x, mask, train=True,
        rngs={'dropout': keys.named(key, f'{name}_dropout')})
    order = views.random_order(keys.named(key, 'frames'), index, mask)
    choose = lambda a: a if self.frames_per_step is None else (
        views.take_frames(a, order[:, :self.frames_per_step]))
    if self.static_frames is None and not self.recolour and not self.centre:
      static, dynamic = encode('encoder', x, mask)
      dynamic = choose(dynamic)
    else:
      static = self._read_static(encode, x, mask, order)
      seen = x
      if self.recolour:
        seen = views.recolour(keys.named(key, 'colours'), index, seen)
      if self.centre:
        seen = views.centre(seen, mask)
      if self.encoder.frame_by_frame:  # The other frames are not needed.
        _, dynamic = encode('dynamic', choose(seen), choose(mask))
      else:
        dynamic = choose(encode('dynamic', seen, mask)[1])
    if static.ndim == 3:  # Of the ablation without sharing.
      static = choose(static)
    x, mask = choose(x), choose(mask)
    codes, penalty = self._limit_both(static, dynamic, mask, key, index)
    return x, mask, codes, penalty

  def _read_static(self, encode, x, mask, order):
    """The static code, of all frames or of `static_frames` random ones."""
    if self.static_frames is None:
      return encode('static', x, mask)[0]
    frames = views.last_real(order, mask, self.static_frames)
    static, _ = encode(
        'static', views.take_frames(x, frames), views.take_frames(mask, frames))
    if static.ndim == 3:
      raise ValueError(
          f'method.static_frames={self.static_frames} with '
          'shared_static=False, where each frame has a static code of its own; '
          'expected shared codes. Set one of them back.')
    return static

  def _limit_both(self, static, dynamic, mask, key=None, index=None):
    """`_limit` for both kinds of codes; mask (B, T) of the dynamic codes."""
    static, static_kl = self._limit(
        'static', static, self.static_kl, key, index)
    dynamic, dynamic_kl = self._limit(
        'dynamic', dynamic, self.dynamic_kl, key, index)
    penalty = {}
    if static_kl is not None:
      per_frame = static_kl.ndim == 2  # Of the ablation without sharing.
      penalty['static_kl'] = (
          shapes.masked_mean(static_kl, mask) if per_frame else static_kl)
    if dynamic_kl is not None:
      penalty['dynamic_kl'] = shapes.masked_mean(dynamic_kl, mask)
    return base.Factors(static=static, dynamic=dynamic), penalty

  def _limit(self, name, code, weight, key, index):
    """A code of limited size and, if `weight` is given, of limited information.

    Args:
      name: names the noise.
      code: (..., D), or mean and log variance (..., 2 D) with a weight.
      weight: None, or weight of the KL divergence.
      key: None, or the key of the noise: without it the mean is returned.
      index: (B,) numbers of the examples.

    Returns:
      The code (..., D) and the weighted KL (...,) or None.
    """
    kl = None
    if weight is not None:
      code, log_var = jnp.split(code, 2, axis=-1)
      log_var = log_var + _INITIAL_LOG_VAR
    if self.unit_codes:
      power = jnp.mean(jnp.square(code), axis=-1, keepdims=True)
      code = code * jax.lax.rsqrt(power + 1e-6)
    if weight is not None:
      kl = weight * gaussian.kl_to_unit(code, log_var)
      if key is not None:
        noise = keys.normal(keys.named(key, name), index, code.shape[1:])
        code = code + jnp.exp(log_var / 2.0) * noise
    return code, kl
