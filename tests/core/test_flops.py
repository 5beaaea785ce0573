"""Tests of `seqdiff.core.flops`."""

import jax
import jax.numpy as jnp
from jax._src.cudnn import fused_attention_stablehlo as cudnn
import pytest

from seqdiff.core import flops

A, B = jnp.ones((8, 16)), jnp.ones((16, 4))
IMAGE, KERNEL = jnp.ones((2, 8, 8, 3)), jnp.ones((3, 3, 3, 5))


def _conv(image, kernel, stride=1):
  return jax.lax.conv_general_dilated(
      image, kernel, (stride, stride), 'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


def _loop(a):
  body = lambda carry, _: (carry @ A.T @ A, None)
  return jax.lax.scan(body, a, None, length=7)[0]


def _gradients(function):
  return jax.grad(lambda *args: jnp.sum(function(*args)**2), argnums=(0, 1))


@pytest.mark.parametrize('function, args, expected', [
    # 2 * rows * inner * columns.
    (jnp.matmul, (A, B), 2 * 8 * 16 * 4),
    (jax.jit(jnp.matmul), (A, B), 2 * 8 * 16 * 4),
    (jax.vmap(jnp.matmul, (None, 0)), (A, jnp.ones((3, 16, 4))),
     3 * 2 * 8 * 16 * 4),
    # 2 * outputs * (kernel height * width * inputs).
    (_conv, (IMAGE, KERNEL), 2 * (2 * 8 * 8 * 5) * (3 * 3 * 3)),
    # Each gradient costs as much as the function.
    (_gradients(jnp.matmul), (A, B), 3 * 2 * 8 * 16 * 4),
    (_gradients(lambda i, k: _conv(i, k, 2)), (IMAGE, KERNEL),
     3 * 2 * (2 * 4 * 4 * 5) * (3 * 3 * 3)),
    # What a loop does counts as often as it runs.
    (_loop, (A,), 7 * 2 * (2 * 8 * 16 * 8)),
    (jax.checkpoint(_loop), (A,), 7 * 2 * (2 * 8 * 16 * 8)),
    (lambda a: jax.lax.cond(a[0, 0] > 0, _loop, lambda a: a, a), (A,),
     7 * 2 * (2 * 8 * 16 * 8)),
    (lambda a: jnp.sin(a) + 1, (A,), 0),
])
def test_operations_are_those_counted_by_hand(function, args, expected):
  assert flops.count(function, *args) == expected


def test_without_loops_and_padding_xla_counts_the_same():
  function = lambda image, kernel, b: jax.lax.conv_general_dilated(
      image, kernel, (1, 1), 'VALID',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC')).reshape(-1, 5) @ b
  args = IMAGE, KERNEL, jnp.ones((5, 7))
  xla = jax.jit(function).lower(*args).compile().cost_analysis()
  assert flops.count(function, *args) == xla['flops']


def _turns(length, unroll=1):
  return lambda a: jax.lax.scan(
      lambda carry, _: (carry @ A.T @ A, None), a, None, length=length,
      unroll=unroll)[0]


@pytest.mark.parametrize('function, expected', [
    (_turns(7), True), (_turns(7, unroll=2), True),
    (_turns(7, unroll=True), False), (_turns(1), False), (jnp.sin, False),
    (jax.jit(jax.checkpoint(_turns(7))), True),
    (lambda a: jax.lax.while_loop(lambda a: a.sum() > 0, jnp.sin, a), True)])
def test_loops_are_those_whose_bytes_xla_counts_for_one_turn(
    function, expected):
  assert flops.has_loop(function, A) == expected


def test_loop_of_unknown_length_is_explained():
  endless = lambda a: jax.lax.while_loop(
      lambda a: a.sum() > 0, lambda a: a @ A.T @ A, a)
  with pytest.raises(ValueError, match='cannot be counted; expected jax.lax'):
    flops.count(endless, A)


def test_attention_by_cudnn_is_counted_as_its_products(monkeypatch):
  monkeypatch.setattr(cudnn, 'check_cudnn_version', lambda: 91000)
  q = jax.ShapeDtypeStruct((2, 10, 3, 16), jnp.bfloat16)
  k = jax.ShapeDtypeStruct((2, 6, 3, 16), jnp.bfloat16)

  def attend(implementation):
    return lambda q, k, v: jax.nn.dot_product_attention(
        q, k, v, implementation=implementation)

  forward, fused = attend('xla'), attend('cudnn')
  product = 2 * 2 * 3 * 10 * 6 * 16
  assert flops.count(forward, q, k, k) == 2 * product
  assert flops.count(fused, q, k, k) == 2 * product
  gradients = lambda function: jax.grad(
      lambda *args: jnp.sum(function(*args).astype(jnp.float32)), (0, 1, 2))
  assert flops.count(gradients(forward), q, k, k) == 6 * product
  assert flops.count(gradients(fused), q, k, k) == 7 * product  # Weights twice.


def test_a_product_reads_its_factors_and_writes_its_result():
  compiled = jax.jit(jnp.matmul).lower(
      jnp.ones((64, 32)), jnp.ones((32, 16))).compile()
  assert flops.bytes_accessed(compiled) == 4 * (64 * 32 + 32 * 16 + 64 * 16)
