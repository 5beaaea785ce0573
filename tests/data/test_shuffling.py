"""Records on disk: in TFDS's order, of any number, without TensorFlow."""

import numpy as np
import pytest
from tensorflow_datasets.core import shuffle

from seqdiff.data import disk
from seqdiff.data import prepare
from seqdiff.data.builders import shuffling

KEYS = [f'video{k}#{n}' for k in range(20) for n in range(3)]


def fill(shuffler, keys):
  for key in keys:
    shuffler.add(key, key.encode() * 100)
  return shuffler


def test_the_order_is_that_of_tfds_in_memory(tmp_path):
  theirs = fill(shuffle.Shuffler(tmp_path, 'train'), KEYS)
  with shuffling.in_a_file():
    ours = fill(shuffle.Shuffler(tmp_path, hash_salt='train'), KEYS)
  assert type(ours) is not type(theirs) is shuffle.Shuffler
  assert (ours.size, ours.num_examples, ours.bucket_lengths) == (
      theirs.size, theirs.num_examples, theirs.bucket_lengths)
  records = list(ours)
  assert records == list(theirs)
  names = [record[:len(record) // 100].decode() for _, record in records]
  assert names == shuffling.order(KEYS, 'train') != KEYS
  assert names != shuffling.order(KEYS, 'test')
  assert not list(tmp_path.iterdir())


def test_sets_that_are_not_shuffled_keep_their_order(tmp_path):
  with shuffling.in_a_file():
    ours = shuffle.Shuffler(
        tmp_path, hash_salt='train', disable_shuffling=True)
  for number in (2, 0, 11, 1):
    ours.add(number, bytes([number]))
  assert list(ours) == [(n, bytes([n])) for n in (0, 1, 2, 11)]


def test_two_records_of_one_key_are_an_error(tmp_path):
  with shuffling.in_a_file():
    ours = fill(shuffle.Shuffler(tmp_path, hash_salt='train'), 'aba')
  with pytest.raises(shuffle.DuplicatedKeysError):
    list(ours)


def test_sets_larger_than_the_memory_of_tfds_can_be_prepared(
    tmp_path, monkeypatch, write_pictures):
  # From this size on TFDS would import TensorFlow, which is not there.
  monkeypatch.setattr(shuffle, 'MAX_MEM_BUFFER_SIZE', 1000)
  for k in range(6):
    write_pictures(tmp_path / 'videos' / f'v{k}',
                   np.full((4, 8, 8, 3), 40 * k, np.uint8))
  prepare.prepare('frames', manual_dir=str(tmp_path / 'videos'),
                  data_dir=str(tmp_path / 'data'), size=8, num_frames=2)
  dataset = disk.load('frames', data_dir=str(tmp_path / 'data'), size=8)
  # And the manifest says which clip is which.
  for split, source in dataset.splits.items():
    names = dataset.names[split]
    assert len(names) == len(source) == len(set(names))
    for i, name in enumerate(names):
      assert (source[i]['x'] == 40 * int(name[1])).all()
