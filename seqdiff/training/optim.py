"""The optimizer: global-norm clipping, then AdamW with a schedule."""

import optax

from seqdiff.core import errors


def make_schedule(
    learning_rate: float, warmup_steps: int, schedule: str, num_steps: int
) -> optax.Schedule:
  """Linear warm-up from 0, then cosine decay to 0, or constant.

  Args:
    learning_rate: value at the end of the warm-up.
    warmup_steps: updates until then; 0 starts at `learning_rate`.
    schedule: 'cosine' or 'constant'.
    num_steps: update at which the cosine reaches 0, warm-up included.

  Raises:
    ValueError: unknown schedule, or a warm-up that fills the whole run.
  """
  if not 0 <= warmup_steps < num_steps:
    raise ValueError(
        f'optim.warmup_steps is {warmup_steps} and train.num_steps is'
        f' {num_steps}. Expected 0 <= warmup_steps < num_steps: shorten the'
        ' warm-up or train longer.'
    )
  if schedule == 'cosine':
    after = optax.cosine_decay_schedule(learning_rate, num_steps - warmup_steps)
  elif schedule == 'constant':
    after = optax.constant_schedule(learning_rate)
  else:
    raise errors.unknown_name('schedule', schedule, ('constant', 'cosine'))
  if warmup_steps == 0:
    return after
  warmup = optax.linear_schedule(0.0, learning_rate, warmup_steps)
  return optax.join_schedules([warmup, after], [warmup_steps])


def make_optimizer(
    *,
    learning_rate: float,
    weight_decay: float,
    b1: float,
    b2: float,
    clip_norm: float | None,
    warmup_steps: int,
    schedule: str,
    num_steps: int,
) -> tuple[optax.GradientTransformation, optax.Schedule]:
  """Returns the optimizer and its schedule (step -> learning rate).

  Args:
    learning_rate: peak learning rate.
    weight_decay: decoupled decay, applied to every parameter.
    b1: decay of the first moment.
    b2: decay of the second moment.
    clip_norm: largest global norm of the gradient; None = no clipping.
    warmup_steps: see `make_schedule`.
    schedule: see `make_schedule`.
    num_steps: see `make_schedule`.

  Raises:
    ValueError: see `make_schedule`.
  """
  rate = make_schedule(learning_rate, warmup_steps, schedule, num_steps)
  adamw = optax.adamw(rate, b1=b1, b2=b2, weight_decay=weight_decay)
  if clip_norm is None:
    return adamw, rate
  return optax.chain(optax.clip_by_global_norm(clip_norm), adamw), rate
