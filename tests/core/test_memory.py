"""Tests of `seqdiff.core.memory`."""

import os
import platform
import subprocess
import sys

import pytest

from seqdiff.core import memory

# Page faults of ten steps with 64 MiB of temporary arrays. The steps before
# fill the gaps between what is kept.
_STEPS = """
import resource, sys
import jax, jax.numpy as jnp
from seqdiff.core import memory
jax.config.update('jax_num_cpu_devices', 1)
if sys.argv[1] == 'kept':
  memory.share_heap()
  memory.keep_freed()
step = jax.jit(lambda x: (x @ x.T) @ x)
x = jnp.ones((4096, 64))
for count in 30, 10:
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  for _ in range(count):
    step(x).block_until_ready()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(how, **env):
  done = subprocess.run(
      [sys.executable, '-c', _STEPS, how], text=True, check=True,
      stdout=subprocess.PIPE, env={**os.environ, 'JAX_PLATFORMS': 'cpu', **env})
  return int(done.stdout)


def test_variables_set_the_same_for_another_program(monkeypatch):
  for name in [name for name in os.environ if name.startswith('MALLOC_')]:
    monkeypatch.delenv(name)
  monkeypatch.delenv('GLIBC_TUNABLES', raising=False)
  monkeypatch.setattr(memory.platform, 'libc_ver', lambda: ('glibc', '2'))
  kept = {'MALLOC_MMAP_MAX_': '0', 'MALLOC_TRIM_THRESHOLD_': '-1'}
  assert memory.environment(one_heap=False) == kept
  assert memory.environment(one_heap=True) == {**kept, 'MALLOC_ARENA_MAX': '1'}
  monkeypatch.setenv('MALLOC_ARENA_MAX', '4')
  assert memory.environment(one_heap=True) == {}


@pytest.mark.skipif(
    platform.libc_ver()[0] != 'glibc', reason='of another C library')
def test_steps_do_not_fetch_their_memory_again():
  plain, kept = _faults('plain'), _faults('kept')
  assert plain > 10_000
  assert kept < plain / 2
  # Unless the user has chosen something, as here the default.
  assert _faults('kept', GLIBC_TUNABLES='glibc.malloc.mmap_max=65536') > 10_000
