"""A trained model: restore it, and use it from Python.

  model = seqdiff.load('runs/quickstart')
  swapped = model.swap(clips_a, clips_b)   # Identity of a, motion of b.

Clips are numpy arrays (B, T, H, W, C), uint8, or float in [-1, 1]; results are
uint8. Series are (B, T, D), in the units of `model.dataset.variables` and NaN
where not measured; rows at their end without any value are padding. Where the
samples of the data set have no padding, the first `data.num_frames` rows are
none either (of PhysioNet they have: there a series whose last hours hold no
value is read as a shorter one). Results are float32 in the same units, without
gaps: NaN in padding only.
"""

from collections.abc import Sequence
import dataclasses
import functools
import os

from etils import epath
import jax
import ml_collections
import numpy as np

from seqdiff import build
from seqdiff import first_stage
from seqdiff import jury as jury_lib
from seqdiff import run
from seqdiff.core import keys
from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import films as film_lib
from seqdiff.data import units
from seqdiff.evaluation import context
from seqdiff.evaluation import judging
from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.methods import base
from seqdiff.sampling import codes as codes_sampler
from seqdiff.sampling import devices
from seqdiff.sampling import impute as impute_sampler
from seqdiff.sampling import noise
from seqdiff.sampling import reconstruct as reconstruct_sampler
from seqdiff.sampling import swap as swap_sampler

_jit = functools.lru_cache(jax.jit)  # The same method again compiles nothing.


def load(
    workdir: str | os.PathLike[str], *, step: int | None = None
) -> 'Model':
  """Restores the model of a run directory.

  Args:
    workdir: the run directory, as given to `seqdiff.main --workdir`.
    step: which checkpoint; None is the newest whole one.

  Raises:
    ValueError: if it is no run directory or holds no such checkpoint.
  """
  return restore(run.read_config(workdir), workdir, step=step)


def restore(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    *,
    step: int | None = None,
    dataset: data_batch.Dataset | None = None,
) -> 'Model':
  """As `load`, with a config at hand (its sampler may be another)."""
  workdir = storage.locate(workdir)
  dataset = build.dataset(config) if dataset is None else dataset
  clip = run.first_batch(config, dataset)
  params, step = _read(config, workdir, dataset, clip, step=step)
  return Model(config, workdir, dataset, build.method(config), params, step)


def restore_for(
    config: ml_collections.ConfigDict,
    workdir: str | os.PathLike[str],
    other: ml_collections.ConfigDict,
) -> 'Model':
  """A model for the data of another config: zero-shot.

  Clips are resized to those that the model was trained on; they may be longer
  or shorter. What is written goes to `<workdir>/on_<name of the data set>`, of
  a set of your own with its name after it. The data that the model was trained
  on are not needed.

  Args:
    config: of the run.
    workdir: the run directory.
    other: a config whose sections `data` and `eval` count.

  Raises:
    ValueError: for series; for data of other channels than one or three.
  """
  dataset, method = build.dataset(other), config.method
  if 'variables' in method or dataset.variables:
    raise ValueError(
        f'--data with {dataset.name} and a model of {config.data.name}; '
        'expected two sets of video: the variables of series differ. Leave '
        '--data out.')
  size, channels = config.data.size, method.image_channels
  if 'first_stage' in config:
    channels = build.first_stage_config(config).method.image_channels
  found = dataset.splits['train'][0]['x'].shape[-1]
  if not {found, channels} <= {1, 3}:
    raise ValueError(
        f'--data with {dataset.name}, whose frames have {found} channels, and '
        f'a model of {channels}; expected 1 or 3. Choose other data.')
  dataset = data_batch.mapped(dataset, lambda item: {
      **item, 'x': film_lib.resized(item['x'], size=size, channels=channels)})
  joined = config.copy_and_resolve_references()
  with joined.unlocked():
    for section in 'data', 'eval':
      joined[section] = other[section].copy_and_resolve_references()
    joined.data.size = size  # So that judges of another size are not taken.
  workdir, clip = storage.locate(workdir), run.first_batch(joined, dataset)
  params, step = _read(config, workdir, dataset, clip)
  name = '-'.join([dataset.name] + ([other.data.set] if 'set' in other.data
                                    else []))
  return Model(joined, workdir / f'on_{name}', dataset,
               build.method(config), params, step)


