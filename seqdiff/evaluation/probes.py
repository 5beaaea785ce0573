"""What small models can read from codes: scores of the best of several probes.

A probe is chosen anew in each fold, by cross-validation in the part that it is
fitted to, so that choosing the best of several does not raise the score.
"""

from collections.abc import Mapping
import dataclasses
import warnings

import numpy as np
from sklearn import exceptions
from sklearn import linear_model
from sklearn import model_selection
from sklearn import neural_network
from sklearn import pipeline
from sklearn import preprocessing
import threadpoolctl

FOLDS = 5
_INNER_FOLDS = 3


@dataclasses.dataclass(frozen=True)
class Scores:
  """Scores in [0, 1]: accuracies, or R^2 clipped at 0.

  Attributes:
    held_out: of the chosen probes, on groups that they were not fitted to.
    in_sample: of the best probe on what it was fitted to.
    each: held out, of each probe by name.
  """

  held_out: float
  in_sample: float
  each: Mapping[str, float]


def score(
    inputs: Mapping[str, np.ndarray],
    y: np.ndarray,
    groups: np.ndarray,
    *,
    classes: bool,
) -> Scores:
  """Fits linear and non-linear probes to each of the inputs.

  Args:
    inputs: (N, D) features by name; '' if there is only one kind.
    y: (N,) classes, or (N, K) values.
    groups: (N,) what is never divided, such as the clip of a frame; as many as
      `FOLDS` or more.
    classes: whether y are classes.
  """
  candidates = {
      '_'.join(filter(None, (kind, name))): (x, probe)
      for kind, x in inputs.items() for name, probe in _probes(classes)}
  held_out = {name: [] for name in candidates}
  chosen = []
  # On matrices this small, threads would cost more than they do.
  with threadpoolctl.threadpool_limits(1), warnings.catch_warnings():
    # Probes are stopped early on purpose; rare classes miss in some folds.
    warnings.simplefilter('ignore', exceptions.ConvergenceWarning)
    warnings.simplefilter('ignore', UserWarning)
    any_x = next(iter(inputs.values()))
    for train, test in _folds(classes, FOLDS).split(any_x, y, groups):
      inner = {}
      for name, (x, probe) in candidates.items():
        held_out[name].append(
            probe.fit(x[train], y[train]).score(x[test], y[test]))
        inner[name] = np.mean(model_selection.cross_val_score(
            probe, x[train], y[train], groups=groups[train],
            cv=_folds(classes, _INNER_FOLDS)))
      chosen.append(held_out[max(inner, key=inner.get)][-1])
    in_sample = max(
        probe.fit(x, y).score(x, y) for x, probe in candidates.values())
  mean = lambda values: float(np.clip(np.mean(values), 0.0, 1.0))
  return Scores(mean(chosen), mean(in_sample), {
      name: mean(values) for name, values in held_out.items()})


def _probes(classes):
  """Names and probes, not yet fitted, on standardised inputs."""
  size = dict(hidden_layer_sizes=(256,), max_iter=60, random_state=0)
  found = {
      'linear': linear_model.LogisticRegression(max_iter=300),
      'perceptron': neural_network.MLPClassifier(**size),
  } if classes else {
      'linear': linear_model.Ridge(),
      'perceptron': neural_network.MLPRegressor(**size),
  }
  return [(name, pipeline.make_pipeline(preprocessing.StandardScaler(), probe))
          for name, probe in found.items()]


def _folds(classes, number):
  """Folds that do not divide groups and, of classes, hold as many of each."""
  if classes:
    return model_selection.StratifiedGroupKFold(
        number, shuffle=True, random_state=0)
  return model_selection.GroupKFold(number)
