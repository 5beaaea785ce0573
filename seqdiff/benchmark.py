r"""Speed, floating point operations and memory of a config.

  python -m seqdiff.benchmark --config=configs/quickstart.py --out=speed.json
  python -m seqdiff.benchmark --config=configs/quickstart_ablation.py:centre \
      --beside=configs/quickstart_ablation.py:none --jobs=train_step --out=...
  ... --variants=none --jobs=train_step,loader,save,restore
  ... --jobs= --sweep=data.batch_size=8,16,32 --devices=1,2,4

Training and swapping are measured beside another side, in turns on the same
device: so many steps here, as many there, and again. A ratio is the median over
the rounds of the speed of --config over that of the other side; its spread is
the standard deviation. Both start from the same uint8 clips or float series on
the host (random ones, no data set is needed) and end when the numbers are
there. The other side is an independent PyTorch peer, the same model in a
process of `tests/peers` (extra `peers`): `ratio_eager`. Or it is the config
--beside, in this process: `ratio_beside`; its own numbers are the reference row
of its name.

The other jobs are measured alone; they are listed in `seqdiff/workload.py`. Of
train step and swap the `flops` are counted, those of all devices together, and
`mfu` is the share of what the devices could do in bfloat16, left out where this
is not known. `temp_bytes` and `argument_bytes` are those that the compiled
train step needs on each device.

--sweep measures the train step with one value after the other, as metrics
`sweep/<key>=<value>/train_step/...`; a value that does not fit into memory is
left out. --devices measures it on the first 1, 2, 4 devices, `scaling/4/...`:
data.batch_size is that of the largest number, each device always has the same
share, and `efficiency` is speed per device over that of the first number.
JAX_NUM_CPU_DEVICES=4 makes devices on a CPU; these share the cores, so that
there it shows no more than that it runs.
"""

from collections.abc import Sequence
import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

from absl import flags
import jax
import ml_collections
from ml_collections import config_flags
import numpy as np

from seqdiff import cli
from seqdiff import run
from seqdiff import study
from seqdiff import sweeps
from seqdiff import timing
from seqdiff import workload
from seqdiff.core import errors
from seqdiff.core import storage
from seqdiff.evaluation import results

_OUT = flags.DEFINE_string('out', None, 'The result file to write (JSON).')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Paired rounds of each job.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Aimed length of one turn.')
_JOBS = flags.DEFINE_list(
    'jobs', ['train_step', 'swap'], 'Of train_step, swap, loader, save, '
    'restore; may be empty.')
_VARIANTS = flags.DEFINE_list(
    'variants', None, 'Of the peer: eager, compile (torch.compile), or none. '
    'Default: eager, with --beside none.')
_BESIDE = config_flags.DEFINE_config_file(
    'beside', None, 'Config file of another model to take turns with; its '
    'values are --beside.<section>.<key>=<value>.', lock_config=True)
_SWEEP = flags.DEFINE_multi_string(
    'sweep', [], '<section>.<key>=<value>,<value>,...; may be repeated.')
_DEVICES = flags.DEFINE_list('devices', [], 'Numbers of devices, as 1,2,4.')

PAIRED = ('train_step', 'swap')
JOBS = (*PAIRED, 'loader', 'save', 'restore')
_ROOT = pathlib.Path(__file__).resolve().parents[1]


