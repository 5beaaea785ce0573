"""The imputation protocol: spans of a series that the model did not see.

Version 1, series only. In each series a span of 24 steps is hidden (of half the
series, if it is shorter than 48), once of all variables and once of a single
one; where it lies, and which variable, are drawn from the seed and the number
of the series. The model fills it (`sampling.impute`) and is judged by what was
observed there: `all_variables_mse` and `_mae`, `one_variable_mse` and `_mae`,
normalised. Its encoder reads the interpolation in place of what is missing;
with the prefix `zero/`, 0 as in training.

Reference rows, with errors over the same values:

  self_reconstruction  the model's reconstruction of the whole series, of which
                       nothing was hidden: what its codes can hold at best
  linear               interpolation in time between what is known of the
                       variable; before and after, the nearest value
  last                 the last known value of the variable is carried forward;
                       without one, its mean
  constant             the mean of the variable in the training split
"""

import collections

import jax
import numpy as np

from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.evaluation import observed
from seqdiff.sampling import impute
from seqdiff.sampling import reconstruct

VERSION = 1
SPAN = 24  # Steps.


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol.

  Raises:
    ValueError: if nothing of what would be hidden was observed.
  """
  key = keys.named(jax.random.key(ctx.seed), 'imputation')
  fill, fill_zero = (impute.make_impute(ctx.method, guess=guess)
                     for guess in ('interpolation', 'zero'))
  rebuild = reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared')
  source = ctx.dataset.splits[ctx.split]
  indices = np.arange(min(ctx.num_clips, len(source)))
  sums = collections.defaultdict(float)
  for batch in loader.eval_batches(
      source, batch_size=ctx.batch_size, indices=indices, **ctx.cut):
    whole = rebuild(ctx.params, batch, key)
    for task, hidden in spans(batch, ctx.seed).items():
      known = batch['observed'] & ~hidden
      gaps = {**batch, 'x': np.where(known, batch['x'], 0), 'observed': known}
      judged = (hidden & batch['observed']
                & batch['example_mask'][:, None, None])
      for row, guess in {
          '': fill(ctx.params, gaps, key),
          'zero/': fill_zero(ctx.params, gaps, key),
          'reference/self_reconstruction/': whole,
          'reference/linear/': impute.interpolate(gaps['x'], known),
          'reference/last/': carry_forward(gaps['x'], known),
          'reference/constant/': np.zeros(hidden.shape)}.items():
        sums[row, task] += observed.error_sums(guess, batch['x'], judged)
  metrics, counts = {}, {'clips': len(indices)}
  for (row, task), found in sums.items():
    counts[f'{task}_values'] = int(found[0].sum())
    if not found[0].any():
      raise ValueError(
          f'Protocol imputation, {task}: nothing was observed in the spans of '
          f'{len(indices)} series; expected some values to judge by. Raise '
          'config.eval.num_clips, or leave it out of config.eval.protocols.')
    metrics[f'{row}{task}_mse'] = observed.mse(found)
    metrics[f'{row}{task}_mae'] = observed.mae(found)
  return metrics, counts


def spans(batch: types.Batch, seed: int) -> dict[str, np.ndarray]:
  """What is hidden of each series of a batch, (B, T, D) bool, by task."""
  every, one = np.zeros((2, *batch['x'].shape), bool)
  for place, (index, mask) in enumerate(zip(batch['index'], batch['mask'])):
    rng = np.random.default_rng([VERSION, seed, int(index)])
    length = int(mask.sum())
    size = min(SPAN, length // 2)
    start = int(rng.integers(length - size + 1))
    every[place, start:start + size] = True
    one[place, start:start + size, rng.integers(one.shape[-1])] = True
  return {'all_variables': every, 'one_variable': one}


def carry_forward(x: np.ndarray, known: np.ndarray) -> np.ndarray:
  """The last known value of each variable; before its first one 0, the mean."""
  steps = np.where(known, np.arange(x.shape[1])[:, None], -1)
  steps = np.maximum.accumulate(steps, axis=1)
  found = np.take_along_axis(x, np.maximum(steps, 0), axis=1)
  return np.where(steps < 0, 0.0, found)
