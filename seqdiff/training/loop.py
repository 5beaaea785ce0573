"""The training loop.

Order of one turn: next batch, dispatch the update, look at the metrics of an
earlier step (so that the device never waits for the host), save. The data
iterator is a function of the step, so the step is the position in the data
and a resumed run sees what an uninterrupted one would have seen.
"""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import functools
import math
import time
from typing import Any

from absl import logging
import jax
import numpy as np
import optax

from seqdiff.core import preemption
from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.methods import base
from seqdiff.training import checkpoint
from seqdiff.training import full_disk
from seqdiff.training import parallel as train_parallel
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step
from seqdiff.training import writer as metric_writer


class NonFiniteLossError(ValueError):
  """The loss, the gradient or the parameters are no longer finite."""


@dataclasses.dataclass(frozen=True)
class Plan:
  """What is to be done.

  Attributes:
    seed: seed of the initial parameters and of all noise.
    num_steps: updates, those of earlier calls included.
    log_every: steps between two rows of metrics.
    save_every: steps between two checkpoints; the last step is always saved.
    keep_last: checkpoints to keep, the newest; None keeps all.
    ema_decay: see `training.step`.
    clip_norm: see `training.step`.
    num_parts: see `training.step`.
    config: the full configuration, kept with each checkpoint.
  """

  seed: int
  num_steps: int
  log_every: int
  save_every: int
  keep_last: int | None = 2
  ema_decay: float | None = None
  clip_norm: float | None = None
  num_parts: int = 1
  config: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def __post_init__(self):
    for name in ('num_steps', 'log_every', 'save_every', 'num_parts'):
      if getattr(self, name) < 1:
        of = 'parts' if name == 'num_parts' else 'updates'
        raise ValueError(
            f'train.{name} is {getattr(self, name)}. Expected 1 or more: set'
            f' it to a number of {of}.'
        )
    if self.keep_last is not None and self.keep_last < 1:
      raise ValueError(
          f'train.keep_last is {self.keep_last}. Expected 1 or more'
          ' checkpoints, or None: set it to None to keep all.'
      )


@dataclasses.dataclass(frozen=True)
class Result:
  """How a call of `train` ended.

  Attributes:
    state: the plain state, on the devices.
    step: number of updates made.
    interrupted: True if SIGTERM ended the run early; it was saved and the
      same call continues it.
  """

  state: train_state.TrainState
  step: int
  interrupted: bool


def train(
    method: base.Trainable,
    tx: optax.GradientTransformation,
    make_batches: Callable[[int], Iterator[types.Batch]],
    *,
    plan: Plan,
    parallel: train_parallel.Parallel,
    checkpointer: checkpoint.Checkpointer,
    writer: metric_writer.MetricWriter,
) -> Result:
  """Trains until `plan.num_steps` updates are made, or SIGTERM arrives.

  Continues from the newest whole checkpoint if there is one.

  Args:
    method: what to train.
    tx: the optimizer.
    make_batches: given a step, the endless batches from there on (numpy, this
      process's rows).
    plan: how long, how often, from which seed.
    parallel: the driver.
    checkpointer: where checkpoints go; still open afterwards.
    writer: where metrics go; closed afterwards.

  Raises:
    NonFiniteLossError: the last good checkpoint is left as it is.
    full_disk.FullDiskError, storage.AccessError: so are all whole ones then.
    ValueError: a batch that cannot be divided over the devices, is not
      finite or is missing; a checkpoint of another model.
  """
  sample = next(make_batches(0))
  batch_size = len(sample['x']) * jax.process_count()
  parallel.check_batch_size(batch_size, num_parts=plan.num_parts)
  create = functools.partial(
      train_state.create, method, tx, sample,
      seed=plan.seed, ema=plan.ema_decay is not None,
  )  # fmt: skip
  body = functools.partial(
      train_step.train_step, method=method, tx=tx, ema_decay=plan.ema_decay,
      clip_norm=plan.clip_norm, num_parts=plan.num_parts,
  )  # fmt: skip
  step, state = _restore_or_init(create, parallel, checkpointer)
  update = parallel.compile_train(body)
  record = _Record(plan, batch_size, step, parallel, checkpointer, writer)
  batches = make_batches(step)
  with contextlib.ExitStack() as stack:
    stack.enter_context(preemption.watched())  # Until all is on the disk.
    stack.enter_context(full_disk.in_words(checkpointer.directory))
    stack.enter_context(storage.in_words(checkpointer.directory))
    stack.callback(checkpointer.wait)
    stack.callback(writer.close)
    writer.start(step, plan.num_steps)
    last = step >= plan.num_steps
    while not last:
      batch = parallel.put(_next_finite(batches, step))
      state, metrics = update(state, batch)
      step += 1
      last = step == plan.num_steps or preemption.reached()
      record.turn(step, metrics, state, last=last)
  return Result(parallel.plain(state), step, step < plan.num_steps)


