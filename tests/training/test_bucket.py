"""Tests of training in a run directory that is in a bucket."""

import os

from orbax.checkpoint._src.path import gcs_utils
import pytest

from seqdiff.core import storage
from seqdiff.training import checkpoint
from seqdiff.training import writer
from tests import buckets

RUN = storage.locate('gs://bucket/runs/a')


@pytest.fixture(name='bucket')
def _bucket(tmp_path):
  with buckets.fake(tmp_path / 'bucket'):
    yield tmp_path / 'bucket'


def _steps():
  return [row['step'] for row in writer.read_metrics(RUN / 'metrics.jsonl')]


def test_a_run_that_continues_ends_as_one_in_a_folder(bucket, tmp_path, toy):
  whole = toy.train(tmp_path / 'whole', 8)
  toy.train(RUN, 4)
  found = toy.train(RUN, 8)
  assert toy.sha(found.state) == toy.sha(whole.state)
  assert _steps() == [2, 4, 6, 8]
  if writer.board is not None:
    assert list((bucket / 'runs/a/tensorboard').iterdir())


def test_a_damaged_checkpoint_is_set_aside(bucket, tmp_path, toy):
  toy.train(RUN, 8)
  four = toy.train(tmp_path / 'four', 4)
  there = bucket / 'runs/a/checkpoints'
  (there / '8/meta/metadata').write_text('{}')
  assert toy.sha(toy.train(RUN, 4).state) == toy.sha(four.state)
  assert sorted(p.name for p in there.iterdir()) == ['4', '8.broken']


def test_what_was_not_saved_completely_is_not_counted(bucket, tmp_path, toy):
  whole = toy.sha(toy.train(RUN, 8).state)
  four = toy.train(tmp_path / 'four', 4)
  committed = bucket / 'runs/a/checkpoints/8/commit_success.txt'
  committed.unlink()  # As if it were killed before.
  assert toy.sha(toy.train(RUN, 4).state) == toy.sha(four.state)
  assert toy.sha(toy.train(RUN, 8).state) == whole
  assert committed.is_file()


def test_rows_before_a_checkpoint_survive_a_kill(bucket):
  w = writer.MetricWriter(RUN, progress=False)
  w.start(0, 100)
  for step in 2, 4, 6:
    w.write(step, {'loss': 1.0})
  w.flush()
  w.write(8, {'loss': 1.0})
  assert _steps() == [2, 4, 6]  # As if it were killed here.
  w.close()
  assert _steps() == [2, 4, 6, 8]
  w = writer.MetricWriter(RUN, progress=False)
  w.start(4, 100)
  w.write(6, {'loss': 0.5})
  w.close()
  assert [row['loss'] for row in writer.read_metrics(
      RUN / 'metrics.jsonl')] == [1.0, 1.0, 0.5]


def test_a_bucket_without_checkpoints_says_so(bucket):
  with pytest.raises(ValueError, match='no checkpoint in gs://bucket/runs/a/c'):
    checkpoint.restore_params(RUN / 'checkpoints', {})


def _denied(*args):
  raise ValueError('PERMISSION_DENIED: HTTP response code: 403')  # TensorStore.


def _refused(*args):
  raise PermissionError('403')


@pytest.mark.parametrize('owner, operation, refuse, kept', [
    (gcs_utils, 'get_kvstore_for_gcs', _denied, ['4', '8']),
    (buckets._Bucket, 'open', _refused, ['4', '8']),
    (buckets._Bucket, 'listdir', _refused, ['12', '4', '8']),
    (buckets._Bucket, 'rmtree', _refused, ['12', '4', '8'])])
def test_a_right_that_is_lost_during_a_save_is_told_and_costs_nothing_older(
    bucket, monkeypatch, toy, owner, operation, refuse, kept):
  def batches(start):
    for step, batch in enumerate(toy.make_batches(start), start=start):
      if step == 9:
        monkeypatch.setattr(owner, operation, refuse)
      yield batch

  with pytest.raises(storage.AccessError, match=(
      'gs://bucket/runs/a.* can no longer be used .*403.*expected .*rights to '
      'list, read, write and delete.*objectAdmin.*same command')):
    toy.train(RUN, 14, batches=batches)
  monkeypatch.undo()
  assert sorted(os.listdir(bucket / 'runs/a/checkpoints')) == kept
