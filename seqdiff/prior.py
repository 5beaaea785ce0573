"""The latent prior of a trained model: trained, restored, sampled.

  sampler = prior.load('runs/prior')
  clips = sampler.generate(8)
  others = sampler.complete(clips, keep='static')  # Same identity, new motion.

A config of it (configs/prior.py) names the run directory of the model. The
codes of its training clips are kept in `<workdir>/codes.npz`. A prior whose
model has other weights now is refused.
"""

import dataclasses
import functools
import io
import json
import os
from typing import Any

from etils import epath
import jax
from jax.experimental import multihost_utils
import ml_collections
import numpy as np

from seqdiff import build
from seqdiff import first_stage
from seqdiff import jury
from seqdiff import model as model_lib
from seqdiff import run
from seqdiff.core import keys
from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.data import units
from seqdiff.evaluation import codes as code_lib
from seqdiff.evaluation import context
from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.methods import base
from seqdiff.methods import latent
from seqdiff.methods import prior as prior_lib
from seqdiff.sampling import devices
from seqdiff.training import checkpoint
from seqdiff.training import loop
from seqdiff.training import origin

CODES = 'codes.npz'


def train(
    config: ml_collections.ConfigDict, workdir: epath.Path
) -> loop.Result:
  """Reads the codes of the training clips, and trains a prior on them.

  Raises:
    ValueError: if `config.model.workdir` is no run directory of a model with
      factors, if the prior was trained on codes of another one, and as
      `run.train`.
  """
  run.check(config)
  model = _model(config)
  run.claim(config, workdir)  # Before anything is written there.
  codes = _codes(config, model, workdir)
  origin.claim(workdir, _origin(model))
  return run.train(codes.prior, config, codes.dataset, workdir)


def load(workdir: str | os.PathLike[str]) -> 'Sampler':
  """Restores the prior of a run directory, and its model.

  Raises:
    ValueError: if it is no run directory, or that of the model is not there,
      or holds another model.
  """
  workdir = storage.locate(workdir)
  return restore(run.read_config(workdir), workdir)


def restore(
    config: ml_collections.ConfigDict, workdir: epath.Path
) -> 'Sampler':
  """As `load`, with a config at hand (its sampler may be another)."""
  model = _model(config)
  codes = _codes(config, model, workdir)
  params, meta = run.restore_params(
      codes.prior, run.first_batch(config, codes.dataset), workdir)
  run.check_same_method(config, meta['config'])
  return Sampler(model, codes, params, meta['step'])


def check(config: ml_collections.ConfigDict) -> None:
  """Raises ValueError for protocols that a prior of its model has not."""
  if config.eval.protocols:
    of_model = _model_config(config)
    runner.check(
        config.eval.protocols, build.dataset(of_model), of_prior=True)
    jury.check(of_model, config.eval.protocols)


def evaluate(
    config: ml_collections.ConfigDict, workdir: epath.Path
) -> dict[str, results.Result]:
  """Runs the protocols of a prior; the judges are those of its model.

  Raises:
    ValueError: for a protocol of models, or data that it does not suit.
  """
  check(config)  # Before judges are trained.
  if not config.eval.protocols:
    return {}
  sampler = restore(config, workdir)
  model, settings = sampler.model, config.eval

  def generate(batch, keep):
    numbered = dict(seed=settings.seed, first=int(batch['index'][0]))
    clips = sampler.generate(len(batch['index']), **numbered) if (
        keep is None) else sampler.complete(batch['x'], keep=keep, **numbered)
    if model.dataset.variables:
      return units.to_batch(clips, model.dataset.variables)['x']
    return data_batch.to_float(clips)

  found = None
  if set(settings.protocols) & set(runner.JUDGED):
    found = jury.jury(model.config, model.dataset, model.workdir)
  ctx = dataclasses.replace(
      sampler.context(config, workdir), generate=generate, jury=found)
  return runner.run(ctx, settings.protocols, step=sampler.step,
                    config=run.to_plain(config))


