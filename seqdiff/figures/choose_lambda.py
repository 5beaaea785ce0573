"""The weight of DiViD's orthogonality loss, chosen without labels.

  for weight in 0 1e-4 1e-3 1e-2 1e-1; do for seed in 0 1; do
    python -m seqdiff.main --config=configs/divid_mhad.py --mode=train \\
        --config.method.orthogonality=$weight --config.seed=$seed \\
        --config.train.log_every=20 --workdir=runs/lambda-$weight-$seed
  done; done
  python -m seqdiff.figures.choose_lambda --out=runs/orthogonality.json \\
      runs/lambda-*

The arguments are run directories that differ in `method.orthogonality` and in
the seed alone, with the same seeds of each weight; one weight is 0. The rule:
the largest weight whose denoising loss, the mean over the seeds of what was
logged in the last tenth of the training, is within 2 % of that without the
loss. The paper (arXiv:2507.13934) gives no weight. --out keeps what was found
as a result file: of each weight the loss over that of 0, the mean cos^2(s, d_i)
and the lengths of the codes, which a large weight makes short.
"""

import argparse
from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
import sys
import time
from typing import Any

import numpy as np

from seqdiff.evaluation import results
from seqdiff.figures import curves

TOLERANCE = 0.02
_LAST = 0.1  # Share of the log that the loss is a mean over.
# Least number of rows in it: each is of one batch, of the same clips and noise
# in the runs of one seed.
_ROWS = 10
_KEPT = ('squared_cosine', 'static_length', 'dynamic_length')


def choose(losses: Mapping[float, float]) -> float:
  """The largest weight within the tolerance; weight -> denoising loss.

  Raises:
    ValueError: without the weight 0 or without another one.
  """
  if 0.0 not in losses or len(losses) < 2:
    raise ValueError(
        f'Runs with method.orthogonality={sorted(losses)}; expected one with 0 '
        'and some with other values. Train the missing ones.')
  bound = (1.0 + TOLERANCE) * losses[0.0]
  return max(weight for weight, loss in losses.items() if loss <= bound)


@dataclasses.dataclass(frozen=True)
class Run:
  """One run: its config without weight and seed, and the end of its log."""

  config: Mapping[str, Any]
  weight: float
  seed: int
  step: int
  means: Mapping[str, float]


def read_run(workdir: pathlib.Path) -> Run:
  """The run of a directory.

  Raises:
    ValueError: if it is no run of DiViD that has logged its loss, or has logged
      it too rarely.
  """
  try:
    config = json.loads((workdir / 'config.json').read_text())
    weight = float(config['method'].pop('orthogonality'))
    seed = config.pop('seed')
    logged = curves.read_metrics(workdir / 'metrics.jsonl')
    steps, losses = logged['denoising']
  except (OSError, KeyError, ValueError) as error:
    raise ValueError(
        f'{workdir} is no run of DiViD with a log ({error!r}); expected a '
        'directory that `python -m seqdiff.main` has trained in.') from error
  last = int(_LAST * len(losses))
  if last < _ROWS:
    raise ValueError(
        f'{workdir} has logged {len(losses)} losses, {last} of them in '
        f'the last tenth; expected at least {_ROWS} there, as each is of one '
        'batch. Train it anew with a smaller --config.train.log_every.')
  means = {name: float(np.mean(logged[name][1][-last:]))
           for name in ('denoising', *_KEPT) if name in logged}
  return Run(config, weight, seed, int(steps[-1]), means)


def read_runs(workdirs: Sequence[pathlib.Path]) -> dict[float, list[Run]]:
  """Weight -> its runs, one per seed.

  Raises:
    ValueError: if the runs do not compare.
  """
  runs = [read_run(workdir) for workdir in workdirs]
  of: dict[float, list[Run]] = {}
  for workdir, run in zip(workdirs, runs):
    if (run.config, run.step) != (runs[0].config, runs[0].step):
      raise ValueError(
          f'{workdir} and {workdirs[0]} differ in more than '
          'method.orthogonality and seed; expected one config and one number '
          'of steps. Train them with the same flags.')
    if run.seed in {other.seed for other in of.setdefault(run.weight, [])}:
      raise ValueError(
          f'{workdir} is a second run with method.orthogonality='
          f'{run.weight:g} and seed={run.seed}; expected one. Leave it out, or '
          'train it with another seed.')
    of[run.weight].append(run)
  seeds = {weight: sorted(run.seed for run in of[weight]) for weight in of}
  if any(found != next(iter(seeds.values())) for found in seeds.values()):
    raise ValueError(
        f'Seeds of the runs of each method.orthogonality: {seeds}; expected '
        'the same ones. Train the missing runs, or leave some out.')
  return of


def make_result(
    of: Mapping[float, Sequence[Run]], seconds: float
) -> results.Result:
  """What was found in so long, of runs as `read_runs` gives them."""
  mean = lambda weight, name: float(np.mean(
      [run.means[name] for run in of[weight]]))
  metrics = {}
  for weight in sorted(of):
    metrics[f'{weight:g}/denoising_ratio'] = (
        mean(weight, 'denoising') / mean(0.0, 'denoising'))
    for name in _KEPT:
      if name in of[weight][0].means:
        metrics[f'{weight:g}/{name}'] = mean(weight, name)
  run = of[0.0][0]
  return results.Result(
      protocol='orthogonality', version=1, config=run.config, seed=run.seed,
      step=run.step, counts={'seeds': len(of[0.0])}, wall_seconds=seconds,
      metrics=metrics)


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the losses and the choice; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('workdirs', nargs='+', type=pathlib.Path)
  parser.add_argument('--out', help='result file to write')
  args = parser.parse_args(argv)
  start = time.time()
  try:
    runs = read_runs(args.workdirs)
    losses = {weight: float(np.mean([run.means['denoising'] for run in found]))
              for weight, found in runs.items()}
    chosen = choose(losses)
    if args.out:
      results.write_file(args.out, make_result(runs, time.time() - start))
  except ValueError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  for weight, loss in sorted(losses.items()):
    print(f'{weight:g}: denoising {loss:.4g}, '
          f'{loss / losses[0.0] - 1:+.1%}')
  print(f'method.orthogonality={chosen:g}')
  return 0


if __name__ == '__main__':
  sys.exit(main())
