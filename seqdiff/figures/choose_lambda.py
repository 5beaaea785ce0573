"""The weight of DiViD's orthogonality loss, chosen without labels.

  for weight in 0 1e-4 1e-3 1e-2 1e-1; do for seed in 0 1; do
    python -m seqdiff.main --config=configs/divid_mhad.py --mode=train \\
        --config.method.orthogonality=$weight --config.seed=$seed \\
        --config.train.log_every=20 --workdir=runs/lambda-$weight-$seed
  done; done
  python -m seqdiff.figures.choose_lambda runs/lambda-*

The arguments are run directories that differ in `method.orthogonality` and in
the seed alone, with the same seeds of each weight; one weight is 0. The rule:
the largest weight whose denoising loss, the mean over the seeds of what was
logged in the last tenth of the training, is within 2 % of that without the
loss. The paper (arXiv:2507.13934) gives no weight.
"""

import argparse
from collections.abc import Mapping, Sequence
import json
import pathlib
import sys

import numpy as np

from seqdiff.figures import curves

TOLERANCE = 0.02
_LAST = 0.1  # Share of the log that the loss is a mean over.
_ROWS = 20  # Least number of rows in it: each is the loss of one batch.


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


def read_run(workdir: pathlib.Path) -> tuple[dict, float, int, float]:
  """A run: config, weight and seed (both taken out of it), and last loss.

  Raises:
    ValueError: if it is no run of DiViD that has logged its loss, or has logged
      it too rarely.
  """
  try:
    config = json.loads((workdir / 'config.json').read_text())
    weight = float(config['method'].pop('orthogonality'))
    seed = config.pop('seed')
    _, losses = curves.read_metrics(workdir / 'metrics.jsonl')['denoising']
  except (OSError, KeyError, ValueError) as error:
    raise ValueError(
        f'{workdir} is no run of DiViD with a log ({error!r}); expected a '
        'directory that `python -m seqdiff.main` has trained in.') from error
  last = losses[len(losses) - int(_LAST * len(losses)):]
  if len(last) < _ROWS:
    raise ValueError(
        f'{workdir} has logged {len(losses)} losses, {len(last)} of them in '
        f'the last tenth; expected at least {_ROWS} there, as each is of one '
        'batch. Train it anew with a smaller --config.train.log_every.')
  return config, weight, seed, float(np.mean(last))


def read_runs(workdirs: Sequence[pathlib.Path]) -> dict[float, float]:
  """Weight -> denoising loss, the mean over its seeds.

  Raises:
    ValueError: if the runs do not compare.
  """
  first, of = None, {}
  for workdir in workdirs:
    config, weight, seed, loss = read_run(workdir)
    first = config if first is None else first
    if config != first:
      raise ValueError(
          f'{workdir} and {workdirs[0]} differ in more than '
          'method.orthogonality and seed; expected one config. Train them with '
          'the same flags.')
    if seed in of.setdefault(weight, {}):
      raise ValueError(
          f'{workdir} is a second run with method.orthogonality={weight:g} and '
          f'seed={seed}; expected one. Leave it out, or train it with another '
          'seed.')
    of[weight][seed] = loss
  seeds = {weight: sorted(losses) for weight, losses in of.items()}
  if any(found != next(iter(seeds.values())) for found in seeds.values()):
    raise ValueError(
        f'Seeds of the runs of each method.orthogonality: {seeds}; expected '
        'the same ones. Train the missing runs, or leave some out.')
  return {weight: float(np.mean(list(losses.values())))
          for weight, losses in of.items()}


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the losses and the choice; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('workdirs', nargs='+', type=pathlib.Path)
  try:
    losses = read_runs(parser.parse_args(argv).workdirs)
    chosen = choose(losses)
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
