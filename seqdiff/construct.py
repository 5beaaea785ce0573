"""Values of a config -> objects, with errors that list what is known."""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import inspect
from typing import Any

from flax import linen as nn
import ml_collections

from seqdiff.core import errors


def plain(section: ml_collections.ConfigDict) -> dict[str, Any]:
  """A section as a dict of plain values and tuples."""
  freeze = lambda v: tuple(v) if isinstance(v, list) else (
      {k: freeze(w) for k, w in v.items()} if isinstance(v, dict) else v)
  return {k: freeze(v) for k, v in section.to_dict().items()}


def pick(kind: str, name: str, known: Mapping[str, Any]) -> Any:
  """`known[name]`, or an error that lists the known names."""
  if name not in known:
    raise errors.unknown_name(kind, name, known)
  return known[name]


def make(
    kind: Callable[..., Any],
    options: Mapping[str, Any],
    section: str,
    **fixed: Any,
) -> Any:
  """kind(**options, **fixed), or an error that names an unknown option."""
  target = kind.func if isinstance(kind, functools.partial) else kind
  if dataclasses.is_dataclass(target):
    # Linen adds two fields that are not ours.
    linen = ('name', 'parent') if issubclass(target, nn.Module) else ()
    known = [f.name for f in dataclasses.fields(target) if f.name not in linen]
  else:
    known = list(inspect.signature(target).parameters)
  known = [k for k in known if k not in fixed]
  for option in options:
    if option not in known:
      raise errors.unknown_name(f'option config.{section}', option, known)
  return kind(**options, **fixed)
