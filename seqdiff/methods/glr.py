r"""GLR: a Gaussian process over the codes of windows, and one code per series.

Source: Tonekaboni et al. 2022, ICLR (arXiv:2202.02262), and its released code.
A series of T steps is cut into L windows. With the paper's z_l for the local,
here dynamic codes, and z_g for the global, here static code,

  q(z_l | x) = N(m, (B B^T)^-1)  one per dimension, B bidiagonal, m window by
                                 window; prior: a Gaussian process
  q(z_g | x) = N(m_g, I)         of a random sub-sequence; prior: N(0, I)
  p(x | z)   = N(mu, sigma^2)    window by window, from both codes

and training minimises, with NLL the mean -log p(x | z) of a value,

  NLL + beta (KL_l + KL_g) + lambda q(z_g | x') / q(z_g' | x'),  z_g' ~ N(0, I)

with x' ~ p(x' | z_l, z_g'), a counterfactual from which z_g' should be read.

In this library a dynamic code belongs to a step: all steps of a window have
that of the window. A static code in use is the mean over a few sub-sequences,
evenly spaced; the released code reads one at random.

Departures. Each series has its own random sub-sequence, and none is drawn from
padding (released: one for the whole batch). Windows of padding have no KL. A KL
is a mean over the values of a code (released: a sum for the static one), NLL a
mean over the values that were measured; `sum_global_kl` and `count_missing`
have it as released. A posterior that is not finite is not replaced by zeros.
"""

from collections.abc import Sequence
import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.losses import counterfactual
from seqdiff.losses import gaussian
from seqdiff.losses import gaussian_process
from seqdiff.methods import base
from seqdiff.methods import views


