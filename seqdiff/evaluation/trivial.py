"""What needs no model of sequences: the rows that a predictor must beat.

All see the data as they are: mean and standard deviation over time of what was
observed of each variable, of the clip or of a window of it.
"""

from collections.abc import Callable

import numpy as np
from sklearn import base
from sklearn import ensemble
from sklearn import linear_model
from sklearn import pipeline
from sklearn import preprocessing


def linear_classifier() -> pipeline.Pipeline:
  """Logistic regression on standardised features, not yet fitted."""
  return pipeline.make_pipeline(
      preprocessing.StandardScaler(),
      linear_model.LogisticRegression(max_iter=2000))


def linear_regressor() -> pipeline.Pipeline:
  """Ridge regression on standardised features, not yet fitted."""
  return pipeline.make_pipeline(
      preprocessing.StandardScaler(), linear_model.Ridge())


def classify(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, *, seed: int
) -> dict[str, np.ndarray]:
  """Probabilities of the classes (N, K) of each test example, by row.

  Args:
    train: features (M, F).
    labels: their classes (M,); not all of the K need to be there.
    test: features (N, F).
    seed: of the forest.

  Returns:
    Of 'constant' (the shares of the classes), 'mean_std_logistic' and
    'random_forest'. K is the largest label plus 1.
  """
  share = np.bincount(labels) / len(labels)
  forest = ensemble.RandomForestClassifier(500, random_state=seed)
  return {'constant': np.tile(share, (len(test), 1)),
          'mean_std_logistic': probabilities(
              linear_classifier(), train, labels, test),
          'random_forest': probabilities(forest, train, labels, test)}


def probabilities(
    model: base.ClassifierMixin,
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
) -> np.ndarray:
  """What a classifier fitted to `train` says of `test`, as in `classify`."""
  found = np.zeros((len(test), np.max(labels) + 1))
  found[:, np.unique(labels)] = model.fit(train, labels).predict_proba(test)
  return found


def regress(
    train: np.ndarray, targets: np.ndarray, test: np.ndarray, *, seed: int
) -> dict[str, np.ndarray]:
  """Values (N,) of each test example, by row.

  Args:
    train: features (M, F).
    targets: their values (M,).
    test: features (N, F).
    seed: of the forest.

  Returns:
    Of 'constant' (the mean), 'median', which no constant beats in absolute
    error, 'mean_std_ridge' and 'random_forest'.
  """
  forest = ensemble.RandomForestRegressor(
      100, min_samples_leaf=5, random_state=seed)
  return {'constant': np.full(len(test), np.mean(targets)),
          'median': np.full(len(test), np.median(targets)),
          'mean_std_ridge': linear_regressor().fit(
              train, targets).predict(test),
          'random_forest': forest.fit(train, targets).predict(test)}


def by_class(
    classes: np.ndarray,
    targets: np.ndarray,
    wanted: np.ndarray,
    *,
    reduce: Callable[[np.ndarray], float] = np.mean,
) -> np.ndarray:
  """For each wanted class the mean of its targets; without any, that of all.

  Args:
    classes: of the targets (M,).
    targets: values (M,).
    wanted: classes (N,).
    reduce: in place of the mean, such as `np.median`.
  """
  of = lambda c: reduce(targets[classes == c] if c in classes else targets)
  return np.array([of(c) for c in wanted])
