"""Series as people have them: in units, and NaN where nothing was measured.

Such an array is (B, T, D), in the units of D variables. Rows at its end without
any value are padding, by which shorter series are brought to one length. If the
samples of its data set have one length of their own, that many rows are real,
with or without values, as they are in these samples.
"""

from collections.abc import Sequence

import numpy as np

from seqdiff.core import types
from seqdiff.data import batch as data_batch


def normalise(
    values: np.ndarray, mean: np.ndarray, std: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Values (..., D) in units -> x float32, 0 where missing; and observed."""
  observed = np.isfinite(values)
  x = np.where(observed, (values - mean) / std, 0)
  return x.astype(np.float32), observed


def to_batch(
    series: np.ndarray,
    variables: Sequence[data_batch.Variable],
    *,
    num_real: int = 0,
) -> types.Batch:
  """A batch (x, observed, mask, index) of series in units.

  Args:
    series: (B, T, D) as at the top of this file.
    variables: the D variables.
    num_real: first rows that are never padding.

  Raises:
    ValueError: for arrays of another form, infinite values, and a series
      without any value.
  """
  series, names = np.asarray(series), [v.name for v in variables]
  if series.ndim != 3 or series.shape[-1] != len(names) or not series.size:
    raise ValueError(
        f'Series of shape {series.shape}; expected (B, T, {len(names)}), one '
        f'or more of each: the variables are {", ".join(names)}. Choose and '
        'order them, and add the axes that are missing.')
  if series.dtype.kind not in 'fiu':
    raise ValueError(
        f'Series of type {series.dtype}; expected numbers in the units of the '
        'variables, NaN where not measured. Convert them with '
        'astype(float).')
  if np.isinf(series).any():
    number, row, column = np.argwhere(np.isinf(series))[0]
    raise ValueError(
        f'Series {number} is infinite in row {row}, {names[column]}; expected '
        'a number, or NaN where not measured. Set it to one of them.')
  x, observed = normalise(
      series.astype(np.float64), *_mean_and_std(variables))
  empty = ~observed.any((1, 2))
  if empty.any():
    raise ValueError(
        f'Series {np.argmax(empty)} has no value in any row; expected at least '
        'one that was measured. Leave it out.')
  # A row is real up to the last one with a value.
  mask = np.cumsum(observed.any(2)[:, ::-1], axis=1)[:, ::-1] > 0
  mask[:, :num_real] = True
  return {'x': x, 'observed': observed, 'mask': mask,
          'index': np.arange(len(x), dtype=np.int32)}


def to_series(
    x: types.Array,
    variables: Sequence[data_batch.Variable],
    shown: types.Array | None = None,
) -> np.ndarray:
  """Normalised x (..., D) -> float32 in units, NaN where `shown` is False."""
  mean, std = _mean_and_std(variables)
  series = (np.asarray(x, np.float64) * std + mean).astype(np.float32)
  return series if shown is None else np.where(shown, series, np.nan)


def _mean_and_std(variables) -> tuple[np.ndarray, np.ndarray]:
  return tuple(np.array([getattr(v, name) for v in variables])
               for name in ('mean', 'std'))
