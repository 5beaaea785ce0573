"""A bucket without a network: gs://bucket is a folder, with a bucket's manners.

A file appears when it is closed, none can be appended to, and a folder is there
as long as a file is in it. Other buckets do not exist.
"""

from collections.abc import Iterator
import contextlib
import io
import os
import pathlib
import sys
import types

from etils.epath import backend
from etils.epath import gpath
from orbax.checkpoint._src.path import gcs_utils
import pytest


@contextlib.contextmanager
def fake(root: pathlib.Path) -> Iterator[None]:
  """Puts gs://bucket into `root`, for `epath`, tensorstore and Orbax."""
  there = _Bucket(root)
  storage = types.SimpleNamespace(
      Client=lambda: types.SimpleNamespace(get_bucket=there.get))
  spec = lambda path: {'driver': 'file', 'path': there.at(path)}
  with pytest.MonkeyPatch.context() as patch:
    patch.setitem(gpath._PREFIX_TO_BACKEND, 'gs', there)
    patch.setattr(gpath, '_is_tf_installed', lambda: False)
    patch.setitem(sys.modules, 'google.cloud',
                  types.SimpleNamespace(storage=storage))
    patch.setattr(gcs_utils, 'get_kvstore_for_gcs', spec)
    patch.setattr(gcs_utils, 'get_bucket', there.get)
    yield


class _Bucket(backend._OsPathBackend):
  """What `epath` does at gs://bucket, done in a folder."""

  def __init__(self, root):
    self._root = root

  def get(self, name):
    """As of a client of google.cloud.storage."""
    if name != 'bucket':
      raise FileNotFoundError(f'404 The bucket {name} does not exist')
    return types.SimpleNamespace()

  def at(self, path):
    """The place in the folder of a path gs://bucket/..."""
    assert str(path).startswith('gs://'), path
    bucket, _, rest = str(path).removeprefix('gs://').partition('/')
    self.get(bucket)
    return os.path.join(self._root, rest)

  def open(self, path, mode):
    if 'r' in mode:
      return super().open(self.at(path), mode)
    assert 'a' not in mode, f'{path}: a bucket cannot append'
    return _Upload(pathlib.Path(self.at(path)), 'b' in mode)

  def exists(self, path):
    return os.path.isfile(self.at(path)) or self.isdir(path)

  def isdir(self, path):
    return any(files for _, _, files in os.walk(self.at(path)))

  def mkdir(self, path, *, exist_ok=False, mode=None):
    self.at(path)

  makedirs = mkdir

  def listdir(self, path):
    if not self.isdir(path):
      raise FileNotFoundError(path)
    return [name for name in os.listdir(self.at(path))
            if self.exists(f'{path}/{name}')]

  def glob(self, path):
    return [f'gs://bucket/{os.path.relpath(found, self._root)}'
            for found in super().glob(self.at(path))]

  def rename(self, path, dst):
    os.renames(self.at(path), self.at(dst))

  def __getattribute__(self, name):
    own = object.__getattribute__(self, name)
    if name in ('rmtree', 'remove', 'stat'):
      return lambda path: own(self.at(path))
    return own


class _Upload(io.BytesIO):
  """A file that is written when it is closed."""

  def __init__(self, path, binary):
    super().__init__()
    self._path, self._binary = path, binary

  def write(self, data):
    return super().write(data if self._binary else data.encode())

  def close(self):
    if not self.closed:
      self._path.parent.mkdir(parents=True, exist_ok=True)
      self._path.write_bytes(self.getvalue())
    super().close()
