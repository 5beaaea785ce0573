"""Messages for errors that a user can cause: given, expected, what to do."""

from collections.abc import Iterable
import difflib


def unknown_name(kind: str, name: str, known: Iterable[str]) -> ValueError:
  """A ValueError that names the unknown `name` and lists the known ones."""
  known = sorted(known)
  close = difflib.get_close_matches(name, known, n=1)
  hint = f' Did you mean {close[0]!r}?' if close else ''
  return ValueError(
      f'Unknown {kind} {name!r}.{hint} Known: {", ".join(known)}.'
  )
