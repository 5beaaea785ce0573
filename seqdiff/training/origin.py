"""What a run was trained on top of: the weights of another run.

Its config names the directory of the other run, in which other weights may lie
tomorrow. So `origin.json` keeps, beside the config, what they were; with others
the run is refused. Runs that were trained before this file was have none, and
are not.
"""

from collections.abc import Mapping
import json
import os
from typing import Any

import numpy as np

from seqdiff.core import storage

NAME = 'origin.json'


def claim(workdir: str | os.PathLike[str], origin: Mapping[str, Any]) -> None:
  """Keeps `origin` in a run directory; one that is there is compared.

  Args:
    workdir: the run directory.
    origin: as JSON can hold it; empty if the run needs no other.

  Raises:
    ValueError: as `check`.
  """
  path = storage.locate(workdir) / NAME
  if origin and not path.exists():
    storage.write(path, json.dumps(origin, indent=2) + '\n')
  check(workdir, origin)


def check(workdir: str | os.PathLike[str], origin: Mapping[str, Any]) -> None:
  """Raises ValueError if a run was trained on top of something else.

  Numbers may differ a little, as between machines.
  """
  path = storage.locate(workdir) / NAME
  if not origin or not path.exists():
    return
  there = json.loads(path.read_text())
  differences = [
      f'{key}: {there.get(key)} there, {value} here'
      for key, value in origin.items() if not _same(there.get(key), value)]
  if differences:
    raise ValueError(
        f'{path.parent} was trained on top of something else: '
        f'{"; ".join(differences)}. Expected the same: set the config or the '
        'other run back, or train again in another --workdir.')


def _same(there, here) -> bool:
  """Equal, or of lists of numbers: nearly."""
  if isinstance(there, list) and isinstance(here, list):
    return len(there) == len(here) and np.allclose(
        there, here, rtol=1e-2, atol=1e-2)
  return there == here
