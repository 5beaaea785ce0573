"""Clips that are too short are found when a data set is opened."""

import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader


@pytest.mark.parametrize('options, needed', [
    (dict(num_frames=4), 4), (dict(num_frames=2, stride=3), 4),
    (dict(num_frames=4, stride=9, take='shrinking'), 4),
    (dict(num_frames=4, take='stratified', first='start'), 4)])
def test_clips_that_are_too_short_are_counted_and_named_at_once(
    options, needed):
  lengths = [3, 4, 2, 3, 9, 1]
  dataset = data_batch.Dataset(
      'toy', {}, lengths={'train': [4], 'test': lengths})
  stride = options.get('stride', 1)
  with pytest.raises(ValueError, match=(
      r'^toy: 4 of 6 clips of the split test are too short: 0 \(3 frames\), 2 '
      r'\(2 frames\), 3 \(3 frames\), ...; '
      fr'num_frames={options["num_frames"]} with stride={stride} needs '
      fr'{needed}\. Lower config.data.num_frames')):
    loader.check_lengths(dataset, **options)
  named = data_batch.Dataset(
      'toy', {}, lengths={'test': [4, 3]}, names={'test': ['a', 'b']})
  with pytest.raises(ValueError, match=r'short: b \(3 frames\); num'):
    loader.check_lengths(named, **options)
  enough = data_batch.Dataset('toy', {}, lengths={'a': [4]})
  loader.check_lengths(enough, **options)
