"""The tables of README.md, made from the committed result files.

  python -m seqdiff.figures.tables           rewrites the tables
  python -m seqdiff.figures.tables --check   exits with 1 if they are stale

Run it at the root of the repository. It reads
`configs/results/<config name>/<protocol>.json` and fills each place of the
README between `<!-- table:NAME -->` and `<!-- /table -->`. A new table is an
entry in `TABLES`.
"""

import argparse
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import fnmatch
import os
import pathlib
import re
import sys

from seqdiff.core import errors
from seqdiff.evaluation import results
from seqdiff.figures import cells
from seqdiff.figures import series_tables

# Config name -> protocol -> result.
Results = Mapping[str, Mapping[str, results.Result]]


@dataclasses.dataclass(frozen=True)
class Column:
  """One column.

  Attributes:
    title: its heading.
    metric: name of the metric it shows. With a `*`, all metrics of that
      pattern are listed in the one cell, by name.
    unit: '%' for shares in [0, 1], '' for plain numbers; see `cells`.
  """

  title: str
  metric: str
  unit: str = '%'


@dataclasses.dataclass(frozen=True)
class Table:
  """One table: a row per config that has numbers of it.

  Metrics called `reference/<row>/<metric>` make further rows below it. Results
  in `<config name>-<argument>/`, of a config file that takes an argument, are
  shown in tables of variants only, without reference rows.

  Attributes:
    protocol: name of the result file that it is made of.
    facts: names in `FACTS`, the columns that say what was run.
    columns: the columns with numbers.
    variants: whether it shows the variants of configs, and only these; None:
      both.
  """

  protocol: str
  facts: Sequence[str]
  columns: Sequence[Column]
  variants: bool | None = False


_SCORED = ('config', 'data set', 'step', 'seeds')
_RUN = (*_SCORED, 'hardware')

_SWAP = (
    Column('static', 'static_accuracy'),
    Column('dynamic', 'dynamic_accuracy'),
    Column('joint', 'joint_accuracy'),
)

