"""The frozen first stage of a latent method: its weights, and cached latents.

A config of a latent method has a section `first_stage`:

  workdir  run directory of an autoencoder, trained here or converted
  cache    folder that `seqdiff.data.encode_latents` writes latents to
  scale    'clip': all channels are divided by one number; 'channel': each has
           its own mean and standard deviation
  std      standard deviation of the normalised latents
  frames   whether the encoder of the method sees clips instead of latents
"""

from collections.abc import Mapping
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from seqdiff import build
from seqdiff.core import errors
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.data import latents
from seqdiff.evaluation import results
from seqdiff.methods import latent
from seqdiff.training import checkpoint

SCALES = ('clip', 'channel')


def restore(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> tuple[types.Params, int]:
  """The parameters of the first stage, and how many updates made them."""
  frame = dataset.splits['train'][0]['x'][:1]
  sample = {'x': jnp.zeros((1,) + frame.shape)}
  first_stage = build.first_stage(config)
  params, meta = checkpoint.restore_params(
      pathlib.Path(config.first_stage.workdir) / 'checkpoints',
      jax.eval_shape(first_stage.init, jax.random.key(0), sample))
  return params, meta['step']


def encode(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    **kwargs: Any,
) -> latents.Statistics:
  """Writes the cache of a config; `kwargs` are of `data.latents.write`."""
  first_stage = build.first_stage(config)
  params, step = restore(config, dataset)
  size = config.data.eval_batch_size

  @jax.jit
  def run(frames):
    x = data_batch.to_float(frames)[:, None]
    return first_stage.encode(params, x, jnp.ones(x.shape[:2], bool))[:, 0]

  def in_batches(frames):
    padded = np.pad(  # All batches have one size: one compilation.
        frames, ((0, -len(frames) % size),) + ((0, 0),) * (frames.ndim - 1))
    return np.concatenate([
        jax.device_get(run(padded[i:i + size]))
        for i in range(0, len(padded), size)])[:len(frames)]

  return latents.write(
      dataset, in_batches, _cache(config), of=_identity(config, step), **kwargs)


def training_data(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> data_batch.Dataset:
  """What a method is trained on: the data set, or its normalised latents."""
  if 'first_stage' not in config:
    return dataset
  _, step = restore(config, dataset)
  cached, statistics = latents.read(
      dataset, _cache(config), of=_identity(config, step),
      frames=config.first_stage.frames)
  mean, std = _normalisation(config, statistics)
  return data_batch.mapped(cached, lambda z: (z - mean) / std)


def bundle(
    config: ml_collections.ConfigDict,
    dataset: data_batch.Dataset,
    params: types.Params,
) -> types.Params:
  """The parameters that see clips: those of the method, or a `Latent`'s."""
  if 'first_stage' not in config:
    return params
  first, step = restore(config, dataset)
  _, statistics = latents.read(
      dataset, _cache(config), of=_identity(config, step))
  mean, std = _normalisation(config, statistics)
  return {'method': params, 'first_stage': first, 'mean': mean, 'std': std}


def _normalisation(config, statistics) -> tuple[np.ndarray, np.ndarray]:
  """What is subtracted from latents, and what they are divided by."""
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


def _identity(config, step) -> Mapping[str, Any]:
  """What cached latents are of."""
  stage = build.first_stage_config(config)
  form = {k: v for k, v in config.data.to_dict().items()
          if k not in build.LOADER_KEYS + ('data_dir', 'in_memory')}
  return {'data': config.data.name, 'form': form, 'step': step,
          'first_stage': results.config_hash(stage.to_dict())}


def _cache(config) -> pathlib.Path:
  if config.first_stage.cache is None:
    raise ValueError(
        'config.first_stage.cache is not set; expected the folder for the '
        'latents, which `python -m seqdiff.data.encode_latents` writes with '
        'the same --config.')
  return pathlib.Path(config.first_stage.cache)


def is_latent(method: Any) -> bool:
  """Whether a method works on latents."""
  return isinstance(method, latent.Latent)
