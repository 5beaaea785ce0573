"""Cells of tables in Markdown."""

from collections.abc import Mapping, Sequence

MISSING = '–'


def number(metrics: Mapping[str, float], name: str, unit: str = '') -> str:
  """A metric and, if there is one, its spread `<name>_std`.

  Args:
    metrics: all metrics.
    name: which one.
    unit: '%' for shares in [0, 1], '' for plain numbers.
  """
  if name not in metrics:
    return MISSING
  values = [metrics[n] for n in (name, f'{name}_std') if n in metrics]
  if unit == '%':
    return ' ± '.join(f'{100 * value:.1f}' for value in values)
  return ' ± '.join(f'{value:.4g}' for value in values)


def line(cells: Sequence[str]) -> str:
  """One row."""
  return '| ' + ' | '.join(cells) + ' |'
