"""Conditional swap: the identity of one clip performs another's motion."""

from collections.abc import Callable
import functools

import jax

from seqdiff.data import batch as data_batch
from seqdiff.methods import base
from seqdiff.sampling import devices
from seqdiff.sampling import noise

ENCODED = ('dynamics_clip', 'static_clip')


@functools.lru_cache  # The same function again compiles nothing.
def make_swap(
    method: base.Method, *, x_T: str = 'dynamics_clip'
) -> Callable[..., jax.Array]:
  """Returns the jitted function (params, a, b, key) -> clips (B, T, ...).

  It decodes the static code of each clip of batch `a` with the dynamic codes
  of the clip of batch `b` beside it. Noise is keyed by `a['index']`.

  Args:
    method: the method.
    x_T: 'fresh' | 'fresh_shared' | 'dynamics_clip' | 'static_clip': where the
      sampler starts. 'dynamics_clip', the x_T of b by the reverse ODE, is what
      the paper describes (DiffSDA, App. B.4); 'static_clip' is the x_T of a,
      which shows through in the appearance and flatters static scores.

  Raises:
    ValueError: for an unknown x_T; when called with 'static_clip' and clips of
      two lengths.
  """
  noise.check(x_T, ENCODED)

  @jax.jit
  def swap(params, a, b, key):
    of_a, of_b = base.encode(method, params, a), base.encode(method, params, b)
    x_init = _start(method, params, x_T, (a, of_a), (b, of_b), key)
    return data_batch.in_range(
        method.decode(params, base.swap(of_a, of_b), x_init))

  return devices.over_devices(swap)


@functools.lru_cache  # See above.
def make_x_T_only(
    method: base.Method, *, x_T: str
) -> Callable[..., jax.Array]:
  """Returns the jitted function (params, a, b, c, key) -> clips (B, T, ...).

  As a swap of `a` and `b`, but with the dynamic codes of other clips `c`: what
  these show of the motion of b comes from the x_T of the swap alone.

  Args:
    method: the method.
    x_T: as in `make_swap`.

  Raises:
    ValueError: as `make_swap`.
  """
  noise.check(x_T, ENCODED)

  @jax.jit
  def x_T_only(params, a, b, c, key):
    of_a, of_b, of_c = (base.encode(method, params, of) for of in (a, b, c))
    x_init = _start(method, params, x_T, (a, of_a), (b, of_b), key)
    return data_batch.in_range(
        method.decode(params, base.swap(of_a, of_c), x_init))

  return devices.over_devices(x_T_only)


def _start(method, params, x_T, a, b, key) -> jax.Array:
  """Where the sampler of a swap starts; a and b: a batch and its factors."""
  (a, of_a), (b, of_b) = a, b
  if x_T == 'dynamics_clip':
    return noise.encoded(method, params, of_b, b, key)
  if x_T == 'static_clip':
    if a['x'].shape != b['x'].shape:
      raise ValueError(
          f'x_T=static_clip with clips of shapes {a["x"].shape[1:]} '
          f'and {b["x"].shape[1:]}; expected equal shapes. Choose another x_T.')
    return noise.encoded(method, params, of_a, a, key)
  return noise.fresh(x_T, key, a['index'], b['x'].shape[1:])
