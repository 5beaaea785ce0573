"""Tests of `nets.attention`."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from seqdiff.nets import attention
from seqdiff.nets import blocks


def _draw(*shape):
  return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def _random(net, *args):
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(lambda key: net.init(key, *args), jax.random.key(0))
  return jax.tree.map(
      lambda a: (0.4 * rng.normal(size=a.shape)).astype(np.float32), shapes)


@pytest.mark.parametrize('bias', [True, False])
def test_attention_is_the_formula_head_by_head(bias):
  net, x, context = attention.Attention(2, bias=bias), _draw(1, 3, 4), (
      _draw(1, 5, 6))
  variables = _random(net, x, context)
  p = {k: dict(v) for k, v in variables['params'].items()}
  linear = lambda name, a: a @ p[name]['kernel'] + p[name].get('bias', 0.0)
  q, k, v = linear('q', x[0]), linear('k', context[0]), linear('v', context[0])
  heads = []
  for cut in (slice(0, 2), slice(2, 4)):
    weight = special.softmax(q[:, cut] @ k[:, cut].T / 2**0.5, axis=-1)
    heads.append(weight @ v[:, cut])
  expected = linear('out', np.concatenate(heads, axis=-1))
  np.testing.assert_allclose(
      net.apply(variables, x, context)[0], expected, atol=1e-5)
  assert ('bias' in p['q']) == bias and 'bias' in p['out']


H200 = 'gpu', 'NVIDIA H200', '9.0'


@pytest.mark.parametrize('device, dtype, channels, tokens, expected', [
    (H200, jnp.bfloat16, 32, 4, 'cudnn'),
    (('gpu', 'NVIDIA A100-SXM4-40GB', '8.0'), jnp.float16, 256, 4, 'cudnn'),
    (H200, jnp.float32, 32, 4, 'xla'),
    (H200, jnp.bfloat16, 272, 4, 'xla'),  # 136 a head.
    (H200, jnp.bfloat16, 40, 4, 'xla'),  # 20 a head.
    (H200, jnp.bfloat16, 32, 5, 'xla'),
    (('gpu', 'Tesla V100-SXM2-16GB', '7.0'), jnp.float16, 32, 4, 'xla'),
    (('gpu', 'AMD Instinct MI300X', 'gfx942'), jnp.bfloat16, 32, 4, 'xla'),
    (('tpu', 'TPU v5 lite', None), jnp.bfloat16, 32, 4, 'xla'),
    (('cpu', 'cpu', None), jnp.bfloat16, 32, 4, 'xla')])
def test_cudnn_attends_where_it_can(
    monkeypatch, device, dtype, channels, tokens, expected):
  platform, kind, capability = device
  monkeypatch.setattr(jax, 'devices', lambda: [types.SimpleNamespace(
      platform=platform, device_kind=kind, compute_capability=capability)])
  asked = []

  def attend(q, k, v, *, implementation):
    del k, v
    asked.append(implementation)
    return q

  monkeypatch.setattr(jax.nn, 'dot_product_attention', attend)
  x = jax.ShapeDtypeStruct((1, 4, channels), dtype)
  context = jax.ShapeDtypeStruct((1, tokens, channels), dtype)
  net = attention.Attention(2, dtype=dtype)
  jax.eval_shape(net.init, jax.random.key(0), x, context)
  assert asked == [expected]


def test_heads_that_do_not_divide_the_channels_are_refused():
  with pytest.raises(ValueError, match='4 channels cannot form 3 heads'):
    _random(attention.Attention(3), _draw(1, 3, 4), _draw(1, 3, 4))


def test_self_attention_adds_what_normalised_pixels_see():
  net, x = attention.SelfAttention(2, groups=2), _draw(2, 2, 3, 4)
  variables = _random(net, x)
  params = variables['params']
  y = blocks.GroupNorm(2).apply({'params': params['norm']}, x)
  y = y.reshape(2, 6, 4)
  seen = attention.Attention(2).apply({'params': params['attention']}, y, y)
  np.testing.assert_allclose(
      net.apply(variables, x), x + seen.reshape(x.shape), atol=1e-5)


def test_low_precision_is_close_and_keeps_parameters_in_float32():
  x, context = _draw(2, 2, 3, 4), _draw(2, 2, 5)
  low, exact = (attention.SpatialTransformer(2, groups=2, dtype=dtype)
                for dtype in (jnp.bfloat16, jnp.float32))
  variables = _random(low, x, context)
  assert {a.dtype for a in jax.tree.leaves(jax.eval_shape(
      low.init, jax.random.key(0), x, context))} == {np.dtype('float32')}
  y = low.apply(variables, x.astype(jnp.bfloat16), context)
  assert y.dtype == jnp.bfloat16
  exact_y = exact.apply(variables, x, context)
  error = np.sqrt(np.mean((np.float32(y) - exact_y) ** 2) / np.var(exact_y))
  assert error < 0.05


def test_self_attention_starts_as_the_identity_if_asked():
  x = _draw(2, 2, 3, 4)
  for zero_init in True, False:
    net = attention.SelfAttention(2, groups=2, zero_init=zero_init)
    y, _ = net.init_with_output(jax.random.key(0), x)
    assert np.array_equal(y, x) == zero_init


class TestSpatialTransformer:
  net = attention.SpatialTransformer(heads=2, groups=2)
  x, context = _draw(2, 2, 3, 4), _draw(2, 2, 5)

  def test_starts_as_the_identity(self):
    y, _ = self.net.init_with_output(jax.random.key(0), self.x, self.context)
    np.testing.assert_array_equal(y, self.x)

  def test_every_pixel_sees_all_pixels_and_the_context_of_its_image(self):
    variables = _random(self.net, self.x, self.context)
    run = jax.jit(lambda x, c: self.net.apply(variables, x, c))
    y = run(self.x, self.context)
    x, context = self.x.copy(), self.context.copy()
    x[0, 1, 2] += [1.0, 0.0, -1.0, 0.5]
    context[0, 1] += _draw(5)
    for changed in run(x, self.context), run(self.x, context):
      difference = np.abs(changed - y).max(axis=-1)
      assert difference[0].min() > 1e-5
      np.testing.assert_array_equal(difference[1], np.zeros((2, 3)))

  def test_tokens_of_the_context_have_no_order(self):
    variables = _random(self.net, self.x, self.context)
    y = self.net.apply(variables, self.x, self.context)
    np.testing.assert_allclose(
        self.net.apply(variables, self.x, self.context[:, ::-1]), y, atol=1e-5)


def test_attention_over_time_is_that_of_each_pixel():
  net, x = attention.TemporalAttention(2, groups=2), _draw(6, 2, 1, 4)
  variables = _random(net, x, 3)
  params = variables['params']
  y = blocks.GroupNorm(2).apply({'params': params['norm']}, x)
  expected = np.array(x)  # Two clips of three frames of two pixels.
  place = np.asarray(blocks.sinusoids(jnp.arange(3), 4))
  for clip in (0, 3):
    for row in (0, 1):
      tokens = (y[clip:clip + 3, row, 0] + place)[None]
      seen = attention.Attention(2).apply(
          {'params': params['attention']}, tokens, tokens)
      expected[clip:clip + 3, row, 0] += seen[0]
  np.testing.assert_allclose(net.apply(variables, x, 3), expected, atol=1e-5)


def test_attention_over_time_starts_as_the_identity():
  net, x = attention.TemporalAttention(groups=2), _draw(4, 2, 2, 4)
  y, _ = net.init_with_output(jax.random.key(0), x, 2)
  np.testing.assert_array_equal(y, x)
