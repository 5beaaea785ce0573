"""Training of the peer: AdamW, clipped gradients, a moving average."""

import copy
import math
from typing import Any

import torch
from torch.optim import swa_utils

from tests.peers import torch_conditional


class Trainer:
  """Makes updates of a model, as `config.optim` and `config.train` say.

  Attributes:
    model: what is trained.
    ema: the model with averaged weights, or None.
  """

  def __init__(self, model: torch_conditional.Conditional, config: Any):
    o = config.optim
    self.model = model.train()
    self._parameters = list(model.parameters())
    self._clip_norm = o.clip_norm
    # fused: all parameters in one kernel.
    self._optimizer = torch.optim.AdamW(
        self._parameters, lr=o.learning_rate, betas=(o.b1, o.b2), eps=1e-8,
        weight_decay=o.weight_decay, fused=True)
    self._schedule = torch.optim.lr_scheduler.LambdaLR(
        self._optimizer, lambda step: _rate(step, o, config.train.num_steps))
    self._step = 0
    self.ema = None
    if o.ema_decay is not None:
      self.ema = copy.deepcopy(model).eval().requires_grad_(False)
      self._average = swa_utils.get_ema_multi_avg_fn(o.ema_decay)
      self._averages = list(self.ema.parameters())

  def step(
      self,
      x: torch.Tensor,
      mask: torch.Tensor | None = None,
      observed: torch.Tensor | None = None,
  ) -> dict[str, torch.Tensor]:
    """One update on clips (B, T, ...); metrics stay on the device."""
    loss, parts = self.model(x, mask, observed, step=self._step)
    loss = loss.mean()
    loss.backward()
    metrics = {k: v.detach().mean() for k, v in parts.items()}
    return {'loss': loss.detach(), **metrics, 'grad_norm': self.update()}

  def update(self) -> torch.Tensor | None:
    """Applies the gradients that are there; returns their norm if clipped."""
    norm = None
    if self._clip_norm is not None:
      norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm)
    self._optimizer.step()
    self._schedule.step()
    self._optimizer.zero_grad(set_to_none=True)
    self._step += 1
    if self.ema is not None:
      self._average(self._averages, self._parameters, None)
    return norm


def compile_model(model: torch_conditional.Conditional, **kwargs: Any) -> None:
  """Compiles the loss, and the nets as samplers call them, in place."""
  model.compile(**kwargs)
  model.encoder.compile(**kwargs)
  model.denoiser.compile(**kwargs)


def _rate(step, optim, num_steps):
  """Factor of the learning rate: linear warm-up, then cosine or constant."""
  warmup = optim.warmup_steps
  if step < warmup:
    return step / warmup
  if optim.schedule == 'constant':
    return 1.0
  part = min((step - warmup) / (num_steps - warmup), 1.0)
  return 0.5 * (1.0 + math.cos(math.pi * part))