def _read(
    config, workdir, dataset, clip, *, step=None
) -> tuple[types.Params, int]:
  """The parameters of a run; `clip` is a batch of clips as it takes them."""
  params, meta = run.restore_params(
      build.method(config), first_stage.as_trained(config, clip), workdir,
      step=step)
  run.check_same_method(config, meta['config'])
  return first_stage.bundle(config, dataset, params, workdir), meta['step']


@dataclasses.dataclass(frozen=True)
class Model:
  """A restored model.

  Attributes:
    config: its config.
    workdir: its run directory.
    dataset: the data it was trained on.
    method: the method.
    params: its parameters (the average, if one was kept).
    step: number of updates of the parameters.
    batch_size: clips at once, at most; None: `config.data.eval_batch_size`. The
      results do not depend on it.
  """

  config: ml_collections.ConfigDict
  workdir: epath.Path
  dataset: data_batch.Dataset
  method: base.Method
  params: types.Params
  step: int
  batch_size: int | None = None

  def encode(self, clips: np.ndarray) -> base.Factors:
    """Clips or series -> factors: static (B, Ds), dynamic (B, T, Dd)."""
    encode = codes_sampler.make_encode(self.method)
    return self._in_batches(
        lambda batch: encode(self.params, batch, None), self._batch(clips))

  def decode(
      self,
      factors: base.Factors,
      *,
      x_init: np.ndarray | None = None,
      seed: int = 0,
      first: int = 0,
  ) -> np.ndarray:
    """Factors -> clips or series, from `x_init` or noise.

    The noise is that of `config.sampler.x_T`; where that needs a clip, it is
    one for all frames. It is a function of the seed and of the number of the
    clip, which starts at `first`.
    """
    sampler = codes_sampler.make_decode(self.method)

    def decode(factors, x_init):
      return self._finish(sampler(self.params, factors, x_init, None),
                          np.ones(factors.dynamic.shape[:2], bool))

    if x_init is not None:
      return self._in_batches(decode, factors, x_init)
    sample = run.first_batch(self.config, self.dataset)['x']
    shape = factors.dynamic.shape[1:2] + sample.shape[2:]
    own, key = self.config.sampler.x_T, self._key(seed)
    fresh = lambda index: noise.fresh(
        own if own in noise.FRESH else 'fresh_shared', key, index, shape)
    return self._in_batches(
        lambda factors, index: decode(factors, fresh(index)),
        factors, first + np.arange(len(factors.dynamic)))

  def start(
      self, clips: np.ndarray, *, x_T: str = 'encoded', seed: int = 0
  ) -> np.ndarray:
    """The noise (B, T, ...) from which `reconstruct` decodes clips or series.

    Args:
      clips: (B, T, ...).
      x_T: see `sampling.reconstruct`.
      seed: seed of the noise.
    """
    noise.check(x_T, ('encoded',))
    batch, key = self._batch(clips), self._key(seed)
    if x_T != 'encoded':
      return jax.device_get(noise.fresh(
          x_T, key, batch['index'], batch['x'].shape[1:]))
    encoded = _jit(noise.encoded, static_argnums=0)
    return self._in_batches(
        lambda factors, batch: encoded(
            self.method, self.params, factors, batch, key),
        self.encode(clips), batch)

  def reconstruct(
      self, clips: np.ndarray, *, x_T: str = 'fresh_shared', seed: int = 0
  ) -> np.ndarray:
    """Clips or series decoded from their own factors, shaped as given.

    Args:
      clips: (B, T, ...).
      x_T: see `sampling.reconstruct`.
      seed: seed of the noise.
    """
    sampler = reconstruct_sampler.make_reconstruct(self.method, x_T=x_T)
    return self._in_batches(
        lambda batch: self._finish(
            sampler(self.params, batch, self._key(seed)), batch['mask']),
        self._batch(clips))

  def swap(
      self,
      a: np.ndarray,
      b: np.ndarray,
      *,
      x_T: str | None = None,
      seed: int = 0,
  ) -> np.ndarray:
    """The static code of each of `a` with the dynamic codes of the one of `b`.

    Of clips: the identity of a performs the motion of b. Of series: the level
    of a takes the course of b.

    Args:
      a: (B, Ta, ...) clips or series that give the static code.
      b: (B, T, ...) those that give the dynamic codes.
      x_T: see `sampling.swap`; None is `config.sampler.x_T`.
      seed: seed of the noise.

    Returns:
      (B, T, ...).

    Raises:
      ValueError: if the numbers of clips differ, or for clips of another form.
    """
    if len(a) != len(b):
      raise ValueError(
          f'swap: {len(a)} clips a and {len(b)} clips b; expected as many of '
          'one as of the other. Repeat the shorter one.')
    sampler = swap_sampler.make_swap(
        self.method, x_T=self.config.sampler.x_T if x_T is None else x_T)
    return self._in_batches(
        lambda a, b: self._finish(
            sampler(self.params, a, b, self._key(seed)), b['mask']),
        self._batch(a), self._batch(b))

  def impute(self, series: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Series (B, T, D) with their gaps filled, see `sampling.impute`.

    What was measured comes back as it was given, in float32.

    Raises:
      ValueError: for a model of video, or series of another form.
    """
    if not self.dataset.variables:
      raise ValueError(
          f'impute: the model was trained on {self.dataset.name}, which is '
          'video; expected a model of series. Use reconstruct or swap.')
    sampler = impute_sampler.make_impute(self.method)
    batch = self._batch(series)
    filled = self._in_batches(
        lambda batch: self._finish(
            sampler(self.params, batch, self._key(seed)), batch['mask']), batch)
    return np.where(batch['observed'], np.asarray(series, np.float32), filled)

  def evaluate(
      self, protocols: Sequence[str], *, resume: bool = False
  ) -> dict[str, results.Result]:
    """Runs protocols; writes `<workdir>/results/<protocol>.json`.

    With `resume`, results of this model that are there already are kept.
    """
    runner.check(protocols, self.dataset)
    jury_lib.check(self.config, protocols)
    found = None
    if set(protocols) & set(runner.JUDGED):
      found = jury_lib.jury(self.config, self.dataset, self.workdir)
    return runner.run(self.context(found), protocols,
                      config=run.to_plain(self.config), step=self.step,
                      resume=resume)

  def context(self, jury: judging.Jury | None = None) -> context.Context:
    """What protocols are given."""
    settings = self.config.eval
    return context.Context(
        method=self.method, params=self.params, dataset=self.dataset,
        workdir=self.workdir, jury=jury, num_pairs=settings.num_pairs,
        pair_seed=settings.pair_seed, both_orders=settings.both_orders,
        pairs_file=settings.pairs_file if 'pairs_file' in settings else None,
        num_clips=settings.num_clips,
        x_T=self.config.sampler.x_T, seed=settings.seed,
        **jury_lib.settings(self.config))

  def _batch(self, clips) -> types.Batch:
    """Checks clips or series and makes a batch of them."""
    if self.dataset.variables:
      return units.to_batch(
          clips, self.dataset.variables,
          num_real=0 if data_batch.is_padded(self.dataset)
          else self.config.data.num_frames)
    clips = np.asarray(clips)
    known = run.first_batch(self.config, self.dataset)['x'].shape[2:]
    if clips.ndim != 2 + len(known) or clips.shape[2:] != known:
      raise ValueError(
          f'Clips of shape {clips.shape}; expected (B, T, '
          f'{", ".join(map(str, known))}), as the model was trained on. '
          'Resize or crop them, and add the axes that are missing.')
    if not clips.size:
      raise ValueError(
          f'Clips of shape {clips.shape}; expected at least one clip of at '
          'least one frame. Check how they were selected.')
    if clips.dtype != np.uint8:
      # NaN compares as False.
      if clips.dtype.kind != 'f' or not np.all(np.abs(clips) <= 1.0 + 1e-3):
        raise ValueError(
            f'Clips of type {clips.dtype} with values that are not finite or '
            'outside [-1, 1]; expected uint8, or float in [-1, 1]. Scale '
            'pictures in [0, 1] by x * 2 - 1.')
      clips = clips.astype(np.float32)
    return {'x': clips, 'mask': np.ones(clips.shape[:2], bool),
            'index': np.arange(len(clips), dtype=np.int32)}

  def _in_batches(self, function, *given):
    """What a function of clips gives for all of them, some at a time."""
    size = self.batch_size
    return devices.in_batches(
        function, given,
        self.config.data.eval_batch_size if size is None else size)

  def _key(self, seed):
    return keys.named(jax.random.key(seed), 'sample')

  def _finish(self, x, mask) -> np.ndarray:
    """What is given back: uint8, or series in units, NaN where mask is 0."""
    if self.dataset.variables:
      return units.to_series(x, self.dataset.variables, mask[..., None])
    return np.asarray(data_batch.to_uint8(x))
