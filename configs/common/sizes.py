"""Rows of DiffSDA's Tables 10 and 11: size of d, and s shared or not."""

from collections.abc import Sequence

import ml_collections

from seqdiff.core import errors


def vary(
    config: ml_collections.ConfigDict, row: str, dynamic_dims: Sequence[int]
) -> ml_collections.ConfigDict:
  """A config with the codes of a row, such as 'd16' or 'd16_unshared'.

  Raises:
    ValueError: for an unknown row.
  """
  rows = {f'd{size}{name}': (size, not name)
          for size in dynamic_dims for name in ('', '_unshared')}
  if row not in rows:
    raise errors.unknown_name('row', row, rows)
  config.method.dynamic_dim, config.method.shared_static = rows[row]
  return config
