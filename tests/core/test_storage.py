"""Tests of `core.storage`."""

import pathlib
import sys

import fsspec
import numpy as np
import pytest

from seqdiff.core import storage
from tests import buckets


@pytest.fixture(name='bucket')
def _bucket(tmp_path):
  with buckets.fake(tmp_path / 'bucket'):
    yield tmp_path / 'bucket'


@pytest.mark.parametrize('where', [
    's3://bucket/a', 'gs:/bucket/a', 'gs://', 'gs:///a', 'https://host/a',
    pathlib.Path('gs://bucket/a')])
def test_a_place_that_would_become_a_folder_named_after_its_scheme_is_refused(
    where):
  with pytest.raises(ValueError, match='is no place.*gs://<bucket>/<folder>'):
    storage.locate(where)


def test_a_local_path_stays_what_it_is(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert str(storage.locate('runs/a')) == 'runs/a'
  assert storage.absolute('runs/a') == tmp_path / 'runs/a'
  assert str(storage.absolute('gs://bucket/a')) == 'gs://bucket/a'


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  assert str(storage.locate('~/runs/a')) == f'{tmp_path}/runs/a'
  assert str(storage.absolute('~/runs/a')) == f'{tmp_path}/runs/a'
  assert storage.local('~/data', 'data_dir') == tmp_path / 'data'
  assert str(storage.locate('runs/~')) == 'runs/~'
  assert str(storage.locate('gs://bucket/~/a')) == 'gs://bucket/~/a'


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
  path = tmp_path / 'new' / 'codes.npz'
  with storage.writing(path) as file:
    np.savez(file, a=np.arange(3))
  with pytest.raises(KeyError), storage.writing(path) as file:
    file.write(b'half')
    raise KeyError
  np.testing.assert_array_equal(np.load(path)['a'], np.arange(3))
  assert list(path.parent.iterdir()) == [path]


def test_a_file_in_a_bucket_is_what_was_written(bucket):
  storage.write('gs://bucket/runs/a.json', 'ä')
  assert (bucket / 'runs/a.json').read_bytes() == 'ä'.encode()
  assert storage.locate('gs://bucket/runs/a.json').read_bytes().decode() == 'ä'


def test_lists_of_a_bucket_are_not_kept():
  storage.locate('gs://bucket/runs')
  assert fsspec.config.conf['gs']['use_listings_cache'] is False


def test_access_leaves_nothing_behind(bucket, tmp_path):
  storage.check_access('--workdir', 'gs://bucket/runs/a')
  assert not [path for path in bucket.rglob('*') if path.is_file()]
  storage.check_access('--workdir', tmp_path / 'none')
  assert not (tmp_path / 'none').exists()


def test_a_bucket_that_is_not_there_is_told(bucket):
  with pytest.raises(ValueError, match='--workdir=gs://other/a cannot be used '
                     '.*404 The bucket other.*gcloud auth.*objectAdmin'):
    storage.check_access('--workdir', 'gs://other/a')


class Forbidden(Exception):
  """As of google.api_core.exceptions, which is not installed."""


@pytest.mark.parametrize('operation', ['open', 'listdir', 'remove', 'get'])
@pytest.mark.parametrize('error', [PermissionError, Forbidden])
def test_a_right_that_is_missing_is_told(
    bucket, monkeypatch, operation, error):
  def refuse(*_):
    raise error('403 storage.objects.x is missing')

  monkeypatch.setattr(buckets._Bucket, operation, refuse)
  with pytest.raises(ValueError, match=(
      f'--workdir=gs://bucket/a cannot be used .{error.__name__}: 403.*expected'
      '.* the rights to list, read, write and delete.*objectAdmin')):
    storage.check_access('--workdir', 'gs://bucket/a')


def test_a_right_that_is_lost_is_told_of_a_file(bucket, monkeypatch):
  def refuse(*_):
    raise Forbidden('403 storage.objects.create is missing')

  monkeypatch.setattr(buckets._Bucket, 'open', refuse)
  with pytest.raises(storage.AccessError, match=(
      'gs://bucket/a.json can no longer be used .Forbidden: 403.*objectAdmin')):
    storage.write('gs://bucket/a.json', 'a')


@pytest.mark.parametrize('where, error', [
    ('gs://bucket/a', ValueError('403 clips are not 404')),
    ('runs/a', PermissionError('a'))])
def test_other_errors_are_left_as_they_are(where, error):
  with pytest.raises(type(error)) as told, storage.in_words(where):
    raise error
  assert told.value is error


def test_a_missing_package_names_the_extra(monkeypatch):
  monkeypatch.setitem(sys.modules, 'google.cloud', None)
  with pytest.raises(ValueError, match=r'package .*missing.*"\.\[gcs\]"'):
    storage.check_access('--workdir', 'gs://bucket/a')


def test_what_is_read_piece_by_piece_stays_on_a_disk():
  assert storage.local('data', 'data_dir') == pathlib.Path('data')
  with pytest.raises(ValueError, match='data_dir=gs://b/data; expected a fold'):
    storage.local('gs://b/data', 'data_dir')