TABLES: Mapping[str, Table | Callable[[Results], str]] = {
    'results': Table('swap', _RUN, _SWAP),
    'attributes': Table(
        'swap',
        _SCORED,
        (
            Column('of the donor', 'static/*_accuracy'),
            Column('of the driving clip', 'dynamic/*_accuracy'),
        ),
    ),
    'levers': Table('swap', _RUN, _SWAP, variants=True),
    'reconstruction': Table(
        'reconstruction',
        _SCORED,
        (
            Column('MSE', 'mse', ''),
            Column('PSNR (dB)', 'psnr', ''),
            Column('MSE, own x_T', 'encoded_x_T/mse', ''),
            Column('flicker', 'flicker', ''),
        ),
        variants=None,
    ),
    'leakage': Table(
        'leakage',
        _SCORED,
        (
            Column('leakage', 'leakage'),
            Column('average', 'average'),
            Column('in sample', 'in_sample/average'),
            Column('S→D', 's_to_d/*'),
            Column('D→S', 'd_to_s/*'),
            Column('S→S', 's_to_s/*'),
            Column('D→D', 'd_to_d/*'),
        ),
    ),
    'lever_leakage': Table(
        'leakage',
        ('config', 'step', 'seeds'),
        (
            Column('leakage', 'leakage'),
            Column('average', 'average'),
            Column('in sample', 'in_sample/average'),
        ),
        variants=True,
    ),
    'orthogonality': Table(
        'orthogonality',
        ('config', 'data set', 'step', 'seeds'),
        (
            Column('denoising loss over that of 0', '*/denoising_ratio', ''),
            Column('cos² of s and d', '*/squared_cosine', ''),
            Column('length of s', '*/static_length', ''),
        ),
    ),
    'generation': Table(
        'generation',
        ('config', 'step'),
        (
            Column('s kept: static', 'static_kept/static_accuracy'),
            Column('dynamic', 'static_kept/dynamic_accuracy'),
            Column('d kept: static', 'dynamic_kept/static_accuracy'),
            Column('dynamic', 'dynamic_kept/dynamic_accuracy'),
            Column('consistency', 'static_consistency'),
            Column('change', 'temporal_difference', ''),
            Column('H(y)', '*/marginal_entropy', ''),
            Column('H(y given x)', '*/conditional_entropy', ''),
        ),
        variants=None,
    ),
    'exploration': Table(
        'exploration',
        ('config', 'step'),
        (
            Column('1', 'component_1/*'),
            Column('2', 'component_2/*'),
            Column('3', 'component_3/*'),
            Column('4', 'component_4/*'),
            Column('1 to 4', 'components/*'),
        ),
    ),
    'solvers': Table(
        'solvers',
        ('config', 'data set', 'step'),
        (Column('MSE over that of Heun, NFE 63', '*/mse_ratio', ''),),
    ),
    'benchmark': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step, over eager', 'train_step/ratio_eager', ''),
            Column('over compiled', 'train_step/ratio_compile', ''),
            Column('swap, over eager', 'swap/ratio_eager', ''),
            Column('over compiled', 'swap/ratio_compile', ''),
            Column('train steps per second', 'train_step/per_second', ''),
            Column('compile (s)', 'train_step/first_seconds', ''),
        ),
    ),
    'lever_speed': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step, over that beside', 'train_step/ratio_beside',
                   ''),
            Column('train steps per second', 'train_step/per_second', ''),
        ),
        variants=True,
    ),
    'cost': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step (GFLOP)', 'train_step/flops', 'G'),
            Column('GFLOP/s', 'train_step/flops_per_second', 'G'),
            Column('MFU', 'train_step/mfu'),
            Column('FLOP per byte', 'train_step/flops_per_byte', ''),
            Column('swap (GFLOP)', 'swap/flops', 'G'),
            Column('temporary (MiB)', 'train_step/temp_bytes', 'MiB'),
            Column('arguments (MiB)', 'train_step/argument_bytes', 'MiB'),
        ),
    ),
    'loading': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('batches per second', 'loader/per_second', ''),
            Column('checkpoint (MiB)', 'save/bytes', 'MiB'),
            Column('saves per second', 'save/per_second', ''),
            Column('restores per second', 'restore/per_second', ''),
        ),
    ),
    'sweep': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train steps per second', 'sweep/*/train_step/per_second',
                   ''),
            Column('temporary (MiB)', 'sweep/*/train_step/temp_bytes', 'MiB'),
            Column('clips per second on devices', 'scaling/*/clips_per_second',
                   ''),
            Column('efficiency', 'scaling/*/efficiency'),
        ),
    ),
    'judge': Table(
        'judge',
        ('config', 'data set', 'step'),
        (Column('accuracy per head', '*accuracy'),),
    ),
    'series': series_tables.corrected,
    'series_as_published': series_tables.as_published,
}

# Reference rows in the order from best to worst; others follow by name.
_REFERENCES = (
    'real', 'self-reconstruction', 'random-pair', 'copy-a', 'copy-b'
)


def read_results(directory: str | os.PathLike[str]) -> Results:
  """Reads all `<config name>/<protocol>.json` below `directory`."""
  found: dict[str, dict[str, results.Result]] = {}
  for path in sorted(pathlib.Path(directory).glob('*/*.json')):
    result = results.read(path)
    if path.stem != result.protocol:
      raise ValueError(
          f'{path} holds a result of the protocol {result.protocol!r}; rename '
          f'it to {result.protocol}.json.'
      )
    found.setdefault(path.parent.name, {})[result.protocol] = result
  return found


def render(
    table: Table | Callable[[Results], str], found: Results
) -> str:
  """One table as Markdown, ending in a newline."""
  if not isinstance(table, Table):
    return table(found)
  titles = list(table.facts)
  titles += [c.title + (' (%)' if c.unit == '%' else '') for c in table.columns]
  left, right = len(table.facts), len(table.columns)
  lines = [cells.line(titles), cells.line([':--'] * left + ['--:'] * right)]
  for name, by_protocol in sorted(found.items()):
    is_variant = '-' in name
    if table.protocol not in by_protocol or (
        table.variants not in (None, is_variant)):
      continue
    result = by_protocol[table.protocol]
    references = {} if is_variant else _references(result.metrics)
    if not any(set(_numbers(table, metrics)) - {cells.MISSING}
               for metrics in (result.metrics, *references.values())):
      continue
    facts = [FACTS[fact](name, result) for fact in table.facts]
    lines.append(cells.line(facts + _numbers(table, result.metrics)))
    for row, metrics in references.items():
      label = '↳ ' + re.sub('[-_]', ' ', row)
      facts = [label] + [''] * (left - 1)
      lines.append(cells.line(facts + _numbers(table, metrics)))
  if len(lines) == 2:
    lines.append(cells.line([cells.MISSING] * (left + right)))
  return '\n'.join(lines) + '\n'


