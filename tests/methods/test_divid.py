"""Tests of `methods.divid`, with the nets of `toys` where numbers are checked.

The toy encoder reads a static code of 4 pixels from the first frame and dynamic
codes of 4 pixels from each, the toy denoiser predicts zeros.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.core import keys
from seqdiff.diffusion import ddpm
from seqdiff.methods import base
from seqdiff.methods import divid
from seqdiff.nets import convnet
from seqdiff.nets import decoders
from seqdiff.nets import encoders
from seqdiff.nets import unet
from tests.methods import toys

KEY = jax.random.key(7)


def _method(**kwargs):
  kwargs = {'encoder': toys.Mirror(), 'denoiser': toys.Echo(), **kwargs}
  return divid.DiViD(**kwargs)


def _loss(method, batch, *, params=None, key=KEY, train=True):
  params = {'encoder': None, 'denoiser': None} if params is None else params
  return method.loss(params, batch, key, step=jnp.int32(0), train=train)


@pytest.fixture(scope='module')
def real():
  """A method with real nets, parameters that all matter, and a batch."""
  method = divid.DiViD(
      encoder=encoders.ResidualEncoder(
          4, 4, convnet.FrameEncoder(features=6, channels=4), layers=1, width=4,
          heads=2, hidden=4, dropout=0.0),
      denoiser=decoders.CrossAttentionDenoiser(unet.UNet(
          3, 4, multipliers=(1,), num_blocks=0, attention_levels=(), groups=2,
          attention='cross', third_conv=False, heads=2, dropout=0.0)),
      solver=divid.Solver(num_steps=20))
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, size=(3, 4, 8, 8, 3)).astype(np.float32)
  batch = {'x': x, 'mask': np.arange(4)[None] < np.array([[2], [4], [1]]),
           'index': np.arange(3, dtype=np.int32)}
  abstract = jax.eval_shape(method.init, jax.random.key(0), batch)
  draw = lambda a: (0.3 * rng.normal(size=a.shape)).astype(np.float32)
  return method, jax.tree.map(draw, abstract), batch


def test_loss_is_the_l1_error_of_eps_and_the_weighted_products():
  batch = toys.batch()
  batch['mask'] = np.arange(4)[None] < np.array([[2], [4], [1]])
  loss, parts = _loss(_method(orthogonality=0.1), batch)
  eps = np.asarray(ddpm.DDPM().sample_eps(
      keys.named(KEY, 'eps'), batch['index'], batch['x'].shape[1:]))
  # The toy predicts 0; all frames of a clip have the same eps.
  denoising = np.abs(eps[:, 0]).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(parts['denoising'], denoising, rtol=1e-5)
  static, dynamic = batch['x'][:, 0, 0, :, 0], batch['x'][:, :, 1, :, 0]
  squares = np.einsum('bd,btd->bt', static, dynamic) ** 2
  products = 0.1 * (squares * batch['mask']).sum(axis=1)
  np.testing.assert_allclose(parts['orthogonality'], products, rtol=1e-4)
  np.testing.assert_allclose(loss, denoising + products, rtol=1e-4)


def test_geometry_of_the_codes_is_logged_but_costs_nothing():
  batch = toys.batch()
  loss, parts = _loss(_method(orthogonality=0.0), batch)
  np.testing.assert_array_equal(loss, parts['denoising'])
  static, dynamic = batch['x'][:, 0, 0, :, 0], batch['x'][:, :, 1, :, 0]
  sizes = np.linalg.norm(dynamic, axis=-1)
  np.testing.assert_allclose(
      parts['static_length'], np.linalg.norm(static, axis=-1), rtol=1e-5)
  np.testing.assert_allclose(
      parts['dynamic_length'], sizes.mean(axis=1), rtol=1e-5)
  cosine = np.einsum('bd,btd->bt', static, dynamic) / sizes / (
      np.linalg.norm(static, axis=-1)[:, None])
  np.testing.assert_allclose(
      parts['squared_cosine'], (cosine**2).mean(axis=1), rtol=1e-4)


def test_normalised_products_are_cosines_for_each_frame():
  _, parts = _loss(_method(orthogonality=0.5, normalised=True), toys.batch())
  np.testing.assert_allclose(
      parts['orthogonality'], 0.5 * 4 * parts['squared_cosine'], rtol=1e-5)


def test_decoding_some_frames_keeps_the_expected_sum_of_products():
  batch = toys.batch(size=1)
  batch = {k: np.repeat(v, 800, axis=0) for k, v in batch.items()}
  batch['index'] = np.arange(800, dtype=np.int32)
  _, parts = _loss(_method(frames_per_step=2), batch)
  _, full = _loss(_method(), batch)
  drawn = np.asarray(parts['orthogonality'])
  assert abs(drawn.mean() - full['orthogonality'][0]) < 4 * (
      drawn.std() / 800**0.5)
  assert drawn.std() > 0.1 * drawn.mean()


@pytest.mark.parametrize('shared', [True, False])
def test_what_the_denoiser_sees_has_one_noise_for_all_frames_if_shared(shared):
  batch, net = toys.batch(), toys.Echo()
  batch['x'][:] = batch['x'][:, :1]  # All frames are the same.
  _loss(_method(denoiser=net, diffusion=ddpm.DDPM(
      shared_eps=shared, shared_t=shared)), batch)
  x, t = net.calls[0]['x'], net.calls[0]['c_noise']
  assert bool(np.all(x == x[:, :1])) == shared
  assert bool(np.all(t == t[:, :1])) == shared
  assert not np.any(x[0] == x[1])


def test_scale_makes_clips_smaller_beside_the_noise():
  batch, nets = toys.batch(), [toys.Echo(), toys.Echo()]
  for net, scale in zip(nets, (1.0, 0.5)):
    _loss(_method(denoiser=net, scale=scale), batch)
  diffusion = ddpm.DDPM()
  signal = np.sqrt(diffusion.alpha_bar[nets[0].calls[0]['c_noise']])
  np.testing.assert_allclose(
      nets[0].calls[0]['x'] - nets[1].calls[0]['x'],
      0.5 * signal[..., None, None, None] * batch['x'], atol=1e-5)


def test_encoder_may_see_other_frames_than_are_noised():
  batch, net = toys.batch(), toys.Echo()
  frames = np.random.default_rng(5).integers(
      256, size=batch['x'].shape).astype(np.uint8)
  _loss(_method(denoiser=net), {**batch, 'frames': frames})
  call = net.calls[0]
  np.testing.assert_allclose(
      call['static'], frames[:, 0, 0, :, 0] / 127.5 - 1.0, atol=1e-6)
  plain = toys.Echo()
  _loss(_method(denoiser=plain), batch)
  np.testing.assert_array_equal(call['x'], plain.calls[0]['x'])


def test_padded_frames_change_nothing_and_get_zero_gradient(real):
  method, params, batch = real
  run = jax.jit(jax.value_and_grad(lambda x: jnp.sum(
      _loss(method, {**batch, 'x': x}, params=params)[0])))
  loss, grad = run(batch['x'])
  padding = ~batch['mask']
  grad = np.abs(grad).max(axis=(2, 3, 4))
  np.testing.assert_array_equal(grad[padding], np.zeros(padding.sum()))
  assert grad[~padding].min() > 0
  other = np.where(padding[..., None, None, None], 9.0, batch['x'])
  np.testing.assert_allclose(run(np.float32(other))[0], loss, rtol=1e-5)


def test_gradient_reaches_encoder_and_denoiser(real):
  method, params, batch = real
  grads = jax.jit(jax.grad(
      lambda p: jnp.mean(_loss(method, batch, params=p)[0])))(params)
  for path, grad in jax.tree_util.tree_leaves_with_path(grads):
    name = jax.tree_util.keystr(path)
    # A key's bias is the same for all keys: softmax does not see it.
    assert np.abs(grad).max() > 0 or "['key']['bias']" in name, name


def test_inverted_clips_are_decoded_to_themselves(real):
  method, params, batch = real
  method = dataclasses.replace(
      method, scale=0.5, solver=divid.Solver('heun', num_steps=200))
  # The first step down from a large sigma is exact for a straight flow only.
  params = jax.tree.map(np.copy, params)
  tail = params['denoiser']['params']['backbone']['tail']
  tail.update({k: 0.01 * v for k, v in tail.items()})

  @jax.jit
  def round_trip(x, mask):
    factors = method.encode(params, x, mask)
    x_T = method.invert(params, factors, x)
    decode = lambda x_T: method.decode(params, factors, x_T)
    return decode(x_T), decode(x_T[::-1])

  back, other = round_trip(batch['x'], batch['mask'])
  assert np.mean((back - batch['x']) ** 2) < 0.01
  assert np.mean((other - batch['x']) ** 2) > 0.1


def _fresh(path, shape, rng):
  """A parameter of unit gain, without compiling `init`."""
  if len(shape.shape) > 1:
    values = rng.normal(size=shape.shape) / np.prod(shape.shape[:-1]) ** 0.5
  else:
    values = np.full(shape.shape, path[-1].key == 'scale')
  return values.astype(np.float32)


class Late(ddpm.DDPM):
  """Clips are all noise: what they are is in their codes alone."""

  def sample_t(self, key, index, num_frames):
    del key
    return jnp.full((len(index), num_frames), self.num_levels - 1)


def test_two_clips_are_learned_by_heart():
  rng = np.random.default_rng(0)
  x = np.full((2, 4, 8, 8, 3), -1.0, np.float32)
  for clip, way in enumerate(((0, 1), (1, 0))):  # Rectangles that move.
    colour, sides = rng.uniform(size=3), rng.integers(3, 6, size=2)
    for i, frame in enumerate(x[clip]):
      top, left = i * np.array(way)
      frame[top:top + sides[0], left:left + sides[1]] = colour
  batch = {'x': x, 'mask': np.ones((2, 4), bool),
           'index': np.arange(2, dtype=np.int32)}
  method = divid.DiViD(
      encoder=encoders.ResidualEncoder(
          8, 8, layers=1, width=8, heads=2, hidden=16, dropout=0.0),
      denoiser=decoders.CrossAttentionDenoiser(unet.UNet(
          3, 16, multipliers=(1,), num_blocks=0, attention_levels=(), groups=4,
          attention='cross', third_conv=False, heads=2, dropout=0.0,
          patch_size=8)),
      diffusion=Late(prediction='x0', norm='l2'))
  tx = optax.adam(1e-2)

  @jax.jit
  def update(params, state, key):
    def mean_loss(params):
      loss, parts = _loss(method, batch, params=params, key=key)
      return jnp.mean(loss), jnp.mean(parts['denoising'])

    grads, error = jax.grad(mean_loss, has_aux=True)(params)
    updates, state = tx.update(grads, state)
    return optax.apply_updates(params, updates), state, error

  params = jax.tree_util.tree_map_with_path(
      lambda path, shape: _fresh(path, shape, rng),
      jax.eval_shape(method.init, KEY, batch))
  state, errors = jax.jit(tx.init)(params), []
  for step in range(90):
    params, state, error = update(params, state, jax.random.key(step))
    errors.append(float(error))
  # The least error of a net that is not told which frame it is.
  variance = np.mean(np.var(x, axis=(0, 1)))
  assert errors[0] > variance and max(errors[-5:]) < 0.5 * variance


# The toy predicts eps = 0, so DDIM keeps dividing by the signal: the estimate
# of x0 is x_t / sqrt(abar_t), the same at all levels.
FACTORS = base.Factors(np.zeros((2, 4)), np.zeros((2, 3, 4)))


@pytest.mark.parametrize('name', divid.SOLVERS)
def test_decoding_starts_at_the_first_level_and_undoes_the_scale(name):
  method = _method(scale=0.5, solver=divid.Solver(name, num_steps=20))
  x_T = np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1))
  x = method.decode({'denoiser': None}, FACTORS, np.float32(x_T))
  signal = np.sqrt(method.diffusion.alpha_bar[950])
  np.testing.assert_allclose(x, x_T / signal / 0.5, rtol=1e-3)


def test_estimates_are_clipped_to_the_range_of_the_clips():
  x_T = np.float32(np.random.default_rng(0).normal(size=(2, 3, 4, 4, 1)))
  for scale in 1.0, 0.5:
    method = _method(scale=scale, solver=divid.Solver(num_steps=9, clip=1.0))
    x = np.asarray(method.decode({'denoiser': None}, FACTORS, x_T))
    assert np.abs(x).max() <= 1.0 + 1e-5
    np.testing.assert_allclose(x[np.abs(x_T) > 0.5], np.sign(
        x_T[np.abs(x_T) > 0.5]), atol=1e-4)


def test_added_noise_is_shared_by_the_frames_and_belongs_to_x_T():
  method = _method(solver=divid.Solver(num_steps=5, eta=1.0))
  x_T = np.random.default_rng(0).normal(size=(2, 1, 4, 4, 1))
  x_T = np.float32(np.broadcast_to(x_T, (2, 3, 4, 4, 1)))
  decode = lambda x: np.asarray(method.decode(
      {'denoiser': None}, base.Factors(np.zeros((len(x), 4)),
                                       np.zeros((len(x), 3, 4))), x))
  x = decode(x_T)
  np.testing.assert_array_equal(x, np.broadcast_to(x[:, :1], x.shape))
  np.testing.assert_array_equal(decode(x_T), x)
  np.testing.assert_allclose(decode(x_T[1:])[0], x[1], rtol=1e-6)
  plain = _method(solver=divid.Solver(num_steps=5)).decode(
      {'denoiser': None}, FACTORS, x_T)
  assert np.abs(x - plain).min(axis=(1, 2, 3, 4)).max() > 0


@pytest.mark.parametrize('kwargs, message', [
    (dict(name='dddim'), "Did you mean 'ddim'"),
    (dict(eta=1.5), r'eta=1.5 .*expected 0, or up to 1'),
    (dict(name='heun', eta=0.5), 'eta=0.5 with sampler.name=heun')])
def test_impossible_solver_is_refused(kwargs, message):
  with pytest.raises(ValueError, match=message):
    divid.Solver(**kwargs)


def test_impossible_scale_is_refused():
  with pytest.raises(ValueError, match='scale=0.0; expected a positive'):
    _method(scale=0.0)
