"""A run: what it trains on, its optimizer, its parameters."""

from collections.abc import Mapping
import json
import os
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from seqdiff import build
from seqdiff import distributed
from seqdiff import first_stage
from seqdiff.core import keys
from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import results
from seqdiff.methods import base
from seqdiff.methods import latent
from seqdiff.methods import started
from seqdiff.training import checkpoint
from seqdiff.training import loop
from seqdiff.training import optim
from seqdiff.training import parallel
from seqdiff.training import writer

# Of a method: how it is computed, and what only its training does.
_HOW = ('dtype', 'remat', 'frames_per_step', 'noise_draws')


def read_config(workdir: str | os.PathLike[str]) -> ml_collections.ConfigDict:
  """The config of a run directory.

  Raises:
    ValueError: if it is no run directory.
  """
  workdir = storage.locate(workdir)
  path = workdir / 'config.json'
  if not path.is_file():
    raise ValueError(
        f'{workdir} is no run directory: it has no config.json. Expected a '
        'directory written by `python -m seqdiff.main --mode=train '
        '--workdir=...`; train one, or name another.')
  return ml_collections.ConfigDict(json.loads(path.read_text()))


def restore_params(
    method: base.Trainable,
    sample: types.Batch,
    workdir: epath.Path,
    *,
    step: int | None = None,
) -> tuple[types.Params, dict[str, Any]]:
  """The parameters to evaluate, and what was kept with them.

  Args:
    method: the method.
    sample: a batch such as it was trained on.
    workdir: the run directory.
    step: which checkpoint; None is the newest whole one.
  """
  abstract = jax.eval_shape(method.init, jax.random.key(0), sample)
  return checkpoint.restore_params(
      workdir / 'checkpoints', abstract, step=step)


def cut(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """How clips are cut, for `data.loader`; a set need not have all options."""
  return {k: config.data[k] for k in build.CUT_KEYS if k in config.data}


def first_batch(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> types.Batch:
  """One float batch of training clips, to initialise a method with."""
  batch = next(loader.eval_batches(
      dataset.splits['train'], batch_size=1, indices=np.zeros(1, int),
      **cut(config)))
  return {**batch, 'x': data_batch.to_float(jnp.asarray(batch['x']))}


def train(
    method: base.Trainable,
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    workdir: epath.Path,
) -> loop.Result:
  """Trains a method, or continues; see `training.loop`.

  Raises:
    ValueError: if the directory belongs to another config, or anything that
      `training.loop.train` raises.
  """
  driver, plan = check(config), _plan(config)
  if jax.process_count() > 1:
    distributed.check_same(
        data_batch.identity(dataset), distributed.OTHER_DATA)
  method = first_stage.starting(method, config, dataset)
  clips, dataset = dataset, first_stage.open_cache(config, dataset)
  sample = first_batch(config, dataset)
  _check_channels(config, sample)
  method = _starting(method, config, sample, workdir)
  make_batches = lambda step: loader.train_batches(
      dataset.splits['train'], seed=config.seed, start_step=step,
      batch_size=config.data.batch_size, process_index=jax.process_index(),
      process_count=jax.process_count(), **cut(config))
  _rehearse(method, sample)
  # Only now: a config that cannot work must not own the directory.
  claim(config, workdir)
  first_stage.claim(config, clips, workdir)
  checkpointer = checkpoint.Checkpointer(
      workdir / 'checkpoints', keep_last=plan.keep_last)
  try:
    return loop.train(
        method, optimizer(config), make_batches, plan=plan,
        checkpointer=checkpointer, parallel=driver,
        writer=writer.MetricWriter(workdir))
  finally:
    checkpointer.close()


def _check_channels(config, sample) -> None:
  """Raises ValueError for clips of another number of channels.

  Without it an error is one of all pairs of channels, and never raised.
  """
  there = sample['x'].shape[-1]
  if 'image_channels' in config.method and (
      config.method.image_channels != there):
    raise ValueError(
        f'config.method.image_channels={config.method.image_channels} with '
        f'clips of {there} channels; expected {there}. Set it to that, or '
        'choose other data.')


def check(config: ml_collections.ConfigDict) -> parallel.Parallel:
  """The driver of a training.

  Raises:
    ValueError: for settings with which no training can start.
  """
  driver = parallel.make_parallel(
      config.train.parallel, fsdp=config.train.fsdp)
  driver.check_batch_size(
      config.data.batch_size, num_parts=_plan(config).num_parts)
  optimizer(config)
  return driver


def claim(config: ml_collections.ConfigDict, workdir: epath.Path) -> None:
  """Makes the directory that of this config, see `writer.claim_workdir`.

  What does not change a training may differ.

  Raises:
    ValueError: as there, and if results of its protocols are there that were
      made with other settings.
  """
  plain = to_plain(config)
  writer.claim_workdir(workdir, plain, ignore=results.WITHOUT_EFFECT)
  for name in plain.get('eval', {}).get('protocols', ()):  # Judges: none.
    results.check_owner(workdir, name, plain)


def check_same_method(
    config: ml_collections.ConfigDict, trained: Mapping[str, Any]
) -> None:
  """Raises ValueError if a run has trained another method than the config's.

  Args:
    config: what was given.
    trained: the config that is kept with the checkpoint. What came to configs
      since may be missing there.
  """
  given, there = (writer.flatten(c['method']) for c in (
      to_plain(config), trained))
  differences = [
      f'{key}: {there[key]} there, {given[key]} here'
      for key in sorted(given.keys() & there.keys())
      if key not in _HOW and given[key] != there[key]]
  if differences:
    raise ValueError(
        'The run was trained with another config.method: '
        f'{"; ".join(differences)}. Expected the same values: give the config '
        'that it was trained with, or another --workdir.')


def _plan(config) -> loop.Plan:
  """How long is trained, and what is kept."""
  return loop.Plan(
      seed=config.seed, num_steps=config.train.num_steps,
      log_every=config.train.log_every, save_every=config.train.save_every,
      keep_last=config.train.keep_last, ema_decay=config.optim.ema_decay,
      clip_norm=config.optim.clip_norm,
      # A judge has no such key.
      num_parts=config.train.num_parts if 'num_parts' in config.train else 1,
      config=to_plain(config))


def _starting(method, config, sample, workdir) -> base.Trainable:
  """The method, with the parameters of another run if it starts from one."""
  if 'start_from' not in config.train or config.train.start_from is None:
    return method  # A judge has no such key.
  if checkpoint.steps(workdir / 'checkpoints'):
    return method  # It goes on from its own, and the other run may be gone.
  home = storage.locate(config.train.start_from)
  other = build.method(read_config(home))
  if isinstance(other, latent.Latent):
    other = other.method
  params, _ = restore_params(other, sample, home)
  return started.Started(method, jax.device_get(params))


def optimizer(
    config: ml_collections.ConfigDict,
) -> optax.GradientTransformation:
  """The optimizer of `config.optim`."""
  return optim.make_optimizer(
      num_steps=config.train.num_steps,
      **{k: v for k, v in config.optim.items() if k != 'ema_decay'})[0]


def _rehearse(method: base.Trainable, batch: types.Batch) -> None:
  """Raises what the method has to say of such batches; computes nothing."""

  def loss(key):
    params = method.init(keys.named(key, 'init'), batch)
    return method.loss(params, batch, keys.named(key, 'loss'),
                       step=jnp.int32(0), train=True)

  jax.eval_shape(loss, jax.random.key(0))


def to_plain(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """A config as JSON has it (lists, no tuples)."""
  return json.loads(json.dumps(config.to_dict()))
