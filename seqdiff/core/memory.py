"""Memory of the host, as glibc's malloc hands it out (mallopt(3)).

Nothing is changed with another C library, nor where the user has set
GLIBC_TUNABLES or a variable MALLOC_...
"""

import ctypes
import os
import platform

import jax

# Variable -> the option in malloc.h and its value: all comes from the heap, of
# which nothing is returned. One arena is one heap.
_KEEP = {'MALLOC_MMAP_MAX_': (-4, 0), 'MALLOC_TRIM_THRESHOLD_': (-1, -1)}
_ARENA = -8, 1


def share_heap() -> None:
  """Lets all threads that start later take their memory from one heap.

  The other heaps have no room for large arrays. For several devices at once it
  is slower.
  """
  _set(_ARENA)


def keep_freed() -> None:
  """Keeps what is freed for the next step, if this machine has only CPUs.

  The temporary arrays of a step are large enough to be returned to the system
  whenever they are freed, and each of their pages costs a fault when it is used
  again. Starts JAX.
  """
  if jax.default_backend() == 'cpu':
    _set(*_KEEP.values())


def environment(*, one_heap: bool) -> dict[str, str]:
  """Variables with which another program starts as after the above."""
  if not _is_ours():
    return {}
  options = {**_KEEP, **({'MALLOC_ARENA_MAX': _ARENA} if one_heap else {})}
  return {name: str(value) for name, (_, value) in options.items()}


def _set(*options):
  if _is_ours():
    mallopt = ctypes.CDLL(None).mallopt
    for option in options:
      mallopt(*option)


def _is_ours():
  """Whether there is something to set, and the user has not done so."""
  return platform.libc_ver()[0] == 'glibc' and not any(
      name.startswith(('GLIBC_TUNABLES', 'MALLOC_')) for name in os.environ)
