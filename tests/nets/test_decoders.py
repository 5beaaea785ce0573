"""Tests of `nets.decoders`, and of the size of the published nets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.nets import decoders
from seqdiff.nets import encoders
from seqdiff.nets import skip_mlp
from seqdiff.nets import unet

STATIC, DYNAMIC = 5, 3


@pytest.fixture(scope='module')
def tiny():
  """A denoiser with random parameters, and arguments for it."""
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  net = decoders.AdaGNDenoiser(unet.UNet(
      3, 8, multipliers=(1,), num_blocks=0, attention_levels=(), groups=4))
  arguments = {
      'x': draw(2, 3, 4, 4, 3), 'c_noise': draw(2, 3),
      'static': draw(2, STATIC), 'dynamic': draw(2, 3, DYNAMIC)}
  shapes = jax.eval_shape(
      lambda key: net.init(key, **arguments), jax.random.key(0))
  variables = jax.tree.map(lambda a: 0.3 * draw(*a.shape), shapes)
  apply = jax.jit(lambda v, arguments: net.apply(v, **arguments))
  return apply, variables, arguments


def _changes(apply, variables, arguments, **other):
  """(B, T) bool: which frames change with another argument."""
  a, b = apply(variables, arguments), apply(variables, {**arguments, **other})
  return np.abs(a - b).max(axis=(2, 3, 4)) > 1e-4


def test_dynamic_codes_stand_before_the_static_code(tiny):
  apply, variables, arguments = tiny
  kernel = variables['params']['factor_embedding']['kernel']
  assert kernel.shape[0] == DYNAMIC + STATIC
  for rows, blind, seen in (
      (slice(0, DYNAMIC), 'dynamic', 'static'),
      (slice(DYNAMIC, None), 'static', 'dynamic')):
    cut = jax.tree.map(np.array, variables)
    cut['params']['factor_embedding']['kernel'][rows] = 0.0
    other = lambda name: {name: arguments[name] + 1.0}
    assert _changes(apply, variables, arguments, **other(blind)).all()
    assert not _changes(apply, cut, arguments, **other(blind)).any()
    assert _changes(apply, cut, arguments, **other(seen)).all()


@pytest.mark.parametrize('name', ['x', 'c_noise', 'dynamic'])
def test_a_frame_depends_on_its_own_arguments_only(tiny, name):
  apply, variables, arguments = tiny
  other = arguments[name].copy()
  other[1, 0] += 1.0
  changed = _changes(apply, variables, arguments, **{name: other})
  np.testing.assert_array_equal(changed, [[0, 0, 0], [1, 0, 0]])


def test_static_code_is_for_all_frames_of_its_clip(tiny):
  apply, variables, arguments = tiny
  other = arguments['static'].copy()
  other[1] += 1.0
  changed = _changes(apply, variables, arguments, static=other)
  np.testing.assert_array_equal(changed, [[0, 0, 0], [1, 1, 1]])


def test_static_code_per_frame_that_is_the_same_is_the_shared_one(tiny):
  apply, variables, arguments = tiny
  per_frame = np.repeat(arguments['static'][:, None], 3, axis=1)
  assert not _changes(apply, variables, arguments, static=per_frame).any()
  per_frame[0, 1] += 1.0
  changed = _changes(apply, variables, arguments, static=per_frame)
  np.testing.assert_array_equal(changed, [[0, 1, 0], [0, 0, 0]])


def test_noise_level_is_the_first_modulation_and_the_codes_the_second(tiny):
  apply, variables, arguments = tiny
  for number, name in ((1, 'c_noise'), (2, 'static')):
    cut = jax.tree.map(np.array, variables)
    for block in cut['params']['backbone'].values():
      if f'modulation_{number}' in block:
        block[f'modulation_{number}']['kernel'][:] = 0.0
    other = {name: arguments[name] + 1.0}
    assert _changes(apply, variables, arguments, **other).all()
    assert not _changes(apply, cut, arguments, **other).any()


# Parameters of the released nets by their layer shapes: denoiser, network of
# the encoder, recurrences, heads, and all in millions (DiffSDA, Tables 6-7 and
# released code). Sizes: channels of both U-Nets, or widths of the perceptrons
# of encoder and denoiser; hidden size, static and dynamic codes.
PUBLISHED = {
    'mug': ((64, 128, 256, 64), (64, 64, 3),
            (13_657_219, 8_227_009, 4_376_832, 74_048), 26.34),
    'taichi': ((64, 1024, 512, 64), (64, 64, 3),
               (13_722_755, 8_227_009, 45_107_200, 1_114_688), 68.17),
    'voxceleb': ((192, 1024, 512, 12), (32, 32, 4),
                 (122_306_308, 73_883_905, 19_941_376, 1_061_388), 217.19),
    'celebv-hq': ((192, 1024, 1024, 16), (32, 32, 4),
                  (122_702_596, 73_883_905, 19_941_376, 2_114_576), 218.64),
    'physionet': (((4 * 96, 4 * 256), 96, 24, 2), (10,),
                  (7_509_358, 614_784, 398_016, 4_826), 8.53),
    'air_quality': (((4 * 128, 4 * 256), 512, 16, 4), (10,),
                    (7_507_822, 1_081_856, 4_989_952, 18_452), 13.60),
    'etth1': (((4 * 256, 4 * 128), 512, 16, 4), (6,),
              (3_001_130, 4_240_384, 7_087_104, 18_452), 14.35),
}


@pytest.mark.parametrize('name', PUBLISHED)
def test_published_nets_have_their_number_of_parameters(name):
  (width, hidden, static, dynamic), frame, expected, millions = PUBLISHED[name]
  if len(frame) == 3:
    backbones = unet.UNet(1, width), unet.UNet(frame[-1], width)
  else:
    backbones = (skip_mlp.SkipMLP(None, width[0]),
                 skip_mlp.SkipMLP(frame[-1], width[1]))
  encoder = encoders.SequenceEncoder(
      backbones[0], encoders.SequenceHead(static, dynamic, hidden))
  denoiser = decoders.AdaGNDenoiser(backbones[1])

  def init(key, x, frames):
    codes, params = encoder.init_with_output(key, x, frames)
    return params['params'], denoiser.init(key, x, frames, *codes)['params']

  encoder, denoiser = jax.eval_shape(
      init, jax.random.key(0), jnp.zeros((1, 2, *frame)), jnp.zeros((1, 2)))
  count = lambda *trees: sum(a.size for a in jax.tree.leaves(trees))
  head = encoder['head']
  counts = (count(denoiser), count(encoder['backbone']),
            count(head['lstm'], head['rnn']),
            count(head['static_head'], head['dynamic_head']))
  assert counts == expected
  assert count(encoder, denoiser) == sum(expected)
  assert round(sum(expected) / 1e6, 2) == millions


DIVID = dict(multipliers=(1,), num_blocks=0, attention_levels=(), groups=4,
             third_conv=False, resample='block', heads=2, dropout=0.0)


@pytest.fixture(params=[
    {'attention': 'cross'}, {'attention': 'self'},
    {'attention': 'cross', 'multipliers': (1, 2), 'num_blocks': 1,
     'attention_levels': (1,)}], ids=['cross', 'self', 'two levels'])
def divid(request):
  """DiViD's denoiser, both ways of conditioning, as `tiny`."""
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  net = decoders.CrossAttentionDenoiser(
      unet.UNet(3, 8, **{**DIVID, **request.param}))
  arguments = {
      'x': draw(2, 3, 4, 4, 3), 't': np.float32(rng.integers(999, size=(2, 3))),
      'static': draw(2, STATIC), 'dynamic': draw(2, 3, STATIC)}
  shapes = jax.eval_shape(
      lambda key: net.init(key, **arguments), jax.random.key(0))
  variables = jax.tree.map(lambda a: 0.3 * draw(*a.shape), shapes)
  return jax.jit(lambda v, a: net.apply(v, **a)), variables, arguments


