"""Tests of `nets.blocks`, against formulas in numpy with float64."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.nets import blocks


def _random(module, *args, scale=0.5):
  """Random parameters of a module, without the zeros and ones of `init`."""
  rng = np.random.default_rng(0)
  return jax.tree.map(
      lambda a: (scale * rng.normal(size=a.shape)).astype(np.float32),
      jax.eval_shape(module.init, jax.random.key(0), *args))


def _apply(module, variables, *args):
  """The result, and by name what the parts of the module return."""
  y, inside = jax.jit(functools.partial(
      module.apply, capture_intermediates=True))(variables, *args)
  inside = {name: np.asarray(value['__call__'][0])
            for name, value in inside['intermediates'].items()
            if name != '__call__'}
  return np.asarray(y), inside


def _image(*shape, seed=1):
  return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _norm(x, params, groups):
  """Group norm in two passes, group by group."""
  x = np.asarray(x, np.float64)
  size, y = x.shape[-1] // groups, np.empty(x.shape)
  for image in range(len(x)):
    for group in range(groups):
      part = x[image, ..., group * size : (group + 1) * size]
      mean = part.sum() / part.size
      variance = ((part - mean) ** 2).sum() / part.size
      y[image, ..., group * size : (group + 1) * size] = (
          part - mean) / np.sqrt(variance + 1e-5)
  return y * params['scale'] + params['bias']


def _linear(x, params):
  return np.asarray(x, np.float64) @ params['kernel'] + params['bias']


def _silu(x):
  return x / (1.0 + np.exp(-x))


def test_group_norm_equals_the_two_pass_formula():
  x = 3.0 + 2.0 * _image(2, 5, 4, 12)
  norm = blocks.GroupNorm(3)
  variables = _random(norm, x)
  np.testing.assert_allclose(
      norm.apply(variables, x), _norm(x, variables['params'], 3), atol=1e-5)


def test_group_norm_is_accurate_when_the_mean_dwarfs_the_deviation():
  # E[x^2] - E[x]^2 in float32 would be off by a factor of tens here.
  x = np.float32(1e3 + 0.1 * _image(2, 16, 16, 64))
  norm = blocks.GroupNorm(32)
  variables = _random(norm, x)
  # The mean is known to a few units in the last place, 6e-5, and the
  # deviation is 0.1.
  np.testing.assert_allclose(
      norm.apply(variables, x), _norm(x, variables['params'], 32), atol=5e-3)


def test_group_norm_normalises_each_image_by_itself():
  x = _image(2, 4, 4, 8)
  norm = blocks.GroupNorm(4)
  variables = _random(norm, x)
  y = norm.apply(variables, x)
  other = norm.apply(variables, np.stack([x[0], 100.0 * x[1] + 7.0]))
  np.testing.assert_array_equal(other[0], y[0])


def test_group_norm_scales_after_the_affine_map_and_then_shifts():
  x, scale, shift = _image(2, 4, 4, 8), _image(2, 8), _image(2, 8, seed=2)
  norm = blocks.GroupNorm(4)
  variables = _random(norm, x)
  expected = _norm(x, variables['params'], 4)
  expected = expected * scale[:, None, None] + shift[:, None, None]
  np.testing.assert_allclose(
      norm.apply(variables, x, scale, shift), expected, atol=1e-5)


def test_group_norm_names_channels_and_groups_that_do_not_match():
  with pytest.raises(ValueError, match='12 channels cannot form 8 groups.*Cho'):
    blocks.GroupNorm(8).init(jax.random.key(0), np.zeros((1, 2, 2, 12)))


def test_strided_convolution_is_padded_evenly():
  # A kernel that copies its centre keeps pixels 0, 2, 4, ...; with padding at
  # the end only ('SAME') these would be 1, 3, 5, ...
  x = _image(1, 6, 6, 1)
  kernel = np.zeros((3, 3, 1, 1), np.float32)
  kernel[1, 1] = 1.0
  params = {'kernel': kernel, 'bias': np.zeros(1, np.float32)}
  y = blocks.conv(1, stride=2, name=None).apply({'params': params}, x)
  np.testing.assert_array_equal(y, x[:, ::2, ::2])


@pytest.mark.parametrize(
    'init, gain', [(blocks.XAVIER, 1.0), (blocks.NEAR_ZERO, 1e-5)])
def test_kernels_are_xavier_uniform(init, gain):
  # Glorot and Bengio 2010: U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)).
  params = blocks.conv(32, init=init, name=None).init(
      jax.random.key(0), np.zeros((1, 4, 4, 16)))['params']
  bound = gain * np.sqrt(6 / (9 * 16 + 9 * 32))
  kernel = np.asarray(params['kernel']).ravel() / bound
  assert 0.99 < np.abs(kernel).max() <= 1.0
  assert abs(kernel.var() - 1 / 3) < 0.02  # Uniform; 4 standard errors.
  np.testing.assert_array_equal(params['bias'], np.zeros(32))


def test_upsampling_repeats_each_pixel():
  x = _image(1, 2, 3, 1)
  expected = np.kron(x[0, ..., 0], np.ones((2, 2)))
  np.testing.assert_array_equal(blocks.upsample(x)[0, ..., 0], expected)


def test_downsampling_is_the_mean_of_each_square():
  x = _image(1, 4, 6, 1)
  y = np.asarray(blocks.downsample(x))[0, ..., 0]
  for row, column in np.ndindex(2, 3):
    square = x[0, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
    np.testing.assert_allclose(y[row, column], square.mean(), rtol=1e-5)


def _res_block(modulation=(), in_channels=8, **kwargs):
  """A block with random parameters, its input, and what it computes inside."""
  x = _image(2, 4, 4, in_channels)
  block = blocks.ResBlock(8, groups=4, dropout=0.0, **kwargs)
  variables = _random(block, x, modulation)
  y, inside = _apply(block, variables, x, modulation)
  return x, y, variables['params'], inside


@pytest.mark.parametrize('as_published', [False, True])
def test_adagn_applies_noise_first_and_factors_second(as_published):
  noise, factors = _image(2, 5, seed=2), _image(2, 6, seed=3)
  _, _, params, inside = _res_block(
      (noise, factors), as_published=as_published)
  h = _norm(inside['conv_1'], params['norm_2'], 4)
  wide = lambda a: a[:, None, None]
  t = _linear(_silu(noise), params['modulation_1'])
  a = _linear(_silu(factors), params['modulation_2'])
  t_scale, t_shift = wide(t[:, :8]), wide(t[:, 8:])
  if as_published:  # z_s (t_s GN(h) + t_b), the factors give a scale only.
    assert a.shape == (2, 8)
    expected = wide(a) * (t_scale * h + t_shift)
  else:
    h = h * (1.0 + t_scale) + t_shift
    expected = h * (1.0 + wide(a[:, :8])) + wide(a[:, 8:])
  np.testing.assert_allclose(inside['norm_2'], expected, rtol=1e-4, atol=1e-4)


def test_plain_block_has_two_convolutions_and_a_modulated_one_three():
  block, x = blocks.ResBlock(8, groups=4), _image(2, 4, 4, 8)
  parts = lambda *args: set(_random(block, x, *args)['params'])
  plain = {'norm_1', 'conv_1', 'norm_2', 'conv_2'}
  assert parts() == plain
  assert parts((_image(2, 5),)) == plain | {
      'modulation_1', 'norm_3', 'conv_3'}


@pytest.mark.parametrize(
    'modulation, last', [((), 'conv_2'), ((_image(2, 5),), 'conv_3')])
def test_block_adds_its_last_convolution_to_its_input(modulation, last):
  x, y, _, inside = _res_block(modulation)
  np.testing.assert_allclose(y, x + inside[last], rtol=1e-6, atol=1e-5)


def test_input_of_another_width_is_projected_by_a_convolution_of_one_pixel():
  x, y, params, inside = _res_block(in_channels=12)
  shortcut = {'kernel': params['shortcut']['kernel'][0, 0],
              'bias': params['shortcut']['bias']}
  np.testing.assert_allclose(
      y, _linear(x, shortcut) + inside['conv_2'], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('resample, change', [
    ('down', blocks.downsample), ('up', blocks.upsample)])
def test_block_resamples_its_input_after_the_first_norm(resample, change):
  x, y, params, inside = _res_block(resample=resample)
  activated = change(np.float32(_silu(_norm(x, params['norm_1'], 4))))
  first = blocks.conv(8, name=None)
  np.testing.assert_allclose(
      inside['conv_1'], first.apply({'params': params['conv_1']}, activated),
      atol=1e-4)
  np.testing.assert_allclose(y, change(x) + inside['conv_2'], atol=1e-5)


def test_block_of_two_convolutions_that_starts_as_the_identity():
  block, x = blocks.ResBlock(8, groups=4, third_conv=False, zero_init=True), (
      _image(2, 4, 4, 8))
  y, variables = block.init_with_output(
      jax.random.key(0), x, (_image(2, 5),))
  np.testing.assert_array_equal(y, x)
  assert set(variables['params']) == {
      'norm_1', 'conv_1', 'norm_2', 'conv_2', 'modulation_1'}


def test_dropout_works_in_training_only():
  x = _image(2, 4, 4, 8)
  block = blocks.ResBlock(8, groups=4, dropout=0.5)
  variables = _random(block, x)

  @functools.partial(jax.jit, static_argnums=0)
  def run(train, key):
    return block.apply(variables, x, (), train, rngs={'dropout': key})

  a, b = jax.random.key(1), jax.random.key(2)
  np.testing.assert_array_equal(run(False, a), run(False, b))
  assert np.abs(run(True, a) - run(True, b)).max() > 0.1


@pytest.mark.parametrize('rate', [0.1, 0.5, 1.0])
def test_dropout_keeps_values_apart_from_each_other_and_the_mean(rate):
  x = np.full((1000, 33), 2.0, np.float32)  # An odd number of channels.
  y = np.asarray(blocks.Dropout(rate, deterministic=False).apply(
      {}, x, rngs={'dropout': jax.random.key(3)}))
  kept = y != 0.0
  # Five deviations of a mean of so many coins.
  close = functools.partial(
      np.testing.assert_allclose, rtol=0.0,
      atol=5 * (rate * (1.0 - rate) / y.size)**0.5 + 1e-6)
  close(kept.mean(), 1.0 - rate)
  np.testing.assert_allclose(y[kept], 2.0 / (1.0 - rate or 1.0), rtol=1e-4)
  # Both halves of a word, neighbours and rows are independent.
  for a, b in ((kept[:, :16], kept[:, 17:]), (kept[:, 1:], kept[:, :-1]),
               (kept[1:], kept[:-1])):
    np.testing.assert_allclose(
        (a & b).mean(), (1.0 - rate)**2, rtol=0.0, atol=0.02)


def test_noise_embedding_has_constant_gaussian_frequencies():
  # With the identity as first layer the Fourier features can be read off.
  channels, c_noise = 512, np.float32([0.0, 1e-4])
  embedding = blocks.NoiseEmbedding(channels)
  variables = _random(embedding, c_noise)
  assert set(variables) == {'params'}
  assert set(variables['params']) == {'linear_1', 'linear_2'}
  variables['params']['linear_1'] = {
      'kernel': np.eye(channels, 4 * channels, dtype=np.float32),
      'bias': np.zeros(4 * channels, np.float32)}
  _, inside = _apply(embedding, variables, c_noise)
  features = inside['linear_1'][:, :channels]
  cos, sin = features[:, :256], features[:, 256:]
  np.testing.assert_array_equal(cos[0], np.ones(256))
  np.testing.assert_array_equal(sin[0], np.zeros(256))
  np.testing.assert_allclose(cos**2 + sin**2, np.ones((2, 256)), atol=1e-6)
  frequencies = np.arcsin(sin[1]) / (2 * np.pi * 1e-4)
  # Four standard errors of 256 draws.
  assert abs(frequencies.std() / 16 - 1) < 4 * (1 / 512) ** 0.5
  assert abs(frequencies.mean()) < 4


def test_noise_embedding_is_two_layers_each_with_silu():
  c_noise = np.float32([0.3, -0.8])
  embedding = blocks.NoiseEmbedding(4)
  variables = _random(embedding, c_noise)
  y, inside = _apply(embedding, variables, c_noise)
  expected = _silu(
      _linear(_silu(inside['linear_1']), variables['params']['linear_2']))
  assert y.shape == (2, 16)
  np.testing.assert_allclose(y, expected, atol=1e-5)


def test_sinusoids_are_cos_and_then_sin_from_fast_to_slow():
  t = np.array([0, 7, 999])
  y = np.asarray(blocks.sinusoids(t, 6))
  for k, frequency in enumerate((1.0, 1e4 ** (-1 / 3), 1e4 ** (-2 / 3))):
    np.testing.assert_allclose(y[:, k], np.cos(t * frequency), atol=1e-4)
    np.testing.assert_allclose(y[:, 3 + k], np.sin(t * frequency), atol=1e-4)


def test_time_embedding_is_two_layers_with_silu_between():
  t = np.float32([3, 500])
  embedding = blocks.TimeEmbedding(4)
  variables = _random(embedding, t)
  y, inside = _apply(embedding, variables, t)
  params = variables['params']
  first = _linear(blocks.sinusoids(t, 4), params['linear_1'])
  np.testing.assert_allclose(inside['linear_1'], first, atol=1e-5)
  np.testing.assert_allclose(
      y, _linear(_silu(first), params['linear_2']), atol=1e-5)


@pytest.mark.parametrize('make', [
    lambda dtype: blocks.GroupNorm(4, dtype=dtype),
    lambda dtype: blocks.ResBlock(8, groups=4, dtype=dtype),
], ids=['norm', 'block'])
def test_low_precision_is_close_and_keeps_parameters_in_float32(make):
  x = _image(2, 4, 4, 8)
  low, exact = make(jnp.bfloat16), make(jnp.float32)
  variables = _random(low, x, scale=0.2)
  assert {a.dtype for a in jax.tree.leaves(jax.eval_shape(
      low.init, jax.random.key(0), x))} == {np.dtype('float32')}
  y, _ = _apply(low, variables, x.astype(jnp.bfloat16))
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(
      np.float32(y), _apply(exact, variables, x)[0], atol=0.1)


@pytest.mark.parametrize('channels', [3, 5])
@pytest.mark.parametrize('kernel, stride, size', [
    (4, 2, (8, 12)), (3, 2, (7, 8)), (3, 1, (5, 6))])
def test_convolution_of_few_channels_is_a_convolution(
    channels, kernel, stride, size):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(2, *size, channels)).astype(np.float32)
  net = blocks.conv(6, kernel=kernel, stride=stride, pad=1, name='conv')
  variables = net.init(jax.random.key(0), x)
  weights = variables['params']['kernel']
  expected = jax.lax.conv_general_dilated(
      x, weights, (stride, stride), ((1, 1), (1, 1)),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
  np.testing.assert_allclose(net.apply(variables, x), expected, atol=1e-5)
