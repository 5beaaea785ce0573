"""The swap protocol: who performs, and what, judged with reference rows.

Version 1. For each pair (a, b) of a versioned or published pair file the static
code of a is decoded with the dynamic codes of b; judges say on which frames the
static classes of a and the dynamics of b are shown, and on which both are
("joint", which exposes a model that copies one of the clips).

Reference rows say what the numbers mean; each is scored like a swap:

  real                 the clip a itself, against its own labels (the judge)
  self_reconstruction  a decoded from its own factors, against its own labels
  first_stage          a through the first stage of a latent method only
  random_pair          a third real clip c, against a and b (chance by copying);
                       of four pairs or more, for it is the a of another one
  x_T_only             the swap with the dynamic codes of c, against a and b, if
                       it starts from the x_T of a clip: what x_T tells alone
  copy_a, copy_b       the real clip a (b), against a and b
  constant             the mean frame of the clips, against a and b
  chance               uniform guesses of the classes (no judge)
"""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.evaluation import judging
from seqdiff.evaluation import pairs as pair_lib
from seqdiff.sampling import noise
from seqdiff.sampling import reconstruct
from seqdiff.sampling import swap as swap_sampler

VERSION = 1


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol; the context has a jury."""
  factors = ctx.dataset.factors
  pairs = _pairs(ctx)
  swap = swap_sampler.make_swap(ctx.method, x_T=ctx.x_T)
  x_T_only = swap_sampler.make_x_T_only(ctx.method, x_T=ctx.x_T)
  rebuild = reconstruct.make_reconstruct(ctx.method, x_T='fresh_shared')
  key = keys.named(jax.random.key(ctx.seed), 'swap')
  mean_frame = _mean_frame(ctx)

  def rows(a, b, c):
    real = {k: data_batch.to_float(v['x']) for k, v in
            (('a', a), ('b', b), ('c', c))}
    yield 'swap', swap(ctx.params, a, b, key), a, b
    yield 'real', real['a'], a, a
    yield 'self_reconstruction', rebuild(ctx.params, a, key), a, a
    if hasattr(ctx.method, 'through_first_stage'):
      first_stage = reconstruct.make_first_stage(ctx.method)
      yield 'first_stage', first_stage(ctx.params, a, None), a, a
    if len(pairs.a) > 3:
      yield 'random_pair', real['c'], a, b
      if ctx.x_T not in noise.FRESH:
        yield 'x_T_only', x_T_only(ctx.params, a, b, c, key), a, b
    yield 'copy_a', real['a'], a, b
    yield 'copy_b', real['b'], a, b
    yield 'constant', jnp.broadcast_to(mean_frame, real['a'].shape), a, b

  verdicts = {}  # (row, donor) -> per batch, per judge.
  masks = []
  for a, b, c in _batches(ctx, pairs):
    keep = a['example_mask']
    masks.append(b['mask'][keep])
    for name, x, static_of, dynamic_of in rows(a, b, c):
      for donor, labels in (('a', static_of), ('b', dynamic_of)):
        verdicts.setdefault((name, donor), []).append([
            {f: right[keep] for f, right in verdict.items()}
            for verdict in ctx.jury.verdicts(x, b['mask'], labels)])
  mask = np.concatenate(masks)
  metrics = {}
  for name in dict.fromkeys(name for name, _ in verdicts):
    per_judge = [
        judging.swap_metrics(factors, of_a, of_b, mask)
        for of_a, of_b in zip(judging.join(verdicts[name, 'a']),
                              judging.join(verdicts[name, 'b']))]
    scores = judging.mean_and_spread(per_judge)
    if name != 'swap':
      scores = {f'reference/{name}/{k}': v for k, v in scores.items()
                if not k.startswith('complement/')}
    metrics.update(scores)
  metrics.update(_chance(ctx.dataset))
  return metrics, {'pairs': len(pairs.a), 'frames': int(mask.sum()),
                   'judges': len(ctx.jury.params)}


def _pairs(ctx) -> pair_lib.Pairs:
  """Those of a published file, if one is given."""
  if ctx.pairs_file is not None:
    return pair_lib.read(ctx.pairs_file, ctx.dataset, ctx.split,
                         both_orders=ctx.both_orders)
  return pair_lib.load_or_draw(
      ctx.workdir / 'pairs.json', ctx.dataset, ctx.split,
      num_pairs=ctx.num_pairs, seed=ctx.pair_seed,
      both_orders=ctx.both_orders)


def _batches(ctx, pairs) -> Iterator[tuple[types.Batch, ...]]:
  """Batches of the clips a, b and of unrelated clips c."""
  third = np.roll(pairs.a, len(pairs.a) // 2)
  streams = [
      loader.eval_batches(
          ctx.dataset.splits[ctx.split], batch_size=ctx.batch_size,
          indices=indices, **ctx.cut)
      for indices in (pairs.a, pairs.b, third)]
  for number, (a, b, c) in enumerate(zip(*streams)):
    # Noise belongs to the pair: one clip may occur in several.
    index = np.arange(len(a['index']), dtype=np.int32)
    yield {**a, 'index': index + number * ctx.batch_size}, b, c


def _mean_frame(ctx) -> jax.Array:
  """Mean frame of the first clips of the split, (H, W, C)."""
  source = ctx.dataset.splits[ctx.split]
  frames = [data_batch.to_float(source[i]['x']).mean(axis=0)
            for i in range(min(256, len(source)))]
  return jnp.mean(jnp.stack(frames), axis=0)


def _chance(dataset) -> dict[str, float]:
  """Uniform guesses; nothing for continuous factors, which have no chance."""
  metrics = {}
  for kind in ('static', 'dynamic'):
    factors = dataset.factors_of(kind)
    if all(f.num_classes is not None for f in factors):
      metrics[f'reference/chance/{kind}_accuracy'] = pair_lib.chance(factors)
  return metrics