@dataclasses.dataclass(frozen=True)
class Codes:
  """The codes of the training clips.

  Attributes:
    prior: the prior of codes of their sizes.
    z: (N, D) codes.
    mean: (D,) what is subtracted from them.
    std: (D,) what they are divided by.
  """

  prior: prior_lib.Prior
  z: np.ndarray
  mean: np.ndarray
  std: np.ndarray

  @property
  def dataset(self) -> data_batch.Dataset:
    """The codes as a data set of clips (1, D)."""
    x = ((self.z - self.mean) / self.std)[:, None].astype(np.float32)
    return data_batch.Dataset('codes', {'train': loader.ArraySource({'x': x})})


@dataclasses.dataclass(frozen=True)
class Sampler:
  """A prior and the model that decodes what is sampled from it.

  Attributes:
    model: the model.
    codes: the codes that the prior has learnt.
    params: its parameters.
    step: number of updates of them.
  """

  model: model_lib.Model
  codes: Codes
  params: types.Params
  step: int

  def context(
      self, config: ml_collections.ConfigDict, workdir: epath.Path
  ) -> context.Context:
    """What protocols are given: the model, with the settings of the prior."""
    settings = config.eval
    return dataclasses.replace(
        self.model.context(), workdir=workdir, split=settings.split,
        seed=settings.seed, num_clips=settings.num_clips,
        batch_size=self.model.batch_size)

  def generate(
      self, count: int, *, seed: int = 0, first: int = 0
  ) -> np.ndarray:
    """New clips or series, as the model gives them, (count, T, ...).

    They are numbers `first`, `first` + 1 and so on of those of the seed.
    """
    return self.model.decode(
        self.sample(count, seed=seed, first=first), seed=seed, first=first)

  def complete(
      self, clips: np.ndarray, *, keep: str, seed: int = 0, first: int = 0
  ) -> np.ndarray:
    """Clips of which one kind of code is kept and the other is sampled.

    Args:
      clips: (B, T, ...), as the model takes them.
      keep: 'static' or 'dynamic'.
      seed: of all noise.
      first: number of the first clip, as in `generate`.

    Returns:
      (B, T, ...).

    Raises:
      ValueError: for another kind, or another number of frames than the prior
        has learnt.
    """
    known = self.model.encode(clips)
    return self.model.decode(self.sample(
        len(clips), seed=seed, first=first, known=known, keep=keep),
        seed=seed, first=first)

  def sample(
      self,
      count: int,
      *,
      seed: int = 0,
      first: int = 0,
      known: base.Factors | None = None,
      keep: str | None = None,
      batch_size: int = 1024,
  ) -> base.Factors:
    """Codes of new clips, see `methods.prior.Prior.sample`.

    Args:
      count: number of clips.
      seed: of the noise.
      first: number of the first clip, as in `generate`.
      known: see there.
      keep: see there.
      batch_size: clips at once, at most; the result does not depend on it.

    Returns:
      Factors of `count` clips; what is kept is that of `known`, bit for bit.
    """
    prior, (mean, std) = self.codes.prior, (self.codes.mean, self.codes.std)
    given = known
    if known is not None:
      num_frames = known.dynamic.shape[1]
      if num_frames != prior.num_frames:
        raise ValueError(
            f'Clips of {num_frames} frames; expected {prior.num_frames}, as '
            'the prior was trained on. Cut them.')
      known = prior.split((np.asarray(prior.join(known)) - mean) / std)
    key = keys.named(jax.random.key(seed), 'prior')
    draw = _sampler(prior, keep)
    z = devices.in_batches(
        lambda *batch: prior.join(draw(self.params, batch, key)),
        (first + np.arange(count), known), batch_size) * std + mean
    found = jax.device_get(prior.split(z))
    if keep is None:
      return found
    return found.replace(**{keep: np.asarray(getattr(given, keep))})


