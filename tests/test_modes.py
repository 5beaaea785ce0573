"""Tests of `modes`: how a film is cut for a model."""

import numpy as np
from PIL import Image
import pytest

from configs import quickstart
from seqdiff import modes
from seqdiff.data import batch


@pytest.fixture
def film(tmp_path):
  """A folder of nine pictures, number t of brightness 20 t."""
  for t in range(9):
    Image.new('RGB', (10, 10), (20 * t,) * 3).save(tmp_path / f'{t}.png')
  return tmp_path


@pytest.mark.parametrize('changes, expected', [
    ({}, [0, 1, 2, 3]), ({'stride': 2}, [0, 2, 4, 6]),
    # The middle frames of 0-1, 2-3, 4-5 and 6-8.
    ({'take': 'stratified'}, [0, 2, 4, 7]),
])
def test_films_are_cut_like_clips_in_the_evaluation(film, changes, expected):
  config = quickstart.get_config()
  with config.unlocked():
    config.data.update(num_frames=4, **changes)
  item = {'x': np.zeros((9, 8, 8, 3), np.uint8)}
  dataset = batch.Dataset('toy', {'train': [item]})
  clip = modes._read_clip('a', film, config, dataset)
  assert clip.shape == (4, 8, 8, 3)
  np.testing.assert_array_equal(clip[:, 0, 0, 0], 20 * np.array(expected))
  for k in range(3, 9):
    (film / f'{k}.png').unlink()
  with pytest.raises(ValueError, match='too short: 3 frames, a clip takes'):
    modes._read_clip('a', film, config, dataset)
