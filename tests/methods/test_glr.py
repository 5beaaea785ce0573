"""Tests of `methods.glr`, with nets without weights where numbers are checked.

Series have 12 steps of 3 values, in windows of 3; some values are missing, and
the second series is padded after 5 steps.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats
from sklearn import linear_model
from sklearn import model_selection

from configs import glr_simulation
from seqdiff import build
from seqdiff.core import keys
from seqdiff.data import loader
from seqdiff.losses import gaussian_process
from seqdiff.methods import base
from seqdiff.methods import glr
from seqdiff.nets import glr as nets
from seqdiff.sampling import codes

KEY = jax.random.key(5)
STEPS, VALUES, WINDOW, REAL = 12, 3, 3, (12, 5, 12)
MASK = np.arange(STEPS)[None] < np.array(REAL)[:, None]


@dataclasses.dataclass(frozen=True)
class Windows:
  """Codes of a window are the values of its first step.

  Without values above the diagonal of B they have a variance of 1/4.
  """

  above: float = 0.0

  def apply(self, params, x, mask):
    del params, mask
    return x[:, 0], 2.0 + 0.0 * x[:, 0], self.above + 0.0 * x[:, 0]


@dataclasses.dataclass(frozen=True)
class First:
  """The code of a sub-sequence is its first step."""

  def apply(self, params, x, mask):
    del params, mask
    return x[:, 0]


@dataclasses.dataclass(frozen=True)
class Recorder(First):
  """The same; it keeps what it was given."""

  calls: list = dataclasses.field(default_factory=list, hash=False)

  def apply(self, params, x, mask):
    self.calls.append((np.asarray(x), np.asarray(mask)))
    return super().apply(params, x, mask)


@dataclasses.dataclass(frozen=True)
class Codes:
  """The values of all steps of a window are the sum of its two codes."""

  std: float = 0.25

  def apply(self, params, codes):
    del params
    mean = codes[:, None, :VALUES] + codes[:, None, VALUES:]
    mean = jnp.repeat(mean, WINDOW, axis=1)
    return mean, self.std + 0.0 * mean


NO_PARAMS = {'local': None, 'global': None, 'decoder': None}


def _method(**kwargs):
  return glr.GLR(**{
      'local_encoder': Windows(), 'global_encoder': First(),
      'decoder': Codes(), 'window': WINDOW, 'global_frames': 4,
      'kernels': ('rbf',), 'num_scales': 3, **kwargs})


def _batch(real=REAL, steps=STEPS):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(3, STEPS, VALUES)).astype(np.float32)
  observed = (rng.uniform(size=x.shape) < 0.8) & MASK[..., None]
  x = np.where(observed, x, 0)
  source = [
      {'x': x[i, :steps], 'mask': (np.arange(steps) < real[i]),
       'observed': observed[i, :steps]} for i in range(3)]
  return next(loader.eval_batches(source, batch_size=3, num_frames=steps))


def _loss(method, batch, *, params=None, train=True):
  params = NO_PARAMS if params is None else params
  loss = lambda params, batch: method.loss(
      params, batch, KEY, step=jnp.int32(0), train=train)
  if isinstance(method.global_encoder, Recorder):
    return loss(params, batch)
  return jax.jit(loss)(params, batch)


@pytest.fixture(scope='module')
def real():
  """A method with real nets and parameters that all matter."""
  method = _method(
      local_encoder=nets.LocalEncoder(3, (4, 4)),
      global_encoder=nets.GlobalEncoder(2, (4, 4)),
      decoder=nets.WindowDecoder(WINDOW, VALUES, (4, 4)),
      noise_draws=2, min_measured=2)
  rng = np.random.default_rng(2)
  abstract = jax.eval_shape(method.init, KEY, _batch())
  assert set(abstract) == set(NO_PARAMS)
  return method, jax.tree.map(
      lambda a: rng.normal(size=a.shape).astype(np.float32), abstract)


def test_likelihood_is_a_mean_over_what_was_measured():
  batch, method = _batch(), _method(counterfactual=0.0)
  factors = method.encode(NO_PARAMS, batch['x'], batch['mask'])
  density = stats.norm.logpdf(
      batch['x'], factors.dynamic + factors.static[:, None], 0.25)
  measured = [density[i][batch['observed'][i]] for i in range(3)]
  _, parts = _loss(method, batch, train=False)
  np.testing.assert_allclose(
      parts['nll'], [-m.mean() for m in measured], rtol=1e-4)
  method = dataclasses.replace(method, count_missing=True)
  _, counted = _loss(method, batch, train=False)
  np.testing.assert_allclose(
      counted['nll'], [-m.sum() / (STEPS * VALUES) for m in measured],
      rtol=1e-4)
  share = batch['observed'].mean(axis=(1, 2))
  np.testing.assert_allclose(
      counted['local_kl'], share * parts['local_kl'], rtol=1e-5)


def test_divergences_are_means_over_real_windows_and_values():
  batch = _batch()
  method = _method(beta=0.5, counterfactual=0.0)
  factors = method.encode(NO_PARAMS, batch['x'], batch['mask'])
  total, parts = _loss(method, batch, train=False)
  for i, real in enumerate(REAL):
    mean = factors.dynamic[i, :real:WINDOW]
    prior = gaussian_process.prior(
        len(mean), VALUES, kernels=('rbf',), num_scales=3)
    inverse = np.linalg.inv(prior)
    local = 0.5 * (
        0.25 * np.trace(inverse, axis1=1, axis2=2) - len(mean)
        + np.einsum('id,dij,jd->d', mean, inverse, mean)
        + np.linalg.slogdet(prior)[1] + len(mean) * np.log(4.0))
    np.testing.assert_allclose(
        parts['local_kl'][i], 0.5 * local.mean() / len(mean), rtol=1e-4)
  square = np.square(factors.static) / 2.0
  np.testing.assert_allclose(
      parts['global_kl'], 0.5 * square.mean(axis=1), rtol=1e-5)
  np.testing.assert_allclose(total, sum(parts.values()), rtol=1e-6)
  _, released = _loss(
      dataclasses.replace(method, sum_global_kl=True), batch, train=False)
  np.testing.assert_allclose(
      released['global_kl'], 0.5 * square.sum(axis=1), rtol=1e-5)


def test_samples_have_the_variance_of_the_posteriors():
  # Values of unit variance from the static code, of variance v from the dynamic
  # ones, decoded with a variance of 1: E NLL = (1 + v + log(2 pi)) / 2.
  method = _method(
      local_encoder=Windows(above=1.5), decoder=Codes(std=1.0),
      noise_draws=4000, counterfactual=0.0)
  matrix = 2.0 * np.eye(4) + 1.5 * np.eye(4, k=1)
  variances = np.diag(np.linalg.inv(matrix @ matrix.T))
  x = np.zeros((4, STEPS, VALUES), np.float32)
  window = np.arange(STEPS)[None, :, None] // WINDOW  # One for each series.
  observed = np.broadcast_to(window == np.arange(4)[:, None, None], x.shape)
  _, parts = _loss(method, {
      'x': x, 'observed': observed, 'mask': np.ones((4, STEPS), bool),
      'index': np.arange(4)})
  np.testing.assert_allclose(
      2.0 * parts['nll'] - 1.0 - np.log(2.0 * np.pi), variances, atol=0.06)
  assert np.ptp(variances) > 0.2


def test_counterfactual_is_read_from_what_another_code_decodes_to():
  # With a sharp decoder and dynamic codes of 0 the drawn code s' is read as it
  # is: the ratio is exp(-(s - s')^2 / 2).
  x = np.zeros((2, STEPS, VALUES), np.float32)
  x[:, 1:] = np.random.default_rng(1).normal(size=VALUES)
  batch = {'x': x, 'mask': np.ones((2, STEPS), bool), 'index': np.arange(2)}
  x[:, ::WINDOW] = 0.0
  method = _method(decoder=Codes(std=0.0), num_reads=1, counterfactual=3.0)
  static = method.encode(NO_PARAMS, batch['x'], batch['mask']).static + 0.0
  drawn = keys.normal(
      keys.named(keys.named(KEY, 'counterfactual'), 'static'),
      batch['index'], (1, VALUES))[:, 0]
  _, parts = _loss(method, batch, train=False)
  expected = 3.0 * np.exp(-np.square(static - drawn) / 2.0).mean(axis=1)
  np.testing.assert_allclose(parts['counterfactual'], expected, rtol=1e-4)


def test_sub_sequences_are_random_and_of_real_steps():
  number = np.arange(400)
  real = np.where(number % 2, 6, 12)
  x = np.broadcast_to(
      np.arange(1.0, STEPS + 1)[None, :, None], (400, STEPS, VALUES))
  method = _method(counterfactual=0.0, global_encoder=Recorder())
  _loss(method, {'x': x.astype(np.float32), 'index': number,
                 'mask': np.arange(STEPS)[None] < real[:, None]})
  (pieces, masks), = method.global_encoder.calls
  assert pieces.shape == (400, 4, VALUES) and masks.all()
  np.testing.assert_array_equal(np.diff(pieces, axis=1), 1.0)
  starts = pieces[:, 0, 0].astype(int) - 1
  for i, count in enumerate((9, 3)):  # 12 - 4 + 1 and 6 - 4 + 1.
    found = np.bincount(starts[i::2])
    assert len(found) == count and found.min() > 0.5 * 200 / count


def test_code_in_use_is_the_mean_over_even_sub_sequences():
  x = np.arange(float(STEPS))[None, :, None] * np.ones((3, 1, VALUES))
  static = _method(num_reads=3).encode(
      NO_PARAMS, x.astype(np.float32), MASK).static
  # Of 12 steps 4 start at 0, 4, 8; of 5 at 0, 0, 1.
  np.testing.assert_allclose(static[:, 0], [4.0, 1.0 / 3.0, 4.0])


def test_series_shorter_than_a_sub_sequence_are_read_from_their_start():
  method = _method(global_frames=8, global_encoder=Recorder())
  batch = _batch()
  _loss(method, batch)
  (pieces, _), _ = calls = method.global_encoder.calls
  np.testing.assert_array_equal(pieces[1], batch['x'][1, :8])
  for _, masks in calls:  # Of the series and of its counterfactual.
    assert masks[1, 3] and not masks[1, 5:].any()


def test_codes_in_use_are_read_from_pieces_of_their_own_length():
  method, batch = _method(
      read_frames=9, num_reads=1, global_encoder=Recorder()), _batch()
  method.encode(NO_PARAMS, batch['x'], batch['mask'])
  _loss(method, batch, train=False)
  _loss(method, batch)
  lengths = [x.shape[1] for x, _ in method.global_encoder.calls]
  # Encoded; evaluated and trained on, each with a counterfactual.
  assert lengths == [9, 9, 4, 4, 4]


def test_steps_with_few_measurements_are_not_read():
  batch, method = _batch(), _method(
      min_measured=2, global_frames=STEPS, global_encoder=Recorder())
  method.encode(NO_PARAMS, batch['x'], batch['mask'])
  _, masks = method.global_encoder.calls[0]
  expected = batch['observed'].sum(axis=-1) >= 2
  np.testing.assert_array_equal(masks[::method.num_reads], expected)
  assert 0 < expected.sum() < MASK.sum()


def test_values_that_are_missing_change_no_code_and_no_loss(real):
  method, params = real
  loss = jax.jit(lambda batch: _loss(method, batch, params=params)[0])
  batch, encode = _batch(), codes.make_encode(method)
  junk = {**batch, 'x': np.where(
      batch['observed'], batch['x'], 1e3).astype(np.float32)}
  np.testing.assert_array_equal(loss(junk), loss(batch))
  jax.tree.map(np.testing.assert_array_equal,
               encode(params, junk, None), encode(params, batch, None))


def test_padding_has_no_influence(real):
  method, params = real
  batch = _batch()
  loss = lambda train: jax.jit(
      lambda batch: _loss(method, batch, params=params, train=train)[0])
  # What it holds: in training too, for all parts.
  other = np.where(MASK[..., None], batch['x'], 7.0).astype(np.float32)
  np.testing.assert_array_equal(
      loss(True)(batch), loss(True)({**batch, 'x': other}))
  # How much there is: without it less noise is drawn, where any is.
  short = {k: a[:, :6] if k in ('x', 'mask', 'observed') else a
           for k, a in batch.items()}
  np.testing.assert_allclose(
      loss(False)(batch)[1], loss(False)(short)[1], rtol=1e-4)
  encode = jax.jit(method.encode)
  ours = encode(params, batch['x'], batch['mask'])
  alone = encode(params, short['x'], short['mask'])
  np.testing.assert_allclose(ours.static[1], alone.static[1], rtol=1e-4)
  np.testing.assert_allclose(
      ours.dynamic[1, :6], alone.dynamic[1], rtol=1e-4, atol=1e-6)


def test_loss_of_a_series_does_not_depend_on_the_others(real):
  method, params = real
  loss = jax.jit(lambda batch: _loss(method, batch, params=params)[0])
  batch, order = _batch(), np.array([2, 0, 1])
  np.testing.assert_allclose(
      loss({k: a[order] for k, a in batch.items()}), loss(batch)[order],
      rtol=1e-5)


def test_dynamic_code_is_that_of_its_window_alone(real):
  method, params = real
  batch = _batch()
  encode = jax.jit(method.encode)
  codes = encode(params, batch['x'], batch['mask']).dynamic
  assert codes.shape == (3, STEPS, 3)
  for i in range(1, STEPS):
    same = (codes[0, i] == codes[0, i - 1]).all()
    assert same == (i % WINDOW != 0)
  other = batch['x'].copy()
  other[0, 4] += 1.0
  changed = encode(params, other, batch['mask']).dynamic != codes
  np.testing.assert_array_equal(
      np.flatnonzero(np.asarray(changed).any(axis=(0, 2))), [3, 4, 5])


def test_swap_decodes_the_codes_that_it_was_given():
  method, batch = _method(), _batch()
  encode = lambda i: method.encode(
      NO_PARAMS, batch['x'][i:i + 1], batch['mask'][i:i + 1])
  a, b = encode(0), encode(2)
  x = method.decode(
      NO_PARAMS, base.swap(a, b), np.zeros((1, STEPS, VALUES), np.float32))
  expected = a.static[:, None] + np.repeat(
      batch['x'][2:, ::WINDOW], WINDOW, axis=1)
  np.testing.assert_allclose(x, expected, rtol=1e-5, atol=1e-6)
  first = np.arange(STEPS)[:, None] % WINDOW == 0  # Others are not used.
  again = method.decode(NO_PARAMS, base.Factors(
      static=a.static, dynamic=np.where(first, b.dynamic, 9.0)), x)
  np.testing.assert_array_equal(again, x)


def test_start_of_a_sampler_has_no_influence(real):
  method, params = real
  x = _batch()['x']
  factors = method.encode(params, x, MASK)
  start = method.invert(params, factors, x)
  np.testing.assert_array_equal(start, np.zeros_like(x))
  np.testing.assert_array_equal(
      method.decode(params, factors, start), method.decode(params, factors, x))


@pytest.mark.parametrize('options, message', [
    ({'window': 5}, 'window=5 and series of 12 steps; expected a whole numbe'),
    ({'global_frames': 13}, 'global_frames=13 and series of 12.*1 to 12'),
    ({'read_frames': 13}, 'read_frames=13 and series of 12.*1 to 12'),
    ({'global_frames': 0}, 'global_frames=0 and.*Change method.global_fr'),
    ({'min_measured': 4}, 'min_measured=4 and.*3 values; expected 1 to 3'),
    ({'kernels': ('rbf', 'cauchi')}, "Unknown kernel 'cauchi'. Did you mean"),
    ({'num_scales': 4}, 'dynamic_dim=3 with 1 kernels of method.num_scales=4'),
])
def test_settings_that_do_not_fit_the_series_are_named(real, options, message):
  method = dataclasses.replace(real[0], **options)
  with pytest.raises(ValueError, match=message):
    jax.eval_shape(method.init, KEY, _batch())


@pytest.mark.slow
def test_short_training_finds_the_trend_and_leaves_the_season():
  config = glr_simulation.get_config()
  config.data.missing = 0.1
  config.method.noise_draws = 1
  for net in 'local_encoder', 'global_encoder', 'decoder':
    config.method[net].sizes = (8, 8) if net == 'decoder' else (8,)
  method, dataset = build.method(config), build.dataset(config)
  batches = loader.train_batches(
      dataset.splits['train'], batch_size=20, num_frames=100, seed=0)
  held_out = next(loader.eval_batches(
      dataset.splits['test'], batch_size=75, num_frames=100))
  tx = optax.adam(0.02)

  @jax.jit
  def update(params, state, batch, key):
    mean = lambda params: jnp.mean(method.loss(
        params, batch, key, step=jnp.int32(0), train=True)[0])
    loss, grads = jax.value_and_grad(mean)(params)
    updates, state = tx.update(grads, state)
    return optax.apply_updates(params, updates), state, loss

  params = jax.jit(method.init)(KEY, held_out)
  state, losses = tx.init(params), []
  for step in range(200):
    params, state, loss = update(
        params, state, next(batches), keys.named(KEY, str(step)))
    losses.append(float(loss))
  assert np.mean(losses[-20:]) < 0.7 * np.mean(losses[:20])
  codes = jax.jit(method.encode)(params, held_out['x'], held_out['mask'])
  told = lambda factor: model_selection.cross_val_score(
      linear_model.LogisticRegression(), codes.static,
      held_out[f'labels/{factor}']).mean()
  assert told('trend') > 0.9 and told('season') < 0.7  # Chance: 0.5.
