"""Plots hold the series that they were given, with their gaps and units."""

import io

from matplotlib import colors
import numpy as np
from PIL import Image
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.figures import series

VARIABLES = tuple(data_batch.Variable(name, unit, 0.0, 1.0) for name, unit in (
    ('heat', 'K'), ('flow', ''), ('load', 'kW')))


def _series(seed, count=2):
  return np.random.default_rng(seed).normal(size=(count, 9, 3))


def _over(originals, found, **kwargs):
  return series.lines(
      {'original': originals, 'reconstruction': found}, VARIABLES, **kwargs)


def _panels(figure):
  """The panels by row and column."""
  place = lambda axes: axes.get_subplotspec()
  return {(place(a).rowspan.start, place(a).colspan.start): a
          for a in figure.axes}


def _lines(axes) -> dict[str, np.ndarray]:
  return {line.get_label(): line.get_ydata() for line in axes.get_lines()}


def test_reconstructions_are_over_their_originals():
  originals, found = _series(0), _series(1)
  figure = _over(originals, found)
  panels = _panels(figure)
  assert set(panels) == {(d, n) for d in range(3) for n in range(2)}
  for (d, n), axes in panels.items():
    lines = _lines(axes)
    np.testing.assert_array_equal(lines['original'], originals[n, :, d])
    np.testing.assert_array_equal(lines['reconstruction'], found[n, :, d])
  assert [panels[d, 0].get_ylabel() for d in range(3)] == [
      'heat (K)', 'flow', 'load (kW)']
  assert panels[2, 1].get_xlabel() == 'time (steps)'
  assert panels[0, 1].get_title('left') == 'series 2'
  legend, = figure.legends
  assert [t.get_text() for t in legend.get_texts()] == [
      'original', 'reconstruction']
  # One scale for a variable, so that levels can be compared.
  assert panels[1, 0].get_ylim() == panels[1, 1].get_ylim()


def test_graded_names_run_from_blue_over_black_to_orange():
  moves = {name: _series(k) for k, name in enumerate(('-1', '0', '+1'))}
  panels = _panels(series.lines(moves, VARIABLES, graded=True))
  for (d, n), axes in panels.items():
    lines = axes.get_lines()
    shown = [colors.to_rgb(line.get_color()) for line in lines]
    expected = [colors.to_rgb(c) for c in (
        series._STATIC, series._BLACK, series._DYNAMIC)]
    np.testing.assert_allclose(shown, expected, atol=2e-2)
    for line, x in zip(lines, moves.values()):
      np.testing.assert_array_equal(line.get_ydata(), x[n, :, d])


def test_single_name_is_drawn_alone():
  panels = _panels(series.lines({'sample': _series(0)}, VARIABLES))
  for (d, n), axes in panels.items():
    line, = axes.get_lines()
    np.testing.assert_array_equal(line.get_ydata(), _series(0)[n, :, d])


def test_gaps_are_gaps_and_single_values_are_dots():
  originals = _series(0, 1)
  originals[0, [0, 2, 6, 7, 8], 1] = np.nan  # Left: 1, and 3 to 5.
  panels = _panels(_over(originals, _series(1, 1)))
  line = panels[1, 0].get_lines()[0]
  np.testing.assert_array_equal(line.get_ydata(), originals[0, :, 1])
  assert line.get_marker() == '.'
  np.testing.assert_array_equal(np.flatnonzero(line.get_markevery()), [1])


def test_variables_that_were_measured_most_are_shown():
  originals = _series(0)
  originals[:, 4:, 0] = np.nan
  figure = _over(originals, _series(1), num_variables=2)
  panels = _panels(figure)
  assert [panels[d, 0].get_ylabel() for d in range(2)] == ['flow', 'load (kW)']
  np.testing.assert_array_equal(
      _lines(panels[1, 1])['original'], originals[1, :, 2])


def test_steps_that_are_shown_are_the_first_ones():
  a, b = _series(0), _series(1)
  a[:, 4:, 0] = np.nan  # What is not shown says nothing about a variable.
  panels = _panels(_over(a, b, num_frames=4, num_variables=1))
  lines = _lines(panels[0, 1])
  assert panels[0, 0].get_ylabel() == 'heat (K)'
  np.testing.assert_array_equal(lines['original'], a[1, :4, 0])
  np.testing.assert_array_equal(lines['reconstruction'], b[1, :4, 0])
  above, _ = series.swaps(a, b, a, b, VARIABLES, num_frames=4).subfigs
  np.testing.assert_array_equal(
      _lines(_panels(above)[2, 1])['gives the dynamic codes'], b[1, :4, 2])


def test_swaps_stand_between_what_gives_the_codes():
  a, b, a_as_b, b_as_a = (_series(seed) for seed in range(4))
  figure = series.swaps(a, b, a_as_b, b_as_a, VARIABLES)
  above, below = figure.subfigs
  for part, title, static, dynamic, swapped in (
      (above, 'static code of a, dynamic codes of b', a, b, a_as_b),
      (below, 'static code of b, dynamic codes of a', b, a, b_as_a)):
    assert part.get_suptitle() == title
    panels = _panels(part)
    assert len(panels) == 6
    for (d, n), axes in panels.items():
      lines = _lines(axes)
      np.testing.assert_array_equal(
          lines['gives the static code'], static[n, :, d])
      np.testing.assert_array_equal(
          lines['gives the dynamic codes'], dynamic[n, :, d])
      np.testing.assert_array_equal(
          lines['decoded from both'], swapped[n, :, d])
    assert panels[0, 1].get_title('left') == 'pair 2'
    assert panels[2, 0].get_ylabel() == 'load (kW)'


@pytest.mark.parametrize('count', [1, 4])
def test_text_stays_inside_the_picture(count):
  figure = series.swaps(*(_series(seed, count) for seed in range(4)), VARIABLES)
  picture = io.BytesIO()
  figure.savefig(picture)
  image = np.asarray(Image.open(picture).convert('L'), int)
  border = [image[0], image[-1], image[:, 0], image[:, -1]]
  assert min(edge.min() for edge in border) > 250  # Nothing is cut off.
  assert (image < 100).mean() > 0.005


def test_series_that_do_not_belong_together_are_refused():
  with pytest.raises(ValueError, match=r'\(2, 9, 3\).*\(1, 9, 3\).*one shape'):
    _over(_series(0), _series(1, 1))
  with pytest.raises(ValueError, match='with 2 variables; expected'):
    series.lines({'sample': _series(0)}, VARIABLES[:2])
