"""Tests of `core.cores`."""

import os

import pytest

from seqdiff.core import cores


@pytest.fixture(autouse=True)
def quota(monkeypatch, tmp_path):
  """The file of a container's quota; there is none yet."""
  monkeypatch.setattr(cores, 'QUOTA', tmp_path / 'cpu.max')
  return tmp_path / 'cpu.max'


@pytest.mark.parametrize('text, expected', [
    ('max 100000', 8), ('200000 100000', 2), ('250000 100000', 2),
    ('50000 100000', 1), ('9900000 100000', 8)])
def test_a_container_may_use_as_many_as_its_quota_fills(
    monkeypatch, quota, text, expected):
  monkeypatch.setattr(os, 'sched_getaffinity', lambda _: set(range(8)))
  quota.write_text(text + '\n')
  assert cores.count() == expected


def test_cores_that_a_process_may_not_use_do_not_count():
  allowed = os.sched_getaffinity(0)
  os.sched_setaffinity(0, {min(allowed)})
  try:
    assert cores.count() == 1
  finally:
    os.sched_setaffinity(0, allowed)
  assert cores.count() == len(allowed)


def test_a_system_that_does_not_say_has_all_its_cores(monkeypatch):
  monkeypatch.delattr(os, 'sched_getaffinity')
  for known, expected in (6, 6), (None, 1):
    monkeypatch.setattr(os, 'cpu_count', lambda known=known: known)
    assert cores.count() == expected
