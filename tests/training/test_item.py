"""Tests of `training.item`; see also test_checkpoint.py, test_processes.py."""

import functools
import shutil

import pytest

from seqdiff.training import agreement


@pytest.mark.parametrize(
    'missing', ['meta', 'params', 'params/d', 'params/ocdbt.process_0/d'])
@pytest.mark.parametrize('of_the_other, why', [
    (0, 'cannot be read now .*Other processes see all files: wait'),
    (1, 'No checkpoint in .* is whole'),  # It misses a file, too.
    (2, 'No checkpoint in .* is whole')])
def test_what_only_some_processes_miss_is_no_damage(
    toy, tmp_path, monkeypatch, missing, of_the_other, why):
  # So wide that the data have a file of their own.
  batches = functools.partial(toy.make_batches, width=1000)
  toy.train(tmp_path, 2, batches=batches)
  shutil.rmtree(tmp_path / 'checkpoints/2' / missing)
  monkeypatch.setattr(
      agreement, 'verdicts', lambda own: [own, own and of_the_other])
  with pytest.raises(ValueError, match=why):
    toy.train(tmp_path, 4, batches=batches)
  assert [p.name for p in (tmp_path / 'checkpoints').iterdir()] == ['2']
