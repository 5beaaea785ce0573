"""The train step with other values of a config, and on fewer devices."""

import ast
from collections.abc import Mapping, Sequence
import contextlib
import sys
from typing import Any

import jax
import ml_collections

from seqdiff import cli
from seqdiff.benchmark import timing
from seqdiff.benchmark import workload
from seqdiff.core import errors
from seqdiff.training import parallel


def read_sweep(
    config: ml_collections.ConfigDict, text: str
) -> dict[str, ml_collections.ConfigDict]:
  """The configs of 'data.batch_size=8,16', by 'data.batch_size=8' and so on.

  Raises:
    ValueError: for a key that the config does not have, or a value of another
      type or that its devices do not divide.
  """
  key, _, values = text.partition('=')
  flat = [name for section, part in config.items()
          for name in _names(part, section)]
  if key not in flat:
    raise errors.unknown_name('key of --sweep', key, flat)
  swept = {}
  for value in values.split(','):
    changed = config.copy_and_resolve_references()
    try:
      cli.set_value(changed, key, _literal(value))
    except (TypeError, ValueError) as error:
      raise ValueError(
          f'--sweep={text} with the value {value!r}; expected values of the '
          f'type that {key} has in the config, as 8,16,32. {error}') from error
    parallel.make_parallel(
        changed.train.parallel, fsdp=changed.train.fsdp,
    ).check_batch_size(
        changed.data.batch_size, num_parts=changed.train.num_parts)
    swept[f'{key}={value}'] = changed
  return swept


def read_devices(
    config: ml_collections.ConfigDict, counts: Sequence[str]
) -> dict[int, ml_collections.ConfigDict]:
  """The config for each number of devices, with as many clips for each one.

  Raises:
    ValueError: for what is no number of devices here, or does not divide the
      batch.
  """
  known = [str(n) for n in range(1, jax.device_count() + 1)]
  for count in counts:
    if count not in known:
      raise ValueError(
          f'--devices={",".join(counts)} with {count!r}; expected numbers from '
          f'1 to {known[-1]}, the devices that JAX sees. On a CPU set '
          'JAX_NUM_CPU_DEVICES.')
  shares = {}
  for count in map(int, counts):
    most, size = max(map(int, counts)), config.data.batch_size
    if size % most:
      raise ValueError(
          f'--devices={",".join(counts)} with data.batch_size={size}; expected '
          f'a multiple of {most}. Set --config.data.batch_size to one.')
    shares[count] = config.copy_and_resolve_references()
    shares[count].data.batch_size = size // most * count
  return shares


def sweep(
    configs: Mapping[str, ml_collections.ConfigDict],
    *,
    rounds: int,
    seconds: float,
) -> dict[str, float]:
  """Metrics `sweep/<name>/train_step/...` of configs by name."""
  metrics = {}
  for name, config in configs.items():
    try:
      found = _measure(config, rounds=rounds, seconds=seconds)
    except jax.errors.JaxRuntimeError as error:
      if 'RESOURCE_EXHAUSTED' not in str(error):
        raise
      print(f'{name} does not fit into memory.', file=sys.stderr)
      continue
    metrics |= {f'sweep/{name}/{key}': value for key, value in found.items()}
  return metrics


def scale(
    configs: Mapping[int, ml_collections.ConfigDict],
    *,
    rounds: int,
    seconds: float,
) -> dict[str, float]:
  """Metrics `scaling/<number of devices>/...`, of configs by this number."""
  if not configs:
    return {}
  with contextlib.ExitStack() as stack:
    works = [stack.enter_context(workload.Workload(
        config, devices=jax.devices()[:n])) for n, config in configs.items()]
    turns = timing.take_turns(
        *(timing.timed(work.jobs['train_step']) for work in works),
        rounds=rounds, seconds=seconds)
  metrics, per_device = {}, []
  for (n, config), turn in zip(configs.items(), turns, strict=True):
    speed = config.data.batch_size / turn.seconds
    per_device.append(speed / n)
    metrics |= timing.metric(f'scaling/{n}/clips_per_second', speed)
    metrics |= timing.metric(
        f'scaling/{n}/efficiency', per_device[-1] / per_device[0])
  return metrics


def _measure(config, *, rounds, seconds) -> dict[str, float]:
  """Metrics of the train step of one config."""
  with workload.Workload(config) as work:
    turns, = timing.take_turns(
        timing.timed(work.jobs['train_step']), rounds=rounds, seconds=seconds)
    found = timing.speed(turns, 'train_step/{}')
    return found | work.facts('train_step', found['train_step/per_second'])


def _names(part, name) -> list[str]:
  """Full names of the values of a part of a config."""
  if not isinstance(part, ml_collections.ConfigDict):
    return [name]
  return [full for key, value in part.items()
          for full in _names(value, f'{name}.{key}')]


def _literal(text: str) -> Any:
  """A value as it stands in Python, or the text itself."""
  try:
    return ast.literal_eval(text)
  except (SyntaxError, ValueError):
    return text
