"""What the tests of this directory share."""

import pytest

from tests.training import toys


@pytest.fixture
def toy():
  """A method whose loss is known in closed form, and its data."""
  return toys
