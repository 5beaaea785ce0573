"""The judge protocol: accuracy of a judge on held-out real clips.

Version 1. `<factor>_accuracy` of each head, over the real frames; continuous
factors count as right within their tolerance. Reference: the largest class.
"""

import numpy as np

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.evaluation import judging

VERSION = 1


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol."""
  source = ctx.dataset.splits[ctx.split]
  verdicts, masks, labels = [], [], []
  for batch in loader.eval_batches(
      source, batch_size=ctx.batch_size, **ctx.cut):
    keep = batch['example_mask']
    found = ctx.jury.verdicts(
        data_batch.to_float(batch['x']), batch['mask'], batch)
    verdicts.append([{k: v[keep] for k, v in judge.items()}
                     for judge in found])
    masks.append(batch['mask'][keep])
    labels.append({f.key: batch[f.key][keep] for f in ctx.dataset.factors})
  mask = np.concatenate(masks)
  mean = lambda right: float(np.sum(right * mask) / np.sum(mask))
  metrics = judging.mean_and_spread([
      {f'{name}_accuracy': mean(right) for name, right in judge.items()}
      for judge in judging.join(verdicts)])
  for f in ctx.dataset.factors:
    if f.num_classes is not None:
      y = np.concatenate([part[f.key] for part in labels])
      metrics[f'reference/chance/{f.name}_accuracy'] = float(
          np.bincount(y).max() / len(y))
  return metrics, {'clips': len(mask), 'frames': int(mask.sum()),
                   'judges': len(ctx.jury.params)}
