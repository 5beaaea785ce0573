"""Logs are read as they were left, and curves show what is in them."""

import json

import numpy as np
from PIL import Image
import pytest

from seqdiff.figures import curves


def _write(path, records, tail='') -> None:
  lines = ''.join(json.dumps(record) + '\n' for record in records)
  path.write_text(lines + tail)


def test_series_are_read_by_name(tmp_path):
  log = tmp_path / 'metrics.jsonl'
  _write(log, [
      {'step': 10, 'loss': 0.5, 'note': 'start'},
      {'step': 20, 'loss': 0.25, 'grad_norm': 3},
  ])  # fmt: skip
  series = curves.read_metrics(log)
  assert set(series) == {'loss', 'grad_norm'}
  np.testing.assert_array_equal(series['loss'], [[10, 20], [0.5, 0.25]])
  np.testing.assert_array_equal(series['grad_norm'], [[20], [3]])


@pytest.mark.parametrize('tail', ['{"step": 30, "lo', '{"st', '3'])
def test_torn_last_line_is_left_out(tmp_path, tail):
  log = tmp_path / 'metrics.jsonl'
  _write(log, [{'step': 10, 'loss': 0.5}], tail=tail)
  np.testing.assert_array_equal(curves.read_metrics(log)['loss'], [[10], [0.5]])


def test_torn_line_in_the_middle_is_named(tmp_path):
  log = tmp_path / 'metrics.jsonl'
  _write(log, [{'step': 1, 'loss': 1.0}], tail='{"st\n{"step": 3}\n')
  with pytest.raises(ValueError, match='line 2: expected a JSON object'):
    curves.read_metrics(log)


def test_repeated_steps_of_a_resumed_run_count_once_as_logged_last(tmp_path):
  log = tmp_path / 'metrics.jsonl'
  logged = [(10, 1.0), (20, 2.0), (30, 3.0), (15, 4.0), (20, 5.0)]
  _write(log, [{'step': s, 'loss': v} for s, v in logged])
  steps, values = curves.read_metrics(log)['loss']
  assert steps.tolist() == [10, 15, 20, 30]
  assert values.tolist() == [1.0, 4.0, 5.0, 3.0]


def test_empty_log_is_an_error_with_the_way_out(tmp_path):
  (tmp_path / 'metrics.jsonl').write_text('')
  with pytest.raises(ValueError, match='no line yet; train'):
    curves.read_metrics(tmp_path / 'metrics.jsonl')


def test_smoothing_is_centred_and_exact_for_a_line():
  values = np.array([0.0, 0, 0, 9, 0, 0, 0])
  np.testing.assert_allclose(
      curves.smooth(values, 3), [0, 0, 3, 3, 3, 0, 0], atol=1e-12
  )
  line = np.arange(9.0)
  np.testing.assert_allclose(curves.smooth(line, 5)[2:-2], line[2:-2])


def test_smoothing_does_not_pull_the_ends_to_zero():
  np.testing.assert_allclose(curves.smooth(np.full(6, 2.0), 5), 2.0)
  np.testing.assert_allclose(curves.smooth(np.full(2, 2.0), 5), 2.0)


def _ink(path) -> int:
  image = np.asarray(Image.open(path).convert('RGB')).astype(int)
  return int((image[..., 2] - image[..., 0] > 60).sum())


def test_picture_shows_the_loss_and_a_panel_for_each_metric(tmp_path):
  log = tmp_path / 'metrics.jsonl'
  _write(log, [{'step': s, 'loss': 1 / s} for s in range(1, 50)])
  curves.training_curves(log, tmp_path / 'one.png')
  _write(log, [{'step': s, 'loss': 1 / s, 'grad_norm': s % 7, 'kl': s % 3}
               for s in range(1, 50)])  # fmt: skip
  curves.training_curves(log, tmp_path / 'three.png')
  one, three = (Image.open(tmp_path / f'{n}.png') for n in ('one', 'three'))
  assert one.format == 'PNG'
  assert three.height > one.height and three.width == one.width
  assert 200 < _ink(tmp_path / 'one.png') < _ink(tmp_path / 'three.png')


@pytest.mark.parametrize('losses, scale', [([3.0, 2.0, 0.1], 'log'),
                                           ([3.0, -2.0, 0.1], 'linear')])
def test_scale_is_log_only_where_the_loss_allows(tmp_path, monkeypatch, losses,
                                                 scale):
  seen = []
  draw = curves._draw

  def spy(axes, name, series):
    draw(axes, name, series)
    seen.append(axes.get_yscale())

  monkeypatch.setattr(curves, '_draw', spy)
  log = tmp_path / 'metrics.jsonl'
  _write(log, [{'step': s, 'loss': v} for s, v in enumerate(losses)])
  curves.training_curves(log, tmp_path / 'a.png')
  assert seen == [scale]


def test_loss_that_is_not_finite_leaves_a_hole(tmp_path):
  log = tmp_path / 'metrics.jsonl'
  _write(log, [{'step': s, 'loss': v}
               for s, v in enumerate([1.0, 2.0, float('nan'), 1.0])])
  curves.training_curves(log, tmp_path / 'a.png')
  assert _ink(tmp_path / 'a.png') > 100


def test_log_without_loss_is_refused(tmp_path):
  log = tmp_path / 'metrics.jsonl'
  _write(log, [{'step': 1, 'kl': 1.0}])
  with pytest.raises(ValueError, match=r"no \"loss\", only \['kl'\]"):
    curves.training_curves(log, tmp_path / 'a.png')
