"""The codes of a split, as predictors and probes read them."""

from collections.abc import Sequence
import dataclasses

import jax
import numpy as np

from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.sampling import codes as codes_sampler


@dataclasses.dataclass(frozen=True)
class Codes:
  """Codes and labels of N clips.

  Attributes:
    static: (N, Ds), those of all frames side by side if they are not shared.
    dynamic: (N, T, Dd).
    mask: (N, T) real frames.
    labels: (N, ...) by key, such as 'labels/month'.
  """

  static: np.ndarray
  dynamic: np.ndarray
  mask: np.ndarray
  labels: dict[str, np.ndarray]


def read(
    ctx: context.Context,
    split: str,
    *,
    params: types.Params | None = None,
    indices: Sequence[int] | None = None,
) -> Codes:
  """Encodes the clips of a split.

  Args:
    ctx: model, data and settings.
    split: which split.
    params: parameters in place of those of the model.
    indices: which clips; None = all.
  """
  params = ctx.params if params is None else params
  encode = codes_sampler.make_encode(ctx.method)

  def of(batch):
    factors = jax.device_get(encode(params, batch, None))
    return factors.static, factors.dynamic

  return _collect(ctx, split, of, indices)


def of_split(
    ctx: context.Context, split: str, *, trained: bool = True
) -> Codes:
  """The codes of all clips of a split, computed once for all protocols.

  Args:
    ctx: model, data and settings.
    split: which split.
    trained: False: by an encoder without training, the same for all splits.
  """
  if (split, trained) not in ctx.known:
    ctx.known[split, trained] = read(
        ctx, split, params=None if trained else _untrained(ctx))
  return ctx.known[split, trained]


def _untrained(ctx):
  """Fresh parameters of the method."""
  source = ctx.dataset.splits['train']
  batch = next(loader.eval_batches(source, batch_size=1, **ctx.cut))
  return ctx.method.init(
      keys.named(jax.random.key(ctx.seed), 'untrained'), batch)


def series(ctx: context.Context, split: str) -> Codes:
  """The series themselves in place of codes.

  Returns:
    As dynamic codes (N, T, 2 D) the values and whether they were observed, as
    static codes (N, 2 D) mean and standard deviation of what was observed.
  """

  def of(batch):
    x, seen = batch['x'], np.asarray(data_batch.observed(batch))
    return statistics(x, seen), np.concatenate([x, seen], axis=-1)

  return _collect(ctx, split, of, None)


def statistics(x: np.ndarray, observed: np.ndarray) -> np.ndarray:
  """Mean and standard deviation over time: (N, T, D) -> (N, 2 D).

  Of a variable that was not observed both are 0.
  """
  count = np.maximum(observed.sum(axis=1), 1)
  mean = (x * observed).sum(axis=1) / count
  error = (x - mean[:, None]) * observed
  return np.concatenate(
      [mean, np.sqrt(np.square(error).sum(axis=1) / count)], axis=-1)


def _collect(ctx, split, of, indices) -> Codes:
  """Codes of all batches, without the examples that fill up the last one."""
  parts = []
  for batch in loader.eval_batches(
      ctx.dataset.splits[split], batch_size=ctx.batch_size, indices=indices,
      **ctx.cut):
    static, dynamic = of(batch)
    part = {'static': np.reshape(static, (len(static), -1)),
            'dynamic': dynamic, 'mask': batch['mask'],
            **{f.key: batch[f.key] for f in ctx.dataset.factors}}
    parts.append({k: v[batch['example_mask']] for k, v in part.items()})
  joined = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
  wide = lambda name: joined.pop(name).astype(np.float64)
  return Codes(static=wide('static'), dynamic=wide('dynamic'),
               mask=joined.pop('mask'), labels=joined)
