"""A config at work by a clock of its own, in place of `workload`."""

from collections.abc import Callable
from typing import Any

import jax
import ml_collections
import pytest

from seqdiff.benchmark import timing
from seqdiff.benchmark import workload


def put(
    monkeypatch: pytest.MonkeyPatch,
    seconds: Callable[[ml_collections.ConfigDict, int], float],
) -> None:
  """From now on each job takes `seconds(config, number of devices)`."""
  clock = [0.0]

  class Work:
    """See `workload.Workload`."""

    def __init__(self, config, *, devices=None):
      count = len(jax.devices() if devices is None else devices)

      def job():
        clock[0] += seconds(config, count)

      self.jobs = dict.fromkeys(
          ('train_step', 'swap', 'loader', 'save', 'restore'), job)
      self.batches = {}

    def __enter__(self) -> 'Work':
      return self

    def __exit__(self, *exc_info: Any) -> None:
      pass

    def facts(self, job, per_second):
      del per_second
      return {f'{job}/flops': 7.0}

  monkeypatch.setattr(timing.time, 'perf_counter', lambda: clock[0])
  monkeypatch.setattr(workload, 'Workload', Work)