def test_frame_sees_its_own_dynamic_code_and_the_static_code(divid):
  apply, variables, arguments = divid
  # Exactly zero: what happens in another frame does not reach this one.
  grad = jax.jit(jax.grad(lambda dynamic: jnp.sum(apply(
      variables, {**arguments, 'dynamic': dynamic})[1, 0] ** 2)))(
          arguments['dynamic'])
  own = np.zeros((2, 3), bool)
  own[1, 0] = True
  np.testing.assert_array_equal(np.abs(grad).max(axis=-1) > 0, own)
  for name in 'static', 'x', 't':
    other = arguments[name].copy()
    other[1] += 1.0
    changed = _changes(apply, variables, arguments, **{name: other})
    np.testing.assert_array_equal(changed, [[0, 0, 0], [1, 1, 1]])


def test_tokens_are_projected_to_one_size_by_kind():
  net = decoders.CrossAttentionDenoiser(
      unet.UNet(3, 8, attention='cross', **DIVID), token_dim=6)
  x, t = jnp.zeros((1, 2, 4, 4, 3)), jnp.zeros((1, 2))
  params = jax.eval_shape(
      net.init, jax.random.key(0), x, t, jnp.zeros((1, STATIC)),
      jnp.zeros((1, 2, DYNAMIC)))['params']
  assert params['static_token']['kernel'].shape == (STATIC, 6)
  assert params['dynamic_token']['kernel'].shape == (DYNAMIC, 6)
  with pytest.raises(ValueError, match='expected equal sizes.*token_dim'):
    net.clone(token_dim=None).init(
        jax.random.key(0), x, t, jnp.zeros((1, STATIC)),
        jnp.zeros((1, 2, DYNAMIC)))


