"""Tests of `data.batch`."""

import numpy as np
import pytest

from seqdiff.data import batch


def _dataset(**item):
  x = np.arange(8.0).reshape(4, 2)
  item = {'x': x, 'observed': x > 2, 'labels/rain': x[:, :1], **item}
  return batch.Dataset(name='set', splits={'train': [item]})


def test_rolled_series_begin_later_and_their_labels_and_masks_stay():
  item = batch.rolled(_dataset(), 1).splits['train'][0]
  np.testing.assert_array_equal(item['x'][:, 0], [2, 4, 6, 0])
  np.testing.assert_array_equal(item['x'][:, 1], [3, 5, 7, 1])
  np.testing.assert_array_equal(item['observed'][:, 0], [0, 0, 1, 1])
  np.testing.assert_array_equal(item['labels/rain'][:, 0], [0, 2, 4, 6])


def test_padded_series_are_not_rolled():
  with pytest.raises(ValueError, match='data.roll=3 with set, whose samples'):
    batch.rolled(_dataset(mask=np.ones(4, bool)), 3)


def test_all_values_of_real_frames_count_as_measured_unless_told():
  x, mask = np.zeros((1, 3, 2)), np.array([[True, True, False]])
  found = batch.observed({'x': x, 'mask': mask})
  np.testing.assert_array_equal(found, [[[1, 1], [1, 1], [0, 0]]])
  told = np.array([[[1, 0], [0, 1], [0, 0]]], bool)
  np.testing.assert_array_equal(
      batch.observed({'x': x, 'mask': mask, 'observed': told}), told)
