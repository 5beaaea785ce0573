"""The weight of DiViD's orthogonality loss, chosen without labels.

  python -m seqdiff.figures.choose_lambda runs/lambda-*

The arguments are run directories that differ in `method.orthogonality` alone,
one of them with 0. The rule: the largest weight whose denoising loss is within
2 % of that without the loss. The paper (arXiv:2507.13934) gives no weight.
"""

import argparse
from collections.abc import Mapping, Sequence
import json
import pathlib
import sys

TOLERANCE = 0.02
_LAST = 0.1  # Share of the log that the loss is a mean over.


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


def read_run(workdir: pathlib.Path) -> tuple[dict, float, float]:
  """The config without the weight, the weight, and the last denoising loss.

  Raises:
    ValueError: if it is no run of DiViD that has logged its loss.
  """
  try:
    config = json.loads((workdir / 'config.json').read_text())
    weight = float(config['method'].pop('orthogonality'))
    lines = (workdir / 'metrics.jsonl').read_text().splitlines()
    logged = [json.loads(line) for line in lines]
    losses = [entry['denoising'] for entry in logged if 'denoising' in entry]
    last = losses[-max(1, int(_LAST * len(losses))):]
    return config, weight, sum(last) / len(last)
  except (OSError, KeyError, ValueError, ZeroDivisionError) as error:
    raise ValueError(
        f'{workdir} is no run of DiViD with a log ({error!r}); expected a '
        'directory that `python -m seqdiff.main` has trained in.') from error


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the losses and the choice; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('workdirs', nargs='+', type=pathlib.Path)
  try:
    runs = [read_run(path) for path in parser.parse_args(argv).workdirs]
    if any(config != runs[0][0] for config, _, _ in runs):
      raise ValueError(
          'The runs differ in more than method.orthogonality; expected one '
          'config. Train them with the same flags.')
    losses = {weight: loss for _, weight, loss in runs}
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
