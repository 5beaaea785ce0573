"""One result file made of several, of runs that differ in their seed alone.

  python -m seqdiff.figures.seeds --out=configs/results/X/swap.json \\
      runs/X-0/results/swap.json runs/X-1/results/swap.json

Each metric becomes its mean over the n runs, and `<metric>_std` its standard
deviation (of n - 1 degrees of freedom). One of a reference row that all runs
have alike, since no model is in it, keeps the spread that it had within a run.
The number of runs is in `counts['seeds']`. A result of several seeds counts for
as many, so that a later seed can be added to it.
"""

import argparse
from collections.abc import Sequence
import dataclasses
import sys

import numpy as np

from seqdiff.evaluation import results


def merge(found: Sequence[results.Result]) -> results.Result:
  """The mean of the results of several seeds.

  Args:
    found: at least two results; one that is of n seeds itself, the first in
      its config, is of those that follow it.

  Returns:
    A result with the config and the seed of the first.

  Raises:
    ValueError: if they differ in more than the seed, or not in the seed.
  """
  first = found[0]
  kinds = {(r.protocol, r.version, r.step, results.config_hash(
      {**r.config, 'seed': 0})) for r in found}
  nums = np.array([r.counts.get('seeds', 1) for r in found])
  seeds = sorted(
      r.config['seed'] + i for r, num in zip(found, nums) for i in range(num))
  if len(kinds) > 1 or len(found) < 2 or len(set(seeds)) < len(seeds):
    raise ValueError(
        f'{len(found)} results of the seeds {seeds}, of which {len(kinds)} '
        'differ in more than the seed; expected two or more results of one '
        'protocol and one config, each of another seed.')
  metrics = {}
  for name in first.metrics:
    base = name.removesuffix('_std')
    if base != name and base in first.metrics:
      continue  # The spread within a run gives way to that over seeds.
    spread = f'{name}_std'
    values = np.array([r.metrics[name] for r in found])
    stds = np.array([r.metrics.get(spread, 0.0) for r in found])
    mean = np.average(values, weights=nums)
    squares = (nums - 1) @ stds**2 + nums @ (values - mean)**2
    metrics[name] = float(mean)
    metrics[spread] = float(np.sqrt(squares / (nums.sum() - 1)))
    if (name.startswith('reference/') and len(set(values)) == 1
        and spread in first.metrics):
      metrics[spread] = first.metrics[spread]
  return dataclasses.replace(
      first, metrics=metrics, counts={**first.counts, 'seeds': int(nums.sum())},
      wall_seconds=sum(r.wall_seconds for r in found))


def main(argv: Sequence[str] | None = None) -> int:
  """Merges files; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('--out', required=True, help='the file to write')
  parser.add_argument('files', nargs='+', help='one result file per seed')
  args = parser.parse_args(argv)
  try:
    results.write_file(args.out, merge([results.read(f) for f in args.files]))
  except (ValueError, OSError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main())
