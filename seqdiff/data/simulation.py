"""`glr_simulation`: series of a trend and a season, drawn from a seed.

Source: Tonekaboni et al. 2022 (arXiv:2202.02262), as the released code has it.
A series of one variable is, at the times t = 0, 0.1, 0.2, ...,

  r (c + a t + b sin(w t / (2 pi))) + 0.1 eps

with the *static* factor `trend`: rising from below (a = 0.05, c = -1.5) or
falling from above (a = -0.05, c = 1.5), and the *dynamic* factor `season`:
fast (w = 40, b = 1.8, r = 0.5) or slow (w = 20, b = 1.2, r = 0.8). Some values
are missing. Each factor is a class of the whole series; splits are drawn alike.
"""

from typing import Any

import numpy as np

from seqdiff.data import batch

TRENDS = {'rising': (0.05, -1.5), 'falling': (-0.05, 1.5)}  # a, c
SEASONS = {'fast': (40.0, 1.8, 0.5), 'slow': (20.0, 1.2, 0.8)}  # w, b, r
TIME_STEP = 0.1

FACTORS = (
    batch.Factor('trend', 'static', len(TRENDS), tuple(TRENDS)),
    batch.Factor('season', 'dynamic', len(SEASONS), tuple(SEASONS)),
)


def glr_simulation(
    *,
    num_frames: int = 100,
    num_train: int = 340,
    num_validation: int = 85,
    num_test: int = 75,
    missing: float = 0.3,
    noise: float = 0.1,
    seed: int = 0,
) -> batch.Dataset:
  """Returns the data set; series are drawn when they are asked for.

  Args:
    num_frames: steps of a series, at least 1.
    num_train: series in split 'train', at least 1, as in the other splits.
    num_validation: series in split 'validation'.
    num_test: series in split 'test'.
    missing: share of the values that are missing, in [0, 1).
    noise: standard deviation of the noise, 0 or more.
    seed: seed of the series.

  Raises:
    ValueError: for a value out of range.
  """
  counts = {'train': num_train, 'validation': num_validation, 'test': num_test}
  for name, value in (('num_frames', num_frames), *(
      (f'num_{split}', count) for split, count in counts.items())):
    if value < 1:
      raise ValueError(
          f'glr_simulation: {name}={value}, expected at least 1. Set '
          f'config.data.{name} to 1 or more.')
  if not 0.0 <= missing < 1.0:
    raise ValueError(
        f'glr_simulation: missing={missing}, expected a share from 0 to less '
        'than 1. Set config.data.missing accordingly.')
  if noise < 0.0:
    raise ValueError(
        f'glr_simulation: noise={noise}, expected 0 or more. Set '
        'config.data.noise accordingly.')
  return batch.Dataset(
      name='glr_simulation',
      splits={
          split: SimulationSource(
              num_frames=num_frames, count=count, missing=missing, noise=noise,
              seed=(seed, number))
          for number, (split, count) in enumerate(counts.items())},
      factors=FACTORS, variables=(batch.Variable('value', '', 0.0, 1.0),))


class SimulationSource:
  """Series of one split; series i depends on the settings and i only."""

  def __init__(self, *, num_frames, count, missing, noise, seed):
    self._num_frames, self._count, self._seed = num_frames, count, seed
    self._missing, self._noise = missing, noise

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < self._count:
      raise IndexError(f'series {index} of {self._count}')
    rng = np.random.default_rng([*self._seed, index])
    trend, season = rng.integers(len(TRENDS)), rng.integers(len(SEASONS))
    x = signal(trend, season, self._num_frames)
    x = x + self._noise * rng.normal(size=x.shape)
    observed = rng.uniform(size=x.shape) >= self._missing
    return {'x': np.where(observed, x, 0.0).astype(np.float32),
            'observed': observed, 'labels/trend': np.int32(trend),
            'labels/season': np.int32(season)}


def signal(trend: int, season: int, num_frames: int) -> np.ndarray:
  """A series without noise: (T, 1), of these classes."""
  slope, offset = list(TRENDS.values())[trend]
  pace, height, scale = list(SEASONS.values())[season]
  t = TIME_STEP * np.arange(num_frames)[:, None]
  return scale * (offset + slope * t + height * np.sin(pace * t / (2 * np.pi)))
