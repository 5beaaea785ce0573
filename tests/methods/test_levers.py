"""Levers of `methods.diffsda` do what they claim, and nothing when off."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.methods import diffsda


@dataclasses.dataclass(frozen=True)
class FirstFrame:
  """An encoder without weights: the static code is the first frame."""

  def apply(self, params, x, mask, *, train, rngs):
    del params, mask, train, rngs
    return x[:, 0, 0, :, 0], x[:, :, 1, :, 0]


def test_half_keeps_its_static_code_if_the_other_half_is_padding():
  method = diffsda.DiffSDA(encoder=FirstFrame(), denoiser=None)
  x = np.random.default_rng(0).normal(size=(2, 4, 2, 2, 1)).astype(np.float32)
  mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0]], bool)
  codes, _ = method._cross_codes(
      None, jnp.asarray(x), mask, key=jax.random.key(0),
      index=jnp.arange(2), train=True)
  first, second = x[:, 0, 0, :, 0], x[:, 2, 0, :, 0]
  np.testing.assert_array_equal(codes.static[0, :2], [second[0]] * 2)
  np.testing.assert_array_equal(codes.static[0, 2:], [first[0]] * 2)
  np.testing.assert_array_equal(codes.static[1, :2], [first[1]] * 2)


@dataclasses.dataclass(frozen=True)
class FirstPixel:
  """An encoder without weights: the codes are pixels of the clip."""

  def apply(self, params, x, mask, *, train, rngs):
    del params, mask, train, rngs
    return x[:, 0, 0, 0], x[:, :, 0, 0]


def test_only_dynamic_codes_and_only_in_training_see_other_colours():
  method = diffsda.DiffSDA(encoder=FirstPixel(), denoiser=None, recolour=True)
  x = np.random.default_rng(0).uniform(-1, 1, size=(4, 3, 4, 5, 3))
  x, index = x.astype(np.float32), np.arange(4)
  mask = np.ones(x.shape[:2], bool)
  codes, _ = method._codes(
      None, x, mask, key=jax.random.key(3), index=index, train=True)
  np.testing.assert_array_equal(codes.static, x[:, 0, 0, 0])
  assert np.abs(codes.dynamic - x[:, :, 0, 0]).max() > 0.05
  seen = method.encode({'encoder': None}, jnp.asarray(x), mask)
  np.testing.assert_array_equal(seen.static, x[:, 0, 0, 0])
  np.testing.assert_array_equal(seen.dynamic, x[:, :, 0, 0])


@dataclasses.dataclass(frozen=True)
class Linear:
  """An encoder of which a Gaussian code's means are those of the plain one."""

  gaussian: bool

  def apply(self, params, x, mask, *, train, rngs):
    del mask, train, rngs
    code = x[:, 0, 0, :, 0] * params
    spread = jnp.broadcast_to(params, code.shape)
    static = jnp.concatenate([code, spread], -1) if self.gaussian else code
    return static, x[:, :, 1, :, 0]


def test_bottleneck_of_weight_zero_is_the_plain_model():
  # Its denoiser sees the static code: as c_skip x + c_out F with F = s.
  class Painter:
    def apply(self, params, x, c_noise, static, dynamic, *, train, rngs):
      del params, c_noise, dynamic, train, rngs
      return x * 0 + static[:, None, None, :, None]

  x = np.random.default_rng(0).normal(size=(2, 4, 3, 3, 1)).astype(np.float32)
  batch = {'x': x, 'mask': np.ones((2, 4), bool), 'index': np.arange(2)}
  kinds = {
      'plain': dict(encoder=Linear(gaussian=False)),
      'zero': dict(encoder=Linear(gaussian=True), static_kl=0.0),
      'paid': dict(encoder=Linear(gaussian=True), static_kl=0.1)}
  losses, slopes = {}, {}
  for name, kwargs in kinds.items():
    method = diffsda.DiffSDA(denoiser=Painter(), **kwargs)
    mean = lambda w, m=method: jnp.mean(m.loss(
        {'encoder': w, 'denoiser': None}, batch, jax.random.key(0),
        step=jnp.int32(0), train=False)[0])
    losses[name], slopes[name] = jax.value_and_grad(mean)(jnp.float32(0.7))
  np.testing.assert_allclose(losses['zero'], losses['plain'], rtol=1e-6)
  np.testing.assert_allclose(slopes['zero'], slopes['plain'], rtol=1e-5)
  assert losses['paid'] > losses['plain'] + 0.01


@pytest.mark.parametrize('step, factor', [
    (0, 1), (10, 1), (15, 3), (20, 5), (99, 5)])
def test_prices_rise_between_two_steps(step, factor):
  encoder = Linear(gaussian=True)
  x = np.random.default_rng(0).normal(size=(2, 4, 3, 3, 1)).astype(np.float32)
  batch = {'x': x, 'mask': np.ones((2, 4), bool), 'index': np.arange(2)}

  class Blank:
    def apply(self, params, x, *args, **kwargs):
      return x * 0

  kl = {}
  for name, ramp in ('flat', None), ('ramp', (10, 20, 5.0)):
    method = diffsda.DiffSDA(
        encoder=encoder, denoiser=Blank(), static_kl=0.1, kl_ramp=ramp)
    loss, parts = method.loss(
        {'encoder': jnp.float32(0.7), 'denoiser': None}, batch,
        jax.random.key(0), step=jnp.int32(step), train=True)
    kl[name] = parts['static_kl']
    np.testing.assert_allclose(loss, sum(parts.values()), rtol=1e-6)
  np.testing.assert_allclose(kl['ramp'], factor * kl['flat'], rtol=1e-6)
