r"""The discrimination protocol: can sampled series be told from real ones?

Version 1, of latent priors of series. As many series are sampled as there are
real ones, and what is missing of these is hidden in the samples. They are as
long as the longest series that the prior has seen; later steps do not count. A
random forest learns to tell both apart from `features`; five times it is judged
by another fifth of the series, with the samples that have their gaps:

  auroc                 0.5 if nobody can tell, 1 if anybody can
  discriminative_score  |accuracy - 0.5|, from 0 to 0.5

The second is that of Yoon et al. 2019, "Time-series generative adversarial
networks", who train a recurrent network in place of the forest. The same with
the prefix `beside_reconstruction/`, where reconstructions stand for the real
series: what of it is the prior's doing, as the decoder is the same.

Reference rows: `real`, one half of the real series beside the other;
`reconstruction`, real series from their own codes; `swapped`, from the static
code of one and the dynamic codes of another, which is what a prior gives that
knows nothing of how the two belong together; `reordered`, real series with
their steps in a random order.
"""

import collections

import jax
import numpy as np
from sklearn import ensemble
from sklearn import metrics as sk_metrics
from sklearn import model_selection

from seqdiff.core import keys
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import codes
from seqdiff.evaluation import context
from seqdiff.evaluation import judging
from seqdiff.sampling import reconstruct
from seqdiff.sampling import swap

VERSION = 1
_FOLDS, _REPEATS, _TREES = 5, 3, 300


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts; the context has `generate`.

  Raises:
    ValueError: for fewer series than two for each fold.
  """
  count = min(ctx.num_clips, len(ctx.dataset.splits[ctx.split]))
  if count < 2 * _FOLDS:
    raise ValueError(
        f'Protocol discrimination with {count} series; expected at least '
        f'{2 * _FOLDS}. Raise config.eval.num_clips, or choose another split.')
  order = np.random.default_rng([VERSION, ctx.seed]).permutation(count)
  found = _look(ctx, order)
  real, half = found.pop('real'), count // 2
  pairs = {row: (real, others) for row, others in found.items()}
  pairs['reference/real/'] = real[order[:half]], real[order[half:2 * half]]
  rebuilt = found.pop('reference/reconstruction/')
  pairs |= {f'{row}beside_reconstruction/': (rebuilt, others)
            for row, others in found.items()}
  return judging.mean_and_spread([
      {f'{row}{name}': value for row, pair in pairs.items()
       for name, value in tell(*pair, seed=repeat).items()}
      for repeat in range(_REPEATS)]), {
          'clips': count, 'folds': _FOLDS, 'repeats': _REPEATS}


def tell(
    real: np.ndarray, others: np.ndarray, *, seed: int
) -> dict[str, float]:
  """How well a forest tells features (N, F) of two kinds of series apart.

  Those with one number are together in a fold.
  """
  x, number = np.concatenate([real, others]), len(real)
  label = np.repeat([1, 0], number)
  guess = model_selection.cross_val_predict(
      ensemble.RandomForestClassifier(_TREES, random_state=seed), x, label,
      groups=np.tile(np.arange(number), 2), method='predict_proba',
      cv=model_selection.GroupKFold(_FOLDS))[:, 1]
  accuracy = np.mean((guess > 0.5) == label)
  return {'auroc': float(sk_metrics.roc_auc_score(label, guess)),
          'discriminative_score': float(np.abs(accuracy - 0.5))}


def features(x: np.ndarray, observed: np.ndarray) -> np.ndarray:
  """What the forest sees of series (N, T, D): (N, 4 D + D (D - 1) / 2).

  Of each variable mean, deviation, mean change |x_{t+1} - x_t| and correlation
  with its next value; of each pair of variables their correlation. All are of
  what was observed, 0 without two values.
  """
  moments = codes.statistics(x, observed)
  mean, deviation = np.split(moments[:, None], 2, axis=-1)
  z = np.where(observed, (x - mean) / np.maximum(deviation, 1e-6), 0.0)
  both = observed[:, 1:] & observed[:, :-1]
  pairs = np.maximum(both.sum(axis=1), 1)
  change = np.sum(np.abs(np.diff(x, axis=1)) * both, axis=1) / pairs
  following = np.sum(z[:, 1:] * z[:, :-1], axis=1) / pairs
  products = lambda a: np.einsum('ntd,nte->nde', a, a)
  with_others = products(z) / np.maximum(products(observed.astype(float)), 1)
  upper = np.triu_indices(x.shape[-1], k=1)
  return np.concatenate(
      [moments, change, following, with_others[:, *upper]], axis=-1)


def _look(ctx, order) -> dict[str, np.ndarray]:
  """Features (N, F) of the real series and of each row of samples."""
  rebuild = reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared')
  mix = swap.make_swap(ctx.method, x_T='fresh_shared')
  key = keys.named(jax.random.key(ctx.seed), 'discrimination')
  partner = np.empty_like(order)
  partner[order] = np.roll(order, 1)  # Never the series itself.
  batches = lambda indices: loader.eval_batches(
      ctx.dataset.splits[ctx.split], batch_size=ctx.batch_size,
      indices=indices, **ctx.cut)
  found = collections.defaultdict(list)
  for batch, other in zip(batches(np.arange(len(order))), batches(partner)):
    seen = np.asarray(data_batch.observed(batch)) & batch['mask'][..., None]
    fine = batch['example_mask']
    moved = lambda a, places=_reordered(batch, ctx.seed): (
        np.take_along_axis(a, places[..., None], axis=1))
    samples = ctx.generate(batch, None)
    for row, x, shown in (
        ('real', batch['x'], seen),
        ('', samples, seen),
        ('reference/reconstruction/', rebuild(ctx.params, batch, key), seen),
        ('reference/swapped/', mix(ctx.params, other, batch, key), seen),
        ('reference/reordered/', moved(batch['x']), moved(seen))):
      x, shown = (np.asarray(a)[:, :samples.shape[1]] for a in (x, shown))
      found[row].append(features(x.astype(np.float64), shown)[fine])
  return {row: np.concatenate(parts) for row, parts in found.items()}


def _reordered(batch, seed) -> np.ndarray:
  """Steps (N, T) in another order, the real ones first as before."""
  places = np.tile(np.arange(batch['mask'].shape[1]), (len(batch['mask']), 1))
  for row, mask, index in zip(places, batch['mask'], batch['index']):
    rng = np.random.default_rng([VERSION, seed, index])
    row[mask] = rng.permutation(row[mask])
  return places
