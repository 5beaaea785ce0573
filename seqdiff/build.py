"""From a config to objects: the only file that knows names -> constructors.

A config is a locked ml_collections.ConfigDict with one section per room:
`data`, `method`, `optim`, `train`, `eval`, `sampler`, and a `seed`. Each value
is documented where the defaults stand, in `configs/common/`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import functools
import inspect
from typing import Any

from flax import linen as nn
import jax.numpy as jnp
import ml_collections

from seqdiff.core import errors
from seqdiff.data import batch as data_batch
from seqdiff.data import builders
from seqdiff.data import disk
from seqdiff.data import synthetic
from seqdiff.data import transforms
from seqdiff.diffusion import edm
from seqdiff.diffusion import samplers
from seqdiff.methods import base
from seqdiff.methods import diffsda
from seqdiff.methods import judge as judge_lib
from seqdiff.nets import convnet
from seqdiff.nets import decoders
from seqdiff.nets import encoders
from seqdiff.nets import unet

# Settings of the loader; what else is in `config.data` belongs to the set.
_LOADER_KEYS = ('name', 'num_frames', 'stride', 'batch_size', 'eval_batch_size')
_DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}


def dataset(config: ml_collections.ConfigDict) -> data_batch.Dataset:
  """The data set of `config.data`.

  Raises:
    ValueError: unknown set or option, data that is not there, or without the
      split `config.eval.split`.
  """
  options = {k: v for k, v in _plain(config.data).items()
             if k not in _LOADER_KEYS}
  name = str(config.data.name)
  if name == 'puppets':
    result = _construct(
        synthetic.puppets, options, 'data',
        num_frames=transforms.span(config.data.num_frames, config.data.stride))
  elif name not in builders.BUILDERS:
    raise errors.unknown_name(
        'data set', name, ('puppets', *builders.BUILDERS))
  elif 'data_dir' not in options:
    raise ValueError(
        f'config.data has no data_dir; expected the folder that {name} was '
        'prepared in by `python -m seqdiff.data.prepare`. Start from a config '
        'file for this data set.')
  else:
    result = disk.load(name, **options)
  _pick('split', config.eval.split, result.splits)
  return result


def method(config: ml_collections.ConfigDict) -> base.Method:
  """The method of `config.method`.

  Raises:
    ValueError: unknown name or option.
  """
  return _pick('method', config.method.name, _METHODS)(config)


def judge(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> judge_lib.Judge:
  """The judge of a judge's config, see `judge_config`."""
  options = _plain(config.method)
  options.pop('name')
  return _construct(
      judge_lib.Judge, options, 'eval.judge', factors=tuple(dataset.factors))


def judge_config(
    config: ml_collections.ConfigDict, number: int
) -> ml_collections.ConfigDict:
  """The config of judge `number` for the data of `config`.

  It depends on the data and on `config.eval.judge` alone, so that runs on the
  same data can share their judges.
  """
  settings = _plain(config.eval.judge)
  for name in 'workdir', 'num_judges':
    settings.pop(name)
  optim, train = _plain(config.optim), _plain(config.train)
  data = _plain(config.data)
  data['batch_size'] = settings.pop('batch_size')
  num_steps = settings.pop('num_steps')
  optim.update(
      learning_rate=settings.pop('learning_rate'), weight_decay=1e-4, b1=0.9,
      b2=0.999, clip_norm=1.0, warmup_steps=min(50, num_steps // 10),
      schedule='cosine', ema_decay=None)
  train.update(num_steps=num_steps, log_every=100, save_every=num_steps,
               keep_last=1, parallel='pmap', fsdp=False)
  return ml_collections.ConfigDict({
      'seed': number, 'data': data, 'optim': optim, 'train': train,
      'method': {'name': 'judge', **settings}})


def _diffsda(config: ml_collections.ConfigDict) -> diffsda.DiffSDA:
  """DiffSDA for video."""
  options = _plain(config.method)
  options.pop('name')
  net = {'dtype': _pick('dtype', options.pop('dtype'), _DTYPES)}
  encoder = options.pop('encoder')
  kind = encoder.pop('kind')
  backbone = _pick('encoder', kind, {
      'unet': functools.partial(unet.UNet, out_channels=1),
      'convnet': convnet.FrameEncoder})
  if kind == 'unet':
    encoder['remat'] = options['remat']
  head = {k: options.pop(k) for k in (
      'static_dim', 'dynamic_dim', 'hidden', 'aggregator', 'causal',
      'shared_static', 'feature_norm')}
  for name in 'static', 'dynamic':  # A Gaussian code: mean and log variance.
    if options[f'{name}_kl'] is not None:
      head[f'{name}_dim'] *= 2
  denoiser = {
      **options.pop('denoiser'), 'remat': options.pop('remat'),
      'as_published': options.pop('as_published')}
  diffusion = {_paper_name(k): v for k, v in options.pop('diffusion').items()}
  sampler = {k: v for k, v in _plain(config.sampler).items() if k != 'x_T'}
  solver = _construct(diffsda.Solver, sampler, 'sampler')
  _pick('sampler', solver.name, samplers.SOLVERS)
  _ = solver.sigmas  # An impossible ladder fails now, not after training.
  channels = options.pop('image_channels')
  return _construct(
      diffsda.DiffSDA, options, 'method',
      encoder=encoders.VideoEncoder(
          _construct(backbone, {**encoder, **net}, 'method.encoder'),
          _construct(encoders.SequenceHead, head, 'method')),
      denoiser=decoders.VideoDenoiser(_construct(
          unet.UNet, {**denoiser, **net}, 'method.denoiser',
          out_channels=channels)),
      diffusion=_construct(edm.EDM, diffusion, 'method.diffusion'),
      solver=solver)


_METHODS = {'diffsda': _diffsda}


def _pick(kind: str, name: str, known: Mapping[str, Any]) -> Any:
  """`known[name]`, or an error that lists the known names."""
  if name not in known:
    raise errors.unknown_name(kind, name, known)
  return known[name]


def _construct(
    make: Callable[..., Any], options: Mapping[str, Any], section: str, **fixed
) -> Any:
  """make(**options, **fixed), or an error that names an unknown option."""
  target = make.func if isinstance(make, functools.partial) else make
  if dataclasses.is_dataclass(target):
    # Linen adds two fields that are not ours.
    linen = ('name', 'parent') if issubclass(target, nn.Module) else ()
    known = [f.name for f in dataclasses.fields(target) if f.name not in linen]
  else:
    known = list(inspect.signature(target).parameters)
  known = [k for k in known if k not in fixed]
  for option in options:
    if option not in known:
      raise errors.unknown_name(f'option config.{section}', option, known)
  return make(**options, **fixed)


def _paper_name(name: str) -> str:
  """The config's p_mean is the paper's P_mean."""
  return 'P' + name[1:] if name.startswith('p_') else name


def _plain(section: ml_collections.ConfigDict) -> dict[str, Any]:
  """A section as a dict of plain values and tuples."""
  freeze = lambda v: tuple(v) if isinstance(v, list) else (
      {k: freeze(w) for k, w in v.items()} if isinstance(v, dict) else v)
  return {k: freeze(v) for k, v in section.to_dict().items()}
