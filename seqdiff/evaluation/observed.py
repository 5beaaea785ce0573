"""Errors of series: over chosen values only, and each variable for itself."""

from collections.abc import Sequence

import numpy as np

from seqdiff.core import types
from seqdiff.data import batch as data_batch


def error_sums(
    guess: types.Array, x: types.Array, chosen: types.Array
) -> np.ndarray:
  """What errors are made of; the sums of several batches may be added.

  Args:
    guess: (B, T, D).
    x: (B, T, D) normalised series.
    chosen: (B, T, D) bool, which values count.

  Returns:
    (3, D) float64: number of values, sums of squared and of absolute errors.
  """
  error = np.asarray(guess, np.float64) - np.asarray(x, np.float64)
  return np.stack([np.sum(part, axis=(0, 1), where=np.asarray(chosen))
                   for part in (np.ones_like(error), error**2, abs(error))])


def mse(sums: np.ndarray) -> float:
  """Mean squared error over all chosen values, normalised."""
  return float(sums[1].sum() / sums[0].sum())


def mae(sums: np.ndarray) -> float:
  """Mean absolute error over all chosen values, normalised."""
  return float(sums[2].sum() / sums[0].sum())


def mae_in_units(
    sums: np.ndarray, variables: Sequence[data_batch.Variable]
) -> dict[str, float]:
  """Mean absolute error of each variable that has chosen values, by name."""
  return {
      variable.name: float(variable.std * absolute / count)
      for variable, count, _, absolute in zip(variables, *sums) if count}
