"""Plots of series: such as originals under reconstructions, and swaps.

All arrays are (N, T, D), in the units of D variables, NaN where nothing was
measured: such gaps are gaps in a line.
"""

from collections.abc import Mapping, Sequence

from matplotlib import axes as mpl_axes
from matplotlib import colors
from matplotlib import figure as mpl_figure
import numpy as np

from seqdiff.data import batch as data_batch

_GREY = '#777777'
_STATIC = '#1f63b0'
_DYNAMIC = '#c4520e'
_BLACK = '#222222'
_WIDE = 2.6  # Of lines that others lie on, points.
_WIDTH, _HEIGHT = 3.3, 1.3  # Of a panel, inches.
_GRID = dict(sharex=True, sharey='row', squeeze=False)


def lines(
    series: Mapping[str, np.ndarray],
    variables: Sequence[data_batch.Variable],
    *,
    num_variables: int = 4,
    num_frames: int = 240,
    graded: bool = False,
    title: str = '',
) -> mpl_figure.Figure:
  """Series over each other, such as originals and their reconstructions.

  A column for each series, a row for each variable.

  Args:
    series: (N, T, D) of each name. The last name is set off by its colour.
    variables: the D variables.
    num_variables: how many of them are shown: those measured most often in
      what stands first.
    num_frames: how many steps are shown at most, from the first one on.
    graded: whether the names are in an order, such as moves along a component;
      colours then run from blue over black to orange.
    title: what stands above.

  Returns:
    The figure, for `savefig`.
  """
  _check(variables, **series)
  series = {name: x[:, :num_frames] for name, x in series.items()}
  first = next(iter(series.values()))
  styles = _styles(series, graded)
  rows = _most_measured(first, num_variables)
  figure = _figure(len(rows), len(first))
  axes = figure.subplots(len(rows), len(first), **_GRID)
  for panel, n, d in _panels(axes, variables, rows, 'series'):
    for name, style in styles.items():
      _line(panel, series[name][n, :, d], name, *style)
  _legend(figure, axes)
  if title:
    figure.suptitle(title, fontsize=10)
  return figure


def swaps(
    a: np.ndarray,
    b: np.ndarray,
    a_as_b: np.ndarray,
    b_as_a: np.ndarray,
    variables: Sequence[data_batch.Variable],
    *,
    num_variables: int = 3,
    num_frames: int = 240,
) -> mpl_figure.Figure:
  """Pairs of series and their two swaps: the level of one, the other's course.

  A pair is a column. Above are the static code of a and the dynamic codes of
  b, below those of b and a; each has a row for each variable. Colours say what
  a series gives.

  Args:
    a: (N, T, D).
    b: (N, T, D).
    a_as_b: (N, T, D) static code of a, dynamic codes of b.
    b_as_a: (N, T, D) static code of b, dynamic codes of a.
    variables: the D variables.
    num_variables: how many of them are shown: those measured most often.
    num_frames: how many steps are shown at most, from the first one on.

  Returns:
    The figure, for `savefig`.
  """
  _check(variables, a=a, b=b, a_as_b=a_as_b, b_as_a=b_as_a)
  a, b, a_as_b, b_as_a = (x[:, :num_frames] for x in (a, b, a_as_b, b_as_a))
  rows = _most_measured(np.concatenate([a, b]), num_variables)
  figure = _figure(2 * len(rows), len(a))
  parts = figure.subfigures(2, 1)
  for part, names, static, dynamic, swapped in (
      (parts[0], 'ab', a, b, a_as_b), (parts[1], 'ba', b, a, b_as_a)):
    part.suptitle('static code of {}, dynamic codes of {}'.format(*names),
                  fontsize=10)
    axes = part.subplots(len(rows), len(a), **_GRID)
    for panel, n, d in _panels(axes, variables, rows, 'pair'):
      _line(panel, static[n, :, d], 'gives the static code', _STATIC, _WIDE)
      _line(panel, dynamic[n, :, d], 'gives the dynamic codes', _DYNAMIC, _WIDE)
      _line(panel, swapped[n, :, d], 'decoded from both', _BLACK)
  _legend(figure, axes)
  return figure


def _styles(names, graded):
  """Colour and width of the line of each name."""
  if graded:
    grades = colors.LinearSegmentedColormap.from_list(
        'grades', (_STATIC, _BLACK, _DYNAMIC))
    return {name: (grades(place), 1.0) for name, place in zip(
        names, np.linspace(0.0, 1.0, len(names)))}
  *others, last = names
  return {**dict.fromkeys(others, (_GREY, _WIDE)), last: (_DYNAMIC, 1.0)}


def _figure(num_rows: int, num_columns: int) -> mpl_figure.Figure:
  # A Figure of its own, not pyplot: no global state, no display needed.
  return mpl_figure.Figure(
      figsize=(max(1 + _WIDTH * num_columns, 7), 1 + _HEIGHT * num_rows),
      dpi=100, layout='constrained')


def _panels(axes, variables, rows, what):
  """Each panel with the number of its series and of its variable."""
  for i, d in enumerate(rows):
    unit = f' ({variables[d].unit})' if variables[d].unit else ''
    axes[i, 0].set_ylabel(variables[d].name + unit, fontsize=9)
    for n, panel in enumerate(axes[i]):
      panel.tick_params(labelsize=8)
      panel.grid(alpha=0.2)
      panel.spines[['top', 'right']].set_visible(False)
      if i == 0:
        panel.set_title(f'{what} {n + 1}', fontsize=9, loc='left')
      if i == len(rows) - 1:
        panel.set_xlabel('time (steps)', fontsize=9)
      yield panel, n, d


def _line(
    axes: mpl_axes.Axes,
    values: np.ndarray,
    label: str,
    colour: str | tuple[float, ...],
    width: float = 1.0,
) -> None:
  """A line with gaps, in which single values are dots; pale if it is wide."""
  measured = np.concatenate([[False], np.isfinite(values), [False]])
  alone = measured[1:-1] & ~measured[:-2] & ~measured[2:]
  axes.plot(values, color=colour, alpha=0.45 if width > 1.0 else 1.0, lw=width,
            label=label, marker='.', ms=2 + 2 * width, mew=0, markevery=alone)


def _legend(figure: mpl_figure.Figure, axes: np.ndarray) -> None:
  handles, labels = axes[0, 0].get_legend_handles_labels()
  figure.legend(handles, labels, loc='outside upper left', ncols=3,
                frameon=False, fontsize=9)


def _most_measured(series: np.ndarray, count: int) -> np.ndarray:
  """The numbers of the variables with most values, in their own order."""
  measured = np.isfinite(series).sum((0, 1))
  return np.sort(np.argsort(-measured, kind='stable')[:count])


def _check(variables, **series: np.ndarray) -> None:
  shapes = {name: x.shape for name, x in series.items()}
  first = next(iter(shapes.values()))
  if (len(first) != 3 or 0 in first or first[-1] != len(variables)
      or set(shapes.values()) != {first}):
    raise ValueError(
        f'Series of shapes {shapes} with {len(variables)} variables; expected '
        'one shape (N, T, D) for all, with D variables and none of them 0.')
