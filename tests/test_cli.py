"""Tests of `seqdiff.cli`; see also e2e/test_user_errors.py."""

import sys

import pytest

from seqdiff import cli


@pytest.mark.parametrize('error, code, said', [
    (ValueError('no such file'), 2, 'error: no such file\n'),
    (KeyboardInterrupt(), 130, 'Interrupted.\n'),
    (RuntimeError('a fault'), 1, 'Traceback')])
def test_how_a_program_ends(monkeypatch, capsys, error, code, said):
  def main():
    raise error

  monkeypatch.setattr(sys, 'argv', ['program'])
  with pytest.raises(SystemExit) as ended:
    cli.run(main)
  assert ended.value.code == code
  assert capsys.readouterr().err.startswith(said)