def test_tokens_are_told_apart_by_their_types_only_if_asked():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  code, other = draw(1, STATIC), draw(1, STATIC)
  x, t = draw(1, 1, 4, 4, 3), np.zeros((1, 1))
  for types in False, True:
    net = decoders.CrossAttentionDenoiser(
        unet.UNet(3, 8, attention='cross', **DIVID), token_types=types)
    variables = jax.tree.map(lambda a: 0.3 * draw(*a.shape), jax.eval_shape(
        net.init, jax.random.key(0), x, t, code, other[None]))
    apply = jax.jit(net.apply)
    exchanged = np.allclose(
        apply(variables, x, t, code, other[None]),
        apply(variables, x, t, other, code[None]), atol=1e-4)
    assert exchanged != types


# DiViD's denoiser on latents of 32 x 32 x 3, computed from its layer shapes.
@pytest.mark.parametrize('attention, count', [
    ('cross', 151_907_203), ('self', 128_063_235)])
def test_parameters_of_divid(attention, count):
  net = decoders.CrossAttentionDenoiser(unet.UNet(
      3, 128, multipliers=(1, 2, 4, 4), attention_levels=(0, 1, 2),
      third_conv=False, zero_init=True, resample='block', attention=attention,
      heads=8))
  params = jax.eval_shape(
      net.init, jax.random.key(0), jnp.zeros((1, 1, 32, 32, 3)),
      jnp.zeros((1, 1)), jnp.zeros((1, 256)), jnp.zeros((1, 1, 256)))
  assert sum(np.prod(a.shape) for a in jax.tree.leaves(params)) == count


def test_values_of_a_step_are_read_from_its_own_codes_dynamic_first():
  rng = np.random.default_rng(0)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  static, dynamic = draw(2, STATIC), draw(2, 4, DYNAMIC)
  net = decoders.CodeDecoder(skip_mlp.SkipMLP(6, width=8))
  variables = jax.tree.map(lambda a: draw(*a.shape), jax.eval_shape(
      net.init, jax.random.key(0), static, dynamic))
  values = jax.jit(net.apply)(variables, static, dynamic)
  backbone = {'params': variables['params']['backbone']}
  for b in range(2):
    codes = np.stack([np.concatenate([d, static[b]]) for d in dynamic[b]])
    np.testing.assert_allclose(
        values[b], net.backbone.apply(backbone, codes), rtol=1e-4, atol=1e-5)
