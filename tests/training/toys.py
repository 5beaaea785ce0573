"""A method whose loss and gradient are known in closed form, and its data."""

import dataclasses
import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqdiff.core import keys
from seqdiff.training import checkpoint
from seqdiff.training import loop
from seqdiff.training import parallel
from seqdiff.training import writer


@dataclasses.dataclass(frozen=True)
class Target:
  """loss_i = |w - m_i|^2 / 2 with m_i the mean frame of x_i, plus noise.

  The gradient of the mean loss is w - mean_i m_i; w starts at 0.
  """

  noise: float = 0.0
  nan_from: int | None = None

  def init(self, key, batch):
    del key
    return {'w': jnp.zeros(batch['x'].shape[-1])}

  def loss(self, params, batch, key, *, step, train):
    del train
    m = jnp.mean(batch['x'], axis=1)
    m += self.noise * keys.normal(key, batch['index'], m.shape[1:])
    loss = 0.5 * jnp.sum(jnp.square(params['w'][None] - m), axis=-1)
    if self.nan_from is not None:
      loss = jnp.where(step >= self.nan_from, jnp.nan, loss)
    return loss, {'twice': 2.0 * loss}


def make_batch(x, num_real=None, start=0):
  """A host batch of clips `x`, the first `num_real` of them real."""
  size = len(x)
  num_real = size if num_real is None else num_real
  return {
      'x': x,
      'mask': np.ones(x.shape[:2], bool),
      'index': np.arange(start, start + size, dtype=np.int32),
      'example_mask': np.arange(size) < num_real,
  }


def make_batches(start, size=8, width=4):
  """Endless random batches, a function of the step."""
  step = start
  while True:
    x = np.random.default_rng(step).normal(size=(size, 3, width))
    yield make_batch(x.astype(np.float32), start=size * step)
    step += 1


def train(workdir, num_steps, method=None, tx=None, batches=None, driver=None,
          **changes):
  """Runs `loop.train` on the method above in `workdir`."""
  plan = loop.Plan(**{
      'seed': 3, 'num_steps': num_steps, 'log_every': 2, 'save_every': 4,
      'ema_decay': 0.9, 'config': {'seed': 3}, **changes,
  })
  checkpointer = checkpoint.Checkpointer(workdir / 'checkpoints')
  try:
    return loop.train(
        Target(noise=0.3) if method is None else method,
        optax.adamw(0.1) if tx is None else tx,
        make_batches if batches is None else batches,
        plan=plan,
        parallel=driver or parallel.Mesh(devices=jax.devices()[:1]),
        checkpointer=checkpointer,
        writer=writer.MetricWriter(workdir, progress=False),
    )
  finally:
    checkpointer.close()


def sha(state):
  """A hash of all bits of a state."""
  leaves = [np.asarray(a).tobytes() for a in jax.tree.leaves(state)]
  return hashlib.sha256(b''.join(leaves)).hexdigest()
