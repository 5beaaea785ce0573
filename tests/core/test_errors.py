"""Tests of `core.errors`."""

import re

from seqdiff.core import errors


def test_a_misspelt_name_gets_a_hint_and_the_known_names():
  error = errors.unknown_name('sampler', 'huen', ['heun', 'euler'])
  assert isinstance(error, ValueError)
  assert re.fullmatch(
      r"Unknown sampler 'huen'\. Did you mean 'heun'\? Known: euler, heun\.",
      str(error))


def test_a_name_like_no_other_gets_no_hint():
  error = errors.unknown_name('sampler', 'zzz', iter(['heun', 'euler']))
  assert str(error) == "Unknown sampler 'zzz'. Known: euler, heun."