@dataclasses.dataclass(frozen=True)
class GLR:
  """The method as an object without weights; see `methods.base.Method`.

  Parameters are {'local': ..., 'global': ..., 'decoder': ...}.

  Attributes:
    local_encoder: windows -> posterior of their codes; of `nets.glr`.
    global_encoder: sub-sequences -> static codes; of `nets.glr`.
    decoder: codes -> windows; of `nets.glr`.
    window: steps of a window; divides the length of the series.
    global_frames: steps of a sub-sequence in training.
    read_frames: of one that a static code in use is read from; None: as many.
    num_reads: sub-sequences of which a static code in use is the mean.
    min_measured: a step is read if as many of its values, or more, were
      measured. Where a batch does not say, that is all but zeros.
    kernels: of the prior, see `losses.gaussian_process`.
    num_scales: of each kernel.
    length_scale: the largest, in windows.
    beta: weight of both divergences.
    counterfactual: weight lambda of the counterfactual term.
    noise_draws: samples of the codes that are decoded for each series.
    count_missing: the NLL is a mean over all values, with 0 for those that are
      missing, and the local KL shrinks alike (released code).
    sum_global_kl: KL_g is a sum over the values of the code (released code).
  """

  local_encoder: Any
  global_encoder: Any
  decoder: Any
  window: int
  global_frames: int
  read_frames: int | None = None
  num_reads: int = 4
  min_measured: int = 1
  kernels: Sequence[str] = ('cauchy', 'rbf')
  num_scales: int = 4
  length_scale: float = 2.0
  beta: float = 0.1
  counterfactual: float = 1.0
  noise_draws: int = 1
  count_missing: bool = False
  sum_global_kl: bool = False

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`.

    Raises:
      ValueError: for series that the settings do not fit.
    """
    x = data_batch.measured(batch)
    self._check(x)
    read = self._steps(_observed(batch), batch['mask'])
    parts = [a[:, :self.window] for a in (x, read)]
    of_window = self.local_encoder.init(keys.named(key, 'local'), *parts)
    parts = [a[:, :self.global_frames] for a in (x, read)]
    of_series = self.global_encoder.init(keys.named(key, 'global'), *parts)
    params = {'local': of_window, 'global': of_series}
    codes = self.encode(params, x, batch['mask'])
    self._prior(x.shape[1] // self.window, codes.dynamic.shape[-1])
    both = jnp.concatenate([codes.dynamic[:, 0], codes.static], axis=-1)
    decoder = self.decoder.init(keys.named(key, 'decoder'), both)
    return {**params, 'decoder': decoder}

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of each series (B,), see `methods.base.Trainable`.

    In evaluation the codes are their means.
    """
    del step
    x, mask, index = data_batch.measured(batch), batch['mask'], batch['index']
    observed = data_batch.observed(batch).astype(jnp.float32)
    steps = self._steps(_observed(batch), mask)
    draws = self.noise_draws if train else 1
    repeat = lambda a: jnp.repeat(a, draws, axis=0)
    mean, factor = self._local(params, x, steps)
    static_mean = self._global(params, x, steps, self._random_starts(
        keys.named(key, 'start'), index, mask, 1)) if train else (
            self._read(params, x, mask, steps))
    static, dynamic = repeat(static_mean), repeat(mean)
    if train:
      noise = lambda name, shape: shapes.merge_frames(
          keys.normal(keys.named(key, name), index, (draws,) + shape))
      static += noise('static', static.shape[1:])
      dynamic += jnp.einsum(
          'bdij,bjd->bid', repeat(factor), noise('dynamic', dynamic.shape[1:]))
    guess, std = self._decode(params, static, dynamic)
    flat = lambda a: a.reshape(len(a), -1)
    nll = shapes.masked_mean(
        flat(gaussian.nll(repeat(x), guess, std)), flat(repeat(observed)))
    local_kl, global_kl = self._divergences(mean, factor, static_mean, mask)
    parts = {'nll': jnp.mean(nll.reshape(-1, draws), axis=1),
             'local_kl': self.beta * local_kl,
             'global_kl': self.beta * global_kl}
    if self.count_missing:
      measured = jnp.mean(observed, axis=(1, 2))
      parts['nll'] *= measured
      parts['local_kl'] *= measured
    if self.counterfactual:
      ratio = self._ratio(
          params, static, dynamic, batch, keys.named(key, 'counterfactual'))
      parts['counterfactual'] = self.counterfactual * ratio
    return sum(parts.values()), parts

  def encode(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> base.Factors:
    """Series -> means of their codes, see `methods.base.Method`.

    What is 0 counts as not measured.
    """
    return self.encode_observed(params, x, mask, x != 0.0)

  def encode_observed(
      self,
      params: types.Params,
      x: types.Array,
      mask: types.Array,
      observed: types.Array,
  ) -> base.Factors:
    """The same, if it is known what was measured: observed (B, T, D) bool."""
    self._check(x)
    steps = self._steps(observed, mask)
    mean, _ = self._local(params, x, steps)
    return base.Factors(
        static=self._read(params, x, mask, steps),
        dynamic=jnp.repeat(mean, self.window, axis=1))

  def decode(
      self, params: types.Params, factors: base.Factors, x_init: types.Array
  ) -> jax.Array:
    """Factors -> the means of the series; `x_init` has no influence.

    The code of a window is that of its first step.
    """
    chex.assert_equal_shape_prefix([factors.dynamic, x_init], 2)
    self._check(x_init)
    return self._decode(
        params, factors.static, factors.dynamic[:, ::self.window])[0]

  def invert(
      self, params: types.Params, factors: base.Factors, x: types.Array
  ) -> jax.Array:
    """Zeros shaped as the series: no x_T is needed to decode them."""
    del params, factors
    return jnp.zeros_like(x)

  def _check(self, x):
    """Raises ValueError for series that the settings do not fit."""
    _, num_frames, variables = x.shape
    if num_frames % self.window:
      raise ValueError(
          f'method.window={self.window} and series of {num_frames} steps; '
          'expected a whole number of windows. Set data.num_frames to a '
          'multiple of method.window, or choose another window.')
    for name, most in (
        ('global_frames', num_frames), ('read_frames', num_frames),
        ('min_measured', variables)):
      value = getattr(self, name)
      if value is not None and not 1 <= value <= most:
        raise ValueError(
            f'method.{name}={value} and series of {num_frames} steps with '
            f'{variables} values; expected 1 to {most}. Change method.{name}.')

  def _prior(self, num_windows, dim):
    return gaussian_process.prior(
        num_windows, dim, kernels=self.kernels, num_scales=self.num_scales,
        length_scale=self.length_scale)

  def _steps(self, observed, mask):
    """Which steps the encoders read: (B, T)."""
    measured = jnp.sum(observed, axis=-1)
    return mask.astype(bool) & (measured >= self.min_measured)

  def _local(self, params, x, steps):
    """Posterior of the local codes: mean (B, L, D), factor (B, D, L, L)."""
    windows = lambda a: a.reshape(-1, self.window, *a.shape[2:])
    outputs = self.local_encoder.apply(
        params['local'], windows(x), windows(steps))
    mean, diagonal, above = (
        shapes.split_frames(a, x.shape[1] // self.window) for a in outputs)
    factor = gaussian_process.bidiagonal_factor(
        diagonal.swapaxes(1, 2), above.swapaxes(1, 2))
    return mean, factor

  def _read(self, params, x, mask, steps):
    """Static codes in use, of sub-sequences evenly over a series: (B, D)."""
    count = self.global_frames if self.read_frames is None else (
        self.read_frames)
    at = jnp.linspace(0.0, 1.0, self.num_reads)[None]
    starts = jnp.round(at * _last_start(mask, count)).astype(jnp.int32)
    return self._global(params, x, steps, starts, count)

  def _global(self, params, x, steps, starts, count=None):
    """Mean over sub-sequences that start at `starts` (B, n): (B, D)."""
    count = self.global_frames if count is None else count
    frames = starts[..., None] + jnp.arange(count)[None, None]
    pieces = lambda a: views.take_frames(
        a, frames.reshape(len(a), -1)).reshape(-1, count, *a.shape[2:])
    codes = self.global_encoder.apply(
        params['global'], pieces(x), pieces(steps))
    return jnp.mean(shapes.split_frames(codes, starts.shape[1]), axis=1)

  def _random_starts(self, key, index, mask, count):
    """Starts of random sub-sequences: (B, count)."""
    at = jax.vmap(lambda k: jax.random.uniform(k, (count,)))(
        keys.per_example(key, index))
    last = _last_start(mask, self.global_frames)
    return jnp.minimum((at * (last + 1)).astype(jnp.int32), last)

  def _decode(self, params, static, dynamic):
    """Static (N, Ds), dynamic (N, L, Dd) -> mean and std (N, T, F)."""
    static = jnp.broadcast_to(
        static[:, None], dynamic.shape[:2] + static.shape[1:])
    codes = jnp.concatenate([dynamic, static], axis=-1)
    outputs = self.decoder.apply(
        params['decoder'], shapes.merge_frames(codes))
    return tuple(a.reshape(len(dynamic), -1, a.shape[-1]) for a in outputs)

  def _divergences(self, mean, factor, static_mean, mask):
    """KL_l and KL_g, (B,) each; per window and value of a code."""
    local = gaussian_process.kl_to_prior(
        mean, factor, self._prior(*mean.shape[1:]))
    real = mask.reshape(len(mask), -1, self.window).any(axis=2)
    local = shapes.masked_mean(jnp.mean(local, axis=2), real)
    total = gaussian.kl_to_unit(static_mean, jnp.zeros_like(static_mean))
    return local, total / (
        1 if self.sum_global_kl else static_mean.shape[-1])

  def _ratio(self, params, static, dynamic, batch, key):
    """The counterfactual term of each series, mean over its samples: (B,)."""
    mask, index = batch['mask'], batch['index']
    draws = len(static) // len(index)
    noise = lambda name, shape: shapes.merge_frames(
        keys.normal(keys.named(key, name), index, (draws,) + shape))
    drawn = noise('static', static.shape[1:])
    mean, std = self._decode(params, drawn, dynamic)
    x = mean + std * noise('values', mean.shape[1:])
    starts = self._random_starts(keys.named(key, 'start'), index, mask, draws)
    # All values of a sample are there.
    read = self._global(params, x, jnp.repeat(mask.astype(bool), draws, axis=0),
                        starts.reshape(-1, 1))
    ratio = counterfactual.likelihood_ratio(read, static, drawn)
    return jnp.mean(ratio.reshape(-1, draws), axis=1)


def _observed(batch):
  """Which values the encoders take for measured ones: (B, T, D)."""
  return batch['observed'] if 'observed' in batch else batch['x'] != 0.0


def _last_start(mask, count):
  """Last step at which `count` real steps start: (B, 1)."""
  return jnp.maximum(jnp.sum(mask, axis=1, keepdims=True) - count, 0)
