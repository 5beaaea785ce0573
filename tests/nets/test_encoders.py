"""Tests of `nets.encoders` and of the frame encoder that they may use."""

from flax import traverse_util
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.nets import convnet
from seqdiff.nets import encoders

AGGREGATORS = encoders.AGGREGATORS


def _head(**kwargs):
  return encoders.SequenceHead(
      **{**dict(static_dim=4, dynamic_dim=3, hidden=5), **kwargs})


def _features(batch=2, frames=4, size=6):
  return np.random.default_rng(1).normal(
      size=(batch, frames, size)).astype(np.float32)


def _ones(x):
  return np.ones(x.shape[:2], bool)


def _random(net, x):
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(net.init, jax.random.key(0), x, _ones(x))
  return jax.tree.map(
      lambda a: rng.normal(size=a.shape).astype(np.float32), shapes)


def _run(net, x, mask=None):
  mask = _ones(x) if mask is None else mask
  static, dynamic = jax.jit(net.apply)(_random(net, x), x, mask)
  return np.asarray(static), np.asarray(dynamic)


def _video(head):
  return encoders.SequenceEncoder(convnet.FrameEncoder(6, channels=4), head)


def _influence(head):
  """(T, T): how much the dynamic code of frame i changes with frame j."""
  x = _features(batch=1)
  variables = _random(head, x)
  jacobian = jax.jit(jax.jacrev(
      lambda x: head.apply(variables, x, _ones(x))[1]))(x)
  return np.abs(jacobian).sum(axis=(0, 2, 3, 5))


def test_causal_dynamic_codes_do_not_see_the_future():
  head = _head(causal=True)
  seen = _influence(head)
  np.testing.assert_array_equal(seen[np.triu_indices(4, 1)], np.zeros(6))
  assert seen[np.tril_indices(4)].min() > 0
  assert not _video(head).frame_by_frame


def test_dynamic_codes_of_the_released_code_see_the_future():
  assert _influence(_head()).min() > 0
  assert not _video(_head()).frame_by_frame


def test_pooling_dynamic_codes_see_their_own_frame_only():
  head = _head(aggregator='pool')
  seen = _influence(head)
  np.testing.assert_array_equal(seen[~np.eye(4, dtype=bool)], np.zeros(12))
  assert np.diag(seen).min() > 0
  assert _video(head).frame_by_frame


def test_pooled_static_code_is_blind_to_the_order_of_frames():
  head, x, order = _head(aggregator='pool'), _features(), [2, 0, 3, 1]
  static, dynamic = _run(head, x)
  static_2, dynamic_2 = _run(head, x[:, order])
  np.testing.assert_allclose(static_2, static, atol=1e-5)
  np.testing.assert_allclose(dynamic_2, dynamic[:, order], atol=1e-5)


def test_recurrent_static_code_knows_the_order_of_frames():
  static, _ = _run(_head(), _features())
  static_2, _ = _run(_head(), _features()[:, [2, 0, 3, 1]])
  assert np.abs(static_2 - static).max() > 0.01


@pytest.mark.parametrize('kwargs', [
    dict(), dict(causal=True), dict(aggregator='pool'),
    dict(feature_norm=True)])
def test_padded_frames_have_no_influence_and_get_no_gradient(kwargs):
  head, x = _head(**kwargs), _features()
  mask = np.arange(4)[None] < np.array([[2], [4]])
  static, dynamic = _run(head, x, mask)
  short, short_dynamic = _run(head, x[:1, :2])
  np.testing.assert_allclose(static[0], short[0], atol=1e-5)
  np.testing.assert_allclose(dynamic[0, :2], short_dynamic[0], atol=1e-5)
  variables = _random(head, x)

  def total(x):
    static, dynamic = head.apply(variables, x, mask)
    return jnp.sum(static**3) + jnp.sum(dynamic[0, :2] ** 3) + jnp.sum(
        dynamic[1] ** 3)

  grad = np.asarray(jax.jit(jax.grad(total))(x))
  np.testing.assert_array_equal(grad[0, 2:], np.zeros((2, 6)))
  assert np.abs(grad[mask]).max(axis=-1).min() > 0


def test_clip_without_real_frames_gives_finite_codes():
  for aggregator in AGGREGATORS:
    codes = _run(_head(aggregator=aggregator), _features(), np.zeros((2, 4)))
    assert all(np.isfinite(code).all() for code in codes)


@pytest.mark.parametrize('aggregator', AGGREGATORS)
def test_feature_norm_forgets_the_scale_of_the_features(aggregator):
  x = _features()
  scaled = 3.0 + 50.0 * x
  for norm, forgets in ((True, True), (False, False)):
    head = _head(aggregator=aggregator, feature_norm=norm)
    for a, b in zip(_run(head, x), _run(head, scaled)):
      assert (np.abs(a - b).max() < 1e-3) == forgets