def update(readme: str, found: Results) -> str:
  """The text of a README with all its tables made anew.

  Raises:
    ValueError: a marker names no table or is not closed.
  """

  def fill(match: re.Match[str]) -> str:
    opening, name, closing = match.groups()
    if name not in TABLES:
      raise errors.unknown_name('table', name, TABLES)
    return f'{opening}\n{render(TABLES[name], found)}{closing}'

  pattern = r'(<!-- table:(\S+) -->).*?(<!-- /table -->)'
  filled, number = re.subn(pattern, fill, readme, flags=re.DOTALL)
  openings = re.findall(r'<!-- table:(\S+) -->', readme)
  if number != len(openings):
    raise ValueError(
        f'Of the markers of the tables {openings} only {number} are closed. '
        'Add <!-- /table --> below each table.'
    )
  return filled


def main(argv: Sequence[str] | None = None) -> int:
  """Rewrites or checks the README; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('--check', action='store_true', help='write nothing')
  parser.add_argument('--readme', type=pathlib.Path, default='README.md')
  parser.add_argument('--results', default='configs/results')
  args = parser.parse_args(argv)
  old = args.readme.read_text()
  new = update(old, read_results(args.results))
  if args.check and new != old:
    print(
        f'The tables in {args.readme} are out of date. '
        'Run: python -m seqdiff.figures.tables',
        file=sys.stderr,
    )
    return 1
  if new != old:
    args.readme.write_text(new)
  return 0


def _numbers(table: Table, metrics: Mapping[str, float]) -> list[str]:
  return [_cell(column, metrics) for column in table.columns]


def _cell(column: Column, metrics: Mapping[str, float]) -> str:
  """The number, with its spread if there is one, or the list of numbers."""
  if '*' not in column.metric:
    return cells.number(metrics, column.metric, column.unit)
  before, _, after = column.metric.partition('*')
  short = lambda name: name.removeprefix(before).removesuffix(after).strip('_/')
  listed = [
      f'{short(name) or "all"} ' + cells.number(metrics, name, column.unit)
      for name in sorted(fnmatch.filter(metrics, column.metric))
      if not name.startswith('reference/') and not name.endswith('_std')
  ]
  return ', '.join(listed) or cells.MISSING


def _references(metrics: Mapping[str, float]) -> dict[str, dict[str, float]]:
  """The rows of `reference/<row>/<metric>`, in the order of the table."""
  rows: dict[str, dict[str, float]] = {}
  for name, value in metrics.items():
    if name.startswith('reference/'):
      _, row, metric = name.split('/', 2)
      rows.setdefault(row, {})[metric] = value

  def place(row: str) -> tuple[int, str]:
    known = row.replace('_', '-')
    if known in _REFERENCES:
      return _REFERENCES.index(known), row
    return len(_REFERENCES), row

  return {row: rows[row] for row in sorted(rows, key=place)}


def _hardware(result: results.Result) -> str:
  has = result.hardware
  if has['platform'] == 'cpu':
    return f'{has["cpu_count"]} CPU cores'
  return f'{has["device_count"]} × {has["device_kind"]}'


FACTS: Mapping[str, Callable[[str, results.Result], str]] = {
    'config': lambda name, result: (
        f'[{name.replace("-", ":")}](configs/{name.partition("-")[0]}.py)'),
    'data set': lambda name, result: str(result.config['data']['name']),
    'step': lambda name, result: f'{result.step:,}',
    'seeds': lambda name, result: str(result.counts.get('seeds', 1)),
    'hardware': lambda name, result: _hardware(result),
}


if __name__ == '__main__':
  sys.exit(main())
