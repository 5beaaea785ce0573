"""The exploration protocol: what the principal components of codes tell.

Version 1. The components are those of static codes that a prior has sampled,
see `sampling.explore`. Codes of real clips are projected on the first K of
them, and a logistic regression on a few labelled training clips tells each
static factor from one component alone, and from the K together; the score is
its accuracy on clips of the evaluation split.

Names: `component_<k>/<factor>`, `components/<factor>`, and `average`, the mean
of the latter. Beside each name of a factor stand `reference/chance/<name>`, the
share of the largest class of the evaluated clips, and beside `components` also
`reference/whole_code/<name>`, the same regression on the whole code.
`static_variance/component_<k>` and `dynamic_variance/component_<k>` are the
shares of the variance of standardised codes. A factor of which the labelled or
the evaluated clips have one class only is left out.
"""

from collections.abc import Mapping

import numpy as np
import threadpoolctl

from seqdiff.evaluation import codes
from seqdiff.evaluation import context
from seqdiff.evaluation import trivial
from seqdiff.sampling import explore

VERSION = 1


def run(
    ctx: context.Context,
    directions: Mapping[str, explore.Directions],
    *,
    num_components: int,
    num_labelled: int,
) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol.

  Args:
    ctx: model, data and settings.
    directions: of 'static' and of 'dynamic' codes.
    num_components: K, at most; a small code has fewer.
    num_labelled: labelled training clips, at most; they are drawn at random.
  """
  metrics = {
      f'{kind}_variance/component_{k}': float(share)
      for kind, found in directions.items()
      for k, share in enumerate(found.shares[:num_components], 1)}
  factors = [f for f in ctx.dataset.factors_of('static')
             if f.num_classes is not None]
  counts = {'codes': int(directions['static'].num_codes)}
  if not factors:
    return metrics, counts
  total, shown = (len(ctx.dataset.splits[s]) for s in ('train', ctx.split))
  chosen = np.random.default_rng((VERSION, ctx.seed)).permutation(total)
  train = codes.read(ctx, 'train', indices=np.sort(chosen[:num_labelled]))
  test = codes.read(ctx, ctx.split, indices=np.arange(
      min(ctx.num_clips, shown)))
  project = lambda found: directions['static'].project(
      found.static)[:, :num_components]
  inputs = project(train), project(test)
  together = []
  for factor in factors:
    y = train.labels[factor.key], test.labels[factor.key]
    if min(len(np.unique(labels)) for labels in y) < 2:
      continue
    chance = float(np.bincount(y[1]).max() / len(y[1]))
    for name, columns in {
        **{f'component_{k + 1}': [k] for k in range(inputs[0].shape[1])},
        'components': slice(None)}.items():
      name = f'{name}/{factor.name}'
      fitted, judged = (x[:, columns] for x in inputs)
      metrics[name] = _accuracy(fitted, y[0], judged, y[1])
      metrics[f'reference/chance/{name}'] = chance
    metrics[f'reference/whole_code/{name}'] = _accuracy(
        train.static, y[0], test.static, y[1])
    together.append(metrics[f'components/{factor.name}'])
  if together:
    metrics['average'] = float(np.mean(together))
  return metrics, {**counts, 'clips': len(test.static),
                   'labelled_clips': len(train.static)}


def _accuracy(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, y_test: np.ndarray
) -> float:
  """On test clips, of a linear probe that was fitted to others."""
  with threadpoolctl.threadpool_limits(1):  # On small matrices it is quicker.
    return float(trivial.linear_classifier().fit(x, y).score(x_test, y_test))