def _restore_or_init(
    create: Callable[[], train_state.TrainState],
    parallel: train_parallel.Parallel,
    checkpointer: checkpoint.Checkpointer,
) -> tuple[int, Any]:
  """The newest whole checkpoint, else a fresh state: its step and itself."""
  restored = checkpointer.restore_latest(parallel.abstract(create))
  if restored is None:
    return 0, parallel.init(create)
  logging.info('Continuing after step %d.', restored.meta['step'])
  return restored.meta['step'], parallel.place(restored.state)


class _Record:
  """Writes metrics and checkpoints, and neither if they are not finite."""

  def __init__(
      self,
      plan: Plan,
      batch_size: int,
      step: int,
      parallel: train_parallel.Parallel,
      checkpointer: checkpoint.Checkpointer,
      writer: metric_writer.MetricWriter,
  ):
    self._plan = plan
    self._batch_size = batch_size
    self._saved_step = self._finite_step = step
    self._parallel = parallel
    self._checkpointer = checkpointer
    self._writer = writer
    self._pending = None
    self._clock = None  # A step and when it was; starts after compilation.

  def turn(
      self,
      step: int,
      metrics: train_step.Metrics,
      state: Any,
      *,
      last: bool,
  ) -> None:
    """Does what is due after update `step`; all of it if it is the `last`."""
    self._writer.advance(step)
    if self._clock is None:
      self._clock = step, time.perf_counter()
    self._write_pending()
    if step % self._plan.log_every == 0 or last:
      self._pending = step, metrics
    if step % self._plan.save_every == 0 or last:
      self._numbers(step, metrics)
      self._write_pending()  # A run that goes on from here has the row.
      self._writer.flush()
      self._checkpointer.save(
          self._parallel.plain(state),
          config=self._plan.config,
          data={'next_index': step},
      )
      self._saved_step = step

  def _write_pending(self) -> None:
    """Writes what is pending, and the speed since the last metrics."""
    if self._pending is None:
      return
    (step, metrics), self._pending = self._pending, None
    numbers = self._numbers(step, metrics)
    since, now = self._clock, (step, time.perf_counter())
    if step > since[0]:
      steps_per_second = (step - since[0]) / (now[1] - since[1])
      numbers['clips/s'] = steps_per_second * self._batch_size
    self._clock = now
    self._writer.write(step, numbers)

  def _numbers(
      self, step: int, metrics: train_step.Metrics
  ) -> dict[str, float]:
    """Fetches metrics; raises a NonFiniteLossError if they are not finite."""
    numbers = {k: float(v) for k, v in jax.device_get(metrics).items()}
    watched = ('loss', 'grad_norm', 'param_norm')
    if not all(math.isfinite(numbers[name]) for name in watched):
      values = ', '.join(f'{name} {numbers[name]}' for name in watched)
      raise NonFiniteLossError(
          f'Training is not finite at step {step}: {values}. Expected finite'
          f' numbers, as at step {self._finite_step}: it began in steps'
          f' {self._finite_step + 1} to {step}. The last good state is that of'
          f' step {self._saved_step} in {self._checkpointer.directory} (0 ='
          ' none was saved). The same configuration would fail again: lower'
          ' optim.learning_rate or optim.clip_norm, or change the seed, and'
          ' use another --workdir.'
      )
    self._finite_step = step
    return numbers


def _next_finite(batches: Iterator[types.Batch], step: int) -> types.Batch:
  """The next batch; raises a ValueError if there is none or x is not finite."""
  batch = next(batches, None)
  if batch is None:
    raise ValueError(
        f'The training data ended after {step} batches. Expected an endless'
        ' iterator: let the data set repeat.'
    )
  x = np.asarray(batch['x'])
  if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
    bad = ~np.isfinite(x).all(axis=tuple(range(1, x.ndim)))
    raise ValueError(
        'The training data holds NaN or infinite values in example'
        f' {np.asarray(batch["index"])[bad].tolist()} (their index in the data'
        f' set; update {step + 1}). Expected finite numbers, padded frames'
        ' included: put 0 where a value is missing, and mask the frame or'
        ' leave the example out.'
    )
  return batch
