"""Judges: classifiers of real clips that look at generated ones."""

from collections.abc import Mapping, Sequence
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
from seqdiff.training import parallel


def jury(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    workdir: epath.Path,
) -> judging.Jury:
  """The judges of a run, trained where they are missing.

  They lie in `config.eval.judge.workdir`, where runs on the same data can
  share them (but only one may train them), else in `<workdir>/judges`. Their
  accuracy on held-out real clips is in `results/judge.json` there, of as many
  judges and of the split that were asked for last.

  Raises:
    preemption.Stopped: SIGTERM came meanwhile; a judge was saved.
  """
  home = config.eval.judge.workdir
  home = workdir / 'judges' if home is None else storage.locate(home)
  params = []
  for number in range(config.eval.judge.num_judges):
    own = judge_config(config, number)
    judge = build.judge(own, dataset)
    print(f'judge {number}: {home / str(number)}')
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
