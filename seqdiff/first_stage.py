"""The frozen first stage of a latent method: its weights, and cached latents.

A config of a latent method has a section `first_stage`:

  workdir  run directory of an autoencoder, trained here or converted
  cache    folder that `seqdiff.data.encode_latents` writes latents to
  scale    'clip': all channels are divided by one number; 'channel': each has
           its own mean and standard deviation
  std      standard deviation of the normalised latents
  frames   whether the encoder of the method sees clips instead of latents
  copy     whether its backbone starts as a copy of the first stage's encoder
  chunk    frames that pass the autoencoder at once on each device, which bounds
           the memory
"""

from collections.abc import Mapping
import pathlib
from typing import Any

from etils import epath
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from seqdiff import build
from seqdiff.core import errors
from seqdiff.core import storage
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import latents
from seqdiff.evaluation import results
from seqdiff.methods import base
from seqdiff.methods import started
from seqdiff.sampling import devices
from seqdiff.training import checkpoint
from seqdiff.training import origin

SCALES = ('clip', 'channel')


def restore(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> tuple[types.Params, Mapping[str, Any]]:
  """The parameters of the first stage, and what latents of it are of."""
  frame = dataset.splits['train'][0]['x'][:1]
  sample = {'x': jnp.zeros((1,) + frame.shape)}
  first_stage = build.first_stage(config)
  home = storage.locate(config.first_stage.workdir)
  if not checkpoint.steps(home / 'checkpoints'):
    raise build.no_first_stage(config, 'no weights')
  params, meta = checkpoint.restore_params(
      home / 'checkpoints',
      jax.eval_shape(first_stage.init, jax.random.key(0), sample))
  return params, _identity(config, params, meta['step'])


def encode(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    **kwargs: Any,
) -> latents.Statistics:
  """Writes the cache of a config; `kwargs` are of `data.latents.write`."""
  first_stage = build.first_stage(config)
  params, of = restore(config, dataset)
  size = config.first_stage.chunk * jax.device_count()

  @devices.over_devices
  @jax.jit
  def run(params, frames, key):
    del key
    x = data_batch.to_float(frames)[:, None]
    return first_stage.encode(params, x, jnp.ones(x.shape[:2], bool))[:, 0]

  def in_batches(frames):
    padded = np.pad(  # All batches have one size: one compilation.
        frames, ((0, -len(frames) % size),) + ((0, 0),) * (frames.ndim - 1))
    return np.concatenate([
        jax.device_get(run(params, padded[i:i + size], None))
        for i in range(0, len(padded), size)])[:len(frames)]

  return latents.write(
      dataset, in_batches, _cache(config), of=of, **kwargs)


def open_cache(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> data_batch.Dataset:
  """What a method is trained on: the data set, or its normalised latents."""
  if 'first_stage' not in config:
    return dataset
  _, of = restore(config, dataset)
  cached = latents.read(
      dataset, _cache(config), of=of, frames=config.first_stage.frames)
  mean, std = _normalisation(config, of)
  return data_batch.mapped(
      cached, lambda item: {**item, 'x': (item['x'] - mean) / std})


def as_trained(
    config: ml_collections.ConfigDict, batch: types.Batch
) -> types.Batch:
  """A float batch of clips as the method is trained on: zeros for latents."""
  if 'first_stage' not in config:
    return batch
  stage, x = build.first_stage(config), batch['x']

  def encode(key):
    return stage.encode(stage.init(key, batch), x, batch['mask'])

  z = jax.eval_shape(encode, jax.random.key(0))
  frames = {'frames': x} if config.first_stage.frames else {}
  return {**batch, 'x': jnp.zeros(z.shape), **frames}


def bundle(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    params: types.Params,
    workdir: epath.Path,
) -> types.Params:
  """The parameters of a method, with what lets a `Latent` see clips.

  Of the cache only `latents.json` is read.

  Raises:
    ValueError: if the run of `workdir`, whose parameters these are, saw latents
      of another first stage, or normalised otherwise.
  """
  if 'first_stage' not in config:
    return params
  stage, of = restore(config, dataset)
  origin.check(workdir, _origin(config, of))
  mean, std = _normalisation(config, of)
  return {'method': params, 'first_stage': stage, 'mean': mean, 'std': std}


def claim(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    workdir: epath.Path,
) -> None:
  """Keeps in a run directory what latents it is trained on.

  Raises:
    ValueError: if it was trained on others, see `bundle`.
  """
  if 'first_stage' in config:
    origin.claim(workdir, _origin(config, restore(config, dataset)[1]))


def starting(
    method: base.Trainable,
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
) -> base.Trainable:
  """The method; with `copy` its backbone starts from the first stage's encoder.

  Raises:
    ValueError: with `copy` but without `frames`: a backbone for latents.
  """
  if 'first_stage' not in config or not config.first_stage.copy:
    return method
  if not config.first_stage.frames:
    raise ValueError(
        'config.first_stage.copy=True with frames=False; expected frames=True: '
        'the first stage encodes frames, not latents. See '
        'configs/divid_mhad_copy.py.')
  stage, _ = restore(config, dataset)
  encoder = {'params': {'backbone': stage['params']['encoder']}}
  return started.Started(
      method, jax.device_get({'encoder': encoder}), "the first stage's encoder")


def _normalisation(config, of) -> tuple[np.ndarray, np.ndarray]:
  """What is subtracted from latents, and what they are divided by."""
  statistics = latents.statistics(_cache(config), of=of)
  mean, std = (np.array(a) for a in (statistics.mean, statistics.std))
  if config.first_stage.scale not in SCALES:
    raise errors.unknown_name('first_stage.scale', config.first_stage.scale,
                              SCALES)
  if config.first_stage.scale == 'clip':
    # Of all values: within the channels, and between their means.
    std = np.full(std.shape, np.sqrt(np.mean(std**2) + np.var(mean)))
    mean = np.zeros(mean.shape)
  return (mean.astype(np.float32),
          (std / config.first_stage.std).astype(np.float32))


def _origin(config, of) -> Mapping[str, Any]:
  """What a method of latents was trained on top of, see `training.origin`."""
  mean, std = _normalisation(config, of)
  return {'first_stage': of['first_stage'], 'step': of['step'],
          'weights': of['weights'], 'scale': config.first_stage.scale,
          'std': config.first_stage.std, 'subtracted': mean.tolist(),
          'divided_by': std.tolist()}


def _identity(config, params, step) -> Mapping[str, Any]:
  """What cached latents are of."""
  stage = build.first_stage_config(config)
  form = {k: v for k, v in config.data.to_dict().items()
          if k not in build.LOADER_KEYS + ('data_dir', 'in_memory')}
  return {'data': config.data.name, 'form': form, 'step': step,
          'weights': checkpoint.fingerprint(params),
          'first_stage': results.config_hash(stage.to_dict())}


def _cache(config) -> pathlib.Path:
  if config.first_stage.cache is None:
    raise ValueError(
        'config.first_stage.cache is not set; expected the folder for the '
        'latents, which `python -m seqdiff.data.encode_latents` writes with '
        'the same --config.')
  return storage.local(
      config.first_stage.cache, 'config.first_stage.cache')
