"""Where files of runs lie: on a local disk, or in a bucket as gs://bucket/...

In a bucket a file appears when it is complete and is replaced as a whole: none
can be appended to or locked, and a rename is a copy. So all files of a run are
written by `write` and `writing`. What grows is written on a local disk and
copied (`training.writer`); checkpoints are written by Orbax.
"""

from collections.abc import Iterator
import contextlib
import io
import os
import pathlib
import re
import uuid

from etils import epath
import fsspec
import jax
from jax.experimental import multihost_utils
import numpy as np

_SCHEME = re.compile(r'[a-z][a-z0-9+.-]*:/')
_BUCKET = re.compile(r'gs://([^/]+)')
# How tensorstore, gcsfs and google.cloud say that a right is missing.
_REFUSED = re.compile(
    '^(PermissionError|Forbidden|Unauthorized|RefreshError):'
    '|^[A-Za-z]+: (PERMISSION_DENIED|UNAUTHENTICATED|Forbidden):'
    '|^HttpError: .*401')
_RIGHTS = (
    'expected a bucket that exists, and the rights to list, read, write and '
    'delete in it. Log in (gcloud auth application-default login), and have '
    'the roles storage.objectAdmin and storage.legacyBucketReader of the '
    'bucket granted to you or, on a virtual machine, to its service account.')


class AccessError(OSError):
  """A bucket does not let a run do what it must."""


def locate(where: str | os.PathLike[str]) -> epath.Path:
  """The path of a file or folder, on a local disk or as gs://bucket/...

  A local one may begin with ~, which shells leave as it is in --flag=~/folder.

  Raises:
    ValueError: for another scheme, or gs:// without a bucket.
  """
  text = os.fspath(where)
  if _SCHEME.match(text) and not _BUCKET.match(text):
    raise ValueError(
        f'{text} is no place for files of a run; expected a path on a local '
        'disk, or gs://<bucket>/<folder>. Correct it.')
  if is_remote(where):
    # Lists of files are asked for anew: other processes write files too.
    fsspec.config.conf.setdefault('gs', {})['use_listings_cache'] = False
  return epath.Path(os.path.expanduser(text))


def absolute(where: str | os.PathLike[str]) -> epath.Path:
  """As `locate`; a local path is made absolute."""
  path = locate(where)
  return path if is_remote(path) else epath.Path(os.path.abspath(path))


def is_remote(where: str | os.PathLike[str]) -> bool:
  """Whether a place is in a bucket."""
  return os.fspath(where).startswith('gs://')


def local(where: str | os.PathLike[str], name: str) -> pathlib.Path:
  """The path of what must be on a local disk; `name` says what was set to it.

  It may begin with ~.

  Raises:
    ValueError: for gs:// and the like.
  """
  if _SCHEME.match(os.fspath(where)):
    raise ValueError(
        f'{name}={where}; expected a folder on a local disk, since only run '
        'directories may be in a bucket. Copy it to a disk first (gcloud '
        'storage cp --recursive), or name another folder.')
  return pathlib.Path(os.path.expanduser(where))


def exists(where: str | os.PathLike[str]) -> bool:
  """Whether a file is there, as the first of all processes sees it.

  What they do together depends on it: all must go the same way.
  """
  found = jax.process_index() == 0 and locate(where).exists()
  if jax.process_count() > 1:
    found = bool(multihost_utils.broadcast_one_to_all(np.array(found)))
  return found


def write(where: str | os.PathLike[str], content: str | bytes) -> None:
  """Writes a file, whole or not at all; its folder is made if missing.

  Of several processes, which share the run directory, only the first writes.

  Raises:
    AccessError: a bucket refuses it.
  """
  path = locate(where)
  if jax.process_index() != 0:
    return
  content = content.encode() if isinstance(content, str) else content
  if is_remote(path):
    with in_words(path):
      path.write_bytes(content)
    return
  path.parent.mkdir(parents=True, exist_ok=True)
  part = path.with_name(f'{path.name}.{os.getpid()}.part')
  try:
    part.write_bytes(content)
    os.replace(part, path)
  finally:
    part.unlink(missing_ok=True)


@contextlib.contextmanager
def writing(where: str | os.PathLike[str]) -> Iterator[io.BytesIO]:
  """A file in memory, which is written to `where` unless an error ends it."""
  file = io.BytesIO()
  yield file
  write(where, file.getvalue())


def check_access(name: str, where: str | os.PathLike[str]) -> None:
  """Tries in a bucket all that a run does there; a local place passes.

  Args:
    name: what was set to the place, such as '--workdir'.
    where: a folder, which need not exist.

  Raises:
    ValueError: if the place is none, the packages for it are not installed, or
      the bucket is not there or may not be written.
  """
  folder = locate(where)
  if not is_remote(folder):
    return
  probe = folder / f'.access-{uuid.uuid4().hex}'
  try:
    # Orbax asks for the kind of the bucket before it deletes a checkpoint.
    from google.cloud import storage  # Optional: only for buckets.
    storage.Client().get_bucket(_BUCKET.match(os.fspath(folder))[1])
    probe.write_text('')
    found = [path.name for path in folder.iterdir()]
    probe.unlink()
  except ImportError as error:
    raise ValueError(
        f'{name}={where}, but a package for buckets is missing ({error}). '
        'Install it (pip install -e ".[gcs]"), or name a folder on a local '
        'disk.') from error
  # Each of the libraries below has errors of its own.
  except Exception as error:  # pylint: disable=broad-exception-caught
    raise _no_access(name, where, _brief(error)) from error
  if probe.name not in found:
    raise _no_access(name, where, 'a file written there cannot be seen')


@contextlib.contextmanager
def in_words(where: str | os.PathLike[str]) -> Iterator[None]:
  """Raises an AccessError if the bucket of `where` refuses what is done."""
  try:
    yield
  except AccessError:
    raise
  # Each library has errors of its own, as above.
  except Exception as error:  # pylint: disable=broad-exception-caught
    cause = error
    while cause is not None and not _REFUSED.search(_brief(cause)):
      cause = cause.__cause__ or cause.__context__
    if cause is None or not is_remote(where):
      raise
    raise AccessError(
        f'{os.fspath(where)} can no longer be used ({_brief(cause)}); {_RIGHTS}'
        ' What is complete there stays: the same command then continues.'
    ) from error


def _no_access(name, where, why) -> ValueError:
  return ValueError(f'{name}={where} cannot be used ({why}); {_RIGHTS}')


def _brief(error: BaseException) -> str:
  """Type and begin of an error, in one line."""
  return ' '.join(f'{type(error).__name__}: {error}'.split())[:300]
