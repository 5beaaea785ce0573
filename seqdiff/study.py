"""Trains a list of configs in turn, each with several seeds, for one table.

  python -m seqdiff.study --seeds=3 --workdir=runs/study --out=runs/results \\
      configs/divid_mhad_depth32_ablation.py:{full,no_orth,lstm,adagn,linear} \\
      -- --config.data.data_dir=data --config.eval.judge.workdir=judges

Each run is one `python -m seqdiff.main` in `<workdir>/<config>-<seed>`, with
the flags after `--`; one that is done is not done again, one that was stopped
goes on. The results of all seeds of a config are merged into
`<out>/<config>/<protocol>.json` and printed at the end, one table for each
protocol. Judges are shared if they have a folder of their own, as above; before
--jobs of several runs, let one of them train the judges.
"""

import argparse
from collections.abc import Sequence
from concurrent import futures
import json
import pathlib
import subprocess
import sys

from seqdiff.core import preemption
from seqdiff.core import storage
from seqdiff.evaluation import results
from seqdiff.figures import seeds as seeds_lib
from seqdiff.figures import tables


def check(
    configs: Sequence[str], num_seeds: int, out: pathlib.Path
) -> None:
  """Raises ValueError for what would be found out only after the first run.

  Args:
    configs: what is to be trained.
    num_seeds: with how many seeds.
    out: where the merged results go; those of more seeds are not replaced.
  """
  if num_seeds < 1:
    raise ValueError(f'--seeds={num_seeds}; expected 1 or more.')
  for config in configs:
    if not pathlib.Path(config.partition(':')[0]).is_file():
      raise ValueError(
          f'{config} is no config file; expected one such as '
          'configs/quickstart.py or configs/quickstart_ablation.py:none.')
  names = [results.name_of(config) for config in configs]
  if len(set(names)) < len(names):
    raise ValueError(
        f'Configs {names}; expected different names, each is one row.')
  for path in (
      path for name in names for path in sorted((out / name).glob('*.json'))):
    there = results.read(path).counts.get('seeds', 1)
    if there > num_seeds:
      raise ValueError(
          f'--seeds={num_seeds}, but {path} is the mean of {there} seeds; '
          'expected as many or more. Choose another --out, or remove it.')


def run_one(
    config: str, seed: int, workdir: pathlib.Path, flags: Sequence[str]
) -> pathlib.Path:
  """Trains and evaluates one config with one seed, unless it is done.

  Returns:
    The run directory.

  Raises:
    ValueError: if the run fails; its last words are in the message.
  """
  home = workdir / f'{results.name_of(config)}-{seed}'
  command = ['-m', 'seqdiff.main', f'--config={config}',
             f'--config.seed={seed}', f'--workdir={home}', *flags]
  done, log = home / 'done.json', workdir / f'{home.name}.log'
  if done.exists() and json.loads(done.read_text()) == command:
    return home
  workdir.mkdir(parents=True, exist_ok=True)
  print(f'{home}: see {log}', flush=True)
  with log.open('w') as file:
    code = subprocess.run(
        [sys.executable, *command], stdout=file, stderr=subprocess.STDOUT,
        check=False).returncode
  said = log.read_text()
  if (code or preemption.CONTINUES in said
      or not list(home.glob('results/*.json'))):
    raise ValueError(
        f'{config} with seed {seed} ended with exit code {code} before all '
        'results were there; expected 0 and results. The end of '
        f'{log}: {said[-500:]}')
  done.write_text(json.dumps(command))
  return home


def merge(
    homes: Sequence[pathlib.Path], out: pathlib.Path
) -> list[pathlib.Path]:
  """Writes the results of the seeds of one config as one per protocol.

  Raises:
    ValueError: if results of another config are there, or none to be merged.
  """
  written = []
  for path in sorted((homes[0] / 'results').glob('*.json')):
    found = [results.read(home / 'results' / path.name) for home in homes]
    merged = found[0] if len(found) == 1 else seeds_lib.merge(found)
    there = out / path.name
    if there.exists() and (
        results.read(there).config_hash != merged.config_hash):
      raise ValueError(
          f'{there} is of another config; expected none, or an older result of '
          'this one. Choose another --out, or remove it.')
    results.write_file(there, merged)
    written.append(out / path.name)
  return written


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a study; returns the exit status."""
  argv = list(sys.argv[1:] if argv is None else argv)
  cut = argv.index('--') if '--' in argv else len(argv)
  parser = argparse.ArgumentParser(
      description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
  parser.add_argument('configs', nargs='+')
  parser.add_argument('--seeds', type=int, default=3, help='seeds 0, 1, ...')
  parser.add_argument('--workdir', default='runs/study')
  parser.add_argument('--out', default='runs/study/results')
  parser.add_argument('--jobs', type=int, default=1, help='runs at one time')
  args = parser.parse_args(argv[:cut])
  try:
    workdir = storage.local(args.workdir, '--workdir')
    out = storage.local(args.out, '--out')
    check(args.configs, args.seeds, out)
    found = {}
    with futures.ThreadPoolExecutor(args.jobs) as pool:
      for config in args.configs:
        homes = list(pool.map(
            lambda seed, config=config: run_one(
                config, seed, workdir, argv[cut + 1:]),
            range(args.seeds)))
        written = merge(homes, out / results.name_of(config))
        for path in written:
          print(path, flush=True)
        found[results.name_of(config)] = {
            p.stem: results.read(p) for p in written}
    print('\n' + tables.of_each_protocol(found), end='')
  except (ValueError, OSError) as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  return 0


if __name__ == '__main__':
  sys.exit(main())
