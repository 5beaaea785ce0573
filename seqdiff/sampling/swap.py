"""Conditional swap: the identity of one clip performs another's motion."""

from collections.abc import Callable
import functools

import jax

from seqdiff.data import batch as data_batch
from seqdiff.methods import base
from seqdiff.sampling import devices
from seqdiff.sampling import noise


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
  noise.check(x_T, ('dynamics_clip', 'static_clip'))

  @jax.jit
  def swap(params, a, b, key):
    x_a, x_b = (data_batch.to_float(batch['x']) for batch in (a, b))
    of_a = method.encode(params, x_a, a['mask'])
    of_b = method.encode(params, x_b, b['mask'])
    if x_T == 'dynamics_clip':
      x_init = noise.encoded(method, params, of_b, b, key)
    elif x_T == 'static_clip':
      if x_a.shape != x_b.shape:
        raise ValueError(
            f'x_T=static_clip with clips of shapes {x_a.shape[1:]} '
            f'and {x_b.shape[1:]}; expected equal shapes. Choose another x_T.')
      x_init = noise.encoded(method, params, of_a, a, key)
    else:
      x_init = noise.fresh(x_T, key, a['index'], x_b.shape[1:])
    return data_batch.in_range(
        method.decode(params, base.swap(of_a, of_b), x_init))

  return devices.over_devices(swap)