@functools.lru_cache  # The same prior again compiles nothing.
def _sampler(prior, keep):
  return devices.over_devices(jax.jit(
      lambda params, batch, key: prior.sample(
          params, key, batch[0], known=batch[1], keep=keep)))


def _model(config) -> model_lib.Model:
  """The model of `config.model.workdir`."""
  own = _model_config(config)  # Says what is wrong before one is restored.
  return dataclasses.replace(
      model_lib.load(config.model.workdir), batch_size=min(
          part.data.eval_batch_size for part in (config, own)))


def _model_config(config) -> ml_collections.ConfigDict:
  """The config of the model, which has static and dynamic factors."""
  if config.model.workdir is None:
    raise ValueError(
        'config.model.workdir is not set; expected the run directory of a '
        'trained model (--config.model.workdir=runs/quickstart). Train one '
        'first, for instance configs/quickstart.py.')
  found = run.read_config(config.model.workdir)
  if found.method.name in ('autoencoder', 'judge', 'prior'):
    raise ValueError(
        f'config.model.workdir={config.model.workdir} is of the method '
        f'{found.method.name}; expected one with static and dynamic factors. '
        'Name another run directory.')
  if 'shared_static' in found.method and not found.method.shared_static:
    raise ValueError(
        f'config.model.workdir={config.model.workdir} is of a model with '
        'config.method.shared_static=False; expected one static code per clip, '
        'as a prior samples them. Name the run of a model with '
        'shared_static=True.')
  return found


def _origin(model) -> dict[str, Any]:
  """What a prior is trained on top of, see `training.origin`."""
  return {'model': results.config_hash(run.to_plain(model.config)),
          'step': model.step, 'weights': checkpoint.fingerprint(model.params)}


def _context(model) -> context.Context:
  """What codes are read from: cached latents if the model has them."""
  if not isinstance(model.method, latent.Latent) or model.method.sees_frames:
    return model.context()
  try:
    dataset = first_stage.open_cache(model.config, model.dataset)
  except FileNotFoundError:  # After training they may have been deleted.
    return model.context()
  return dataclasses.replace(  # The items of a cache have no labels.
      model.context(), dataset=dataclasses.replace(dataset, factors=()),
      method=model.method.method, params=model.params['method'])


def _codes(config, model, workdir) -> Codes:
  """The codes of the training clips, from the file if it is of this model."""
  path, of = workdir / CODES, _origin(model)
  origin.check(workdir, of)
  if not storage.exists(path):
    found = code_lib.read(_context(model), 'train')
    longest = int(found.mask.sum(axis=1).max())  # After it all is padding.
    with storage.writing(path) as file:
      np.savez(file, static=found.static.astype(np.float32),
               dynamic=found.dynamic[:, :longest].astype(np.float32),
               identity=json.dumps(of))
  multihost_utils.sync_global_devices('codes')
  with np.load(io.BytesIO(path.read_bytes())) as file:
    found = json.loads(str(file['identity']))
    if found != {key: of[key] for key in found}:  # Older ones: no weights.
      raise ValueError(
          f'{path} holds the codes of another model or step '
          f'({found}); expected {of}. Choose another workdir.')
    factors = base.Factors(static=file['static'], dynamic=file['dynamic'])
  prior = build.prior(
      config, static_dim=factors.static.shape[-1],
      num_frames=factors.dynamic.shape[1],
      dynamic_dim=factors.dynamic.shape[2])
  z = np.asarray(prior.join(factors))[:, 0]
  mean, std = np.zeros(prior.size), np.ones(prior.size)
  if config.method.standardise:
    pooled = (0, 1)  # Of dynamic codes: over clips and frames.
    of = lambda name: np.asarray(prior.join(base.Factors(
        static=getattr(factors.static, name)(axis=0)[None],
        dynamic=np.broadcast_to(
            getattr(factors.dynamic, name)(axis=pooled),
            (1,) + factors.dynamic.shape[1:]))))[0, 0]
    mean, std = of('mean'), of('std') + 1e-6
  return Codes(prior, z, mean.astype(np.float32), std.astype(np.float32))
