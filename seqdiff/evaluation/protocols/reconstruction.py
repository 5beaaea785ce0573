"""The reconstruction protocol: error of clips decoded from their own factors.

Version 1. Mean squared error in units of the [0, 1] pixel range (as the field
reports it) and PSNR = -10 log10 of it, from fresh noise and from the clip's
own x_T by the reverse ODE. The second shows that the ODE is inverted; only
the first says what the factors hold. Reference rows: another clip of the
split, and the mean frame.
"""

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.sampling import reconstruct

VERSION = 1


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol."""
  source = ctx.dataset.splits[ctx.split]
  indices = np.arange(min(ctx.num_clips, len(source)))
  key = keys.named(jax.random.key(ctx.seed), 'reconstruction')
  samplers = {
      '': reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared'),
      'encoded_x_T/': reconstruct.make_reconstruct(ctx.method, x_T='encoded'),
  }
  sums, count, frames = {}, 0.0, []
  streams = [
      loader.eval_batches(
          source, batch_size=ctx.batch_size, num_frames=ctx.num_frames,
          stride=ctx.stride, indices=chosen)
      for chosen in (indices, np.roll(indices, 1))]
  for batch, other in zip(*streams):
    x = data_batch.to_float(jnp.asarray(batch['x']))
    mask = batch['mask'] & batch['example_mask'][:, None]
    frames.append(_sums(x, mask))
    guesses = {n: sample(ctx.params, batch, key) for n, sample in
               samplers.items()}
    guesses['reference/random_pair/'] = data_batch.to_float(other['x'])
    for name, guess in guesses.items():
      sums[name] = sums.get(name, 0.0) + _squared_error(guess, x, mask)
    count += float(mask.sum())
  mse = {name: total / count for name, total in sums.items()}
  # The mean frame is the best constant: its error is the variance.
  total, square = (sum(part[i] for part in frames) / count for i in (0, 1))
  mse['reference/constant/'] = float(np.mean(square - total**2)) / 4.0
  metrics = {}
  for name, value in mse.items():
    metrics[f'{name}mse'] = value
    metrics[f'{name}psnr'] = float(-10.0 * np.log10(max(value, 1e-12)))
  return metrics, {'clips': len(indices), 'frames': int(count)}


def fresh_error(ctx: context.Context) -> tuple[float, dict[str, int]]:
  """Mean squared error from fresh noise, in [0, 1] units, and the counts."""
  source = ctx.dataset.splits[ctx.split]
  indices = np.arange(min(ctx.num_clips, len(source)))
  sample = reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared')
  key = keys.named(jax.random.key(ctx.seed), 'reconstruction')
  total = count = 0.0
  for batch in loader.eval_batches(
      source, batch_size=ctx.batch_size, num_frames=ctx.num_frames,
      stride=ctx.stride, indices=indices):
    x = data_batch.to_float(jnp.asarray(batch['x']))
    mask = batch['mask'] & batch['example_mask'][:, None]
    total += _squared_error(sample(ctx.params, batch, key), x, mask)
    count += float(mask.sum())
  return total / count, {'clips': len(indices), 'frames': int(count)}


def _squared_error(guess, x, mask) -> float:
  """Sum over real frames of the mean squared error in [0, 1] units."""
  error = jnp.square((guess - x) / 2.0)
  error = jnp.mean(error, axis=tuple(range(2, x.ndim)))
  return float(jnp.sum(error * mask))


def _sums(x, mask):
  """Sums over real frames of x and of its square, each (H, W, C)."""
  weight = shapes.expand_like(jnp.asarray(mask, jnp.float32), x)
  return (np.asarray(jnp.sum(x * weight, axis=(0, 1)), np.float64),
          np.asarray(jnp.sum(jnp.square(x) * weight, axis=(0, 1)), np.float64))
