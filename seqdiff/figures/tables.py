"""The tables of the README files, made from the committed result files.

  python -m seqdiff.figures.tables           rewrites the tables
  python -m seqdiff.figures.tables --check   exits with 1 if they are stale

Run it at the root of the repository. It reads
`configs/results/<config name>/<protocol>.json` and fills each place of
README.md and configs/README.md between `<!-- table:NAME -->` and
`<!-- /table -->`. A new table is an entry in `layouts.TABLES`.
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
from seqdiff.figures import layouts

# Reference rows in the order from best to worst; others follow by name.
_REFERENCES = (
    'real', 'self-reconstruction', 'random-pair', 'copy-a', 'copy-b'
)


def read_results(directory: str | os.PathLike[str]) -> layouts.Results:
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
    table: layouts.Table | Callable[[layouts.Results], str],
    found: layouts.Results,
) -> str:
  """One table as Markdown, ending in a newline."""
  if not isinstance(table, layouts.Table):
    return table(found)
  titles = [*table.facts, *([table.per] if table.per else [])]
  left, right = len(titles), len(table.columns)
  titles += [c.title + (' (%)' if c.unit == '%' else '') for c in table.columns]
  lines = [cells.line(titles), cells.line([':--'] * left + ['--:'] * right)]
  for name, by_protocol in sorted(found.items()):
    is_variant = '-' in name
    if (table.protocol not in by_protocol
        or table.variants not in (None, is_variant)
        or not any(fnmatch.fnmatch(name, p) for p in table.configs)):
      continue
    result = by_protocol[table.protocol]
    facts = [FACTS[fact](name, result) for fact in table.facts]
    rows = [(facts, row) for row in _rows(table, result.metrics)]
    if table.variants is not True and not table.per:
      for row, metrics in _references(result.metrics).items():
        label = '↳ ' + re.sub('[-_]', ' ', row)
        rows += [([label] + [''] * (len(facts) - 1), numbers)
                 for numbers in _rows(table, metrics)]
    if any(set(row[-right:]) - {cells.MISSING} for _, row in rows):
      lines += [cells.line(first + row) for first, row in rows]
  if len(lines) == 2:
    lines.append(cells.line([cells.MISSING] * (left + right)))
  return '\n'.join(lines) + '\n'


def of_each_protocol(found: layouts.Results) -> str:
  """All results: one table per protocol, below its name.

  It has the first layout of the protocol, or else all metrics in one cell.
  """
  parts = []
  for protocol in sorted(set().union(*found.values())):
    known = [table for table in layouts.TABLES.values() if isinstance(
        table, layouts.Table) and table.protocol == protocol]
    table = known[0] if known else layouts.Table(
        protocol, ('config', 'data set', 'step', 'seeds', 'version'),
        (layouts.Column('metrics', '*', ''),))
    parts.append(f'{protocol}:\n\n' + render(
        dataclasses.replace(table, variants=None, configs=('*',)), found))
  return '\n'.join(parts)


def update(readme: str, found: layouts.Results, folder: str = '.') -> str:
  """The text of a README with all its tables made anew.

  Args:
    readme: the text.
    found: the results.
    folder: where the README is, from the root: its links start there.

  Raises:
    ValueError: a marker names no table or is not closed.
  """

  def fill(match: re.Match[str]) -> str:
    opening, name, closing = match.groups()
    if name not in layouts.TABLES:
      raise errors.unknown_name('table', name, layouts.TABLES)
    linked = re.sub(
        r'\]\((configs/[^)]+)\)',
        lambda link: f']({pathlib.PurePath(os.path.relpath(link[1], folder))})',
        render(layouts.TABLES[name], found))
    return f'{opening}\n{linked}{closing}'

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
  """Rewrites or checks the READMEs; returns the exit status."""
  parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
  parser.add_argument('--check', action='store_true', help='write nothing')
  parser.add_argument('--readmes', type=pathlib.Path, nargs='+', default=[
      pathlib.Path('README.md'), pathlib.Path('configs/README.md')])
  parser.add_argument('--results', default='configs/results')
  args = parser.parse_args(argv)
  found = read_results(args.results)
  stale = False
  for readme in args.readmes:
    old = readme.read_text()
    new = update(old, found, str(readme.parent))
    if new != old and args.check:
      stale = True
      print(
          f'The tables in {readme} are out of date. '
          'Run: python -m seqdiff.figures.tables',
          file=sys.stderr,
      )
    elif new != old:
      readme.write_text(new)
  return int(stale)


def _rows(
    table: layouts.Table, metrics: Mapping[str, float]
) -> list[list[str]]:
  """The numbers of one row, or of each that the patterns stand for."""
  if not table.per:
    return [[_cell(column, metrics) for column in table.columns]]
  names = set()
  for column in table.columns:
    before, _, after = column.metric.partition('*')
    names |= {name.removeprefix(before).removesuffix(after)
              for name in fnmatch.filter(metrics, column.metric)}
  return [
      [name] + [cells.number(metrics, column.metric.replace('*', name),
                             column.unit) for column in table.columns]
      for name in sorted(names, key=_by_number)]


def _by_number(name: str) -> tuple[str, float]:
  """Names that end in numbers in the order of these."""
  text, number = re.fullmatch(r'(.*?)(\d[\d.e+-]*)?', name).groups()
  return text, float(number or 0)


def _cell(column: layouts.Column, metrics: Mapping[str, float]) -> str:
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
    'version': lambda name, result: str(result.version),
}


if __name__ == '__main__':
  sys.exit(main())
