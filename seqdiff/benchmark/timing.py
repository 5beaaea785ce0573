"""Times of jobs that take turns, and the metrics made of them."""

from collections.abc import Callable
import dataclasses
import time

import numpy as np


@dataclasses.dataclass(frozen=True)
class Turns:
  """What one side has measured.

  Attributes:
    seconds: of each round, for one repeat.
    first: seconds of the very first repeat, which compiles.
  """

  seconds: np.ndarray
  first: float


def take_turns(
    *sides: Callable[[int], float], rounds: int, seconds: float
) -> tuple[Turns, ...]:
  """Times several sides in turns.

  Args:
    *sides: each is number of repeats -> the seconds that they took.
    rounds: number of rounds; in each one all sides do the same work.
    seconds: how long the slowest side's turn should be.

  Returns:
    What each side has measured.
  """
  first = [side(1) for side in sides]
  repeats = max(1, round(seconds / max(side(1) for side in sides)))
  taken = np.array([
      [side(repeats) / repeats for side in sides] for _ in range(rounds)])
  return tuple(Turns(taken[:, i], first[i]) for i in range(len(sides)))


def timed(job: Callable[[], None]) -> Callable[[int], float]:
  """A job as a side of `take_turns`."""

  def side(repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
      job()
    return time.perf_counter() - start

  return side


def metric(name: str, values: np.ndarray) -> dict[str, float]:
  """The metric `name`, the median over the rounds, and its spread."""
  return {name: float(np.median(values)), f'{name}_std': float(np.std(values))}


def speed(turns: Turns, name: str) -> dict[str, float]:
  """Metrics of one side, whose names are put into `name`."""
  return {**metric(name.format('per_second'), 1 / turns.seconds),
          name.format('first_seconds'): turns.first}
