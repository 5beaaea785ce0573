"""Training curves from the log of a run, `<workdir>/metrics.jsonl`."""

import json
import math
import os

from matplotlib import axes as mpl_axes
from matplotlib import figure as mpl_figure
import numpy as np

from seqdiff.core import storage

Series = tuple[np.ndarray, np.ndarray]  # Steps and values, both (n,).

_COLOUR = '#1f63b0'
_FIRST = ('grad_norm', 'learning_rate')
_PANELS_PER_ROW = 4


def read_metrics(path: str | os.PathLike[str]) -> dict[str, Series]:
  """Reads a log of lines like `{"step": 10, "loss": 0.3}`.

  A last line torn by a kill is left out. A step that was logged twice, because
  the run was resumed from before it, counts as logged last.

  Args:
    path: the log.

  Returns:
    Name -> (steps, values), by increasing step; only numbers are kept.

  Raises:
    ValueError: a line before the last is not a JSON object with a step, or
      there is no whole line.
  """
  path = storage.locate(path)
  lines = path.read_text().splitlines()
  by_step: dict[int, dict[str, float]] = {}
  for number, line in enumerate(lines, start=1):
    try:
      record = json.loads(line)
      step = record.pop('step')
    except (ValueError, AttributeError, TypeError, KeyError) as e:
      if number == len(lines):
        break
      raise ValueError(
          f'{path}, line {number}: expected a JSON object with a "step", got '
          f'{line[:60]!r}. Remove the line.'
      ) from e
    by_step.setdefault(step, {}).update(record)
  if not by_step:
    raise ValueError(f'{path} holds no line yet; train for some steps first.')
  names = {name for record in by_step.values() for name in record}
  series = {name: _series(by_step, name) for name in names}
  return {name: s for name, s in series.items() if len(s[0]) > 0}


def training_curves(
    metrics_path: str | os.PathLike[str], png_path: str | os.PathLike[str]
) -> None:
  """Draws the loss large, raw and smoothed, and all else in small panels.

  Args:
    metrics_path: the log of a run, `<workdir>/metrics.jsonl`.
    png_path: the picture to write.

  Raises:
    ValueError: the log cannot be read or has no loss.
  """
  series = read_metrics(metrics_path)
  if 'loss' not in series:
    raise ValueError(
        f'{metrics_path} has no "loss", only {sorted(series)}; is it the log '
        'of a training run?'
    )
  rest = sorted(
      (name for name in series if name != 'loss'),
      key=lambda name: (name not in _FIRST, name),
  )
  rows = math.ceil(len(rest) / _PANELS_PER_ROW)
  # A Figure of its own, not pyplot: no global state, no display needed.
  figure = mpl_figure.Figure(figsize=(9, 4 + 1.8 * rows), layout='constrained')
  grid = figure.add_gridspec(
      1 + rows, _PANELS_PER_ROW, height_ratios=[4] + [1.8] * rows
  )
  main = figure.add_subplot(grid[0, :])
  _draw(main, 'loss', series['loss'])
  main.set_xlabel('step')
  main.legend(frameon=False)
  for i, name in enumerate(rest):
    panel = figure.add_subplot(grid[1 + i // _PANELS_PER_ROW,
                                    i % _PANELS_PER_ROW])
    _draw(panel, name, series[name])
    panel.tick_params(labelsize=7)
  with storage.writing(png_path) as file:
    figure.savefig(file, format='png', dpi=120)


def smooth(values: np.ndarray, window: int) -> np.ndarray:
  """Centred running mean (n,) -> (n,); shorter windows at both ends."""
  window = min(window, len(values))
  box = np.ones(window)
  counts = np.convolve(np.ones(len(values)), box, mode='same')
  return np.convolve(values, box, mode='same') / counts


def _series(by_step: dict[int, dict[str, float]], name: str) -> Series:
  pairs = [
      (step, record[name])
      for step, record in sorted(by_step.items())
      if isinstance(record.get(name), (int, float))
  ]
  steps, values = zip(*pairs) if pairs else ((), ())
  return np.asarray(steps, int), np.asarray(values, float)


def _draw(axes: mpl_axes.Axes, name: str, series: Series) -> None:
  steps, values = series
  finite = np.isfinite(values)
  steps, values = steps[finite], values[finite]
  if name == 'loss':
    window = max(1, len(values) // 20) | 1  # Odd, so that it is centred.
    axes.plot(steps, values, color=_COLOUR, alpha=0.25, lw=1, label='loss')
    axes.plot(
        steps,
        smooth(values, window),
        color=_COLOUR,
        lw=1.8,
        label=f'mean of {window} points',
    )
  else:
    axes.plot(steps, values, color=_COLOUR, lw=1)
    axes.yaxis.set_major_formatter(lambda value, _: f'{value:g}')
  # A log scale cannot show a likelihood that is below zero.
  if name == 'loss' and len(values) > 0 and (values > 0).all():
    axes.set_yscale('log')
  axes.set_title(name, fontsize=10, loc='left')
  axes.grid(alpha=0.2, which='both')
  axes.spines[['top', 'right']].set_visible(False)
