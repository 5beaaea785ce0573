"""No space left, or none of a quota: what is said of it, in words."""

from collections.abc import Iterator
import contextlib
import errno
import os
import pathlib


class FullDiskError(OSError):
  """There is no space left for what the run writes."""


@contextlib.contextmanager
def in_words(directory: pathlib.Path) -> Iterator[None]:
  """Raises a FullDiskError for what Python or TensorStore say of it."""
  try:
    yield
  except (OSError, ValueError) as error:
    if not any(os.strerror(code) in str(error)
               for code in (errno.ENOSPC, errno.EDQUOT)):
      raise
    raise FullDiskError(
        f'The disk of {directory} is full ({error}). Expected space for'
        ' another checkpoint beside those that are kept. Whole checkpoints'
        ' there are intact: make space, and the same command continues from'
        ' the newest.'
    ) from error
