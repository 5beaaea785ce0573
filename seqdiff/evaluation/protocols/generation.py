r"""The generation protocol: clips of a latent prior, seen by judges.

Version 1. As many clips are sampled as there are real ones. Of each classified
factor judges give class probabilities p_i of clip i, and with their mean p

  conditional_entropy  H(y|x) = -mean_i sum_c p_ic ln p_ic   (lower: clear)
  marginal_entropy     H(y)   = -sum_c p_c ln p_c            (higher: diverse)
  inception_score      exp(H(y) - H(y|x))

(DiffSDA, arXiv:2510.05717, App. F; natural logarithms.) Beyond them:

  static_consistency   share of frames that, judged alone, show the class which
                       most frames of the clip show, over the static factors
  temporal_difference  mean |x_{t+1} - x_t|, in [0, 2]: too high if frames
                       flicker, too low if they stand still

Clips of which one kind of code is kept from a real clip and the other sampled
are compared with the labels of that clip, as `static_kept/...` and
`dynamic_kept/...`: what is kept must agree (Table 9: `Acc`), what is sampled
should not, or the prior has copied it.

Reference rows: `real` clips; `reconstruction`, real clips from their own codes;
`shuffled`, frames of different real clips in one, drawn from all of them (once
from those of a batch: that row alone has changed); `uniform` guesses.
"""

from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.evaluation import judging
from seqdiff.sampling import reconstruct

VERSION = 1
KINDS = ('static', 'dynamic')


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts; the context has a jury and `generate`."""
  classified = [f for f in ctx.dataset.factors if f.num_classes is not None]
  count = min(ctx.num_clips, len(ctx.dataset.splits[ctx.split]))
  rebuild = reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared')
  key = keys.named(jax.random.key(ctx.seed), 'generation')
  seen, kept, total = {}, {}, 0
  for batch, mixed in zip(
      _batches(ctx, np.arange(count)), _shuffled(ctx, count)):
    fine = batch['example_mask']
    total += int(fine.sum())
    real = data_batch.to_float(batch['x'])
    for row, x, mask in (
        ('', ctx.generate(batch, None), batch['mask']),
        ('reference/real/', real, batch['mask']),
        ('reference/reconstruction/', rebuild(ctx.params, batch, key),
         batch['mask']),
        ('reference/shuffled/', data_batch.to_float(mixed['x']),
         mixed['mask'])):
      seen.setdefault(row, []).append(
          _look(ctx.jury, x, mask, classified, fine))
    for kind in KINDS:
      x = ctx.generate(batch, kind)
      kept.setdefault(kind, []).append([
          {name: right[fine] for name, right in verdict.items()}
          for verdict in ctx.jury.verdicts(x, batch['mask'], batch)])
  metrics = {}
  for row, batches in seen.items():
    per_judge = [_measure(judge, classified) for judge in zip(*batches)]
    metrics.update({f'{row}{name}': value for name, value in
                    judging.mean_and_spread(per_judge).items()})
  for kind, batches in kept.items():
    metrics.update(judging.mean_and_spread([
        _agreement(verdict, ctx.dataset.factors, f'{kind}_kept')
        for verdict in judging.join(batches)]))
  for factor in classified:
    metrics[f'reference/uniform/{factor.name}/marginal_entropy'] = float(
        np.log(factor.num_classes))
  return metrics, {'clips': total, 'judges': len(ctx.jury.params)}


def entropies(p: np.ndarray) -> dict[str, float]:
  """H(y|x), H(y) and the inception score of class probabilities (N, K)."""
  entropy = lambda q: -np.sum(q * np.log(np.maximum(q, 1e-16)), axis=-1)
  conditional = float(np.mean(entropy(p)))
  marginal = float(entropy(np.mean(p, axis=0)))
  return {'conditional_entropy': conditional, 'marginal_entropy': marginal,
          'inception_score': float(np.exp(marginal - conditional))}


def consistency(classes: np.ndarray) -> float:
  """Share of frames with the most frequent class of their clip, (N, T) int."""
  counts = np.sum(classes[:, :, None] == classes[:, None, :], axis=2)
  return float(np.mean(counts.max(axis=1) / classes.shape[1]))


def _look(
    jury: judging.Jury,
    x: types.Array,
    mask: types.Array,
    factors: Sequence[data_batch.Factor],
    fine: np.ndarray,
) -> list[dict[str, np.ndarray]]:
  """What each judge sees in clips: probabilities, classes of single frames."""
  x = jnp.asarray(x)
  frames = jnp.repeat(  # Clips of one frame each.
      x.reshape((-1, 1) + x.shape[2:]), x.shape[1], axis=1)
  wide = jnp.repeat(mask, x.shape[1], axis=0)
  change = np.abs(np.diff(np.asarray(x), axis=1))
  found = []
  for of_clip, of_frame in zip(
      jury.outputs(x, mask), jury.outputs(frames, wide)):
    seen = {'change': change.mean(axis=tuple(range(1, change.ndim)))[fine]}
    for f in factors:
      seen[f'p/{f.name}'] = np.asarray(jax.nn.softmax(of_clip[f.name]))[fine]
      seen[f'frames/{f.name}'] = np.asarray(
          jnp.argmax(of_frame[f.name], axis=-1)).reshape(mask.shape)[fine]
    found.append(seen)
  return found


def _measure(
    batches: Sequence[Mapping[str, np.ndarray]],
    factors: Sequence[data_batch.Factor],
) -> dict[str, float]:
  """The metrics of one judge, of what it has seen batch by batch."""
  joined = {name: np.concatenate([b[name] for b in batches])
            for name in batches[0]}
  metrics = {'temporal_difference': float(joined['change'].mean())}
  for f in factors:
    metrics.update({f'{f.name}/{name}': value for name, value in
                    entropies(joined[f'p/{f.name}']).items()})
  static = [consistency(joined[f'frames/{f.name}'])
            for f in factors if f.kind == 'static']
  if static:
    metrics['static_consistency'] = float(np.mean(static))
  return metrics


def _agreement(verdict, factors, row) -> dict[str, float]:
  """Share of frames on which all factors of a kind agree with the labels."""
  return {
      f'{row}/{kind}_accuracy': float(np.mean(judging.all_right(
          verdict, [f for f in factors if f.kind == kind])))
      for kind in KINDS if any(f.kind == kind for f in factors)}


def _batches(ctx, indices) -> Iterator[types.Batch]:
  """Batches of the clips with these indices."""
  return loader.eval_batches(
      ctx.dataset.splits[ctx.split], batch_size=ctx.batch_size,
      indices=indices, **ctx.cut)


def _shuffled(ctx, count) -> Iterator[types.Batch]:
  """Clips whose frame t is that of the clip t places further.

  The clips are in a random order, for neighbours may be of the same scene.
  """
  order = np.random.default_rng([VERSION, ctx.seed]).permutation(count)
  streams = [_batches(ctx, np.roll(order, -t)) for t in range(ctx.num_frames)]
  for batches in zip(*streams):
    yield {name: np.stack([b[name][:, t] for t, b in enumerate(batches)], 1)
           for name in ('x', 'mask')}
