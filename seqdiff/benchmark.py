r"""Speed of training and of swapping beside an independent PyTorch peer.

  python -m seqdiff.benchmark --config=configs/quickstart.py --out=speed.json

Two processes, this one and one of `tests/peers` (extra `peers`), hold the same
model on the same device and take turns: so many steps here, as many there, and
again. A ratio is the median over the rounds of seqdiff's speed over that of the
peer; its spread is the standard deviation. Both start from the same uint8 clips
or float series on the host (random ones, no data set is needed) and end when
the numbers are there.
"""

from collections.abc import Callable
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
import numpy as np

from seqdiff import build
from seqdiff import cli
from seqdiff import run
from seqdiff.core import keys
from seqdiff.evaluation import results
from seqdiff.sampling import swap as swap_sampler
from seqdiff.training import parallel
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step

_OUT = flags.DEFINE_string('out', None, 'The result file to write (JSON).')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Paired rounds of each job.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Aimed length of one turn.')
_VARIANTS = flags.DEFINE_list(
    'variants', ['eager'], 'Of the peer: eager, compile (torch.compile).')

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
        f'--out=configs/results/{cli.config_name()}/benchmark.json.')
  for variant in _VARIANTS.value:
    if variant not in ('eager', 'compile'):
      raise ValueError(
          f'--variants={variant}, expected eager, compile or both.')
  if pathlib.Path(_OUT.value).exists():
    results.read(_OUT.value)  # Only an older result is replaced.
  cli.use_all_cores(config)
  # The other side shares the device.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  start = time.perf_counter()
  metrics = measure(config, variants=_VARIANTS.value, rounds=_ROUNDS.value,
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
    variants: list[str],
    rounds: int,
    seconds: float,
) -> dict[str, float]:
  """Metrics of the benchmark, see the top of this file."""
  batches = {'train_step': random_batch(config, config.data.batch_size),
             'swap': random_batch(config, config.data.eval_batch_size)}
  batches['swap'].pop('observed', None)  # The peer's swap knows no holes.
  ours = _our_jobs(config, batches)
  metrics = {}
  for variant in variants:
    with _Peer(config, batches, variant) as peer:
      for job in JOBS:
        here, there = take_turns(
            lambda repeats, job=job: _repeat(ours[job], repeats),
            lambda repeats, job=job: peer.time(job, repeats),
            rounds=rounds, seconds=seconds)
        ratios = there.seconds / here.seconds
        name = f'{job}/ratio_{variant}'
        metrics[name] = float(np.median(ratios))
        metrics[f'{name}_std'] = float(np.std(ratios))
        metrics[f'{job}/per_second'] = float(1 / np.median(here.seconds))
        metrics[f'{job}/per_second_{variant}'] = float(
            1 / np.median(there.seconds))
        metrics.setdefault(f'{job}/first_seconds', here.first)
        metrics[f'{job}/first_seconds_{variant}'] = there.first
      metrics[f'peak_bytes_{variant}'] = float(peer.memory)
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
