"""What most methods share: how codes are read and limited.

An encoder maps a clip to a static code and dynamic codes, a denoiser (of the
diffusion methods) is conditioned on both, and what a training step decodes may
be drawn at random.

Departures from both papers, all off by default. `unit_codes` scales codes to
unit size. `static_kl` and `dynamic_kl` make a code Gaussian, N(mu, sigma^2), at
the price of KL(N(mu, sigma^2) | N(0, I)), so that what one code tells the other
need not tell again; with `unit_codes` most of the price is fixed. With
`static_frames` the static code of a training clip is read from that many random
frames, and with `recolour` its dynamic codes from a copy in random colours;
with `centre` dynamic codes are always read from what differs from the mean
frame: so neither can hold what the other is for (see `views`). Of series a
value that is missing stands at 0 there, as the mean of the data, and is counted
as such. `dynamic_dropout` trains on a share of the clips without dynamic codes,
as guidance without a classifier does (Ho and Salimans 2022, arXiv:2207.12598):
here so that the static code learns to tell all it can on its own, and what it
tells the dynamic codes need not. `frames_per_step` decodes a random subset of
the frames: without `static_frames` an unbiased estimate of the loss.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.losses import gaussian
from seqdiff.methods import base
from seqdiff.methods import views

# Gaussian codes start with a standard deviation of exp(-2), not of 1.
_INITIAL_LOG_VAR = -4.0


@dataclasses.dataclass(frozen=True)
class Coder:
  """An encoder, and what is done to its codes.

  Its parameters are those at 'encoder'.

  Attributes:
    encoder: (clips, mask) -> codes; a Linen module of `nets.encoders`.
    unit_codes: whether codes (or their means) have a mean square of 1.
    static_kl: None, or weight of the KL of the static code.
    dynamic_kl: None, or weight of the KL of the dynamic codes.
    static_frames: None, or number of frames from which the static code is read
      in training; as few of them as possible are decoded too.
    recolour: whether the dynamic encoder sees random colours in training.
    centre: whether it sees each frame without the mean frame of its clip.
    dynamic_dropout: share of the training clips that are decoded with dynamic
      codes of 0; of these no loss sees the codes, but for their price.
    frames_per_step: None, or number of frames decoded per clip in training.
  """

  encoder: Any
  unit_codes: bool = False
  static_kl: float | None = None
  dynamic_kl: float | None = None
  static_frames: int | None = None
  recolour: bool = False
  centre: bool = False
  dynamic_dropout: float = 0.0
  frames_per_step: int | None = None

  def __post_init__(self):
    for name in 'static_frames', 'frames_per_step':
      count = getattr(self, name)
      if count is not None and count < 1:
        raise ValueError(
            f'method.{name}={count}, expected 1 or more frames, or None for '
            'all of them.')
    if not 0.0 <= self.dynamic_dropout <= 1.0:
      raise ValueError(
          f'method.dynamic_dropout={self.dynamic_dropout}; expected a share of '
          'the clips, 0 to 1.')

  def encode(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> base.Factors:
    """Clips -> factors (the means, if codes are Gaussian)."""
    return self._codes(params['encoder'], x, mask)[0]

  def _init_encoder(self, key, batch):
    """Fresh parameters of the encoder, and the codes that they give."""
    mask = batch['mask']
    (static, dynamic), params = self.encoder.init_with_output(
        keys.named(key, 'encoder'), _seen(batch), mask)
    return params, self._limit_both(static, dynamic, mask)[0]

  def _codes(self, params, x, mask):
    """The codes (their means, if Gaussian) and the penalties on them (B,)."""
    static, dynamic = self.encoder.apply(params, x, mask)
    if self.centre:
      _, dynamic = self.encoder.apply(params, views.centre(x, mask), mask)
    return self._limit_both(static, dynamic, mask)

  def _read(self, params, batch, key, train):
    """What is decoded of a batch: in training random frames and codes.

    Returns:
      The arrays `x`, `mask` (and `observed`) of these frames, their codes, and
      penalties (B,).
    """
    if train:
      return self._draw(params, batch, key)
    codes, penalty = self._codes(params, _seen(batch), batch['mask'])
    return _shown(batch), codes, penalty

  def _draw(self, params, batch, key):
    """`_read` in training."""
    mask, index = batch['mask'], batch['index']
    seen = _seen(batch)
    encode = lambda name, x, mask: self.encoder.apply(
        params, x, mask, train=True,
        rngs={'dropout': keys.of_batch(key, f'{name}_dropout', index)})
    order = views.random_order(keys.named(key, 'frames'), index, mask)
    choose = lambda a: a if self.frames_per_step is None else (
        views.take_frames(a, order[:, :self.frames_per_step]))
    if self.static_frames is None and not self.recolour and not self.centre:
      static, dynamic = encode('encoder', seen, mask)
      dynamic = choose(dynamic)
    else:
      static = self._read_static(encode, seen, mask, order)
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
    shown = {name: choose(a) for name, a in _shown(batch).items()}
    codes, penalty = self._limit_both(
        static, dynamic, shown['mask'], key, index)
    if self.dynamic_dropout:
      codes = dataclasses.replace(codes, dynamic=views.drop(
          keys.named(key, 'dropped'), index, codes.dynamic,
          self.dynamic_dropout))
    return shown, codes, penalty

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


@dataclasses.dataclass(frozen=True)
class Conditional(Coder):
  """A coder and a denoiser that is conditioned on its codes.

  Parameters are {'encoder': ..., 'denoiser': ...}.

  Attributes:
    denoiser: (clips, noise levels, codes) -> clips; of `nets.decoders`.
  """

  denoiser: Any = dataclasses.field(kw_only=True)

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`."""
    x = batch['x']
    encoder, codes = self._init_encoder(key, batch)
    denoiser = self.denoiser.init(
        keys.named(key, 'denoiser'), x, jnp.zeros(x.shape[:2]),
        codes.static, codes.dynamic)
    return {'encoder': encoder, 'denoiser': denoiser}

  def _denoise(self, params, codes, *, key=None, train=False):
    """The denoiser of clips with these codes: (x, noise level (B, T))."""
    rngs = {'dropout': key} if train else None
    return lambda x, level: self.denoiser.apply(
        params['denoiser'], x, level, codes.static, codes.dynamic, train=train,
        rngs=rngs)


def _seen(batch):
  """What the encoder sees: the clips, or the frames that they stand for."""
  if 'frames' in batch:
    return data_batch.to_float(batch['frames'])
  return data_batch.measured(batch)


def _shown(batch):
  """What the denoiser learns to give back."""
  found = {k: batch[k] for k in ('mask', 'observed') if k in batch}
  return {'x': data_batch.measured(batch), **found}
