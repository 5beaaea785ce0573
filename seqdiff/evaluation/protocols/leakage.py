"""The leakage protocol: what probes can read from each code.

Version 1. The encoder is frozen. For each labelled factor, probes predict it
from the static code and from the dynamic codes: logistic regression and a
perceptron of one hidden layer of 256, on standardised inputs, 5-fold over
clips. A clip's dynamic codes are pooled by concatenation and by their mean.
Continuous factors are read frame by frame, by ridge regression and a
perceptron, scored by R^2 (clipped at 0).

Names: `s_to_s/<factor>` and `d_to_d/<factor>` (should be high, the codes are
informative), `s_to_d/<factor>` and `d_to_s/<factor>` (leakage, should be at
chance). A score is the best of its probes; `leakage` is the mean over the
cross scores of (score - chance) / (1 - chance), in which chance is the share
of the largest class (0 for R^2). A factor that has one class only in these
clips is left out. `average` is the plain mean of the cross scores, as DiViD
(arXiv:2507.13934, Sec. 4.2) reports it, and `in_sample/average` that of probes
which are scored on the clips that they were fitted to.
"""

from collections.abc import Iterator
import warnings

import numpy as np
from sklearn import exceptions
from sklearn import linear_model
from sklearn import model_selection
from sklearn import neural_network
from sklearn import pipeline
from sklearn import preprocessing
import threadpoolctl

from seqdiff.evaluation import codes
from seqdiff.evaluation import context

VERSION = 1
_FOLDS = 5


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol.

  Raises:
    ValueError: for fewer clips than folds.
  """
  available = len(ctx.dataset.splits[ctx.split])
  found = codes.read(
      ctx, ctx.split, indices=np.arange(min(ctx.num_clips, available)))
  static, dynamic = found.static, found.dynamic
  if len(static) < _FOLDS:
    raise ValueError(
        f'Protocol leakage: {len(static)} clips; expected at least {_FOLDS}, '
        'one for each fold. Raise config.eval.num_clips.')
  metrics, cross = {}, []  # Of cross scores: held out, in sample, leakage.
  for factor in ctx.dataset.factors:
    y = found.labels[factor.key]
    if factor.num_classes is None:
      chance = 0.0
    else:
      chance = float(np.bincount(y).max() / len(y))
      if chance == 1.0:
        continue
    for source in 's', 'd':
      name = f'{source}_to_{factor.kind[0]}/{factor.name}'
      score, in_sample = np.max(
          list(_scores(source, static, dynamic, y, factor)), axis=0)
      metrics[name] = float(score)
      metrics[f'reference/chance/{name}'] = chance
      if source != factor.kind[0]:
        cross.append((score, in_sample, (score - chance) / (1.0 - chance)))
  if cross:
    for name, value in zip(
        ('average', 'in_sample/average', 'leakage'), np.mean(cross, axis=0)):
      metrics[name] = float(value)
  return metrics, {'clips': len(static), 'folds': _FOLDS}


def _scores(
    source, static, dynamic, y, factor
) -> Iterator[tuple[float, float]]:
  """Held-out and in-sample score of each probe that reads `factor`."""
  num_clips, num_frames, _ = dynamic.shape
  groups = None
  if factor.num_classes is None:
    y = y.reshape(-1, y.shape[-1])
    y = y[:, 0] if y.shape[1] == 1 else y  # As sklearn wants it.
    groups = np.repeat(np.arange(num_clips), num_frames)
    inputs = [np.repeat(static, num_frames, axis=0) if source == 's'
              else dynamic.reshape(len(y), -1)]
    probes = (linear_model.Ridge(),
              neural_network.MLPRegressor(
                  hidden_layer_sizes=(256,), max_iter=60, random_state=0))
    folds = model_selection.GroupKFold(_FOLDS)
  else:
    inputs = [static] if source == 's' else [
        dynamic.reshape(num_clips, -1), dynamic.mean(axis=1)]
    probes = (linear_model.LogisticRegression(max_iter=300),
              neural_network.MLPClassifier(
                  hidden_layer_sizes=(256,), max_iter=60, random_state=0))
    folds = model_selection.KFold(_FOLDS, shuffle=True, random_state=0)
  for x in inputs:
    for probe in probes:
      model = pipeline.make_pipeline(preprocessing.StandardScaler(), probe)
      # On matrices this small, threads would cost more than they do.
      with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
        # A probe is stopped early on purpose.
        warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
        scores = model_selection.cross_val_score(
            model, x, y, groups=groups, cv=folds)
        in_sample = model.fit(x, y).score(x, y)
      yield tuple(np.clip((np.mean(scores), in_sample), 0.0, 1.0))
