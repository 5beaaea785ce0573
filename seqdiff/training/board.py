"""TensorBoard's file of a run, written by the thread that trains.

`tensorboardX.SummaryWriter` writes in a thread of its own, which ends without a
word when the disk is full; whoever logs then waits forever. Here that is an
error like any other.
"""

from collections.abc import Mapping
import pathlib
import time

from tensorboardX import event_file_writer
from tensorboardX.proto import event_pb2
from tensorboardX.proto import summary_pb2


class Board:
  """Writes scalars; `folder` is made if it is not there."""

  def __init__(self, folder: pathlib.Path, step: int):
    """Values of steps from `step` on that are there are not shown any more."""
    folder.mkdir(parents=True, exist_ok=True)
    self._file = event_file_writer.EventsWriter(str(folder / 'events'))
    self._write(step, session_log=event_pb2.SessionLog(
        status=event_pb2.SessionLog.START))

  def add(self, step: int, metrics: Mapping[str, float]) -> None:
    """Adds the metrics of one step; they are on the disk when this returns."""
    self._write(step, summary=summary_pb2.Summary(value=[
        summary_pb2.Summary.Value(tag=name, simple_value=value)
        for name, value in metrics.items()]))
    self._file.flush()

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _write(self, step, **content):
    self._file.write_event(event_pb2.Event(
        wall_time=time.time(), step=step, **content))
