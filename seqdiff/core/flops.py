"""Floating point operations: those of a function, and the most of a device.

Counted are matrix products and convolutions, of which the time of a network
is made: 2 for each multiplication and addition. `cost_analysis` of a compiled
XLA program would be a count, too, but it counts the body of a loop once,
however often it runs, and so neither recurrences nor samplers.
"""

from collections.abc import Callable, Iterator, Sequence
import math
from typing import Any

import jax
from jax.extend import core

# Dense bfloat16 operations per second, by `jax.Device.device_kind`; one JAX
# device is one chip. Sources: data sheets of NVIDIA (A100, H100 and H200; half
# of what is given "with sparsity") and docs.cloud.google.com/tpu/docs (v4, v5e,
# v5p, v6e).
PEAK = {
    'NVIDIA A100-SXM4-40GB': 312e12,
    'NVIDIA A100-SXM4-80GB': 312e12,
    'NVIDIA H100 80GB HBM3': 989e12,
    'NVIDIA H200': 989e12,
    'TPU v4': 275e12,
    'TPU v5 lite': 197e12,
    'TPU v5': 459e12,
    'TPU v5p': 459e12,
    'TPU v6 lite': 918e12,
}
# Matrix products of attention by cuDNN (see nets.attention); its backward pass
# computes the weights again.
_FUSED = {'dot_product_attention_fwd_wrapper': 2,
          'dot_product_attention_bwd_wrapper': 5}


def peak(devices: Sequence[jax.Device]) -> float | None:
  """The most operations per second of devices together, if it is known."""
  known = [PEAK[d.device_kind] for d in devices if d.device_kind in PEAK]
  return sum(known) if len(known) == len(devices) else None


def count(function: Callable[..., Any], *args: Any) -> float:
  """Operations of one call, without making it.

  What a program computes twice to save memory counts twice. Of the branches
  of a condition the dearest one counts. Multiplications with the zeros between
  the values of a dilated input do not count, those with padding do.

  Args:
    function: any that can be traced by `jax.jit`.
    *args: its arguments, as arrays or as shapes.

  Returns:
    The number.

  Raises:
    ValueError: if a loop runs until a condition holds.
  """
  return _count(jax.make_jaxpr(function)(*args).jaxpr)


def has_loop(function: Callable[..., Any], *args: Any) -> bool:
  """Whether a loop of more than one turn is left in the compiled function.

  Args:
    function: any that can be traced by `jax.jit`.
    *args: its arguments, as arrays or as shapes.
  """
  return _has_loop(jax.make_jaxpr(function)(*args).jaxpr)


def bytes_accessed(compiled: jax.stages.Compiled) -> float:
  """Bytes that a compiled program reads and writes, on each device.

  As XLA estimates it: what its kernels take and give, the body of a loop once,
  so that it does not go with `count` of a function that `has_loop`.
  """
  cost = compiled.cost_analysis()
  return float((cost[0] if isinstance(cost, list) else cost)['bytes accessed'])


def _count(jaxpr: core.Jaxpr) -> float:
  return sum(map(_count_one, jaxpr.eqns))


def _count_one(eqn: core.JaxprEqn) -> float:
  """Operations of one equation and of what it calls."""
  name, inner = eqn.primitive.name, [_count(j) for j in _inner(eqn)]
  if name == 'dot_general':
    (contracted, _), _ = eqn.params['dimension_numbers']
    shape = eqn.invars[0].aval.shape
    return 2.0 * eqn.outvars[0].aval.size * math.prod(
        shape[i] for i in contracted)
  if name == 'conv_general_dilated':
    kernel = eqn.invars[1].aval
    out_features = kernel.shape[eqn.params['dimension_numbers'].rhs_spec[0]]
    return 2.0 * eqn.outvars[0].aval.size * (kernel.size / out_features) / (
        math.prod(eqn.params['lhs_dilation']))
  if name in _FUSED:
    (b, queries, heads, size), (_, tokens, *_) = (
        v.aval.shape for v in eqn.invars[:2])
    return 2.0 * _FUSED[name] * b * heads * queries * tokens * size
  if name == 'scan':
    return eqn.params['length'] * sum(inner)
  if name == 'cond':
    return max(inner)
  if name == 'while' and any(inner):
    raise ValueError(
        'A loop runs until a condition holds, so that its operations cannot be '
        'counted; expected jax.lax.scan, or fori_loop of a known length.')
  return sum(inner)


def _has_loop(jaxpr: core.Jaxpr) -> bool:
  """See `has_loop`; a scan that is unrolled as a whole is none."""
  return any(
      eqn.primitive.name == 'while'
      or (eqn.primitive.name == 'scan'
          and eqn.params['length'] > eqn.params['unroll'])
      or any(map(_has_loop, _inner(eqn)))
      for eqn in jaxpr.eqns)


def _inner(eqn: core.JaxprEqn) -> Iterator[core.Jaxpr]:
  """The programs that an equation holds."""
  for value in eqn.params.values():
    for part in value if isinstance(value, (tuple, list)) else [value]:
      if isinstance(part, core.ClosedJaxpr):
        yield part.jaxpr
      elif isinstance(part, core.Jaxpr):
        yield part
