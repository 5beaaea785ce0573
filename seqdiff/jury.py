"""Judges: classifiers of real clips that look at generated ones."""

from collections.abc import Iterator, Mapping, Sequence
import contextlib
import time
from typing import Any

from etils import epath
import jax
import ml_collections

from seqdiff import build
from seqdiff import construct
from seqdiff import run
from seqdiff.core import errors
from seqdiff.core import preemption
from seqdiff.core import storage
from seqdiff.data import batch as data_batch
from seqdiff.evaluation import context
from seqdiff.evaluation import judging
from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.nets import classifiers
from seqdiff.training import checkpoint
from seqdiff.training import parallel

_IN_USE = 'in_use.txt'  # Names the run that trains a judge.
_POLL_SECONDS, _PATIENCE_SECONDS = 10, 3600


def jury(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    workdir: epath.Path,
    *,
    owner: epath.Path | None = None,
) -> judging.Jury:
  """The judges of a run, trained where they are missing.

  They lie in `config.eval.judge.workdir`, where runs on the same data can
  share them (one of which at a time trains a judge), else in
  `<workdir>/judges`. Their accuracy on held-out real clips is in
  `results/judge.json` there, of as many judges and of the split that were asked
  for last.

  Args:
    config: of the run.
    dataset: its data.
    workdir: its directory.
    owner: the directory of the run that asks, if it is another: of a prior.

  Raises:
    preemption.Stopped: SIGTERM came meanwhile; a judge was saved, or another
      run is training it.
    ValueError: if another run has been training a judge for an hour.
  """
  shared = config.eval.judge.workdir
  home = workdir / 'judges' if shared is None else storage.locate(shared)
  params = []
  for number in range(config.eval.judge.num_judges):
    own = judge_config(config, number)
    judge = build.judge(own, dataset)
    print(f'judge {number}: {home / str(number)}')
    done = own.train.num_steps in checkpoint.steps(
        home / str(number) / 'checkpoints')
    with (contextlib.nullcontext() if done else
          _alone(home / str(number), workdir if owner is None else owner)):
      result = run.train(judge, own, dataset, home / str(number))
    if result.interrupted:
      raise preemption.Stopped(
          f'Stopped while training judge {number}, which was saved; '
          f'{preemption.CONTINUES}.')
    params.append(jax.device_get(result.state.eval_params))
  found = judging.Jury(judge, params)
  # The seed of the last judge tells their number.
  plain = {**run.to_plain(own), 'eval': {'split': config.eval.split}}
  _remove_other(results.path_of(home, 'judge'), plain)
  if not storage.exists(results.path_of(home, 'judge')):
    runner.run(
        context.Context(
            method=judge, params=None, dataset=dataset, workdir=home,
            jury=found, **settings(config)),
        ['judge'], config=plain, step=result.step)
  return found


@contextlib.contextmanager
def _alone(home: epath.Path, workdir: epath.Path) -> Iterator[None]:
  """Waits while another run than that of `workdir` trains a judge.

  A run that was killed leaves its mark: it goes on as before, others give up
  after a while, unless the file is removed. No lock: a bucket has none, and two
  runs that come within the time of a look and a write both go on.
  """
  path, owner = home / _IN_USE, str(storage.absolute(workdir))
  waited = 0
  while storage.agree(bool(other := _other(path, owner))):
    if not waited:
      print(f'Waits for the run {other}, which trains this judge. If it has '
            f'ended, remove {path}.', flush=True)
    if waited > _PATIENCE_SECONDS:
      raise ValueError(
          f'{path} is there for {waited} s; expected a judge that is trained, '
          'or none that another run is training. If the run that it names has '
          'ended, remove the file; else start again later.')
    preemption.check()
    time.sleep(_POLL_SECONDS)
    waited += _POLL_SECONDS
  storage.write(path, owner)
  try:
    yield
  finally:
    if jax.process_index() == 0:
      path.unlink(missing_ok=True)


def _other(path: epath.Path, owner: str) -> str:
  """Which other run trains a judge, '' if none; the first process looks."""
  found = owner
  if jax.process_index() == 0:
    with contextlib.suppress(FileNotFoundError):
      found = path.read_text()
  return '' if found == owner else found


def _remove_other(path: epath.Path, config: Mapping[str, Any]) -> None:
  """Removes a result of another config; the first process does it."""
  if jax.process_index() == 0 and path.exists() and (
      results.read(path).config_hash != results.config_hash(config)):
    path.unlink()


def check(
    config: ml_collections.ConfigDict, protocols: Sequence[str]
) -> None:
  """Raises ValueError if judges are needed that cannot be trained here."""
  if set(protocols) & set(runner.JUDGED):
    chosen = config.eval.judge
    for name in 'num_judges', 'num_steps':
      if chosen[name] < 1:
        raise ValueError(
            f'config.eval.judge.{name}={chosen[name]}; expected 1 or more. '
            'Raise it, or leave out what needs judges: '
            f'config.eval.protocols={", ".join(protocols)}.')
    # Older runs have no such key.
    if 'network' in chosen and chosen.network not in classifiers.NETWORKS:
      raise errors.unknown_name(
          'network', chosen.network, classifiers.NETWORKS)
    train = judge_config(config, 0).train
    parallel.make_parallel(train.parallel, fsdp=train.fsdp).check_batch_size(
        config.eval.judge.batch_size,
        name='batch size of judges (eval.judge.batch_size)')


def judge_config(
    config: ml_collections.ConfigDict, number: int
) -> ml_collections.ConfigDict:
  """The config of judge `number` for the data of `config`.

  It depends on the data and on `config.eval.judge` alone, so that runs on the
  same data can share their judges.
  """
  settings = construct.plain(config.eval.judge)
  for name in 'workdir', 'num_judges':
    settings.pop(name)
  optim, train = construct.plain(config.optim), construct.plain(config.train)
  for name in 'start_from', 'num_parts':
    train.pop(name, None)  # Older runs have neither.
  data = construct.plain(config.data)
  data['batch_size'] = settings.pop('batch_size')
  num_steps = settings.pop('num_steps')
  optim.update(
      learning_rate=settings.pop('learning_rate'), weight_decay=1e-4, b1=0.9,
      b2=0.999, clip_norm=1.0, warmup_steps=min(50, num_steps // 10),
      schedule='cosine', ema_decay=None)
  train.update(num_steps=num_steps, log_every=100, save_every=num_steps,
               keep_last=1, parallel='pmap', fsdp=False)
  return ml_collections.ConfigDict({
      'seed': number, 'data': data, 'optim': optim, 'train': train,
      'method': {'name': 'judge', **settings}})


def settings(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """Settings of the protocols that do not depend on the model."""
  return dict(
      split=config.eval.split, batch_size=config.data.eval_batch_size,
      **run.cut(config))
