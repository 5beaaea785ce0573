"""What a run leaves in its directory besides checkpoints.

`config.json` says whose directory it is; another configuration is refused.

`metrics.jsonl` is always written and holds one object per line with `step`
and the metrics. It is line buffered, so a killed run loses at most the line
that it was writing. TensorBoard files appear if tensorboardX is installed.
"""

from collections.abc import Mapping, Sequence
import json
import os
import pathlib
import sys
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np
import tqdm

try:
  import tensorboardX
except ImportError:
  tensorboardX = None

FILE_NAME = 'metrics.jsonl'


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
  path = pathlib.Path(workdir) / 'config.json'
  path.parent.mkdir(parents=True, exist_ok=True)
  config = json.loads(json.dumps(config))  # Tuples are lists in a file.
  if jax.process_index() == 0 and not path.exists():
    part = path.with_suffix('.part')
    part.write_text(json.dumps(config, indent=2) + '\n', 'utf-8')
    os.replace(part, path)
  multihost_utils.sync_global_devices('claim')
  seen = multihost_utils.process_allgather(np.array(path.exists()))
  if not seen.all():
    raise ValueError(
        f'Process {" and ".join(map(str, np.flatnonzero(~seen)))} does not see'
        f' {path}, which process 0 wrote. Expected one run directory for all'
        ' processes: set --workdir to a folder on a disk that all machines'
        ' share.'
    )
  theirs, yours = _flat(json.loads(path.read_text('utf-8'))), _flat(config)
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


class MetricWriter:
  """Writes the metrics of a run; silent on all processes but the first.

  Call `start` before the first `write`, and `close` at the end.
  """

  def __init__(self, workdir: str | os.PathLike, *, progress: bool = True):
    """Writes into `workdir`; `progress` shows a bar on stderr."""
    self._workdir = pathlib.Path(workdir)
    self._progress = progress
    self._file = self._board = self._bar = None

  def start(self, step: int, num_steps: int) -> None:
    """Opens the files of a run that continues after `step` of `num_steps`.

    Lines of later steps, which a run wrote before it was killed, are dropped,
    as the run will write them again.
    """
    if jax.process_index() != 0:
      return
    self._workdir.mkdir(parents=True, exist_ok=True)
    path = self._workdir / FILE_NAME
    _drop_after(path, step)
    self._file = path.open('a', buffering=1, encoding='utf-8')
    if tensorboardX is not None:
      self._board = tensorboardX.SummaryWriter(
          str(self._workdir / 'tensorboard'), purge_step=step + 1
      )
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
      for name, value in metrics.items():
        self._board.add_scalar(name, value, step)
    if self._bar is not None:
      shown = {k: v for k, v in metrics.items() if k in ('loss', 'clips/s')}
      self._bar.set_postfix(shown, refresh=False)

  def close(self) -> None:
    """Closes all files; may be called twice."""
    for thing in (self._file, self._board, self._bar):
      if thing is not None:
        thing.close()
    self._file = self._board = self._bar = None


def read_metrics(path: str | os.PathLike) -> list[dict[str, float]]:
  """The lines of a metrics file, without a torn last line."""
  lines = pathlib.Path(path).read_text(encoding='utf-8').splitlines()
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


def _drop_after(path: pathlib.Path, step: int) -> None:
  """Drops the rows after `step` and a torn last line, atomically."""
  if not path.exists():
    return
  rows = [row for row in read_metrics(path) if row['step'] <= step]
  part = path.with_suffix('.part')
  part.write_text(''.join(json.dumps(row) + '\n' for row in rows), 'utf-8')
  os.replace(part, path)


def _flat(tree: Any, prefix: str = '') -> dict[str, Any]:
  """Nested dicts as one dict with dotted keys."""
  if not isinstance(tree, dict) or not tree:
    return {prefix: tree}
  flat = {}
  for key, value in tree.items():
    flat.update(_flat(value, f'{prefix}.{key}' if prefix else str(key)))
  return flat
