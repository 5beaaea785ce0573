"""The reconstruction protocol: error of clips decoded from their own factors.

Version 2, in which the other clip is a random one: the one before, as in
version 1, may be of the same scene. Mean squared error in units of the [0, 1]
pixel range (as the field reports it) and PSNR = -10 log10 of it, from fresh
noise and from the clip's own x_T by the reverse ODE. The second shows that the
ODE is inverted; only the first says what the factors hold. Reference rows:
another clip of the split, if there is one, and the mean frame. `flicker` is the
error of the change from frame to frame, sum |(x'_{t+1} - x'_t) - (x_{t+1} -
x_t)| / sum |x_{t+1} - x_t|: 1 for a clip that stands still, more if frames are
drawn without regard to each other.

Of series it is the error over what was observed, normalised, and of each
variable the mean absolute error in its unit, `mae/<variable>`. Reference rows:
another series of the split, where both were observed, and the mean of the
variable in the training split, whose error is near 1.
"""

import collections
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.evaluation import observed
from seqdiff.sampling import reconstruct

VERSION = 2


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol."""
  samplers = {
      '': reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared'),
      'encoded_x_T/': reconstruct.make_reconstruct(ctx.method, x_T='encoded')}
  if ctx.dataset.variables:
    return _of_series(ctx, samplers)
  mse, metrics, counts = errors(ctx, samplers)
  for name, value in {**mse, **_reference_errors(ctx)}.items():
    metrics[f'{name}mse'] = value
    metrics[f'{name}psnr'] = float(-10.0 * np.log10(max(value, 1e-12)))
  return metrics, counts


def errors(
    ctx: context.Context, samplers: Mapping[str, Callable[..., jax.Array]]
) -> tuple[dict[str, float], dict[str, float], dict[str, int]]:
  """Errors of video by sampler, and the counts.

  Returns:
    Mean squared errors in [0, 1] units by name of the sampler; as metrics,
    the flicker of each, of clips that change; and the counts.
  """
  key = keys.named(jax.random.key(ctx.seed), 'reconstruction')
  sums, count = dict.fromkeys(samplers, 0.0), 0
  changes, total = dict.fromkeys(samplers, 0.0), 0.0
  indices = _indices(ctx)
  for batch, x, mask in _clips(ctx, indices):
    for name, sample in samplers.items():
      guess = sample(ctx.params, batch, key)
      sums[name] += _squared_error(guess, x, mask)
      changes[name] += _change(guess - x, mask)
    count += int(mask.sum())
    total += _change(x, mask)
  flicker = {f'{name}flicker': change / total
             for name, change in changes.items() if total > 0.0}
  return ({name: value / count for name, value in sums.items()}, flicker,
          {'clips': len(indices), 'frames': count})


def _of_series(ctx, samplers) -> tuple[dict[str, float], dict[str, int]]:
  """As `run`, of series."""
  key = keys.named(jax.random.key(ctx.seed), 'reconstruction')
  indices, sums = _indices(ctx), collections.defaultdict(float)
  others = _clips(ctx, _others(ctx, indices))
  for (batch, x, mask), (other, x_other, _) in zip(
      _clips(ctx, indices), others):
    seen = batch['observed'] & mask[..., None]
    for row, sample in samplers.items():
      sums[row] += observed.error_sums(sample(ctx.params, batch, key), x, seen)
    if len(indices) > 1:
      sums['reference/random_pair/'] += observed.error_sums(
          x_other, x, seen & other['observed'])
    sums['reference/constant/'] += observed.error_sums(
        np.zeros(x.shape), x, seen)
  metrics = {}
  for row, found in sums.items():
    metrics[f'{row}mse'] = observed.mse(found)
    for name, value in observed.mae_in_units(
        found, ctx.dataset.variables).items():
      metrics[f'{row}mae/{name}'] = value
  return metrics, {'clips': len(indices), 'values': int(sums[''][0].sum())}


def _reference_errors(ctx) -> dict[str, float]:
  """The errors of another clip and of the mean frame."""
  indices = _indices(ctx)
  error, count, sums = 0.0, 0, []
  others = _clips(ctx, _others(ctx, indices))
  for (_, x, mask), (_, other, _) in zip(_clips(ctx, indices), others):
    error += _squared_error(other, x, mask)
    sums.append(_sums(x, mask))
    count += int(mask.sum())
  # The mean frame is the best constant: its error is the variance.
  total, square = (sum(part[i] for part in sums) / count for i in (0, 1))
  found = {'reference/constant/': float(np.mean(square - total**2)) / 4.0}
  if len(indices) > 1:
    found['reference/random_pair/'] = error / count
  return found


def _indices(ctx) -> np.ndarray:
  """The clips that are judged."""
  return np.arange(min(ctx.num_clips, len(ctx.dataset.splits[ctx.split])))


def _others(ctx, indices) -> np.ndarray:
  """For each clip another one: the next on a random round of all of them."""
  order = np.random.default_rng([VERSION, ctx.seed]).permutation(len(indices))
  others = np.empty_like(indices)
  others[order] = indices[np.roll(order, 1)]
  return others


def _clips(ctx, indices):
  """Batches, their clips as floats and their mask without padded examples."""
  for batch in loader.eval_batches(
      ctx.dataset.splits[ctx.split], batch_size=ctx.batch_size,
      indices=indices, **ctx.cut):
    x = data_batch.to_float(jnp.asarray(batch['x']))
    yield batch, x, batch['mask'] & batch['example_mask'][:, None]


def _squared_error(guess, x, mask) -> float:
  """Sum over real frames of the mean squared error in [0, 1] units."""
  error = jnp.square((guess - x) / 2.0)
  error = jnp.mean(error, axis=tuple(range(2, x.ndim)))
  return float(jnp.sum(error * mask))


def _change(x, mask) -> float:
  """Sum over pairs of real frames of the mean |x_{t+1} - x_t|."""
  change = jnp.mean(jnp.abs(jnp.diff(x, axis=1)), axis=tuple(range(2, x.ndim)))
  return float(jnp.sum(change * (mask[:, 1:] & mask[:, :-1])))


def _sums(x, mask):
  """Sums over real frames of x and of its square, each (H, W, C)."""
  weight = shapes.expand_like(jnp.asarray(mask, jnp.float32), x)
  return (np.asarray(jnp.sum(x * weight, axis=(0, 1)), np.float64),
          np.asarray(jnp.sum(jnp.square(x) * weight, axis=(0, 1)), np.float64))