def main() -> None:
  """Measures and writes one result file."""
  config = cli.require_config()
  if _OUT.value is None:
    raise ValueError(
        '--out is missing; expected the path of the result file, such as '
        f'--out=configs/results/{_row("config")}/benchmark.json.')
  variants = _variants()
  for job in _JOBS.value:
    if job not in JOBS:
      raise errors.unknown_name('job', job, JOBS)
  if storage.local(_OUT.value, '--out').exists():
    results.read(_OUT.value)  # Only an older result is replaced.
  if not _DEVICES.value:  # Else their number is the user's.
    cli.use_all_cores(config)
  # The other side shares the device.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  settings = dict(rounds=_ROUNDS.value, seconds=_SECONDS.value)
  swept = {}
  for text in _SWEEP.value:
    swept |= sweeps.read_sweep(config, text)
  shares = sweeps.read_devices(config, _DEVICES.value)
  start = time.perf_counter()
  other = None
  if _BESIDE.value is not None:
    other = _row('beside'), _BESIDE.value
  metrics = {}
  if _JOBS.value:
    metrics |= measure(config, jobs=_JOBS.value, variants=variants,
                       beside=other, **settings)
  metrics |= sweeps.sweep(swept, **settings)
  metrics |= sweeps.scale(shares, **settings)
  results.write_file(_OUT.value, results.Result(
      protocol='benchmark', version=1, config=run.to_plain(config),
      seed=config.seed, step=0, metrics=metrics,
      counts={'rounds': _ROUNDS.value, 'train_clips': config.data.batch_size,
              'swap_clips': config.data.eval_batch_size},
      wall_seconds=time.perf_counter() - start))
  for name, value in metrics.items():
    print(f'{name}: {value:.4g}')


def measure(
    config: ml_collections.ConfigDict,
    *,
    jobs: Sequence[str],
    variants: Sequence[str] = (),
    beside: tuple[str, ml_collections.ConfigDict] | None = None,
    rounds: int,
    seconds: float,
) -> dict[str, float]:
  """Metrics of jobs, see the top of this file.

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
    ValueError: if a step of `beside` is of another number of clips.
  """
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
        metrics[f'peak_bytes_{variant}'] = float(peer.memory)
    for job in jobs:
      if f'{job}/per_second' not in metrics:
        metrics |= timing.speed(*turns(sides[job]), f'{job}/{{}}')
      metrics |= ours.facts(job, metrics[f'{job}/per_second'])
  if beside is None:  # Else it would be that of two models.
    metrics['peak_bytes'] = float(workload.peak_bytes())
  return metrics


def _variants() -> list[str]:
  """What is measured of the peer."""
  variants = _VARIANTS.value
  if variants is None:
    return [] if _BESIDE.value is not None else ['eager']
  if variants == ['none']:
    return []
  for variant in variants:
    if variant not in ('eager', 'compile'):
      raise ValueError(
          f'--variants={variant}, expected eager, compile or both, or none.')
  return variants


def _row(flag: str) -> str:
  """Name of the row of a config that a flag has given."""
  return study.name_of(
      config_flags.get_config_filename(flags.FLAGS[flag]))


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


def _compare(job, here, there, *, side, name) -> dict[str, float]:
  """Metrics of a pair of turns; `name` makes those of the other side."""
  return {**timing.metric(f'{job}/ratio_{side}', there.seconds / here.seconds),
          **timing.speed(here, f'{job}/{{}}'), **timing.speed(there, name)}


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

  def __enter__(self) -> '_Peer':
    with tempfile.TemporaryDirectory() as folder:
      pathlib.Path(folder, 'config.json').write_text(json.dumps(self._config))
      for job, batch in self._batches.items():
        np.savez(pathlib.Path(folder, f'{job}.npz'), **batch)
      self._process = subprocess.Popen(
          [sys.executable, '-m', 'tests.peers.worker', folder,
           self._variant, jax.devices()[0].platform],
          cwd=_ROOT, text=True, bufsize=1, stdin=subprocess.PIPE,
          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
      self._answer()  # It has read the files.
    return self

  def __exit__(self, *exc_info) -> None:
    self._process.kill()
    self._process.wait()

  def time(self, job: str, repeats: int) -> float:
    """Seconds of so many repeats of a job."""
    print(job, repeats, file=self._process.stdin)
    answer = self._answer()
    self.memory = answer['memory']
    return answer['seconds']

  def _answer(self) -> dict[str, float]:
    answer = self._process.stdout.readline()
    if not answer:
      raise ValueError(
          'The PyTorch peer has stopped; expected tests/peers beside seqdiff/ '
          'and the extra `peers` (pip install -e ".[peers]"). It said: '
          f'{self._process.stderr.read().strip()[-500:]}')
    return json.loads(answer)


if __name__ == '__main__':
  cli.run(main)
