"""The exploration protocol: what the principal components of codes tell.

Version 1. The components are those of static and of dynamic codes that a prior
has sampled, see `sampling.explore`. Codes of real clips are projected on the
first K of them, and a linear probe of a few labelled training clips tells each
static factor from one component of the static code alone, and from the K
together, and each dynamic factor from those of the dynamic codes. Classes are
told by logistic regression, from the codes of all frames side by side if they
are dynamic; the score is its accuracy on clips of the evaluation split. Values
of frames are told frame by frame by ridge regression; the score is its R^2,
clipped at 0.

Names: `component_<k>/<factor>`, `components/<factor>`, and `average`, the mean
of the latter; of dynamic factors `dynamic_component_<k>/<factor>` and
`dynamic_components/<factor>`. Beside each name of a factor stands
`reference/chance/<name>`, the share of the largest class of the evaluated clips
(0 for R^2), and beside those of the K also `reference/whole_code/<name>`, the
same regression on the whole code. `static_variance/component_<k>` and
`dynamic_variance/component_<k>` are the shares of the variance of standardised
codes. Clips whose class no labelled clip has are not evaluated, and a factor is
left out of which the labelled or the other clips have one class only, such as
persons who are not in the training split.
"""

from collections.abc import Mapping

import numpy as np
import threadpoolctl

from seqdiff.evaluation import codes
from seqdiff.evaluation import context
from seqdiff.evaluation import trivial
from seqdiff.sampling import explore

VERSION = 1
_PREFIXES = {'static': '', 'dynamic': 'dynamic_'}  # By the kind of code.
_CHANCE = 'reference/chance/'


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
  factors = [f for f in ctx.dataset.factors
             if f.kind == 'dynamic' or f.num_classes is not None]
  counts = {'codes': int(directions['static'].num_codes)}
  if not factors:
    return metrics, counts
  total, shown = (len(ctx.dataset.splits[s]) for s in ('train', ctx.split))
  chosen = np.random.default_rng((VERSION, ctx.seed)).permutation(total)
  train = codes.read(ctx, 'train', indices=np.sort(chosen[:num_labelled]))
  test = codes.read(ctx, ctx.split, indices=np.arange(
      min(ctx.num_clips, shown)))
  for factor in factors:
    metrics.update(_probe(
        factor, directions[factor.kind], num_components, train, test))
  together = [v for k, v in metrics.items() if k.startswith('components/')]
  if together:
    metrics['average'] = float(np.mean(together))
  return metrics, {**counts, 'clips': len(test.static),
                   'labelled_clips': len(train.static)}


def best(
    metrics: Mapping[str, float], kind: str, component: int
) -> tuple[str, float, float] | None:
  """The factor that a component tells best, beyond chance.

  Args:
    metrics: of the protocol.
    kind: of the code, 'static' or 'dynamic'.
    component: which one, from 1.

  Returns:
    The name of the factor, its score and chance; None if none was told.
  """
  start = f'{_PREFIXES[kind]}component_{component}/'
  found = [(name.removeprefix(start), score, metrics[_CHANCE + name])
           for name, score in metrics.items() if name.startswith(start)]
  return max(found, key=lambda row: row[1] - row[2], default=None)


def _probe(factor, directions, num_components, train, test):
  """The metrics of one factor."""
  (x, y), (x_test, y_test) = (_examples(factor, part) for part in (train, test))
  if factor.num_classes is not None:
    known = np.isin(y_test, y)
    x_test, y_test = x_test[known], y_test[known]
  if min(len(np.unique(labels)) for labels in (y, y_test)) < 2:
    return {}
  chance = 0.0 if factor.num_classes is None else float(
      np.bincount(y_test).max() / len(y_test))
  fitted, judged = (directions.project(codes)[..., :num_components]
                    for codes in (x, x_test))
  metrics = {}
  for name, columns in {
      **{f'component_{k + 1}': [k] for k in range(fitted.shape[-1])},
      'components': slice(None)}.items():
    name = f'{_PREFIXES[factor.kind]}{name}/{factor.name}'
    metrics[name] = _score(
        factor, fitted[..., columns], y, judged[..., columns], y_test)
    metrics[_CHANCE + name] = chance
  metrics[f'reference/whole_code/{name}'] = _score(factor, x, y, x_test, y_test)
  return metrics


def _examples(factor, found):
  """Codes that a probe reads, (M, h) or (M, T, h), and what it tells (M, ...).

  Of values of frames each example is a frame, without those not measured.
  """
  x, y = getattr(found, factor.kind), found.labels[factor.key]
  if factor.num_classes is None:
    seen = found.mask & np.isfinite(y).all(axis=-1)
    return x[seen], y[seen]
  return x * found.mask[..., None] if factor.kind == 'dynamic' else x, y


def _score(factor, x, y, x_test, y_test) -> float:
  """On test clips, of a linear probe that was fitted to others."""
  x, x_test = (codes.reshape(len(codes), -1) for codes in (x, x_test))
  probe = (trivial.linear_regressor() if factor.num_classes is None
           else trivial.linear_classifier())
  with threadpoolctl.threadpool_limits(1):  # On small matrices it is quicker.
    return max(float(probe.fit(x, y).score(x_test, y_test)), 0.0)
