"""Tests of `methods.diffsda`, with nets so small that numbers can be checked.

The nets of `toys` stand for the nets where a test looks at what reaches them.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.core import keys
from seqdiff.diffusion import edm
from seqdiff.methods import base
from seqdiff.methods import diffsda
from tests.methods import toys

KEY = jax.random.key(7)


def _method(**kwargs):
  kwargs = {'encoder': toys.Mirror(), 'denoiser': toys.Echo(), **kwargs}
  return diffsda.DiffSDA(**kwargs)


def _loss(method, batch, *, params=None, key=KEY, step=0, train=True):
  params = {'encoder': None, 'denoiser': None} if params is None else params
  return method.loss(
      params, batch, key, step=jnp.int32(step), train=train)


def _frame_losses(method, batch):
  """The loss of each frame for F = 0, in numpy, from the noise of the step."""
  x0 = batch['x'].astype(np.float64)
  sigma = np.asarray(method.diffusion.sample_sigma(
      keys.named(KEY, 'sigma'), batch['index'], x0.shape[1]), np.float64)
  eps = np.asarray(keys.normal(
      keys.named(KEY, 'eps'), batch['index'], x0.shape[1:]), np.float64)
  sigma = sigma[..., None, None, None]
  c_skip = 0.25 / (sigma**2 + 0.25)
  weight = (sigma**2 + 0.25) / (0.5 * sigma) ** 2
  error = weight * (c_skip * (x0 + sigma * eps) - x0) ** 2
  return error.mean(axis=(2, 3, 4))


def test_loss_is_the_weighted_error_of_the_frames():
  method, batch = _method(), toys.batch()
  loss, parts = _loss(method, batch)
  np.testing.assert_allclose(
      loss, _frame_losses(method, batch).mean(axis=1), rtol=1e-4)
  assert set(parts) == {'denoising'}
  np.testing.assert_array_equal(parts['denoising'], loss)


def test_loss_of_data_of_scale_sigma_data_starts_at_one():
  # E (F - target)^2 = 1 for F = 0, at each noise level.
  loss, _ = _loss(_method(), toys.batch(size=200))
  assert abs(np.mean(loss) - 1.0) < 0.05


def test_loss_is_the_mean_over_the_real_frames():
  method, batch = _method(), toys.batch()
  batch['mask'] = np.arange(4)[None] < np.array([[2], [4], [1]])
  per_frame = _frame_losses(method, batch)
  expected = [per_frame[0, :2].mean(), per_frame[1].mean(), per_frame[2, 0]]
  loss, _ = _loss(method, batch)
  np.testing.assert_allclose(loss, expected, rtol=1e-4)


LEVERS = [
    dict(), dict(frames_per_step=3),
    dict(static_frames=2, recolour=True, frames_per_step=2),
    dict(static_frames=2, recolour=True, centre=True, frames_per_step=2)]


@pytest.mark.parametrize('levers', LEVERS)
def test_padded_frames_change_nothing_and_get_zero_gradient(real, levers):
  method, params, batch = real
  method = dataclasses.replace(method, **levers)
  run = jax.jit(jax.value_and_grad(lambda x: jnp.sum(
      _loss(method, {**batch, 'x': x}, params=params)[0])))
  loss, grad = run(batch['x'])
  padding = ~batch['mask']
  grad = np.abs(grad).max(axis=(2, 3, 4))
  np.testing.assert_array_equal(grad[padding], np.zeros(padding.sum()))
  # All others do: those that are not decoded are in the static code.
  assert grad[~padding].min() > 0
  other = np.where(padding[..., None, None, None], 9.0, batch['x'])
  np.testing.assert_allclose(run(np.float32(other))[0], loss, rtol=1e-5)


@pytest.mark.parametrize('levers', [LEVERS[0], LEVERS[-1]])
def test_loss_of_a_clip_does_not_depend_on_the_batch_around_it(real, levers):
  method, params, batch = real
  method = dataclasses.replace(method, **levers)
  run = jax.jit(lambda b: _loss(method, b, params=params)[0])
  loss, order = np.asarray(run(batch)), np.array([2, 0, 1])
  turned = {k: v[order] for k, v in batch.items()}
  np.testing.assert_allclose(run(turned), loss[order], rtol=1e-5)
  alone = {k: v[1:2] for k, v in batch.items()}
  np.testing.assert_allclose(run(alone)[0], loss[1], rtol=1e-5)


def test_gradient_reaches_encoder_and_denoiser(real):
  method, params, batch = real
  grads = jax.jit(jax.grad(
      lambda p: jnp.mean(_loss(method, batch, params=p)[0])))(params)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    # A bias before a norm of as many groups as channels alone has none.
    assert np.abs(grad).max() > 0, jax.tree_util.keystr(path)


def test_noise_mean_follows_the_step():
  diffusion = edm.EDM(
      P_mean=-1.0, P_std=0.0, P_mean_start=1.0, P_mean_steps=10)
  for step, c_noise in ((0, 0.25), (5, 0.0), (10, -0.25)):
    net = toys.Echo()
    _loss(_method(denoiser=net, diffusion=diffusion), toys.batch(), step=step)
    np.testing.assert_allclose(
        net.calls[0]['c_noise'], np.full((3, 4), c_noise), atol=1e-6)


def test_some_frames_per_step_have_the_expected_loss_of_all():
  # With one noise level and F = 0 the expected loss of a frame of mean square
  # P is (sigma^2 P + sigma_data^4) / ((sigma^2 + sigma_data^2) sigma_data^2),
  # at sigma = sigma_data = 1/2: 2 P + 1/2.
  diffusion = edm.EDM(P_mean=np.log(0.5), P_std=0.0)
  batch = toys.batch(size=600)
  power = np.array([0.0, 0.25, 1.0, 4.0], np.float32)
  batch['x'][:] = np.sqrt(power)[None, :, None, None, None]
  expected = (2.0 * power + 0.5).mean()
  for number in None, 1, 3:
    method = _method(diffusion=diffusion, frames_per_step=number)
    loss = jax.jit(lambda batch: _loss(method, batch)[0])(batch)
    error = 4 * np.std(loss) / 600**0.5
    assert error < 0.2 * expected
    assert abs(np.mean(loss) - expected) < error, number


def test_some_frames_per_step_have_the_expected_gradient_of_all(real):
  method, params, batch = real
  scale = np.linspace(0.2, 2.0, 4, dtype=np.float32)
  batch = {**batch, 'mask': np.ones((3, 4), bool),
           'x': batch['x'] * scale[None, :, None, None, None]}
  draws = jax.random.split(jax.random.key(2), 200)

  def gradients(number):
    """One gradient per draw, on a fixed random direction."""
    sampled = dataclasses.replace(method, frames_per_step=number)
    rng = np.random.default_rng(3)
    direction = jax.tree.map(
        lambda a: rng.normal(size=a.shape).astype(np.float32), params)

    def one(key):
      loss = lambda p: jnp.mean(_loss(sampled, batch, params=p, key=key)[0])
      return optax.tree.vdot(jax.grad(loss)(params), direction)

    return np.asarray(jax.jit(jax.vmap(one))(draws))

  full, some = gradients(None), gradients(2)
  error = 4 * np.sqrt((full.var() + some.var()) / 200)
  assert error < 0.3 * abs(full.mean())
  assert abs(full.mean() - some.mean()) < error


def test_unit_codes_have_a_mean_square_of_one():
  x, mask = 10.0 * toys.batch()['x'], toys.batch()['mask']
  plain = _method().encode({'encoder': None}, x, mask)
  unit = _method(unit_codes=True).encode({'encoder': None}, x, mask)
  for a, b in ((plain.static, unit.static), (plain.dynamic, unit.dynamic)):
    np.testing.assert_allclose(
        np.mean(b**2, axis=-1), np.ones(b.shape[:-1]), rtol=1e-4)
    cosine = np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / 2.0  # |b| = 2.
    np.testing.assert_allclose(cosine, np.ones(b.shape[:-1]), rtol=1e-4)


# A code (m_1, m_2, l_1, l_2) is a Gaussian of means m and of log variances
# l - 4: with l = 4 the variance is 1.
def _gaussian_batch(static, dynamic, size=1):
  batch = toys.batch(size=size)
  batch['x'][:, 0, 0, :, 0] = static
  batch['x'][:, :, 1, :, 0] = dynamic
  return batch


def test_divergence_by_hand_weighted_and_over_real_frames_only():
  # KL(N((1, 2), I) | N(0, I)) = (1 + 4) / 2 = 2.5.
  # KL(N(0, diag(e, 1)) | N(0, I)) = (e - 1 - 1) / 2 = 0.35914091.
  batch = _gaussian_batch([1.0, 2.0, 4.0, 4.0], [0.0, 0.0, 5.0, 4.0])
  batch['x'][:, 3] = 9.0
  batch['mask'][:, 3] = False
  for train in False, True:
    loss, parts = _loss(
        _method(static_kl=0.1, dynamic_kl=2.0), batch, train=train)
    np.testing.assert_allclose(parts['static_kl'], [0.25], rtol=1e-5)
    np.testing.assert_allclose(parts['dynamic_kl'], [0.71828183], rtol=1e-5)
    np.testing.assert_allclose(
        loss, parts['denoising'] + 0.25 + 0.71828183, rtol=1e-5)


def test_gaussian_codes_are_drawn_in_training_and_are_means_otherwise():
  batch = _gaussian_batch(
      [1.0, -2.0, 4.0, 4.0 + 2 * np.log(3.0)], [0.5, 0.0, 4.0, 4.0], size=2000)
  net = toys.Echo()
  method = _method(denoiser=net, static_kl=0.0, dynamic_kl=0.0)
  _loss(method, batch, train=True)
  static, dynamic = (np.asarray(net.calls[0][k]) for k in ('static', 'dynamic'))
  error = 4 / 2000**0.5
  np.testing.assert_allclose(static.mean(0), [1.0, -2.0], atol=3 * error)
  np.testing.assert_allclose(static.std(0), [1.0, 3.0], rtol=error)
  np.testing.assert_allclose(
      dynamic.mean(0), np.tile([0.5, 0.0], (4, 1)), atol=error)
  np.testing.assert_allclose(dynamic.std(0), np.ones((4, 2)), rtol=error)
  codes = np.concatenate([static[:, None], dynamic], 1).reshape(2000, -1)
  assert np.abs(np.corrcoef(codes.T) - np.eye(10)).max() < 1.2 * error
  loss, _ = _loss(method, batch, train=False)
  seen = net.calls[1]
  factors = method.encode({'encoder': None}, batch['x'], batch['mask'])
  for codes in seen['static'], factors.static:
    np.testing.assert_array_equal(codes, np.tile([1.0, -2.0], (2000, 1)))
  for codes in seen['dynamic'], factors.dynamic:
    np.testing.assert_array_equal(codes, np.tile([0.5, 0.0], (2000, 4, 1)))
  np.testing.assert_allclose(  # A weight of 0 adds nothing.
      loss, _frame_losses(method, batch).mean(axis=1), rtol=1e-4)


def test_inverted_clips_are_decoded_to_themselves(real):
  method, params, batch = real
  method = dataclasses.replace(
      method, solver=diffsda.Solver('heun', num_steps=40))

  @jax.jit
  def round_trip(x, mask):
    factors = method.encode(params, x, mask)
    x_T = method.invert(params, factors, x)
    other = base.Factors(factors.static + 3.0, factors.dynamic)
    return (x_T, method.decode(params, factors, x_T),
            method.decode(params, other, x_T))

  x_T, back, other = round_trip(batch['x'], batch['mask'])
  mse = np.mean((back - batch['x']) ** 2)
  assert mse < 1e-4
  # The factors do matter, and x_T is not the clip.
  assert np.mean((other - batch['x']) ** 2) > 1e-3
  assert np.mean((x_T - batch['x']) ** 2) > 1e-2


@pytest.mark.parametrize('name', ['euler', 'heun', 'dpmpp_2m'])
def test_decoding_starts_at_sigma_max_and_uses_the_named_solver(name):
  # With F = 0 the denoiser is c_skip x, that of N(0, sigma_data^2): the flow
  # shrinks x by sqrt((sigma^2 + 1/4) / (sigma_max^2 + 1/4)).
  method = _method(solver=diffsda.Solver(
      name, num_steps=200, sigma_min=0.01, sigma_max=20.0))
  factors = base.Factors(np.zeros((1, 4)), np.zeros((1, 2, 4)))
  x = method.decode({'denoiser': None}, factors, np.ones((1, 2, 4, 4, 1)))
  expected = 20.0 * 0.5 / (20.0**2 + 0.25) ** 0.5
  np.testing.assert_allclose(
      x, np.full(x.shape, expected), rtol=0.05 if name == 'euler' else 1e-3)


def test_noise_level_of_a_denoiser_is_a_scalar_or_one_per_frame():
  method, x = _method(), toys.batch()['x']
  denoise = method.denoise_fn({'denoiser': None}, base.Factors(None, None))
  sigma = np.full((3, 4), 2.0, np.float32)
  np.testing.assert_array_equal(denoise(x, 2.0), denoise(x, sigma))
  sigma[1, 2] = 1.0
  changed = np.abs(denoise(x, sigma) - denoise(x, 2.0)).max(axis=(2, 3, 4)) > 0
  assert changed[1, 2] and changed.sum() == 1


def test_unknown_solver_is_refused():
  with pytest.raises(ValueError, match="Unknown sampler 'ddim'.*Known"):
    _method(solver=diffsda.Solver('ddim')).decode(
        {'denoiser': None}, base.Factors(np.zeros((1, 4)), np.zeros((1, 2, 4))),
        np.ones((1, 2, 4, 4, 1)))
