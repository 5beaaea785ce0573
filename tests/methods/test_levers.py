"""Levers of `methods.diffsda` do what they claim, and nothing when off."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.core import keys
from seqdiff.diffusion import edm
from seqdiff.methods import diffsda
from seqdiff.methods import views
from seqdiff.nets import encoders

KEY = jax.random.key(3)
NUM_FRAMES = 6


@dataclasses.dataclass(frozen=True)
class Census:
  """An encoder without weights, for clips of which a pixel is a frame's number.

  Static: how often it saw each number, and how often as a real frame; dynamic:
  the number.
  """

  frame_by_frame: bool = True
  shapes: list = dataclasses.field(default_factory=list, hash=False)

  def apply(self, params, x, mask, *, train=False, rngs=None):
    del params, train, rngs
    self.shapes.append(x.shape)
    number = x[:, :, 0, 0]  # (B, T, 1).
    seen = number == jnp.arange(NUM_FRAMES)[None, None]
    static = jnp.concatenate(
        [jnp.sum(seen, axis=1), jnp.sum(seen & mask[..., None], axis=1)], -1)
    return static.astype(jnp.float32), number


@dataclasses.dataclass(frozen=True)
class Pixels:
  """An encoder without weights: a code is a pixel, or N(pixel, 1).

  The static code is that of the first frame, or one of each.
  """

  frame_by_frame: bool = True
  shared: bool = True
  gaussian: bool = False

  def apply(self, params, x, mask, *, train=False, rngs=None):
    del params, mask, train, rngs
    code = x[:, :, 0, 0]
    if self.gaussian:  # Log variances of 4 - 4.
      code = jnp.concatenate([code, jnp.full_like(code, 4.0)], axis=-1)
    return code[:, 0] if self.shared else code, code


@dataclasses.dataclass(frozen=True)
class Echo:
  """A denoiser that keeps what it was given and returns zeros."""

  calls: list = dataclasses.field(default_factory=list, hash=False)

  def apply(self, params, x, c_noise, static, dynamic, *, train, rngs):
    del params, c_noise, train, rngs
    # There is next to no noise, so x / c_in is the clip.
    self.calls.append(dict(x=x * 0.5, static=static, dynamic=dynamic))
    return jnp.zeros_like(x)


def _see(encoder, batch, *, train=True, **levers):
  """What the denoiser is given in a step, and the loss."""
  net = Echo()
  method = diffsda.DiffSDA(
      encoder=encoder, denoiser=net,
      diffusion=edm.EDM(P_mean=-12.0, P_std=0.0), **levers)

  def run(batch):
    loss = method.loss({'encoder': None, 'denoiser': None}, batch, KEY,
                       step=jnp.int32(0), train=train)
    return net.calls[0], loss

  return jax.device_get(jax.jit(run)(batch))


def _numbered(mask, size=900):
  """Clips of one pixel, the number of the frame; padding has numbers too."""
  numbers = np.arange(NUM_FRAMES, dtype=np.float32)
  x = np.tile(numbers[None, :, None, None, None], (size, 1, 1, 1, 1))
  return {'x': x, 'mask': np.tile(np.array(mask, bool), (size, 1)),
          'index': np.arange(size)}


def _decoded(seen):
  """(B, n) numbers of the decoded frames."""
  return np.rint(seen['x'][..., 0, 0, 0]).astype(int)


def test_static_code_is_read_from_frames_that_are_not_decoded():
  mask = np.array([1, 1, 0, 1, 1, 1], bool)
  seen, _ = _see(Census(), _numbered(mask), static_frames=2, frames_per_step=3)
  read, real = np.split(seen['static'], 2, axis=1)
  np.testing.assert_array_equal(read, real)  # As real frames.
  shown = (_decoded(seen)[..., None] == np.arange(6)).sum(axis=1)
  np.testing.assert_array_equal(read + shown, np.tile(mask, (900, 1)))
  # Each real frame is in 2 of 5 sets; four standard errors.
  np.testing.assert_allclose(
      read.sum(axis=0), 900 * 0.4 * mask, atol=4 * (900 * 0.24) ** 0.5)


def test_all_frames_are_decoded_in_their_order_if_not_told_otherwise():
  seen, _ = _see(Census(), _numbered([1] * 6), static_frames=2)
  np.testing.assert_array_equal(_decoded(seen), np.tile(np.arange(6), (900, 1)))
  np.testing.assert_array_equal(
      seen['dynamic'][..., 0], np.tile(np.arange(6), (900, 1)))
  np.testing.assert_allclose(
      seen['static'][:, :6].sum(axis=0), np.full(6, 300),
      atol=4 * (900 * 2 / 9) ** 0.5)


@pytest.mark.parametrize('levers, read', [
    (dict(), []), (dict(static_frames=2), [2]), (dict(centre=True), [6]),
    (dict(static_frames=2, centre=True), [2])])
@pytest.mark.parametrize('alone', [False, True])
def test_dynamic_codes_belong_to_the_decoded_frames(levers, read, alone):
  encoder = Census(frame_by_frame=alone)
  seen, _ = _see(encoder, _numbered([1] * 6, 50), frames_per_step=3, **levers)
  mean = 2.5 if 'centre' in levers else 0.0
  np.testing.assert_array_equal(seen['dynamic'][..., 0], _decoded(seen) - mean)
  # Where the static code is read apart, frames that are not decoded are not
  # shown, except to an encoder that looks at them too.
  last = 3 if read and alone else 6
  assert [shape[1] for shape in encoder.shapes] == [*read, last]


@pytest.mark.parametrize('centre', [False, True])
def test_all_frames_are_read_in_evaluation_and_in_their_colours(centre):
  batch = _numbered([1, 1, 1, 1, 0, 0], 3)
  levers = dict(
      static_frames=2, frames_per_step=2, recolour=True, centre=centre)
  seen, (loss, _) = _see(Census(), batch, train=False, **levers)
  plain, (expected, _) = _see(Census(), batch, train=False)
  mean = 1.5 if centre else 0.0  # Of 0, 1, 2 and 3.
  plain['dynamic'] = plain['dynamic'] - mean
  for name in seen:
    np.testing.assert_array_equal(seen[name], plain[name])
  np.testing.assert_array_equal(loss, expected)
  factors = diffsda.DiffSDA(
      encoder=Census(), denoiser=None, **levers).encode(
          {'encoder': None}, batch['x'], batch['mask'])
  np.testing.assert_array_equal(factors.static, plain['static'])
  np.testing.assert_array_equal(factors.dynamic, plain['dynamic'])


@pytest.mark.parametrize('levers', [
    dict(recolour=True), dict(centre=True), dict(recolour=True, centre=True)])
@pytest.mark.parametrize('alone, frames_per_step', [
    (True, None), (True, 2), (False, 2)])
def test_only_dynamic_codes_see_the_clip_recoloured_and_then_centred(
    levers, alone, frames_per_step):
  x = np.random.default_rng(0).uniform(-1, 1, size=(4, 3, 4, 5, 3))
  x, mask, index = x.astype(np.float32), np.ones((4, 3), bool), np.arange(4)
  mask[2:, 1] = False
  seen, _ = _see(Pixels(alone), {'x': x, 'mask': mask, 'index': index},
                 frames_per_step=frames_per_step, **levers)
  np.testing.assert_array_equal(seen['static'], x[:, 0, 0, 0])
  view = x
  if 'recolour' in levers:
    view = views.recolour(keys.named(KEY, 'colours'), index, view)
  if 'centre' in levers:
    view = views.centre(view, mask)
  if frames_per_step is not None:
    order = views.random_order(keys.named(KEY, 'frames'), index, mask)[:, :2]
    x, view = views.take_frames(x, order), views.take_frames(view, order)
  np.testing.assert_allclose(seen['x'], x, atol=1e-3)
  np.testing.assert_allclose(seen['dynamic'], view[:, :, 0, 0], atol=1e-5)
  assert np.abs(seen['dynamic'] - x[:, :, 0, 0]).max() > 0.05


def test_a_share_of_the_clips_is_decoded_without_dynamic_codes():
  batch = _numbered([1] * 6)
  batch['x'] = batch['x'] + 1.0  # So that no code is 0 by itself.
  seen, (_, parts) = _see(
      Pixels(gaussian=True), batch, dynamic_dropout=0.3, dynamic_kl=1.0,
      frames_per_step=3)
  plain, (_, priced) = _see(
      Pixels(gaussian=True), batch, dynamic_kl=1.0, frames_per_step=3)
  dropped = np.all(seen['dynamic'] == 0.0, axis=(1, 2))
  # Four standard errors of 900 clips.
  assert abs(dropped.mean() - 0.3) < 4 * (0.21 / 900) ** 0.5
  close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6)
  close(seen['dynamic'][~dropped], plain['dynamic'][~dropped])
  close(seen['static'], plain['static'])
  close(parts['dynamic_kl'], priced['dynamic_kl'])
  # Whoever else is in the batch, and in training only.
  part, _ = _see(
      Pixels(gaussian=True), {k: a[450:] for k, a in batch.items()},
      dynamic_dropout=0.3, dynamic_kl=1.0, frames_per_step=3)
  np.testing.assert_array_equal(
      part['dynamic'] == 0.0, seen['dynamic'][450:] == 0.0)
  tested, _ = _see(Pixels(), batch, dynamic_dropout=1.0, train=False)
  np.testing.assert_array_equal(
      tested['dynamic'][..., 0], np.tile(np.arange(1.0, 7.0), (900, 1)))


@pytest.mark.parametrize('rate', [-0.1, 1.1])
def test_share_without_dynamic_codes_must_be_a_share(rate):
  with pytest.raises(ValueError, match=f'dynamic_dropout={rate}.*0 to 1'):
    diffsda.DiffSDA(encoder=Pixels(), denoiser=Echo(), dynamic_dropout=rate)


def test_each_pass_of_the_nets_has_its_own_dropout():
  class Spy:
    def __init__(self, net):
      self.net, self.keys = net, []

    def apply(self, *args, rngs, **kwargs):
      self.keys.append(int(jax.random.bits(rngs['dropout'])))
      return self.net.apply(*args, rngs=rngs, **kwargs)

  encoder, denoiser = Spy(Pixels()), Spy(Echo())
  encoder.frame_by_frame = True
  diffsda.DiffSDA(encoder=encoder, denoiser=denoiser, centre=True).loss(
      {'encoder': None, 'denoiser': None}, _numbered([1] * 6, 2), KEY,
      step=jnp.int32(0), train=True)
  assert len({*encoder.keys, *denoiser.keys}) == 3


@pytest.mark.parametrize('levers, alone', [
    (dict(), True), (dict(frames_per_step=3), True),
    (dict(static_frames=2), False), (dict(static_frames=2), True),
    (dict(static_frames=2, frames_per_step=3), False),
    (dict(static_frames=2, frames_per_step=3), True)])
def test_price_of_dynamic_codes_is_the_mean_over_decoded_real_frames(
    levers, alone):
  # KL(N(m, 1) | N(0, 1)) = m^2 / 2.
  batch = _numbered([1] * 6, 40)
  batch['mask'][20:] = [1, 0, 0, 0, 1, 0]
  seen, (_, parts) = _see(
      Pixels(alone, gaussian=True), batch, dynamic_kl=1.0, **levers)
  shown = _decoded(seen)
  real = np.take_along_axis(batch['mask'], shown, axis=1)
  expected = (shown**2 / 2 * real).sum(axis=1) / real.sum(axis=1)
  np.testing.assert_allclose(parts['dynamic_kl'], expected, rtol=1e-5)
  np.testing.assert_allclose(parts['dynamic_kl'][20:], np.full(20, 4.0))
  # The noise is drawn for these frames: as many, and none like another.
  noise = seen['dynamic'][..., 0] - shown
  assert 0.8 < noise.std() < 1.2
  assert len(np.unique(np.rint(1e4 * noise))) > 0.95 * noise.size


def test_price_of_the_static_code_is_that_of_the_frames_it_is_read_from():
  batch = _numbered([0, 0, 0, 1, 0, 1], 40)
  seen, (_, parts) = _see(
      Pixels(gaussian=True), batch, static_kl=1.0, static_frames=1,
      frames_per_step=1)
  other = np.where(_decoded(seen)[:, 0] == 3, 5, 3)
  np.testing.assert_allclose(parts['static_kl'], other**2 / 2, rtol=1e-5)


def test_static_codes_that_are_not_shared_are_not_read_from_other_frames():
  with pytest.raises(ValueError, match='static_frames=2 .*shared_static=False'):
    _see(Pixels(shared=False), _numbered([1] * 6, 2), static_frames=2)


@pytest.mark.parametrize('levers, alone', [
    (dict(), True), (dict(recolour=True), True), (dict(recolour=True), False),
    (dict(centre=True), True)])
def test_static_codes_that_are_not_shared_are_of_the_decoded_frames(
    levers, alone):
  batch = _numbered([1] * 6, 20)
  seen, _ = _see(
      Pixels(alone, shared=False), batch, frames_per_step=2, **levers)
  np.testing.assert_array_equal(seen['static'][..., 0], _decoded(seen))


@dataclasses.dataclass(frozen=True)
class Thorough:
  """An encoder that claims to look at other frames."""

  encoder: encoders.SequenceEncoder
  frame_by_frame: bool = False

  def apply(self, *args, **kwargs):
    return self.encoder.apply(*args, **kwargs)


@functools.partial(jax.jit, static_argnums=0)
def _loss(method, batch, params):
  return method.loss(params, batch, KEY, step=jnp.int32(0), train=True)


def test_static_code_of_all_frames_in_any_order_is_the_plain_one(real):
  # Also of the shorter clips, of which each frame is read 2 or 4 times.
  method, params, batch = real
  shuffled = dataclasses.replace(method, static_frames=4)
  (loss, parts), (expected, plain) = (
      _loss(m, batch, params) for m in (shuffled, method))
  np.testing.assert_allclose(loss, expected, rtol=1e-5)
  for name in plain:
    np.testing.assert_allclose(parts[name], plain[name], rtol=1e-5)
  fewer = dataclasses.replace(method, static_frames=1)
  assert np.abs(_loss(fewer, batch, params)[0] - expected)[1] > 1e-3


@pytest.mark.parametrize('levers', [
    dict(static_frames=2, frames_per_step=2),
    pytest.param(dict(static_frames=3, recolour=True, frames_per_step=3),
                 marks=pytest.mark.slow),
    pytest.param(dict(recolour=True, centre=True, frames_per_step=2),
                 marks=pytest.mark.slow)])
def test_frames_that_are_not_decoded_need_not_be_encoded(real, levers):
  method, params, batch = real
  method = dataclasses.replace(method, **levers)
  thorough = dataclasses.replace(method, encoder=Thorough(method.encoder))
  run = jax.jit(jax.value_and_grad(
      lambda p, m: jnp.mean(_loss(m, batch, p)[0])), static_argnums=1)
  (loss, grads), (expected, slopes) = (run(params, m) for m in (
      method, thorough))
  np.testing.assert_allclose(loss, expected, rtol=1e-6)
  largest = max(np.abs(a).max() for a in jax.tree.leaves(slopes))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-4, atol=1e-6 * largest), grads, slopes)


@dataclasses.dataclass(frozen=True)
class Linear:
  """An encoder of which a Gaussian code's means are those of the plain one."""

  gaussian: bool

  def apply(self, params, x, mask, *, train=False, rngs=None):
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
