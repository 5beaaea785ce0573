"""--distributed: what a user can get wrong before processes have met."""

import os
import socket
import subprocess
import sys

import pytest

_CONNECT = """
import sys
from seqdiff import cli, distributed
sys.argv[1:], given = [], sys.argv[1]
cli.run(lambda: distributed.connect(given, timeout=3.0))
"""


def _address():
  with socket.socket() as s:
    s.bind(('127.0.0.1', 0))
    return f'127.0.0.1:{s.getsockname()[1]}'


def _connect(value):
  return subprocess.run(
      [sys.executable, '-c', _CONNECT, value], text=True, capture_output=True,
      env={**os.environ, 'JAX_PLATFORMS': 'cpu'}, timeout=120)


@pytest.mark.parametrize('value, expected', [
    ('on', 'expected off; auto'),
    ('10.0.0.2,2,0', '<host:port>,<n>,<i>'),
    ('10.0.0.2:8476,2', '<host:port>,<n>,<i>'),
    ('10.0.0.2:8476,2,2', 'process 2 of 2'),
    ('10.0.0.2:8476,0,0', 'process 0 of 0')])
def test_malformed_value_is_refused(cli, small, value, expected):
  ended = cli(*small, f'--distributed={value}')
  assert ended.code == 2
  assert f'--distributed={value}' in ended.err and expected in ended.err


def test_other_modes_run_in_one_process(cli, small):
  ended = cli(*small, '--mode=swap', '--distributed=auto')
  assert ended.code == 2
  assert 'expected --mode=train' in ended.err


@pytest.mark.parametrize('index, what', [
    (0, 'start every process'), (1, 'process 0 runs at the address')])
def test_process_without_the_others_ends_in_words(index, what):
  value = f'{_address()},2,{index}'
  ended = _connect(value)
  assert ended.returncode == 2, ended.stderr
  assert f'error: --distributed={value}: after 3 s not all' in ended.stderr
  assert what in ended.stderr


def test_auto_outside_a_cluster_names_the_other_forms():
  ended = _connect('auto')
  assert ended.returncode == 2, ended.stderr
  assert 'no TPU pod and no job' in ended.stderr
  assert '<host:port>,<n>,<i>' in ended.stderr
