"""The CPU cores that this process may use."""

import os
import pathlib

QUOTA = pathlib.Path('/sys/fs/cgroup/cpu.max')  # '<quota> <period>', in us.


def count() -> int:
  """How many: Slurm or a container may leave it a few of those of the host."""
  if hasattr(os, 'sched_getaffinity'):  # Not on macOS.
    found = len(os.sched_getaffinity(0))
  else:
    found = os.cpu_count() or 1
  try:
    quota, period = map(int, QUOTA.read_text().split())
  except (OSError, ValueError):  # None is set: 'max'.
    return found
  return max(1, min(found, quota // period))
