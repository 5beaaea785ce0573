"""The CPU cores that this process may use."""

import os


def count() -> int:
  """How many: Slurm or a container may leave it a few of those of the host."""
  if hasattr(os, 'sched_getaffinity'):  # Not on macOS.
    return len(os.sched_getaffinity(0))
  return os.cpu_count() or 1
