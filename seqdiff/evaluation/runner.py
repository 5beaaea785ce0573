"""Runs protocols by name and writes one result file each."""

from collections.abc import Mapping, Sequence
import time
from typing import Any

from seqdiff.core import errors
from seqdiff.core import preemption
from seqdiff.data import batch as data_batch
from seqdiff.evaluation import context
from seqdiff.evaluation import results
from seqdiff.evaluation.protocols import discrimination
from seqdiff.evaluation.protocols import downstream
from seqdiff.evaluation.protocols import generation
from seqdiff.evaluation.protocols import imputation
from seqdiff.evaluation.protocols import judge
from seqdiff.evaluation.protocols import leakage
from seqdiff.evaluation.protocols import reconstruction
from seqdiff.evaluation.protocols import solvers
from seqdiff.evaluation.protocols import swap

PROTOCOLS = {
    'discrimination': discrimination,
    'generation': generation,
    'imputation': imputation,
    'judge': judge,
    'leakage': leakage,
    'reconstruction': reconstruction,
    'solvers': solvers,
    'swap': swap,
    **downstream.PROTOCOLS,
}
JUDGED = ('generation', 'judge', 'swap')  # Need a jury.
# Runs of configs/prior.py; others: models.
OF_PRIORS = ('discrimination', 'generation')
_FORMS = {'discrimination': 'series', 'generation': 'video',
          'imputation': 'series', 'judge': 'video', 'solvers': 'video',
          'swap': 'video'}  # Others are for both.
# Need labels: of either kind, static or dynamic, or of both.
_KINDS = {'generation': 1, 'judge': 1, 'leakage': 1, 'swap': 2}


def check(
    names: Sequence[str], dataset: data_batch.Dataset, *, of_prior: bool = False
) -> None:
  """Raises ValueError for an unknown protocol, or one for other runs."""
  form = 'series' if dataset.variables else 'video'
  kinds = sorted({factor.kind for factor in dataset.factors})
  for name in names:
    if name not in PROTOCOLS:
      raise errors.unknown_name('protocol', name, PROTOCOLS)
    if (name in OF_PRIORS) != of_prior:
      ours, others = ('prior', 'model') if of_prior else ('model', 'prior')
      raise ValueError(
          f'Protocol {name} with the run of a {ours}; expected one of a '
          f'{others}. Leave it out of config.eval.protocols.')
    if name in downstream.PROTOCOLS:
      downstream.PROTOCOLS[name].check(dataset)
    if _FORMS.get(name, form) != form:
      raise ValueError(
          f'Protocol {name}: {dataset.name} is {form}; expected '
          f'{_FORMS[name]}. Leave it out of config.eval.protocols.')
    if len(kinds) < _KINDS.get(name, 0):
      raise ValueError(
          f'Protocol {name}: {dataset.name} has '
          f'{" and ".join(kinds) or "no"} labels; expected '
          f'{"some" if _KINDS[name] == 1 else "static and dynamic ones"}. '
          'Leave it out of config.eval.protocols, or prepare the data with '
          'labels.')


def run(
    ctx: context.Context,
    names: Sequence[str],
    *,
    config: Mapping[str, Any],
    step: int,
    resume: bool = False,
) -> dict[str, results.Result]:
  """Runs the protocols and writes `<workdir>/results/<name>.json`.

  Args:
    ctx: model, data and settings.
    names: which protocols.
    config: the whole config of the run, as JSON can hold it.
    step: number of updates of the parameters.
    resume: whether results of this very run that are there are kept.

  Returns:
    The results by name.

  Raises:
    ValueError: as `check`, or if the directory holds results of
      another run.
    preemption.Stopped: SIGTERM came before one of them.
  """
  check(names, ctx.dataset, of_prior=ctx.generate is not None)
  for name in names:  # All of them, before hours are spent.
    results.check_owner(ctx.workdir, name, config)
  found = {}
  for name in names:
    preemption.check()
    done = resume and results.find(
        ctx.workdir, name, config, version=PROTOCOLS[name].VERSION, step=step)
    if done:
      found[name] = done
      continue
    start = time.time()
    metrics, counts = PROTOCOLS[name].run(ctx)
    found[name] = results.Result(
        protocol=name, version=PROTOCOLS[name].VERSION, config=config,
        seed=ctx.seed, step=step, counts=counts, metrics=metrics,
        wall_seconds=time.time() - start)
    results.write(ctx.workdir, found[name])
  return found
