"""A config at work: what `seqdiff.benchmark` measures, job by job.

  train_step  one update, from a batch on the host to its metrics; behind a
              first stage the batch is of latents
  swap        one batch of swaps, clips in and clips out as of --mode=swap; a
              first stage has fresh parameters, which take as long
  loader      one batch of the real data set, which must be there
  save        one checkpoint, until it is committed (to the folder for
              temporary files: TMPDIR)
  restore     one checkpoint, until the state is on the devices; the first
              time also a save, if there was none

Of a first stage `config.first_stage.workdir` needs to hold its config.json
alone, except for `loader`.
"""

from collections.abc import Iterator, Sequence
import functools
import inspect
import pathlib
import resource
import tempfile

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from seqdiff import build
from seqdiff import first_stage
from seqdiff import run
from seqdiff.core import flops
from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.sampling import swap as swap_sampler
from seqdiff.training import checkpoint
from seqdiff.training import parallel
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step


class Workload:
  """The jobs of one config; a context, at whose end its files are removed.

  Attributes:
    jobs: name -> function that ends when the numbers are there.
    batches: the random batch of each job that has one.
  """

  def __init__(
      self,
      config: ml_collections.ConfigDict,
      *,
      devices: Sequence[jax.Device] | None = None,
  ):
    """Trains on `devices`, all of them by default."""
    self._config, method = config, build.method(config)
    self.batches = {
        'train_step': trained_batch(config, config.data.batch_size),
        'swap': random_batch(config, config.data.eval_batch_size)}
    self.batches['swap'].pop('observed', None)  # The peer's knows no holes.
    self.jobs = {'train_step': self._train, 'swap': self._swap,
                 'loader': self._load, 'save': self._save,
                 'restore': self._restore}
    self._driver = parallel.make_parallel(
        config.train.parallel, fsdp=config.train.fsdp, devices=devices)
    tx, ema_decay = run.optimizer(config), config.optim.ema_decay
    self._create = functools.partial(
        train_state.create, method, tx, self.batches['train_step'],
        seed=config.seed, ema=ema_decay is not None)
    self._body = functools.partial(
        train_step.train_step, method=method, tx=tx, ema_decay=ema_decay,
        num_parts=config.train.num_parts)
    self._update = self._driver.compile_train(self._body)
    self._sampler = swap_sampler.make_swap(method, x_T=config.sampler.x_T)
    self._num_saved = 0

  def __enter__(self) -> 'Workload':
    self._state = self._driver.init(self._create)
    # Copies, for an update consumes the state.
    copy = jax.jit(functools.partial(jax.tree.map, jnp.copy))
    self._params = jax.jit(self._bundle)(
        copy(self._driver.plain(self._state).eval_params))
    self._folder = tempfile.TemporaryDirectory()
    self._checkpointer = checkpoint.Checkpointer(
        self._folder.name, keep_last=1)
    return self

  def __exit__(self, *exc_info) -> None:
    self._checkpointer.close()
    self._folder.cleanup()
    self._state = self._params = None  # Room on the devices for the next one.

  def facts(self, job: str, per_second: float) -> dict[str, float]:
    """Metrics of a job that has run, besides its speed.

    Args:
      job: its name.
      per_second: its speed.

    Returns:
      Of `train_step` and `swap`: `<job>/flops` of one repeat, of all devices
      together, `flops_per_second`, and where it is known what the devices could
      do, the share of that, `mfu`. Of `train_step`: `temp_bytes` and
      `argument_bytes` of the compiled program, on each device, and without a
      loop `flops_per_byte` that it reads or writes in memory (its arithmetic
      intensity, as XLA estimates it, who counts one turn of a loop). Of
      checkpoints: their `bytes`.
    """
    facts = {}
    if job in ('train_step', 'swap'):
      facts['flops'] = self._flops(job)
      facts['flops_per_second'] = facts['flops'] * per_second
      peak = flops.peak(self._driver.devices)
      if peak is not None:
        facts['mfu'] = facts['flops_per_second'] / peak
    if job == 'train_step':
      # What was compiled to run is not compiled again.
      compiled = self._update.lower(
          self._state, self._driver.put(self.batches[job])).compile()
      memory = compiled.memory_analysis()
      if not flops.has_loop(
          self._body, jax.eval_shape(self._create), self.batches[job]):
        facts['flops_per_byte'] = facts['flops'] / (
            len(self._driver.devices) * flops.bytes_accessed(compiled))
      facts['temp_bytes'] = float(memory.temp_size_in_bytes)
      facts['argument_bytes'] = float(memory.argument_size_in_bytes)
    if job in ('save', 'restore'):
      facts['bytes'] = float(self._checkpoint_bytes())
    return {f'{job}/{name}': value for name, value in facts.items()}

  def _flops(self, job: str) -> float:
    """Operations of one repeat, of all devices together."""
    state = jax.eval_shape(self._create)
    if job == 'train_step':
      return flops.count(self._body, state, self.batches[job])
    sampler = inspect.unwrap(self._sampler)  # Of the whole batch.
    params = jax.eval_shape(self._bundle, state.eval_params)
    return flops.count(sampler, params, *self._pairs())

  def _bundle(self, params: types.Params) -> types.Params:
    """What the sampler takes: behind a first stage with fresh ones of it."""
    if 'first_stage' not in self._config:
      return params
    stage, x = build.first_stage(self._config), self.batches['swap']['x'][:1]
    channels = stage.net.embed_dim
    return {'method': params, 'mean': jnp.zeros(channels),
            'std': jnp.ones(channels), 'first_stage': stage.init(
                jax.random.key(0), {'x': data_batch.to_float(x)})}

  def _checkpoint_bytes(self) -> int:
    """Size of the newest checkpoint; an older one may be there still."""
    steps = [path for path in pathlib.Path(self._folder.name).iterdir()
             if path.name.isdecimal()]
    newest = max(steps, key=lambda path: int(path.name))
    return sum(file.stat().st_size for file in newest.rglob('*')
               if file.is_file())

  def _train(self) -> None:
    self._state, metrics = self._update(
        self._state, self._driver.put(self.batches['train_step']))
    jax.block_until_ready(metrics)

  def _swap(self) -> None:
    jax.block_until_ready(self._sampler(self._params, *self._pairs()))

  def _pairs(self) -> tuple[types.Batch, types.Batch, types.Key]:
    """What the sampler takes besides parameters."""
    a = self.batches['swap']
    b = {name: values[::-1] for name, values in a.items()}
    return a, b, keys.named(jax.random.key(0), 'sample')

  def _load(self) -> None:
    next(self._stream)

  @functools.cached_property
  def _stream(self) -> Iterator[types.Batch]:
    config = self._config
    dataset = first_stage.open_cache(config, build.dataset(config))
    return loader.train_batches(
        dataset.splits['train'], seed=config.seed,
        batch_size=config.data.batch_size, **run.cut(config))

  def _save(self) -> None:
    self._num_saved += 1
    plain = self._driver.plain(self._state)
    self._checkpointer.save(
        plain.replace(step=plain.step + self._num_saved), data={},
        config=run.to_plain(self._config))
    self._checkpointer.wait()

  def _restore(self) -> None:
    if not self._num_saved:
      self._save()
    restored = self._checkpointer.restore_latest(
        self._driver.abstract(self._create))
    jax.block_until_ready(self._driver.place(restored.state))


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
  if 'first_stage' in config:
    m = build.first_stage_config(config).method
  shape = (count, d.num_frames, d.size, d.size, m.image_channels)
  return {**batch, 'x': rng.integers(0, 256, shape, np.uint8)}


def trained_batch(
    config: ml_collections.ConfigDict, count: int
) -> dict[str, np.ndarray]:
  """As `random_batch`, as the method is trained on it: latents are normal.

  Raises:
    ValueError: as `build.first_stage_config`.
  """
  batch = random_batch(config, count)
  if 'first_stage' not in config:
    return batch
  shape = first_stage.as_trained(
      config, {**batch, 'x': data_batch.to_float(batch['x'])})['x'].shape
  z = np.random.default_rng(0).normal(scale=config.first_stage.std, size=shape)
  frames = {'frames': batch['x']} if config.first_stage.frames else {}
  return {**batch, 'x': z.astype(np.float32), **frames}


def peak_bytes() -> int:
  """Most memory in use so far: of the device, or of this process on a CPU."""
  stats = jax.devices()[0].memory_stats()
  if stats is not None and 'peak_bytes_in_use' in stats:
    return stats['peak_bytes_in_use']
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
