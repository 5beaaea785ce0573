"""Cells of tables in Markdown."""

from collections.abc import Mapping, Sequence

MISSING = '–'
UNITS = {'': 1, 'G': 1e9, 'MiB': 2**20}  # Of numbers that are not shares.


def number(metrics: Mapping[str, float], name: str, unit: str = '') -> str:
  """A metric and, if there is one, its spread `<name>_std`.

  Args:
    metrics: all metrics.
    name: which one.
    unit: '%' for shares in [0, 1], or one of `UNITS`.
  """
  if name not in metrics:
    return MISSING
  values = [metrics[n] for n in (name, f'{name}_std') if n in metrics]
  if unit == '%':
    return ' ± '.join(f'{100 * value:.1f}' for value in values)
  # Two digits tell a spread; 1e-16 is none.
  return ' ± '.join(f'{round(value / UNITS[unit], 12):.{digits}g}'
                    for value, digits in zip(values, (4, 2)))


def line(cells: Sequence[str]) -> str:
  """One row."""
  return '| ' + ' | '.join(cells) + ' |'
