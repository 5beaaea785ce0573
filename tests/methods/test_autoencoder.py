"""The autoencoder: its loss, its gradients, and what it can be used for."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqdiff.core import shapes
from seqdiff.data import synthetic
from seqdiff.evaluation import context
from seqdiff.evaluation.protocols import reconstruction
from seqdiff.methods import autoencoder
from seqdiff.sampling import reconstruct

KEY = jax.random.key(3)
SMALL = autoencoder.nets.Autoencoder(
    channels=4, multipliers=(1, 2), num_blocks=1, groups=2, codebook_size=9)
METHODS = {
    'vq': autoencoder.Autoencoder(SMALL, codebook_weight=0.7),
    'kl': autoencoder.Autoencoder(
        dataclasses.replace(SMALL, regulariser='kl'), kl_weight=0.5),
}


@dataclasses.dataclass(frozen=True)
class Case:
  """A method, parameters that all matter and a batch with padded frames."""

  method: autoencoder.Autoencoder
  params: dict
  batch: dict

  @functools.cached_property
  def loss(self):
    return jax.jit(
        lambda params, batch, train: self.method.loss(
            params, batch, KEY, step=jnp.int32(0), train=train),
        static_argnums=2)

  @functools.cached_property
  def encode(self):
    return jax.jit(self.method.encode)

  @functools.cached_property
  def decode(self):
    return jax.jit(self.method.decode)

  @functools.cached_property
  def grad(self):
    """Gradient of the summed loss with respect to parameters and clips."""
    return jax.jit(jax.grad(
        lambda params, x: jnp.sum(self.loss(
            params, {**self.batch, 'x': x}, True)[0]), (0, 1)))


@pytest.fixture(scope='module', params=METHODS)
def case(request):
  method = METHODS[request.param]
  rng = np.random.default_rng(0)
  x = rng.uniform(-1.0, 1.0, (3, 4, 8, 8, 3)).astype(np.float32)
  batch = {'x': x, 'mask': np.arange(4)[None] < np.array([[2], [4], [1]]),
           'index': np.arange(3, dtype=np.int32)}
  abstract = jax.eval_shape(method.init, KEY, batch)

  def draw(leaf):
    scale = np.prod(leaf.shape[:-1]) ** -0.5 if leaf.ndim == 4 else 0.3
    return (scale * rng.normal(size=leaf.shape)
            + (leaf.ndim == 1)).astype(np.float32)

  return Case(method, jax.tree.map(draw, abstract), batch)




def test_loss_is_what_its_terms_say(case):
  x, mask = case.batch['x'], case.batch['mask']
  loss, parts = case.loss(case.params, case.batch, False)
  z, log_var = jax.jit(lambda p, x: case.method.net.apply(
      p, x, method='encode'))(case.params, shapes.merge_frames(x))
  guess = case.decode(case.params, shapes.split_frames(z, 4))
  z = np.asarray(z, np.float64)
  mean = lambda per_frame: np.array([
      np.mean(clip[real]) for clip, real in zip(per_frame, mask)])
  expected = {'l1': mean(np.abs(guess - x).mean((2, 3, 4)))}
  if case.method.net.regulariser == 'vq':
    distance = np.sum(np.square(
        z[..., None, :] - case.params['params']['codebook']), axis=-1)
    square = distance.min(axis=-1).mean((1, 2)) / z.shape[-1]
    expected['codebook'] = 0.7 * 1.25 * mean(square.reshape(3, 4))
    perplexity = parts.pop('perplexity')
    assert (1.0 <= perplexity).all() and (perplexity <= 9.0).all()
    used = distance.argmin(axis=-1).reshape(3, 4, -1)[2, 0]
    share = np.bincount(used) / used.size
    share = share[share > 0]
    np.testing.assert_allclose(
        perplexity[2], np.exp(-np.sum(share * np.log(share))), rtol=1e-5)
  else:
    log_var = np.asarray(log_var, np.float64)
    kl = np.sum(z**2 + np.exp(log_var) - 1.0 - log_var, axis=(1, 2, 3)) / 2.0
    expected['kl'] = 0.5 * mean(kl.reshape(3, 4)) / (8 * 8 * 3)
  assert set(parts) == set(expected)
  for name, value in expected.items():
    np.testing.assert_allclose(parts[name], value, rtol=1e-4, err_msg=name)
  np.testing.assert_allclose(loss, sum(expected.values()), rtol=1e-4)


def test_padded_frames_have_no_influence(case):
  params, clips = case.grad(case.params, case.batch['x'])
  real = case.batch['mask']
  size = np.abs(clips).max((2, 3, 4))
  assert (size[real] > 0).all() and (size[~real] == 0).all()
  changed = np.where(
      real[..., None, None, None], case.batch['x'], np.float32(0.3))
  other, _ = case.grad(case.params, changed)
  for a, b in zip(jax.tree.leaves(params), jax.tree.leaves(other)):
    np.testing.assert_allclose(a, b, atol=1e-5 * np.abs(a).max() + 1e-7)
  for a, b in zip(*(jax.tree.leaves(case.loss(
      case.params, {**case.batch, 'x': x}, True))
      for x in (case.batch['x'], changed))):
    np.testing.assert_allclose(a, b, rtol=1e-5)


def test_loss_of_a_clip_does_not_depend_on_the_batch(case):
  chosen = np.array([1, 0])
  rows = {name: a[chosen] for name, a in case.batch.items()}
  together = case.loss(case.params, case.batch, True)[0]
  np.testing.assert_allclose(
      case.loss(case.params, rows, True)[0], together[chosen], rtol=1e-4)


def test_gaussian_latents_are_noisy_in_training_only(case):
  if case.method.net.regulariser == 'vq':
    pytest.skip('They are not Gaussian.')
  train, test = (case.loss(case.params, case.batch, on)[1] for on in (1, 0))
  np.testing.assert_allclose(train['kl'], test['kl'], rtol=1e-5)
  assert (np.abs(train['l1'] - test['l1']) > 1e-3).any()


def test_l1_reaches_the_encoder_through_the_quantiser(case):
  if case.method.net.regulariser == 'kl':
    pytest.skip('There is none.')
  alone = Case(dataclasses.replace(case.method, codebook_weight=0.0),
               case.params, case.batch)
  grads = alone.grad(case.params, case.batch['x'])[0]['params']
  assert np.abs(grads['encoder']['head']['kernel']).max() > 1e-4
  assert not np.any(grads['codebook'])  # That is what the other term is for.
  both = case.grad(case.params, case.batch['x'])[0]['params']
  assert np.any(both['codebook'])


def test_reconstruction_is_decoding_what_was_encoded(case):
  clips = np.random.default_rng(1).integers(0, 256, (2, 3, 8, 8, 3), np.uint8)
  batch = {'x': clips, 'mask': np.ones((2, 3), bool), 'index': np.arange(2)}
  latents = case.encode(
      case.params, clips / np.float32(127.5) - 1.0, batch['mask'])
  assert latents.shape == (2, 3, 4, 4, 3)
  expected = np.clip(case.decode(case.params, latents), -1.0, 1.0)
  for x_T in 'fresh_shared', 'encoded':
    found = reconstruct.make_reconstruct(case.method, x_T=x_T)(
        case.params, batch, KEY)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_protocol_of_reconstruction_takes_it(case, tmp_path):
  dataset = synthetic.puppets(size=8, num_frames=2, num_test=5)
  metrics, counts = reconstruction.run(context.Context(
      case.method, case.params, dataset, tmp_path, num_frames=2, batch_size=3))
  clips = np.stack([dataset.splits['test'][i]['x'] for i in range(5)])
  x = clips / np.float32(127.5) - 1.0
  guess = case.decode(
      case.params, case.encode(case.params, x, np.ones((5, 2))))
  mse = np.mean(np.square(np.clip(guess, -1.0, 1.0) - x)) / 4.0
  np.testing.assert_allclose(metrics['mse'], mse, rtol=1e-3)
  np.testing.assert_allclose(metrics['encoded_x_T/mse'], mse, rtol=1e-3)
  assert counts == {'clips': 5, 'frames': 10}


@pytest.mark.parametrize('regulariser', [
    'vq', pytest.param('kl', marks=pytest.mark.slow)])
def test_training_lowers_the_error(regulariser):
  net = dataclasses.replace(
      SMALL, channels=8, regulariser=regulariser, codebook_size=32)
  method = autoencoder.Autoencoder(net)
  source = synthetic.puppets(size=8, num_frames=2, num_train=8).splits['train']
  x = np.stack([source[i]['x'] for i in range(8)]) / np.float32(127.5) - 1.0
  batch = {'x': x, 'mask': np.ones((8, 2), bool), 'index': np.arange(8)}
  tx = optax.adam(3e-3)
  params = jax.jit(method.init)(jax.random.key(0), batch)
  state = jax.jit(tx.init)(params)

  @jax.jit
  def step(params, state, number):
    def mean_loss(params):
      loss, parts = method.loss(
          params, batch, jax.random.fold_in(KEY, number), step=number,
          train=True)
      return jnp.mean(loss), parts

    grads, parts = jax.grad(mean_loss, has_aux=True)(params)
    updates, state = tx.update(grads, state)
    return (optax.apply_updates(params, updates), state,
            jax.tree.map(jnp.mean, parts))

  history = []
  for number in range(100):
    params, state, parts = step(params, state, jnp.int32(number))
    history.append(jax.device_get(parts))
  assert history[-1]['l1'] < 0.5 * history[0]['l1'], history[-1]
  if regulariser == 'vq':
    assert history[-1]['perplexity'] > 4.0  # The codebook is in use.


@dataclasses.dataclass(frozen=True)
class Brightness:
  """A distance that knows brightness only."""

  def distance(self, a, b):
    return jnp.abs(jnp.mean(a - b, axis=(1, 2, 3)))


def test_perceptual_distance_is_a_term_with_its_weight(case):
  method = dataclasses.replace(
      case.method, perceptual=Brightness(), perceptual_weight=3.0)
  loss, parts = Case(method, case.params, case.batch).loss(
      case.params, case.batch, False)
  x = case.batch['x']
  guess = case.decode(
      case.params, case.encode(case.params, x, case.batch['mask']))
  error = np.abs(np.mean(guess - x, axis=(2, 3, 4)))
  np.testing.assert_allclose(
      parts['perceptual'][1], 3.0 * error[1].mean(), rtol=1e-4)
  without = case.loss(case.params, case.batch, False)[0]
  np.testing.assert_allclose(loss - without, parts['perceptual'], rtol=1e-3)
