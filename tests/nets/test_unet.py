"""Tests of `nets.unet`."""

import contextlib
import functools
import io

from flax import linen as nn
import jax
from jax import ad_checkpoint
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.nets import attention
from seqdiff.nets import blocks
from seqdiff.nets import unet
from third_party.ldm_autoencoder import nets


def _tiny(**kwargs):
  return unet.UNet(**{**dict(
      out_channels=3, channels=8, multipliers=(1, 2), num_blocks=1,
      attention_levels=(), groups=4), **kwargs})


# The smallest net, for what has to be compiled with its gradient.
_SMALLEST = dict(multipliers=(1,), num_blocks=0)


def _image(*shape):
  return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def _shapes(net, *args):
  return jax.eval_shape(net.init, jax.random.key(0), *args)['params']


def _random(net, *args):
  """Random parameters: at `init` the result is almost zero."""
  rng = np.random.default_rng(0)
  return {'params': jax.tree.map(
      lambda a: (0.2 * rng.normal(size=a.shape)).astype(np.float32),
      _shapes(net, *args))}


def test_result_is_almost_zero_at_first():
  net, x = _tiny(**_SMALLEST), _image(2, 4, 4, 3)
  y, variables = jax.jit(net.init_with_output)(jax.random.key(0), x)
  assert y.shape == (2, 4, 4, 3)
  assert 0.0 < np.abs(y).max() < 1e-3
  assert np.abs(variables['params']['tail']['kernel']).max() < 1e-5


def test_attention_is_placed_by_level_and_in_the_middle():
  params = _shapes(_tiny(attention_levels=(1,)), np.zeros((1, 16, 16, 3)))
  having = {name for name in params if 'attention' in name}
  assert having == {
      'down_1_attention_0', 'middle_attention_0', 'up_1_attention_0',
      'up_1_attention_1'}


def test_attention_follows_its_block():
  net, x = _tiny(attention_levels=(0,), multipliers=(1,)), _image(2, 4, 4, 3)
  variables = _random(net, x)
  _, inside = jax.jit(functools.partial(
      net.apply, capture_intermediates=True))(variables, x)
  inside = {k: v['__call__'][0] for k, v in inside['intermediates'].items()
            if k != '__call__'}
  after = attention.SelfAttention(groups=4).apply(
      {'params': variables['params']['down_0_attention_0']},
      inside['down_0_block_0'])
  np.testing.assert_allclose(inside['down_0_attention_0'], after, atol=1e-4)


# As in DiViD: residual blocks that resample, and transformers.
_DIVID = dict(
    multipliers=(1, 2), attention_levels=(1,), third_conv=False,
    zero_init=True, resample='block', attention='cross', heads=2, dropout=0.0)


def test_layout_with_residual_blocks_between_the_levels():
  params = _shapes(_tiny(**_DIVID), np.zeros((1, 8, 8, 3)),
                   (np.zeros((1, 5)),), np.zeros((1, 2, 6)))
  seen = {name: part['conv_1']['kernel'].shape[2:]
          for name, part in params.items() if 'block' in name}
  assert seen == {
      'down_0_block_0': (8, 8), 'down_0_block': (8, 8),
      'down_1_block_0': (8, 16), 'middle_block_0': (16, 16),
      'middle_block_1': (16, 16), 'up_1_block_0': (32, 16),
      'up_1_block_1': (24, 16), 'up_1_block': (16, 16),
      'up_0_block_0': (24, 8), 'up_0_block_1': (16, 8)}
  assert not any('stride' in name or name.endswith('conv') for name in params)
  assert {name for name, part in params.items() if 'cross_attention' in part
          } == {'down_1_attention_0', 'middle_attention_0', 'up_1_attention_0',
                'up_1_attention_1'}


def test_result_is_zero_at_first_if_asked_and_sees_the_context_later():
  net = _tiny(**{**_DIVID, **_SMALLEST, 'attention_levels': (0,)})
  x = _image(2, 4, 4, 3)
  embedding, context = (_image(2, 5),), _image(2, 2, 6)
  y, _ = jax.jit(net.init_with_output)(
      jax.random.key(0), x, embedding, context)
  np.testing.assert_array_equal(y, np.zeros((2, 4, 4, 3)))
  variables = _random(net, x, embedding, context)
  run = jax.jit(lambda c: net.apply(variables, x, embedding, c))
  other = context.copy()
  other[1, 1] += 1.0
  changed = np.abs(run(other) - run(context)).max(axis=-1)
  np.testing.assert_array_equal(changed[0], np.zeros((4, 4)))
  assert changed[1].min() > 0


