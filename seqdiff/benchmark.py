r"""Speed of training and of swapping beside another program or config.

  python -m seqdiff.benchmark --config=configs/quickstart.py --out=speed.json
  python -m seqdiff.benchmark --config=configs/quickstart_ablation.py:centre \
      --beside=configs/quickstart_ablation.py:none --jobs=train_step --out=...

Two sides take turns on the same device: so many steps here, as many there, and
again. A ratio is the median over the rounds of the speed of --config over that
of the other side; its spread is the standard deviation. Both start from the
same uint8 clips or float series on the host (random ones, no data set is
needed) and end when the numbers are there.

The other side is an independent PyTorch peer, the same model in a process of
`tests/peers` (extra `peers`): `ratio_eager`. Or it is the config --beside, in
this process: `ratio_beside`; its own numbers are the reference row of its name.
"""

from collections.abc import Callable, Sequence
import dataclasses
import functools
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from absl import flags
import jax
import ml_collections
from ml_collections import config_flags
import numpy as np

from seqdiff import build
from seqdiff import cli
from seqdiff import run
from seqdiff import study
from seqdiff.core import errors
from seqdiff.core import keys
from seqdiff.core import storage
from seqdiff.evaluation import results
from seqdiff.sampling import swap as swap_sampler
from seqdiff.training import parallel
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step

_OUT = flags.DEFINE_string('out', None, 'The result file to write (JSON).')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Paired rounds of each job.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Aimed length of one turn.')
_JOBS = flags.DEFINE_list(
    'jobs', ['train_step', 'swap'], 'What is measured.')
_VARIANTS = flags.DEFINE_list(
    'variants', None, 'Of the peer: eager, compile (torch.compile). Default: '
    'eager; with --beside no peer is needed.')
_BESIDE = config_flags.DEFINE_config_file(
    'beside', None, 'Config file of another model to take turns with; its '
    'values are --beside.<section>.<key>=<value>.', lock_config=True)

JOBS = ('train_step', 'swap')
_ROOT = pathlib.Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True)
class Turns:
  """What one side has measured.

  Attributes:
    seconds: of each round, for one repeat.
    first: seconds of the very first repeat, which compiles.
  """

  seconds: np.ndarray
  first: float


def main() -> None:
  """Measures and writes one result file."""
  config = cli.require_config()
  if _OUT.value is None:
    raise ValueError(
        '--out is missing; expected the path of the result file, such as '
        f'--out=configs/results/{_row("config")}/benchmark.json.')
  variants = _VARIANTS.value
  if variants is None:
    variants = [] if _BESIDE.value is not None else ['eager']
  for variant in variants:
    if variant not in ('eager', 'compile'):
      raise ValueError(
          f'--variants={variant}, expected eager, compile or both.')
  for job in _JOBS.value:
    if job not in JOBS:
      raise errors.unknown_name('job', job, JOBS)
  if storage.local(_OUT.value, '--out').exists():
    results.read(_OUT.value)  # Only an older result is replaced.
  cli.use_all_cores(config)
  # The other side shares the device.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  start = time.perf_counter()
  metrics = measure(
      config, jobs=_JOBS.value, variants=variants, rounds=_ROUNDS.value,
      beside=None if _BESIDE.value is None else (_row('beside'), _BESIDE.value),
      seconds=_SECONDS.value)
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
  """Metrics of the benchmark, see the top of this file.

  Args:
    config: what is measured.
    jobs: which of `JOBS`.
    variants: of the peer, each of which is the other side once.
    beside: name and config of a model that is the other side too.
    rounds: see `take_turns`.
    seconds: see `take_turns`.

  Returns:
    The metrics by name.

  Raises:
    ValueError: if a step of `beside` is of another number of clips.
  """
  if beside is not None:
    _check_beside(config, beside[1])
  batches = _batches(config)
  ours = _our_jobs(config, batches)
  metrics = {}

  def pair(job, there, side, name):
    turns = take_turns(functools.partial(_repeat, ours[job]), there,
                       rounds=rounds, seconds=seconds)
    # A job compiles in its first pair only, whose numbers are kept.
    for key, value in _compare(job, *turns, side=side, name=name).items():
      metrics.setdefault(key, value)

  if beside is not None:
    row, other = beside
    theirs = _our_jobs(other, _batches(other))
    for job in jobs:
      pair(job, functools.partial(_repeat, theirs[job]), 'beside',
           f'reference/{row}/{job}/{{}}')
  for variant in variants:
    with _Peer(config, batches, variant) as peer:
      for job in jobs:
        pair(job, functools.partial(peer.time, job), variant,
             f'{job}/{{}}_{variant}')
      metrics[f'peak_bytes_{variant}'] = float(peer.memory)
  if beside is None:  # Else it would be that of two models.
    metrics['peak_bytes'] = float(_peak_bytes())
  return metrics


