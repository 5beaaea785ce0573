"""What a run leaves in its directory besides checkpoints.

`config.json` says whose directory it is; another configuration is refused.

`metrics.jsonl` is always written and holds one object per line with `step`
and the metrics. It is line buffered, so a killed run loses at most the line
that it was writing. TensorBoard files appear if tensorboardX is installed.

Of a run directory in a bucket both are written to a local folder and copied
before each checkpoint, every half minute and at the end: a killed run loses
what came after the last copy, and a run that continues from a checkpoint has
the lines before it.
"""

from collections.abc import Mapping, Sequence
import contextlib
import json
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

from etils import epath
import jax
from jax.experimental import multihost_utils
import tqdm

from seqdiff.core import storage
from seqdiff.training import agreement

try:
  from seqdiff.training import board
except ImportError:  # Without tensorboardX.
  board = None

FILE_NAME = 'metrics.jsonl'
_COPY_SECONDS = 30.0  # A bucket takes no new file each second.


def claim_workdir(
    workdir: str | os.PathLike,
    config: Mapping[str, Any],
    *,
    ignore: Sequence[str] = (),
) -> None:
  """Makes `workdir` the directory of the run with this configuration.

  The first call writes `workdir/config.json`; later calls compare with it.

  Args:
    workdir: the run directory; created if missing.
    config: the full configuration, as JSON can hold it.
    ignore: dotted keys that may differ, such as 'train.num_steps'.

  Raises:
    ValueError: the directory belongs to another configuration, or not all
      processes see it.
  """
  path = storage.locate(workdir) / 'config.json'
  config = json.loads(json.dumps(config))  # Tuples are lists in a file.
  # The others look only later: a disk may remember that nothing was there.
  if jax.process_index() == 0 and not path.exists():
    storage.write(path, json.dumps(config, indent=2) + '\n')
  multihost_utils.sync_global_devices('claim')
  agreement.require_all(path.exists(), path)
  theirs, yours = flatten(json.loads(path.read_text('utf-8'))), flatten(config)
  absent = '(absent)'
  differences = [
      f'{key}: {theirs.get(key, absent)} there, {yours.get(key, absent)} here'
      for key in sorted(theirs.keys() | yours.keys())
      if key not in ignore and theirs.get(key, absent) != yours.get(key, absent)
  ]
  if differences:
    raise ValueError(
        f'The run directory {path.parent} belongs to another configuration:'
        f' {"; ".join(differences)}. Expected the same values: use another'
        ' --workdir for this configuration, or set these values as they are'
        ' there.'
    )


def flatten(tree: Any, prefix: str = '') -> dict[str, Any]:
  """Nested dicts as one dict with dotted keys."""
  if not isinstance(tree, dict) or not tree:
    return {prefix: tree}
  flat = {}
  for key, value in tree.items():
    flat.update(flatten(value, f'{prefix}.{key}' if prefix else str(key)))
  return flat


class MetricWriter:
  """Writes the metrics of a run; silent on all processes but the first.

  Call `start` before the first `write`, and `close` at the end.
  """

  def __init__(self, workdir: str | os.PathLike, *, progress: bool = True):
    """Writes into `workdir`; `progress` shows a bar on stderr."""
    self._workdir = storage.locate(workdir)
    self._progress = progress
    self._file = self._board = self._bar = None
    self._folder = None  # What is copied, of a run directory in a bucket.
    self._copied = 0.0

  def start(self, step: int, num_steps: int) -> None:
    """Opens the files of a run that continues after `step` of `num_steps`.

    Lines of later steps, which a run wrote before it was killed, are dropped,
    as the run will write them again.
    """
    if jax.process_index() != 0:
      return
    home = self._workdir
    if storage.is_remote(home):
      self._folder = tempfile.TemporaryDirectory()
      home = storage.locate(self._folder.name)
    storage.write(home / FILE_NAME, _until(self._workdir / FILE_NAME, step))
    self._file = open(home / FILE_NAME, 'a', buffering=1, encoding='utf-8')
    if board is not None:
      self._board = board.Board(home / 'tensorboard', step + 1)
    if self._progress:
      seconds = 0.5 if sys.stderr.isatty() else 30.0  # Spare log files.
      self._bar = tqdm.tqdm(
          total=num_steps, initial=step, unit='step', mininterval=seconds
      )

  def advance(self, step: int) -> None:
    """Moves the progress bar to `step`."""
    if self._bar is not None:
      self._bar.update(step - self._bar.n)

  def write(self, step: int, metrics: Mapping[str, float]) -> None:
    """Writes the metrics of one step."""
    if self._file is None:
      return
    self._file.write(json.dumps({'step': step, **metrics}) + '\n')
    if self._board is not None:
      self._board.add(step, metrics)
    if self._bar is not None:
      shown = {k: v for k, v in metrics.items() if k in ('loss', 'clips/s')}
      self._bar.set_postfix(shown, refresh=False)
    if time.monotonic() - self._copied > _COPY_SECONDS:
      self.flush()

  def flush(self) -> None:
    """Copies all that was written, if the run directory is in a bucket."""
    if self._folder is None:
      return
    home = pathlib.Path(self._folder.name)
    for path in home.rglob('*'):
      if path.is_file():
        storage.write(self._workdir / path.relative_to(home), path.read_bytes())
    self._copied = time.monotonic()

  def close(self) -> None:
    """Closes all files; may be called twice."""
    with contextlib.ExitStack() as stack:  # The disk may be full.
      if self._folder is not None:
        stack.callback(self._folder.cleanup)
        stack.callback(self.flush)
      for thing in (self._bar, self._board, self._file):
        if thing is not None:
          stack.callback(thing.close)
      self._file = self._board = self._bar = None
    self._folder = None


def read_metrics(path: str | os.PathLike) -> list[dict[str, float]]:
  """The lines of a metrics file, without a torn last line."""
  lines = storage.locate(path).read_text(encoding='utf-8').splitlines()
  rows = []
  for number, line in enumerate(lines, start=1):
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError as e:
      if number < len(lines):
        raise ValueError(
            f'Line {number} of {path} is {line[:80]!r}. Expected one JSON'
            ' object per line: mend or remove the line.'
        ) from e
  return rows


def _until(path: epath.Path, step: int) -> str:
  """The rows up to `step`, without a torn last line; none if no file."""
  rows = read_metrics(path) if path.exists() else []
  return ''.join(json.dumps(row) + '\n' for row in rows if row['step'] <= step)
