"""seqdiff: unsupervised static/dynamic disentanglement of sequences."""

import os
from typing import Any

__version__ = '0.1.0'


def load(workdir: str | os.PathLike[str], *, step: int | None = None) -> Any:
  """Restores the model of a run directory; see `seqdiff.model.load`."""
  from seqdiff import model  # Late: preparing data needs no networks.

  return model.load(workdir, step=step)
