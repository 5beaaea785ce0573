"""SIGTERM, by which a machine is taken back: what runs stops where it can.

  with preemption.watched():  # From here on SIGTERM is only noted.
    ...
    preemption.check()        # All is saved here.

Of several processes, which all ask at the same places, one that gets it is
enough, and all are told at the same place.
"""

from collections.abc import Iterator
import contextlib
import itertools
import signal
import threading

import jax
from jax.experimental import multihost_utils

CONTINUES = 'the same command continues'

_noted: threading.Event | None = None  # While SIGTERM is watched.
_turns = itertools.count(1)  # Never the same one twice, also of two trainings.


class Stopped(Exception):
  """SIGTERM came; all that was done is saved and the same call continues."""


@contextlib.contextmanager
def watched() -> Iterator[None]:
  """Within it SIGTERM does not end this process; may be nested.

  It is left as it was outside the main thread, where Python has no signals, and
  with several processes, for which JAX has a handler of its own.
  """
  global _noted
  if (_noted is not None or jax.process_count() > 1
      or threading.current_thread() is not threading.main_thread()):
    yield
    return
  noted = _noted = threading.Event()
  former = signal.signal(signal.SIGTERM, lambda *_: noted.set())
  try:
    yield
  finally:
    signal.signal(signal.SIGTERM, former)
    _noted = None


def reached() -> bool:
  """Whether SIGTERM came; to be asked by all processes."""
  if jax.process_count() > 1:
    return multihost_utils.reached_preemption_sync_point(next(_turns))
  return _noted is not None and _noted.is_set()


def check() -> None:
  """Raises Stopped if SIGTERM came; to be asked by all processes."""
  if reached():
    raise Stopped(f'Stopped by SIGTERM; {CONTINUES}.')
