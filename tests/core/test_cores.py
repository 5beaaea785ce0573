"""Tests of `core.cores`."""

import os

from seqdiff.core import cores


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