def test_blocks_and_channels_of_the_published_layout():
  # DiffSDA's table of the layout: input and output channels of each block.
  net = unet.UNet(3, 64)
  params = _shapes(net, np.zeros((1, 64, 64, 3)))
  seen = {name: part['conv_1']['kernel'].shape[2:]
          for name, part in params.items() if 'block' in name}
  down = {0: [(64, 64)] * 2, 1: [(64, 128), (128, 128)],
          2: [(128, 128)] * 2, 3: [(128, 128)] * 2}
  up = {3: [(256, 128)] * 3, 2: [(256, 128)] * 3,
        1: [(256, 128), (256, 128), (192, 128)],
        0: [(192, 64), (128, 64), (128, 64)]}
  expected = {f'{way}_{level}_block_{i}': sizes
              for way, levels in (('down', down), ('up', up))
              for level, blocks in levels.items()
              for i, sizes in enumerate(blocks)}
  expected.update(middle_block_0=(128, 128), middle_block_1=(128, 128))
  assert seen == expected


def test_every_image_is_treated_by_itself():
  net, x = _tiny(**_SMALLEST), _image(3, 4, 4, 3)
  variables = _random(net, x)
  grad = jax.jit(jax.grad(
      lambda x: jnp.sum(net.apply(variables, x)[1] ** 2)))(x)
  np.testing.assert_array_equal(grad[0], np.zeros((4, 4, 3)))
  np.testing.assert_array_equal(grad[2], np.zeros((4, 4, 3)))
  assert np.abs(grad[1]).min() > 0


