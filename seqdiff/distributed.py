"""Several processes, one run: how they find each other and agree."""

from collections.abc import Mapping
import os
import re
import socket
import sys
import threading
import time
from typing import Any, NoReturn

import jax
import numpy as np
from orbax.checkpoint import multihost

from seqdiff.evaluation import results

_FORMS = ('expected off; auto on a TPU pod, under Slurm or Open MPI; or '
          '<host:port>,<n>,<i> with the address of process 0, the number of '
          'processes and which one this is, in [0, n)')


def connect(
    value: str, *, timeout: float = 300.0, heartbeat: int = 100
) -> None:
  """Joins the other processes; before anything that JAX computes.

  If they are not all there in time, the process ends with a message and exit
  code 2: JAX itself would abort, which no caller could catch.

  Args:
    value: 'off', 'auto' or '<host:port>,<n>,<i>', see --distributed.
    timeout: seconds to wait for the others.
    heartbeat: seconds after which a process that has died is missed, which
      ends the others.

  Raises:
    ValueError: for another value, if 'auto' finds no cluster, or if the port is
      in use or anything else fails.
  """
  if value == 'off':
    return
  given = {} if value == 'auto' else _parse(value)
  late = threading.Timer(timeout, _give_up, (value, timeout))
  late.daemon = True
  late.start()
  try:
    if given and given['process_id'] == 0:
      _bind(int(given['coordinator_address'].rpartition(':')[2]))
    # The timer comes first.
    jax.distributed.initialize(
        **given, initialization_timeout=int(timeout) + 60,
        heartbeat_timeout_seconds=heartbeat)
  except ValueError as error:
    raise ValueError(
        '--distributed=auto, but JAX finds no TPU pod and no job of Slurm or '
        f'Open MPI here; {_FORMS}. Name the processes, or leave the flag out.'
    ) from error
  except (RuntimeError, OSError, OverflowError) as error:  # Port 99999.
    raise ValueError(
        f'--distributed={value}: JAX cannot connect '
        f'({" ".join(str(error).split())[:300]}); expected at process 0 a port '
        'that nothing else uses, and one connection for each process. See '
        'whether an earlier run is still there, or take another port.'
    ) from error
  finally:
    late.cancel()


def _bind(port: int) -> None:
  """Raises OSError if something listens there: JAX itself may crash."""
  with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    probe.bind(('', port))


_OTHER_FLAGS = (
    'got another config than process 0, another --workdir or --mode, or has '
    'another version of seqdiff or JAX; expected the same of all. Start every '
    'process with the same flags from the same environment; only the last '
    'number of --distributed differs.')
OTHER_DATA = (
    'has other data in config.data.data_dir than process 0: other clips, or '
    'prepared with other options; expected the same of all. Copy the folder of '
    'process 0 to the others.')


def check_same(
    given: Mapping[str, Any], message: str = _OTHER_FLAGS
) -> None:
  """Raises ValueError, on all processes, if they were given different things.

  Args:
    given: what all should have been given, as JSON can hold it.
    message: what is said of a process that was given something else.
  """
  digest = np.frombuffer(bytes.fromhex(results.config_hash(given)), np.uint8)
  devices = jax.devices()
  mesh = jax.sharding.Mesh(np.array(devices), ('data',))
  sharding = lambda *axes: jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec(*axes))
  # Over all devices, so that these are connected: of CPUs, that fails later on
  # if one process has to wait 30 s for another, which compiles.
  digests = jax.device_get(jax.jit(lambda a: a, out_shardings=sharding())(
      jax.make_array_from_process_local_data(
          sharding('data'), np.tile(digest, (jax.local_device_count(), 1)))))
  others = sorted({
      device.process_index for device, other in zip(devices, digests)
      if not np.array_equal(other, digests[0])})
  if others:
    raise ValueError(
        f'--distributed: process {" and ".join(map(str, others))} {message}')


def leave(code: int) -> NoReturn:
  """Ends this process, which has failed, with an exit code.

  Soon if there are others: JAX would wait for them at the exit, and they wait
  for this one. They end when they miss it, see `connect`.
  """
  if not jax.distributed.is_initialized():
    sys.exit(code)
  try:
    # The others may be about to hear from this one what makes all of them fail.
    multihost.get_barrier_sync_fn()(key='leave', timeout_ms=5000)
  except jax.errors.JaxRuntimeError:
    pass  # They go on.
  if jax.process_index() == 0:
    time.sleep(1.0)  # The barrier is here, and must tell the others.
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _parse(value: str) -> dict[str, Any]:
  """The arguments of `jax.distributed.initialize`."""
  found = re.fullmatch(r'([^,]+:\d+),(\d+),(\d+)', value)
  if found is None:
    raise ValueError(
        f'--distributed={value}; {_FORMS}. Write it as in '
        '--distributed=10.0.0.2:8476,4,0.')
  address, count, index = found[1], int(found[2]), int(found[3])
  if index >= count:
    raise ValueError(
        f'--distributed={value} is process {index} of {count}; {_FORMS}. '
        'Number the processes from 0.')
  return dict(
      coordinator_address=address, num_processes=count, process_id=index)


def _give_up(value: str, timeout: float) -> None:
  """Ends this process, which waits in C++."""
  print(
      f'error: --distributed={value}: after {timeout:g} s not all processes '
      'were there; expected all of them in this time, with one address and '
      'one number of processes. See that process 0 runs at the address, that '
      'its port is open to the others, and start every process.',
      file=sys.stderr, flush=True)
  os._exit(2)
