"""Jobs of a config measured, some of them in turns with another side."""

from collections.abc import Sequence
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import jax
import ml_collections
import numpy as np

from seqdiff import run
from seqdiff.benchmark import timing
from seqdiff.benchmark import workload
from seqdiff.core import memory

PAIRED = ('train_step', 'swap')
JOBS = (*PAIRED, 'loader', 'save', 'restore')
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def measure(
    config: ml_collections.ConfigDict,
    *,
    jobs: Sequence[str],
    variants: Sequence[str] = (),
    beside: tuple[str, ml_collections.ConfigDict] | None = None,
    rounds: int,
    seconds: float,
) -> dict[str, float]:
  """Metrics of jobs, see `__main__.py`.

  Args:
    config: what is measured.
    jobs: which of `JOBS`; those of `PAIRED` take turns with the other sides.
    variants: of the peer, each of which is the other side once.
    beside: name and config of a model that is the other side too.
    rounds: see `timing.take_turns`.
    seconds: see `timing.take_turns`.

  Returns:
    The metrics by name.

  Raises:
    ValueError: if a step of `beside` is of another number of clips, or if the
      peer, which has no first stage, is to swap clips behind one.
  """
  _check_peer(config, jobs, variants)
  if beside is not None:
    _check_beside(config, beside[1])
  turns = functools.partial(
      timing.take_turns, rounds=rounds, seconds=seconds)
  metrics = {}
  with workload.Workload(config) as ours:
    sides = {job: timing.timed(ours.jobs[job]) for job in jobs}
    paired = [job for job in jobs if job in PAIRED]
    if beside is not None and paired:
      metrics |= _beside(*beside, {job: sides[job] for job in paired}, turns)
    for variant in variants if paired else ():
      with _Peer(config, ours.batches, variant) as peer:
        for job in paired:
          there = functools.partial(peer.time, job)
          found = _compare(job, *turns(sides[job], there), side=variant,
                           name=f'{job}/{{}}_{variant}')
          # A job compiles in its first pair only, whose numbers are kept.
          metrics = found | metrics
          if beside is not None:
            metrics |= _beside_over_peer(metrics, beside[0], job, variant)
        metrics[f'peak_bytes_{variant}'] = float(peer.memory)
    for job in jobs:
      if f'{job}/per_second' not in metrics:
        metrics |= timing.speed(*turns(sides[job]), f'{job}/{{}}')
      metrics |= ours.facts(job, metrics[f'{job}/per_second'])
  if beside is None:  # Else it would be that of two models.
    metrics['peak_bytes'] = float(workload.peak_bytes())
  return metrics


def _check_peer(config, jobs, variants) -> None:
  """Raises ValueError for a job that the peer of a config cannot do."""
  if not variants or 'first_stage' not in config:
    return
  if config.first_stage.frames:
    raise ValueError(
        f'--variants={",".join(variants)} with config.first_stage.frames=True; '
        'expected a method that the PyTorch peer has: its encoders see what is '
        'noised. Set --variants=none.')
  if 'swap' in jobs:
    raise ValueError(
        f'--jobs={",".join(jobs)} and --variants={",".join(variants)} with a '
        'config.first_stage; expected a job that the PyTorch peer can do: it '
        'has no first stage, through which a swap goes. Set --variants=none, '
        'or --jobs=train_step.')


def _check_beside(config, other) -> None:
  """Raises ValueError unless a step is of as many clips."""
  for key in 'batch_size', 'eval_batch_size':
    ours, theirs = config.data[key], other.data[key]
    if ours != theirs:
      raise ValueError(
          f'--beside has data.{key}={theirs}, --config has {ours}; expected '
          'the same, for a ratio of steps to say something. Set '
          f'--beside.data.{key}={ours}.')


def _beside(row, other, sides, turns) -> dict[str, float]:
  """Metrics of our sides beside those of another config."""
  metrics = {}
  with workload.Workload(other) as theirs:
    for job, side in sides.items():
      metrics |= _compare(
          job, *turns(side, timing.timed(theirs.jobs[job])), side='beside',
          name=f'reference/{row}/{job}/{{}}')
  return metrics


def _beside_over_peer(metrics, row, job, variant) -> dict[str, float]:
  """Speed of --beside over that of the peer, from what both are to ours."""
  pair = [f'{job}/ratio_{side}' for side in (variant, 'beside')]
  peer, other = (metrics[name] for name in pair)
  spread = np.hypot(*(metrics[f'{name}_std'] / metrics[name] for name in pair))
  name = f'reference/{row}/{job}/ratio_{variant}'
  return {name: peer / other, f'{name}_std': float(peer / other * spread)}


def _compare(job, here, there, *, side, name) -> dict[str, float]:
  """Metrics of a pair of turns; `name` makes those of the other side."""
  return {**timing.metric(f'{job}/ratio_{side}', there.seconds / here.seconds),
          **timing.speed(here, f'{job}/{{}}'), **timing.speed(there, name)}


def _environment() -> dict[str, str]:
  """That of the peer, whose memory is kept as that of this process is."""
  if jax.default_backend() != 'cpu':
    return dict(os.environ)
  return {**os.environ,
          **memory.environment(one_heap=jax.device_count() == 1)}


class _Peer:
  """The other process, see `tests/peers/worker.py`.

  Attributes:
    memory: most bytes in use so far.
  """

  def __init__(
      self,
      config: ml_collections.ConfigDict,
      batches: dict[str, dict[str, np.ndarray]],
      variant: str,
  ):
    """It will do its jobs on these batches, one for each job."""
    self.memory = 0
    self._config, self._batches = run.to_plain(config), batches
    self._variant = variant
    self._errors = tempfile.TemporaryFile('w+')  # A pipe might fill up.

  def __enter__(self) -> '_Peer':
    with tempfile.TemporaryDirectory() as folder:
      pathlib.Path(folder, 'config.json').write_text(json.dumps(self._config))
      for job, batch in self._batches.items():
        np.savez(pathlib.Path(folder, f'{job}.npz'), **batch)
      self._process = subprocess.Popen(
          [sys.executable, '-m', 'tests.peers.worker', folder,
           self._variant, jax.devices()[0].platform],
          cwd=_ROOT, text=True, bufsize=1, stdin=subprocess.PIPE,
          stdout=subprocess.PIPE, stderr=self._errors, env=_environment())
      self._answer()  # It has read the files.
    return self

  def __exit__(self, *exc_info) -> None:
    self._process.kill()
    self._process.wait()
    self._errors.close()

  def time(self, job: str, repeats: int) -> float:
    """Seconds of so many repeats of a job."""
    print(job, repeats, file=self._process.stdin)
    answer = self._answer()
    self.memory = answer['memory']
    return answer['seconds']

  def _said(self) -> str:
    self._errors.seek(0)
    return self._errors.read().strip()

  def _answer(self) -> dict[str, float]:
    answer = self._process.stdout.readline()
    if not answer:
      raise ValueError(
          'The PyTorch peer has stopped; expected tests/peers beside seqdiff/ '
          'and the extra `peers` (pip install -e ".[peers]"). It said: '
          f'{self._said()[-500:]}')
    return json.loads(answer)
