"""Tests of `nets.recurrent`, against loops in numpy."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.nets import recurrent

HIDDEN = 3


def _sequence(batch=2, frames=5, size=4, seed=1):
  return np.random.default_rng(seed).normal(
      size=(batch, frames, size)).astype(np.float32)


def _random(module, x):
  rng = np.random.default_rng(0)
  shapes = jax.eval_shape(module.init, jax.random.key(0), x, _ones(x))
  return jax.tree.map(
      lambda a: rng.normal(size=a.shape).astype(np.float32), shapes)


def _ones(x):
  return np.ones(x.shape[:2], bool)


def _sigmoid(x):
  return 1.0 / (1.0 + np.exp(-x))


def _loop(params, x, cell, activation=np.tanh, start=0.0):
  """One direction, one gate and one example after the other, no mask."""
  kernel = lambda name, gate: np.split(
      np.asarray(params[name], np.float64), 4 if cell == 'lstm' else 1,
      axis=-1)[gate]

  def gate(number, x, h):
    return (x @ kernel('input_kernel', number) + kernel('input_bias', number)
            + h @ kernel('state_kernel', number) + kernel('state_bias', number))

  outputs = np.zeros(x.shape[:2] + (HIDDEN,))
  for example in range(len(x)):
    c = h = np.full(HIDDEN, start)
    for frame, value in enumerate(x[example]):
      if cell == 'rnn':
        h = activation(gate(0, value, h))
      else:
        i, f, o = (_sigmoid(gate(n, value, h)) for n in (0, 1, 3))
        c = f * c + i * activation(gate(2, value, h))
        h = o * activation(c)
      outputs[example, frame] = h
  return outputs


@pytest.mark.parametrize('cell', ['lstm', 'rnn'])
@pytest.mark.parametrize('reverse', [False, True])
def test_equals_the_loop(cell, reverse):
  x = _sequence()
  layer = recurrent.Recurrence(HIDDEN, cell=cell, reverse=reverse)
  variables = _random(layer, x)
  outputs, last = jax.jit(layer.apply)(variables, x, _ones(x))
  turn = slice(None, None, -1 if reverse else 1)
  expected = _loop(variables['params'], x[:, turn], cell)
  np.testing.assert_allclose(outputs, expected[:, turn], atol=1e-5)
  np.testing.assert_allclose(last, expected[:, -1], atol=1e-5)


@pytest.mark.parametrize('cell', ['lstm', 'rnn'])
def test_another_activation_and_start(cell):
  x = _sequence()
  layer = recurrent.Recurrence(HIDDEN, cell=cell, activation='sigmoid')
  variables = _random(layer, x)
  outputs, _ = jax.jit(layer.apply)(
      variables, x, _ones(x), np.full((2, HIDDEN), 0.7, np.float32))
  expected = _loop(variables['params'], x, cell, _sigmoid, 0.7)
  np.testing.assert_allclose(outputs, expected, atol=1e-5)


@pytest.mark.parametrize('cell', ['lstm', 'rnn'])
@pytest.mark.parametrize('reverse', [False, True])
def test_padding_has_no_influence(cell, reverse):
  x = _sequence()
  layer = recurrent.Recurrence(HIDDEN, cell=cell, reverse=reverse)
  variables = _random(layer, x)
  mask = np.arange(5)[None] < np.array([[3], [5]])
  outputs, last = jax.jit(layer.apply)(variables, x, mask)
  short, last_short = jax.jit(layer.apply)(
      variables, x[:1, :3], np.ones((1, 3), bool))
  np.testing.assert_allclose(outputs[0, :3], short[0], atol=1e-6)
  np.testing.assert_allclose(last[0], last_short[0], atol=1e-6)


def test_state_is_held_over_a_gap():
  x = _sequence(batch=1)
  layer = recurrent.Recurrence(HIDDEN)
  variables = _random(layer, x)
  mask = np.array([[1, 1, 0, 1, 1]], np.float32)
  outputs, _ = layer.apply(variables, x, mask)
  without, _ = layer.apply(
      variables, np.delete(x, 2, axis=1), np.ones((1, 4), bool))
  np.testing.assert_allclose(
      np.delete(outputs, 2, axis=1), without, atol=1e-6)
  np.testing.assert_array_equal(outputs[0, 2], outputs[0, 1])


def test_padded_frames_get_zero_gradient():
  x = _sequence()
  layer = recurrent.Bidirectional(HIDDEN)
  variables = _random(layer, x)
  mask = np.arange(5)[None] < np.array([[3], [5]])

  def total(x):
    outputs, last = layer.apply(variables, x, mask)
    return jnp.sum(jnp.square(outputs)) + jnp.sum(jnp.square(last))

  grad = np.asarray(jax.jit(jax.grad(total))(x))
  np.testing.assert_array_equal(grad[0, 3:], np.zeros((2, 4)))
  assert np.abs(grad[mask]).max(axis=-1).min() > 0


def _plain(params, x, mask, start, cell, act, reverse):
  """One frame after the other, for autodiff."""
  c, h, outputs = start, start, []
  for frame in list(range(x.shape[1]))[::-1 if reverse else 1]:
    z = (x[:, frame] @ params['input_kernel'] + params['input_bias'][None]
         + h @ params['state_kernel'] + params['state_bias'][None])
    if cell == 'rnn':
      c_new, h_new = c, act(z)
    else:
      i, f, g, o = jnp.split(z, 4, axis=-1)
      c_new = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * act(g)
      h_new = jax.nn.sigmoid(o) * act(c_new)
    keep = mask[:, frame, None]
    c, h = keep * c_new + (1 - keep) * c, keep * h_new + (1 - keep) * h
    outputs.append(h)
  return jnp.stack(outputs[::-1 if reverse else 1], axis=1), h


@pytest.mark.parametrize('cell', ['lstm', 'rnn'])
@pytest.mark.parametrize('activation, reverse', [
    ('tanh', False), ('tanh', True), ('sigmoid', False)])
def test_gradient_is_that_of_autodiff(cell, activation, reverse):
  x = _sequence()
  layer = recurrent.Recurrence(
      HIDDEN, cell=cell, activation=activation, reverse=reverse)
  params = _random(layer, x)['params']
  mask = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]], np.float32)
  rng = np.random.default_rng(2)
  slopes = rng.normal(size=(2, 6, HIDDEN))
  start = rng.normal(size=(2, HIDDEN)).astype(np.float32)
  act = recurrent.ACTIVATIONS[activation][0]

  def gradient(run):
    def total(params, x, start):
      outputs, last = run(params, x, start)
      return jnp.sum(outputs * slopes[:, :5]) + jnp.sum(last * slopes[:, 5])
    return jax.jit(jax.grad(total, argnums=(0, 1, 2)))(params, x, start)

  fast = gradient(lambda p, x, s: layer.apply({'params': p}, x, mask, s))
  plain = gradient(
      lambda p, x, s: _plain(p, x, mask, s, cell, act, reverse))
  chex.assert_trees_all_close(fast, plain, rtol=1e-5, atol=1e-6)
  assert min(np.abs(a).max() for a in jax.tree.leaves(plain)) > 0.03


def test_bidirectional_joins_both_directions_and_their_ends():
  x = _sequence()
  layer = recurrent.Bidirectional(HIDDEN)
  variables = _random(layer, x)
  outputs, last = layer.apply(variables, x, _ones(x))
  params = variables['params']
  forward = _loop(params['forward'], x, 'lstm')
  backward = _loop(params['backward'], x[:, ::-1], 'lstm')[:, ::-1]
  np.testing.assert_allclose(
      outputs, np.concatenate([forward, backward], axis=-1), atol=1e-5)
  np.testing.assert_allclose(
      last, np.concatenate([forward[:, -1], backward[:, 0]], axis=-1),
      atol=1e-5)


def test_initial_values_of_the_released_code():
  # Xavier-uniform kernels and no input bias forwards; U(-1/sqrt(h), 1/sqrt(h))
  # for all else.
  hidden, size = 64, 32
  x = np.zeros((1, 1, size), np.float32)
  params = recurrent.Bidirectional(hidden).init(
      jax.random.key(0), x, _ones(x))['params']
  default = hidden**-0.5
  xavier = lambda fan_in: (6 / (fan_in + 4 * hidden)) ** 0.5
  bounds = {
      'forward': dict(input_kernel=xavier(size), state_kernel=xavier(hidden),
                      state_bias=default),
      'backward': dict(input_kernel=default, state_kernel=default,
                       input_bias=default, state_bias=default)}
  np.testing.assert_array_equal(
      params['forward'].pop('input_bias'), np.zeros(4 * hidden))
  for direction, part in bounds.items():
    assert set(part) == set(params[direction])
    for name, bound in part.items():
      largest = np.abs(params[direction][name]).max()
      assert 0.95 * bound < largest <= bound, (direction, name)


def test_initial_values_of_keras():
  # Of its documentation: glorot_uniform, orthogonal, unit_forget_bias.
  hidden, size = 16, 8
  x = np.zeros((1, 1, size), np.float32)
  params = recurrent.Recurrence(hidden, keras=True).init(
      jax.random.key(0), x, _ones(x))['params']
  bound = (6 / (size + 4 * hidden)) ** 0.5
  assert 0.95 * bound < np.abs(params['input_kernel']).max() <= bound
  rows = params['state_kernel']
  np.testing.assert_allclose(rows @ rows.T, np.eye(hidden), atol=1e-5)
  i, f, g, o = np.split(params['input_bias'] + params['state_bias'], 4)
  np.testing.assert_array_equal(f, np.ones(hidden))
  for other in i, g, o:
    np.testing.assert_array_equal(other, np.zeros(hidden))
