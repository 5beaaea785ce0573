"""Tests of `training.full_disk`; a disk that is full is in `test_loop`."""

import errno
import os

import pytest

from seqdiff.training import full_disk


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EDQUOT])
def test_no_space_is_said_in_words(tmp_path, code):
  # TensorStore raises a ValueError with the text of the system in it.
  for error in OSError(code, os.strerror(code)), ValueError(
      f'Error writing "x": {os.strerror(code)}'):
    with pytest.raises(full_disk.FullDiskError, match='disk of .* is full'):
      with full_disk.in_words(tmp_path):
        raise error


def test_other_errors_are_left_as_they_are(tmp_path):
  with pytest.raises(PermissionError):
    with full_disk.in_words(tmp_path):
      raise PermissionError(errno.EACCES, 'no')
