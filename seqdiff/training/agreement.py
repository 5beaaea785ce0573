"""What several processes must agree on before they go on together."""

from collections.abc import Sequence
import os
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np


def require_all(seen: bool, what: Any) -> None:
  """Raises ValueError, on all processes, unless each has `seen` a file.

  Args:
    seen: whether this process sees it.
    what: the file, which process 0 sees.
  """
  seen = np.atleast_1d(multihost_utils.process_allgather(np.array(seen)))
  if not seen.all():
    raise ValueError(
        f'Process {" and ".join(map(str, np.flatnonzero(~seen)))} does not see'
        f' {what}, as process 0 does. Expected one run directory for all'
        ' processes: set --workdir to a folder on a disk that all machines'
        ' share, or in a bucket (gs://<bucket>/<folder>).'
    )


def verdicts(verdict: int) -> list[int]:
  """The numbers that the processes give, in their order."""
  return np.atleast_1d(
      multihost_utils.process_allgather(np.array(verdict, np.int32))).tolist()


def on_steps(found: Sequence[int], directory: str | os.PathLike) -> list[int]:
  """The checkpoints to go on from: those that process 0 sees.

  Args:
    found: the steps that this process sees.
    directory: where they are.

  Raises:
    ValueError: on all processes, if one of them does not see these.
  """
  if jax.process_count() == 1:
    return list(found)
  count = int(multihost_utils.broadcast_one_to_all(np.array(len(found))))
  padded = np.resize([*found, 0], count + 1).astype(np.int32)
  steps = multihost_utils.broadcast_one_to_all(padded)[:count].tolist()
  require_all(
      set(steps) <= set(found), f'checkpoints of steps {steps} in {directory}')
  return steps