@pytest.mark.parametrize('aggregator', AGGREGATORS)
def test_static_code_is_one_per_clip_unless_not_shared(aggregator):
  static, _ = _run(_head(aggregator=aggregator), _features())
  assert static.shape == (2, 4)
  static, _ = _run(
      _head(aggregator=aggregator, shared_static=False), _features())
  assert static.shape == (2, 4, 4)
  assert np.abs(np.diff(static, axis=1)).min(axis=1).max() > 1e-3


def test_parts_of_the_recurrent_heads():
  x = _features()
  parts = lambda **kwargs: {
      name: {leaf.shape for leaf in jax.tree.leaves(part)}
      for name, part in _random(_head(**kwargs), x)['params'].items()}
  published = parts()
  assert set(published) == {'lstm', 'rnn', 'static_head', 'dynamic_head'}
  assert published['static_head'] == {(10, 4), (4,)}  # Both directions.
  assert published['rnn'] == {(10, 5), (5, 5), (5,)}  # One gate.
  causal = parts(causal=True)
  assert set(causal) == {
      'lstm', 'dynamic_lstm', 'static_head', 'dynamic_head'}
  assert causal['static_head'] == {(5, 4), (4,)}
  assert causal['dynamic_lstm'] == {(5, 20), (20,)}


def test_unknown_aggregator_lists_the_known_ones():
  x = _features()
  with pytest.raises(ValueError, match="aggregator 'mean'.*Known: lstm, pool"):
    _head(aggregator='mean').init(jax.random.key(0), x, _ones(x))


def test_video_encoder_keeps_clips_and_frames_apart():
  x = np.random.default_rng(2).normal(size=(2, 3, 8, 8, 3)).astype(np.float32)
  net = _video(_head(aggregator='pool'))
  variables = _random(net, x)

  def of_one_frame(x):
    return jnp.sum(net.apply(variables, x, _ones(x))[1][1, 0] ** 2)

  grad = np.array(jax.jit(jax.grad(of_one_frame))(x))
  assert np.abs(grad[1, 0]).max() > 0
  grad[1, 0] = 0.0
  np.testing.assert_array_equal(grad, np.zeros(x.shape))


@pytest.mark.parametrize('size, convolutions', [(4, 0), (8, 1), (32, 3)])
def test_frame_encoder_halves_until_four_pixels(size, convolutions):
  net = convnet.FrameEncoder(6, channels=4)
  x = np.zeros((1, size, size, 3))
  params = jax.eval_shape(net.init, jax.random.key(0), x)['params']
  assert sum('conv' in name for name in params) == convolutions
  channels = 4 * 2 ** (convolutions - 1) if convolutions else 3
  assert params['features']['kernel'].shape == (16 * channels, 6)


def _residual(**kwargs):
  return encoders.ResidualEncoder(**{**dict(
      static_dim=3, dynamic_dim=2, layers=1, width=8, heads=2, hidden=6),
      **kwargs})


def _clips(batch=2, frames=4):
  return np.random.default_rng(1).normal(
      size=(batch, frames, 4, 4, 2)).astype(np.float32)


@pytest.mark.parametrize('aggregator', encoders.RESIDUAL_AGGREGATORS)
@pytest.mark.parametrize('causal', [False, True])
def test_residual_codes_see_the_future_unless_causal(aggregator, causal):
  net = _residual(aggregator=aggregator, causal=causal, residual=False)
  x = _clips(batch=1)
  # Small, so that no frame has all the attention.
  variables = jax.tree.map(lambda a: 0.3 * a, _random(net, x))
  seen = np.abs(jax.jit(jax.jacrev(
      lambda x: net.apply(variables, x, _ones(x))[1][0]))(x)).sum(
          axis=(1, 2, 4, 5, 6))
  expected = np.tri(4, dtype=bool) if causal else np.ones((4, 4), bool)
  np.testing.assert_array_equal(seen > 0, expected)


def test_static_code_is_a_function_of_the_first_frame_only():
  net, x = _residual(), _clips()
  static, dynamic = _run(net, x)
  other = x.copy()
  other[:, 1:] += 1.0
  static_2, dynamic_2 = _run(net, other)
  np.testing.assert_array_equal(static_2, static)
  assert np.abs(dynamic_2 - dynamic).min(axis=(0, 2)).min() > 1e-4
  other = x.copy()
  other[:, 0] += _clips(1)[:, 0]
  assert np.abs(_run(net, other)[0] - static).max(axis=-1).min() > 1e-4


