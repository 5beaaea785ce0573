"""Tests of `methods.started`."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.methods import started


@dataclasses.dataclass(frozen=True)
class Linear:
  """Two named arrays."""

  size: int = 2

  def init(self, key, batch):
    del batch
    return {'a': jax.random.normal(key, (self.size,)), 'b': {'c': jnp.ones(3)}}

  def loss(self, params, batch, key, *, step, train):
    del key, step, train
    return batch['x'] @ params['a'], {}


def test_given_parameters_are_taken_and_others_are_fresh():
  method = started.Started(Linear(), {'a': np.float32([5.0, 7.0])})
  params = jax.jit(method.init)(jax.random.key(0), {})
  np.testing.assert_array_equal(params['a'], [5.0, 7.0])
  np.testing.assert_array_equal(params['b']['c'], np.ones(3))
  loss, _ = method.loss(
      params, {'x': jnp.eye(2)}, None, step=jnp.int32(0), train=True)
  np.testing.assert_array_equal(loss, [5.0, 7.0])


def test_the_types_are_those_of_the_method():
  # As those of its checkpoints, which it is continued from without a start.
  method = started.Started(Linear(), {'a': np.float16([5.0, 7.0])})
  assert jax.eval_shape(method.init, jax.random.key(0), {}) == jax.eval_shape(
      Linear().init, jax.random.key(0), {})


@pytest.mark.parametrize('start, message', [
    ({'a': np.ones(3)}, r'a has the shape \(3,\) there and \(2,\) here'),
    ({'d': np.ones(3)}, r'd has the shape \(3,\) there and None here')])
def test_parameters_that_do_not_fit_are_named(start, message):
  with pytest.raises(ValueError, match=message):
    started.Started(Linear(), start).init(jax.random.key(0), {})
