"""What was chosen without a switch, beside the plain way that it replaced.

What was expected of each on a CPU, as a ratio of speeds, before it was measured
(`choice/<name>/ratio`, configs/results/quickstart_speed-choices):

  group_norm  1.5: GroupNorm with scale and shift in one multiply-add, beside
              that of Flax followed by both; gradient
  lstm        2: a layer with one product for all inputs and one for the
              gradient of the state kernel, beside Flax's `nn.RNN` of an
              `OptimizedLSTMCell`; gradient
  frames      above 10: convolutions of all frames at once, beside a
              `jax.lax.scan` over the frames, in which XLA's gradient of a
              convolution is slow on CPUs; gradient
  product     1.2: a linear layer whose kernel's gradient is a product with a
              transposed copy, beside that of autodiff; gradient
  dropout     2: dropout that takes a random word for two values, beside Flax's,
              which takes one for each; gradient
  batched     1.3: 32 small images through a network at once, as a sampler does,
              beside eight calls with 4 of them
  donation    a little above 1: an update of Adam that writes over the old
              parameters, beside one that keeps them until it is done
  uint8       3: clips that become float32 on the device, beside on the host

Both sides give the same numbers from the same parameters; those of dropout are
the same in distribution.
"""

from collections.abc import Callable, Sequence
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqdiff.benchmark import timing
from seqdiff.data import batch as data_batch
from seqdiff.nets import blocks
from seqdiff.nets import recurrent

# What a side returns when its numbers are there.
Side = Callable[[], Any]


def measure(
    names: Sequence[str], *, rounds: int, seconds: float
) -> dict[str, float]:
  """Metrics `choice/<name>/ratio` of choices in `CHOICES`."""
  metrics = {}
  for name in names:
    ours, plain = (timing.timed(side) for side in CHOICES[name]())
    here, there = timing.take_turns(
        ours, plain, rounds=rounds, seconds=seconds)
    metrics |= timing.metric(
        f'choice/{name}/ratio', there.seconds / here.seconds)
    metrics |= timing.speed(here, f'choice/{name}/{{}}')
  return metrics


def _group_norm() -> tuple[Side, Side]:
  """64 images of 32 x 32 pixels and 64 channels."""
  x, scale, shift = _normal((64, 32, 32, 64), (64, 64), (64, 64))
  affine = {'params': {'scale': jnp.ones(64), 'bias': jnp.zeros(64)}}
  ours = blocks.GroupNorm(groups=8)
  plain = nn.GroupNorm(num_groups=8, epsilon=ours.epsilon)

  def modulated(x, affine, scale, shift):
    x = plain.apply(affine, x)
    return x * scale[:, None, None] + shift[:, None, None]

  args = x, affine, scale, shift
  return (_gradient(lambda x, affine, *s: ours.apply(affine, x, *s), *args),
          _gradient(modulated, *args))


def _lstm() -> tuple[Side, Side]:
  """16 sequences of 168 steps, 64 values and as many states."""
  x, = _normal((16, 168, 64))
  ours, mask = recurrent.Recurrence(64), jnp.ones(x.shape[:2], bool)
  params = ours.init(jax.random.key(0), x, mask)
  p = params['params']
  cell = {}
  for k, gate in enumerate('ifgo'):  # Flax has a kernel for each gate.
    part = lambda a: jnp.split(a, 4, axis=-1)[k]
    cell[f'i{gate}'] = {'kernel': part(p['input_kernel'])}
    cell[f'h{gate}'] = {'kernel': part(p['state_kernel']),
                        'bias': part(p['input_bias'] + p['state_bias'])}
  plain = nn.RNN(nn.OptimizedLSTMCell(64))
  return (
      _gradient(lambda x, p: ours.apply(p, x, mask)[0], x, params),
      _gradient(lambda x, p: plain.apply(p, x), x, {'params': {'cell': cell}}))


def _frames() -> tuple[Side, Side]:
  """8 clips of 4 frames, 16 x 16 pixels and 16 channels, two convolutions."""
  x, = _normal((8, 4, 16, 16, 16))
  net = nn.Sequential([nn.Conv(16, (3, 3)), nn.silu, nn.Conv(16, (3, 3))])
  params = net.init(jax.random.key(0), x[0])

  def plain(x, params):
    step = lambda _, frame: (None, net.apply(params, frame))
    return jax.lax.scan(step, None, x.swapaxes(0, 1))[1].swapaxes(0, 1)

  return (_gradient(lambda x, params: net.apply(params, x), x, params),
          _gradient(plain, x, params))


def _product() -> tuple[Side, Side]:
  """640 rows of 512 values, 2048 results each."""
  given = _normal((640, 512), (512, 2048))
  return _gradient(blocks.product, *given), _gradient(jnp.matmul, *given)


def _dropout() -> tuple[Side, Side]:
  """6400 rows of 512 values."""
  x, = _normal((6400, 512))
  apply = lambda net: lambda x: net.apply(
      {}, x, rngs={'dropout': jax.random.key(2)})
  return (_gradient(apply(blocks.Dropout(0.1, deterministic=False)), x),
          _gradient(apply(nn.Dropout(0.1, deterministic=False)), x))


def _batched() -> tuple[Side, Side]:
  """32 images of 16 x 16 pixels and 16 channels, two convolutions."""
  x, = _normal((32, 16, 16, 16))
  net = nn.Sequential([nn.Conv(16, (3, 3)), nn.silu, nn.Conv(16, (3, 3))])
  apply = jax.jit(functools.partial(net.apply, net.init(jax.random.key(0), x)))
  parts = jnp.split(x, 8)
  return (lambda: jax.block_until_ready(apply(x)),
          lambda: jax.block_until_ready(
              jnp.concatenate([apply(part) for part in parts])))


def _donation() -> tuple[Side, Side]:
  """8 M parameters in 8 arrays."""
  tx = optax.adamw(1e-3)

  def update(state):
    params, moments = state
    change, moments = tx.update(params, moments, params)
    return optax.apply_updates(params, change), moments

  def side(donated):
    params = _normal(*[(1024, 1024)] * 8)
    step = jax.jit(update, donate_argnums=donated)
    state = [(params, tx.init(params))]

    def run():
      state[0] = jax.block_until_ready(step(state[0]))
      return state[0]

    return run

  return side((0,)), side(())


def _uint8() -> tuple[Side, Side]:
  """8 clips of 10 frames of 128 x 128 pixels."""
  x = np.random.default_rng(0).integers(
      256, size=(8, 10, 128, 128, 3), dtype=np.uint8)
  to_float = jax.jit(data_batch.to_float)
  on_host = lambda: jax.device_put(data_batch.to_float(x))
  return (lambda: jax.block_until_ready(to_float(x)),
          lambda: jax.block_until_ready(on_host()))


CHOICES = {'group_norm': _group_norm, 'lstm': _lstm, 'frames': _frames,
           'product': _product, 'dropout': _dropout, 'batched': _batched,
           'donation': _donation, 'uint8': _uint8}


def _normal(*shapes):
  """Standard normal arrays."""
  return tuple(jax.random.normal(key, shape) for key, shape in zip(
      jax.random.split(jax.random.key(1), len(shapes)), shapes))


def _gradient(apply, *args):
  """The gradients of the mean square of a result for all arguments."""
  slope = jax.jit(jax.grad(
      lambda *args: jnp.mean(jnp.square(apply(*args))),
      argnums=tuple(range(len(args)))))
  return lambda: jax.block_until_ready(slope(*args))
