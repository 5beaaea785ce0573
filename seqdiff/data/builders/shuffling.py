"""The order in which TFDS writes records, without TensorFlow and memory.

TFDS orders the records of a split by a hash of their keys. It holds them in
memory, and from 1 GiB on in files that it writes with TensorFlow, which this
library does without. Here they wait in one file of any size.
"""

from collections.abc import Iterable, Iterator
import contextlib
import tempfile

from tensorflow_datasets.core import hashing
from tensorflow_datasets.core import shuffle


def order(keys: Iterable[str], split: str) -> list[str]:
  """Keys of a split in the order of their records on disk."""
  return sorted(keys, key=hashing.Hasher(split).hash_key)


@contextlib.contextmanager
def in_a_file() -> Iterator[None]:
  """Within it, TFDS holds the records of a split in a file."""
  theirs = shuffle.Shuffler
  shuffle.Shuffler = _Shuffler
  try:
    yield
  finally:
    shuffle.Shuffler = theirs


class _Shuffler(shuffle.Shuffler):
  """Gives back records by the hash of their keys, or by numbers as keys."""

  def __init__(self, dirpath, **kwargs):
    super().__init__(dirpath, **kwargs)
    self._file = tempfile.TemporaryFile(dir=dirpath)
    # What records are ordered by, their start and their length in bytes.
    self._places = []

  @property
  def bucket_lengths(self):
    return [len(self._places)]

  def add(self, key, data):
    rank = key if self._disable_shuffling else self._hasher.hash_key(key)
    self._places.append((rank, self._total_bytes, len(data)))
    self._file.write(data)
    self._total_bytes += len(data)
    self._num_examples += 1

  def __iter__(self):
    before = None
    with self._file:
      for key, start, length in sorted(self._places):
        self._file.seek(start)
        record = self._file.read(length)
        if key == before:
          raise shuffle.DuplicatedKeysError(record, record)
        before = key
        yield key, record
