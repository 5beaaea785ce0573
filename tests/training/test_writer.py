"""Tests of `training.writer`."""

import errno
import json
import os
import struct

import pytest

from seqdiff.training import writer


def _write(workdir, start, steps):
  w = writer.MetricWriter(workdir, progress=False)
  w.start(start, 100)
  for step in steps:
    w.write(step, {'loss': step / 4})
  return w


def _steps(workdir):
  return [row['step'] for row in writer.read_metrics(_file(workdir))]


def _file(workdir):
  return workdir / 'metrics.jsonl'


def test_a_row_is_in_the_file_as_soon_as_it_is_written(tmp_path):
  w = _write(tmp_path, 0, [2, 4])
  rows = writer.read_metrics(_file(tmp_path))  # As if it were killed here.
  assert rows == [{'step': 2, 'loss': 0.5}, {'step': 4, 'loss': 1.0}]
  w.close()


def test_rows_after_the_restored_step_are_dropped(tmp_path):
  _write(tmp_path, 0, [2, 4, 6, 8]).close()
  _write(tmp_path, 4, [6, 8, 10]).close()
  assert _steps(tmp_path) == [2, 4, 6, 8, 10]


def test_a_torn_last_row_is_dropped(tmp_path):
  _write(tmp_path, 0, [2, 4]).close()
  with _file(tmp_path).open('a') as f:
    f.write('{"step": 6, "lo')
  assert _steps(tmp_path) == [2, 4]
  _write(tmp_path, 4, [6]).close()
  assert [json.loads(line)['step'] for line in _file(tmp_path).open()] == [
      2, 4, 6]


def test_damage_in_the_middle_names_the_line(tmp_path):
  _file(tmp_path).write_text('{"step": 2}\nrubbish\n{"step": 4}\n')
  with pytest.raises(ValueError, match="Line 2 of .*'rubbish'.*mend"):
    writer.read_metrics(_file(tmp_path))


def test_tensorboard_gets_the_same_numbers(tmp_path):
  event_pb2 = pytest.importorskip('tensorboardX.proto.event_pb2')
  _write(tmp_path, 0, [2, 4]).close()
  (path,) = (tmp_path / 'tensorboard').iterdir()
  data, found, starts = path.read_bytes(), [], []
  while data:  # Records: length (8 bytes), checksum (4), event, checksum (4).
    (length,) = struct.unpack('<Q', data[:8])
    event = event_pb2.Event.FromString(data[12:12 + length])
    found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
    if event.session_log.status == event_pb2.SessionLog.START:
      starts.append(event.step)
    data = data[16 + length:]
  assert starts == [1]  # TensorBoard hides what an earlier run wrote later.
  assert found == [('loss', 2, 0.5), ('loss', 4, 1.0)]


def test_a_disk_that_tensorboard_fills_is_an_error_at_once(
    tmp_path, monkeypatch):
  board = pytest.importorskip('seqdiff.training.board')

  def full(self):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

  w = _write(tmp_path, 0, [2])
  monkeypatch.setattr(board.event_file_writer.EventsWriter, 'flush', full)
  with pytest.raises(OSError, match='No space left'):
    w.write(4, {'loss': 1.0})


def test_tensorboard_is_optional(tmp_path, monkeypatch):
  monkeypatch.setattr(writer, 'board', None)
  _write(tmp_path, 0, [2]).close()
  assert [p.name for p in tmp_path.iterdir()] == ['metrics.jsonl']


def test_progress_bar_shows_step_loss_and_speed(tmp_path, capsys):
  w = writer.MetricWriter(tmp_path)
  w.start(40, 100)
  w.write(50, {'loss': 0.25, 'clips/s': 12.0, 'grad_norm': 3.0})
  w.advance(50)
  w.close()
  last = capsys.readouterr().err.rsplit('\r', 1)[-1]
  for part in ('50/100', 'loss=0.25', 'clips/s=12'):
    assert part in last
  assert 'grad_norm' not in last


_CONFIG = {'seed': 1, 'data': {'size': (3, 4)}, 'train': {'num_steps': 10}}


def test_run_directory_is_claimed_once_and_by_the_same_config_again(tmp_path):
  workdir = tmp_path / 'new' / 'run'
  writer.claim_workdir(workdir, _CONFIG)
  assert json.loads((workdir / 'config.json').read_text()) == {
      **_CONFIG, 'data': {'size': [3, 4]}}
  writer.claim_workdir(workdir, _CONFIG)
  assert [p.name for p in workdir.iterdir()] == ['config.json']


def test_run_directory_of_another_config_is_refused_with_the_difference(
    tmp_path):
  writer.claim_workdir(tmp_path, {**_CONFIG, 'old': 5})
  before = (tmp_path / 'config.json').read_bytes()
  other = {**_CONFIG, 'seed': 2, 'train': {'num_steps': 20}}
  message = ('another configuration: old: 5 there, .absent. here; seed: 1'
             ' there, 2 here; train.num_steps: 10 there, 20 here.*--workdir')
  with pytest.raises(ValueError, match=message):
    writer.claim_workdir(tmp_path, other)
  with pytest.raises(ValueError, match='n: seed: 1 there, 2 here. Expected'):
    writer.claim_workdir(tmp_path, other, ignore=('old', 'train.num_steps'))
  writer.claim_workdir(
      tmp_path, other, ignore=('old', 'train.num_steps', 'seed'))
  assert (tmp_path / 'config.json').read_bytes() == before