def take_turns(
    here: Callable[[int], float],
    there: Callable[[int], float],
    *,
    rounds: int,
    seconds: float,
) -> tuple[Turns, Turns]:
  """Times two sides in turns.

  Args:
    here: number of repeats -> the seconds that they took.
    there: the other side.
    rounds: number of paired rounds.
    seconds: how long the slower side's turn should be.

  Returns:
    What each side has measured.
  """
  sides = here, there
  first = [side(1) for side in sides]
  repeats = max(1, round(seconds / max(side(1) for side in sides)))
  taken = np.array([
      [side(repeats) / repeats for side in sides] for _ in range(rounds)])
  return tuple(Turns(taken[:, i], first[i]) for i in range(2))


def random_batch(
    config: ml_collections.ConfigDict, count: int
) -> dict[str, np.ndarray]:
  """A batch of so many clips or series, of which some values are missing.

  Samples of PhysioNet are filled up from 40 to 47 hours as the real ones are.
  """
  d, m, rng = config.data, config.method, np.random.default_rng(0)
  batch = {'mask': np.ones((count, d.num_frames), bool),
           'example_mask': np.ones(count, bool),
           'index': np.arange(count, dtype=np.int32)}
  if 'variables' in m:
    if d.name == 'physionet2012':
      hours = rng.integers(40, 48, (count, 1))
      batch['mask'] = np.arange(d.num_frames)[None] < hours
    shape = (count, d.num_frames, m.variables)
    batch['observed'] = (rng.uniform(size=shape) < 0.7) & (
        batch['mask'][..., None])
    x = rng.normal(size=shape) * batch['observed']
    return {**batch, 'x': x.astype(np.float32)}
  shape = (count, d.num_frames, d.size, d.size, m.image_channels)
  return {**batch, 'x': rng.integers(0, 256, shape, np.uint8)}


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


def _compare(job, here, there, *, side, name) -> dict[str, float]:
  """Metrics of a pair of turns; `name` makes those of the other side."""
  ratios = there.seconds / here.seconds
  return {f'{job}/ratio_{side}': float(np.median(ratios)),
          f'{job}/ratio_{side}_std': float(np.std(ratios)),
          **_speed(here, f'{job}/{{}}'), **_speed(there, name)}


def _speed(turns: Turns, name: str) -> dict[str, float]:
  """Metrics of one side, whose names are put into `name`."""
  per_second = name.format('per_second')
  return {per_second: float(1 / np.median(turns.seconds)),
          f'{per_second}_std': float(np.std(1 / turns.seconds)),
          name.format('first_seconds'): turns.first}


def _batches(config) -> dict[str, dict[str, np.ndarray]]:
  """The random batch of each job."""
  batches = {'train_step': random_batch(config, config.data.batch_size),
             'swap': random_batch(config, config.data.eval_batch_size)}
  batches['swap'].pop('observed', None)  # The peer's swap knows no holes.
  return batches


def _our_jobs(config, batches) -> dict[str, Callable[[], None]]:
  """What is timed, as functions that end when the numbers are there."""
  method = build.method(config)
  train, swap = batches['train_step'], batches['swap']
  driver = parallel.make_parallel(
      config.train.parallel, fsdp=config.train.fsdp)
  tx, ema_decay = run.optimizer(config), config.optim.ema_decay
  state = driver.init(functools.partial(
      train_state.create, method, tx, train, seed=config.seed,
      ema=ema_decay is not None))
  params = driver.plain(state).eval_params
  update = driver.compile_train(functools.partial(
      train_step.train_step, method=method, tx=tx, ema_decay=ema_decay))
  sampler = swap_sampler.make_swap(method, x_T=config.sampler.x_T)

  def train_once():
    nonlocal state
    state, metrics = update(state, driver.put(train))
    jax.block_until_ready(metrics)

  def swap_once():
    b = {k: a[::-1] for k, a in swap.items()}
    jax.block_until_ready(
        sampler(params, swap, b, keys.named(jax.random.key(0), 'sample')))

  return {'train_step': train_once, 'swap': swap_once}


def _repeat(job: Callable[[], None], repeats: int) -> float:
  """Seconds of so many repeats."""
  start = time.perf_counter()
  for _ in range(repeats):
    job()
  return time.perf_counter() - start


def _peak_bytes() -> int:
  """Most memory in use so far: of the device, or of this process on a CPU."""
  stats = jax.devices()[0].memory_stats()
  if stats is not None and 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