def test_patches_are_folded_neighbour_by_neighbour_and_unfolded_again():
  net, x = _tiny(patch_size=2), _image(2, 8, 12, 3)
  folded = net.apply({}, x, method=lambda m, x: m._fold(x))
  assert folded.shape == (2, 4, 6, 12)
  for row in range(4):
    for column in range(6):
      patch = x[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
      np.testing.assert_array_equal(
          folded[:, row, column], patch.reshape(2, 12))
  np.testing.assert_array_equal(
      net.apply({}, folded, method=lambda m, x: m._unfold(x)), x)


def test_coordinates_are_two_more_channels_from_corner_to_corner():
  x = _image(2, 4, 6, 3)
  folded = np.asarray(
      _tiny(coordinates=True).apply({}, x, method=lambda m, x: m._fold(x)))
  np.testing.assert_array_equal(folded[..., :3], x)
  for corner in np.ndindex(2, 2):
    row, column = corner[0] * 3, corner[1] * 5
    np.testing.assert_array_equal(
        folded[:, row, column, 3:], np.tile(2.0 * np.array(corner) - 1, (2, 1)))


@pytest.mark.parametrize('size, kwargs, unit', [
    ((10, 8), {'multipliers': (1, 1, 1)}, 4),
    ((8, 10), {'multipliers': (1, 1, 1)}, 4),
    ((8, 12), {'patch_size': 4}, 8),
])
def test_size_that_cannot_be_halved_is_refused(size, kwargs, unit):
  message = (f'images of {size[0]}x{size[1]} cannot be halved.*multiples of '
             f'{unit}. Resize')
  with pytest.raises(ValueError, match=message):
    _tiny(**kwargs).init(jax.random.key(0), np.zeros((1, *size, 3)))


@pytest.mark.parametrize('policy, share', [
    (True, 0.5), ('dots_saveable', 0.8)])
def test_remat_stores_less_and_changes_neither_value_nor_gradient(
    policy, share):
  x, embedding = _image(2, 4, 4, 3), (_image(2, 5),)
  key = jax.random.key(3)
  variables = _random(_tiny(**_SMALLEST), x, embedding)

  def loss_of(net):
    return lambda v: jnp.sum(jnp.square(net.apply(
        v, x, embedding, train=True, rngs={'dropout': key})))

  results, stored = [], []
  for remat in False, policy:
    loss = loss_of(_tiny(remat=remat, dropout=0.5, **_SMALLEST))
    results.append(jax.jit(jax.value_and_grad(loss))(variables))
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
      ad_checkpoint.print_saved_residuals(loss, variables)
    stored.append(len(printed.getvalue().splitlines()))
  assert stored[1] < share * stored[0]
  jax.tree.map(
      lambda a, b: np.testing.assert_allclose(
          b, a, rtol=1e-4, atol=1e-5), *results)


def test_unknown_policy_of_remat_is_refused():
  with pytest.raises(ValueError, match="'dots'.*Known: dots_saveable, dots_w"):
    _shapes(_tiny(remat='dots'), _image(1, 4, 4, 3), ())


def test_low_precision_leaves_parameters_gradients_and_result_in_float32():
  x, embedding = _image(2, 4, 4, 3), (_image(2, 5),)
  exact, low = _tiny(**_SMALLEST), _tiny(dtype=jnp.bfloat16, **_SMALLEST)
  variables = _random(low, x, embedding)
  float32 = {np.dtype('float32')}
  assert {a.dtype for a in jax.tree.leaves(
      _shapes(low, x, embedding))} == float32

  y = jax.jit(exact.apply)(variables, x, embedding)
  y_low, inside = jax.jit(functools.partial(
      low.apply, capture_intermediates=True))(variables, x, embedding)
  assert y_low.dtype == jnp.float32
  computed = {part.dtype for name, block in inside['intermediates'].items()
              if 'block' in name for part in jax.tree.leaves(block)
              if part.ndim == 4}
  assert computed == {jnp.dtype('bfloat16')}
  grads = jax.eval_shape(
      jax.grad(lambda v: low.apply(v, x, embedding).sum()), variables)
  assert {a.dtype for a in jax.tree.leaves(grads)} == float32
  # bfloat16 has eight bits: close to float32, and not the same.
  error = np.sqrt(np.mean((y - y_low) ** 2) / np.mean(y**2))
  assert 1e-4 < error < 0.1


def _epsilons(net, *args):
  """The epsilon of each norm, from what it makes of values of +-0.001."""
  found = {}

  def watch(call, inputs, kwargs, context):
    norm = context.module
    if not isinstance(norm, (blocks.GroupNorm, nn.LayerNorm)):
      return call(*inputs, **kwargs)
    signs = (-1.0) ** jnp.arange(inputs[0].shape[-1])
    y = call(jnp.zeros(inputs[0].shape) + 1e-3 * signs.reshape(
        (1,) * (inputs[0].ndim - 1) + (-1,)))
    found['/'.join(norm.path)] = 1e-6 / jnp.max(y) ** 2 - 1e-6
    return y

  def measure(key):
    with nn.intercept_methods(watch):
      net.init(key, *args)
    return found

  return jax.jit(measure)(jax.random.key(0))


@pytest.mark.parametrize('kind, before', [('self', 1e-5), ('cross', 1e-6)])
def test_norms_before_spatial_transformers_have_a_smaller_epsilon(kind, before):
  net = _tiny(**_SMALLEST, attention=kind, attention_levels=(0,), heads=2)
  found = _epsilons(net, _image(2, 4, 4, 3), (), _image(2, 2, 5))
  is_before = {name: name.endswith('attention_0/norm') for name in found}
  assert sum(is_before.values()) == 2 and len(found) > 8
  for name, epsilon in found.items():
    expected = before if is_before[name] else 1e-5
    np.testing.assert_allclose(epsilon, expected, rtol=1e-3, err_msg=name)


def test_norms_of_the_first_stage_have_a_smaller_epsilon():
  net = nets.Autoencoder(channels=4, multipliers=(1,), num_blocks=1,
                         attention_levels=(0,), groups=2, codebook_size=7)
  found = _epsilons(net, _image(1, 8, 8, 3))
  assert {name.split('/')[0] for name in found} == {'encoder', 'decoder'}
  np.testing.assert_allclose(list(found.values()), 1e-6, rtol=1e-3)