@pytest.mark.parametrize('residual', [True, False])
def test_dynamic_codes_are_those_of_differences_from_the_first_frame(residual):
  net, x = _residual(residual=residual), _clips()
  _, dynamic = _run(net, x)
  _, moved = _run(net, x + 0.7 * _clips(2, 1))
  same = np.abs(moved - dynamic).max() < 1e-5
  assert same == residual


@pytest.mark.parametrize('kwargs', [
    dict(), dict(aggregator='lstm', layers=2),
    dict(backbone=convnet.FrameEncoder(6, channels=4))])
def test_dynamic_codes_see_all_frames_but_padded_ones(kwargs):
  net, x = _residual(**kwargs), _clips()
  mask = np.arange(4)[None] < np.array([[3], [4]])
  variables = jax.tree.map(lambda a: 0.3 * a, _random(net, x))
  run = jax.jit(lambda x: net.apply(variables, x, mask)[1])
  dynamic = run(x)
  for frame in range(4):
    other = x.copy()
    other[0, frame] += _clips(1, 1)[0, 0]
    difference = np.abs(run(other) - dynamic)[0, :3].max(axis=-1)
    if frame == 3:
      np.testing.assert_array_equal(difference, np.zeros(3))
    else:
      assert difference.min() > 1e-6
  assert not net.frame_by_frame


@pytest.mark.parametrize('aggregator, layers, dynamic', [
    ('transformer', 4, 4_011_520), ('lstm', 2, 3_547_648)])
def test_parameters_of_divid(aggregator, layers, dynamic):
  net = encoders.ResidualEncoder(
      256, 256, aggregator=aggregator, layers=layers)
  params = jax.eval_shape(
      net.init, jax.random.key(0), jnp.zeros((1, 10, 32, 32, 3)),
      jnp.ones((1, 10), bool))['params']
  count = lambda parts: sum(np.prod(a.shape) for a in jax.tree.leaves(parts))
  static = {k: v for k, v in params.items() if k.startswith('static')}
  assert count(static) == 4_458_752
  assert count(params) - count(static) == dynamic


def test_linear_layers_start_as_in_pytorch_or_as_xavier_says():
  net, ends = _residual(width=400, hidden=200, static_dim=100), {}
  for init in encoders.INITS:
    variables = jax.jit(net.clone(kernel_init=init).init)(
        jax.random.key(0), _clips(), _ones(_clips()))
    flat = traverse_util.flatten_dict(variables['params'], sep='/')
    ends[init] = {
        name: float(np.abs(flat[f'{name}/kernel']).max()) for name in (
            'project', 'static_layer_0', 'static_head', 'dynamic_head',
            'transformer/widen_0', 'transformer/shrink_0',
            'transformer/attention_0/out', 'transformer/attention_0/query')}
  sizes = dict(zip(ends['fan_in'], (
      (32, 400), (32, 200), (200, 100), (400, 2), (400, 200), (200, 400),
      (400, 400), (400, 400))))
  for name, (fan_in, fan_out) in sizes.items():
    stacked = name.endswith('query')  # One kernel for three in PyTorch.
    np.testing.assert_allclose(
        ends['fan_in'][name],
        (6.0 / (4 * fan_in)) ** 0.5 if stacked else fan_in ** -0.5, rtol=0.02)
    np.testing.assert_allclose(
        ends['xavier'][name], (6.0 / (fan_in + fan_out)) ** 0.5, rtol=0.02)


@pytest.mark.parametrize('init, directions', [
    ('fan_in', ()), ('xavier', ('forward',))])
def test_lstm_starts_as_in_pytorch_or_forward_as_xavier_says(init, directions):
  net = _residual(aggregator='lstm', layers=1, width=100, kernel_init=init)
  params = jax.jit(net.init)(
      jax.random.key(0), _clips(), _ones(_clips()))['params']['lstm_0']
  for direction in 'forward', 'backward':
    bound = (6.0 / 500) ** 0.5 if direction in directions else 0.1
    ends = np.sort([float(np.abs(a).max()) for a in jax.tree.leaves(
        params[direction]) if a.ndim == 2])
    np.testing.assert_allclose(ends, bound, rtol=0.02)


def test_unknown_init_is_refused():
  with pytest.raises(ValueError, match="'torch'.*Known: fan_in, xavier"):
    _run(_residual(kernel_init='torch'), _clips())


def test_unknown_aggregator_of_residuals_is_refused():
  with pytest.raises(ValueError, match="'pool'.*Known: lstm, transformer"):
    _run(_residual(aggregator='pool'), _clips())


def test_normalised_features_have_one_size_whatever_the_clip():
  net, x = _residual(feature_norm=True), _clips()
  static, dynamic = _run(net, x)
  static_2, dynamic_2 = _run(net, 7.0 * x)
  np.testing.assert_allclose(static_2, static, atol=1e-3)
  np.testing.assert_allclose(dynamic_2, dynamic, atol=1e-3)
