"""From a config to objects: the only file that knows names -> constructors.

A config is a locked ml_collections.ConfigDict with one section per room:
`data`, `method`, `optim`, `train`, `eval`, `sampler`, and a `seed`. Each value
is documented where the defaults stand, in `configs/common/`.
"""

from collections.abc import Mapping
import functools
import json
import pathlib
from typing import Any

from flax import linen as nn
import jax.numpy as jnp
import ml_collections

from seqdiff import construct
from seqdiff.core import errors
from seqdiff.core import storage
from seqdiff.data import batch as data_batch
from seqdiff.data import builders
from seqdiff.data import disk
from seqdiff.data import loader
from seqdiff.data import simulation
from seqdiff.data import synthetic
from seqdiff.data import transforms
from seqdiff.diffusion import ddpm
from seqdiff.diffusion import edm
from seqdiff.diffusion import samplers
from seqdiff.methods import autoencoder
from seqdiff.methods import base
from seqdiff.methods import diffsda
from seqdiff.methods import divid
from seqdiff.methods import glr
from seqdiff.methods import judge as judge_lib
from seqdiff.methods import latent
from seqdiff.methods import prior as prior_lib
from seqdiff.methods import vae
from seqdiff.nets import convnet
from seqdiff.nets import decoders
from seqdiff.nets import encoders
from seqdiff.nets import glr as glr_nets
from seqdiff.nets import skip_mlp
from seqdiff.nets import unet

# Settings of the loader; what else is in `config.data` belongs to the set.
CUT_KEYS = ('num_frames', 'stride', 'take', 'first')  # How clips are cut.
LOADER_KEYS = ('name', *CUT_KEYS, 'batch_size', 'eval_batch_size', 'roll')
_DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}
_DRAWN = {'puppets': synthetic.puppets,
          'glr_simulation': simulation.glr_simulation}


def dataset(config: ml_collections.ConfigDict) -> data_batch.Dataset:
  """The data set of `config.data`.

  Raises:
    ValueError: unknown set or option, data that are not there, are too
      short, or without the split `config.eval.split`, or a method for another
      number of variables.
  """
  options = {k: v for k, v in construct.plain(config.data).items()
             if k not in LOADER_KEYS}
  name = str(config.data.name)
  if name in _DRAWN:
    result = construct.make(
        _DRAWN[name], options, 'data',
        num_frames=transforms.span(config.data.num_frames, config.data.stride))
  elif name not in builders.BUILDERS:
    raise errors.unknown_name('data set', name, (*_DRAWN, *builders.BUILDERS))
  elif 'data_dir' not in options:
    raise ValueError(
        f'config.data has no data_dir; expected the folder that {name} was '
        'prepared in by `python -m seqdiff.data.prepare`. Start from a config '
        'file for this data set.')
  else:
    result = disk.load(name, **options)
    loader.check_lengths(result, **{
        k: config.data[k] for k in CUT_KEYS if k in config.data})
  construct.pick('split', config.eval.split, result.splits)
  names = [variable.name for variable in result.variables]
  given = config.method.variables if 'variables' in config.method else None
  if names and given != len(names):
    raise ValueError(
        f'config.method.variables={given} with {name}, which has {len(names)} '
        f'variables: {", ".join(names)}. Set it to {len(names)} in a config of '
        'series (configs/diffsda_csv.py).')
  steps = config.data.roll if 'roll' in config.data else 0
  return data_batch.rolled(result, steps) if steps else result


def method(config: ml_collections.ConfigDict) -> base.Method:
  """The method of `config.method`.

  Raises:
    ValueError: unknown name or option.
  """
  _check_temporal(config.method)
  made = construct.pick('method', config.method.name, _METHODS)(config)
  if 'first_stage' not in config:
    return made
  return latent.Latent(
      made, first_stage(config), sees_frames=config.first_stage.frames,
      chunk=config.first_stage.chunk)


def _check_temporal(settings) -> None:
  """Raises ValueError if a net that sees all frames is given some of them."""
  net = settings.denoiser if 'denoiser' in settings else {}
  if 'temporal' in net and net.temporal and (
      settings.frames_per_step is not None):
    raise ValueError(
        'config.method.denoiser.temporal=True with frames_per_step='
        f'{settings.frames_per_step}; expected None: all frames of a clip see '
        'each other. Set one of them back.')


def first_stage(
    config: ml_collections.ConfigDict,
) -> autoencoder.Autoencoder:
  """The first stage of `config.first_stage`, without its weights.

  Raises:
    ValueError: if there is none, or its latents have other channels than the
      method takes.
  """
  found = method(first_stage_config(config))
  if found.net.embed_dim != config.method.image_channels:
    raise ValueError(
        f'config.method.image_channels={config.method.image_channels} with '
        f'config.first_stage.workdir={config.first_stage.workdir}, whose '
        f'latents have {found.net.embed_dim} channels; expected '
        f'{found.net.embed_dim}. Set it to that, or name another first stage.')
  if config.first_stage.chunk < 1:
    raise ValueError(f'config.first_stage.chunk={config.first_stage.chunk}; '
                     'expected 1 or more frames at once. Raise it.')
  return found


def no_first_stage(config: ml_collections.ConfigDict, what: str) -> ValueError:
  """The error that a folder holds no first stage, with all ways to get one.

  Of the published ones it names that of the folder's name, or all that fit.
  """
  workdir = config.first_stage.workdir
  channels = config.method.image_channels
  names = [name for name, net in autoencoder.nets.PRESETS.items()
           if net.embed_dim == channels]
  own = pathlib.PurePath(workdir or '').name
  names = [own] if own in names else names
  name = names[0] if len(names) == 1 else '<name>'
  return ValueError(
      f'config.first_stage.workdir={workdir} holds {what}; expected its run '
      'directory. Train one (configs/autoencoder_*.py), or convert a published '
      f'one whose latents have {channels} channels '
      f'({", ".join(names) or "none is known"}): get '
      f'https://ommer-lab.com/files/latent-diffusion/{name}.zip, unzip '
      'model.ckpt from it and run `python -m third_party.ldm_autoencoder.'
      f'convert --preset={name} --checkpoint=model.ckpt --out=<run '
      'directory>`, which writes the weights and their config.json there; see '
      'third_party/ldm_autoencoder/README.md.')


def first_stage_config(
    config: ml_collections.ConfigDict,
) -> ml_collections.ConfigDict:
  """The config that the first stage was trained with.

  Raises:
    ValueError: if there is none, with all ways to get one.
  """
  workdir = config.first_stage.workdir
  path = storage.locate(workdir or '') / 'config.json'
  if workdir is None or not path.is_file():
    raise no_first_stage(config, 'no autoencoder')
  found = ml_collections.ConfigDict(json.loads(path.read_text()))
  if found.method.name != 'autoencoder':
    raise ValueError(
        f'{path} is of the method {found.method.name}; expected an autoencoder '
        '(configs/autoencoder_*.py). Name its run directory.')
  return found


def prior(
    config: ml_collections.ConfigDict,
    *,
    static_dim: int,
    dynamic_dim: int,
    num_frames: int,
) -> prior_lib.Prior:
  """The latent prior of `config.method`, for codes of these sizes."""
  options = construct.plain(config.method)
  options.pop('name')
  options.pop('standardise')
  diffusion = construct.make(
      ddpm.DDPM, options.pop('diffusion'), 'method.diffusion')
  return construct.make(
      prior_lib.Prior, options, 'method', diffusion=diffusion,
      static_dim=static_dim, dynamic_dim=dynamic_dim, num_frames=num_frames,
      **construct.plain(config.sampler))


def judge(
    config: ml_collections.ConfigDict, dataset: data_batch.Dataset
) -> judge_lib.Judge:
  """The judge of a judge's config, see `jury.judge_config`."""
  options = construct.plain(config.method)
  options.pop('name')
  return construct.make(
      judge_lib.Judge, options, 'eval.judge', factors=tuple(dataset.factors))


def _diffsda(config: ml_collections.ConfigDict) -> diffsda.DiffSDA:
  """DiffSDA: for video, or with `method.variables` for series."""
  options = construct.plain(config.method)
  options.pop('name')
  net = {'dtype': construct.pick('dtype', options.pop('dtype'), _DTYPES),
         'remat': options.pop('remat')}
  head = {k: options.pop(k) for k in (
      'static_dim', 'dynamic_dim', 'hidden', 'aggregator', 'causal',
      'shared_static', 'feature_norm', 'read_padding') if k in options}
  head.update(_doubled(options, head))
  backbone, denoiser = (_series_nets if 'variables' in options
                        else _video_nets)(options, net)
  diffusion = {_paper_name(k): v for k, v in options.pop('diffusion').items()}
  solver = _solver(config, diffsda.Solver)
  construct.pick('sampler', solver.name, samplers.SOLVERS)
  _ = solver.sigmas  # An impossible ladder fails now, not after training.
  return construct.make(
      diffsda.DiffSDA, options, 'method',
      encoder=encoders.SequenceEncoder(
          backbone, construct.make(encoders.SequenceHead, head, 'method')),
      denoiser=decoders.AdaGNDenoiser(denoiser),
      diffusion=construct.make(edm.EDM, diffusion, 'method.diffusion'),
      solver=solver)


def _video_nets(options, net) -> tuple[nn.Module, nn.Module]:
  """What reads frames, and what denoises them; taken out of the options."""
  denoiser = {
      **options.pop('denoiser'), 'as_published': options.pop('as_published')}
  return (
      _backbone(options.pop('encoder'), net, 'method.encoder', _BACKBONES),
      construct.make(unet.UNet, {**denoiser, **net}, 'method.denoiser',
                 out_channels=options.pop('image_channels')))


def _series_nets(options, net) -> tuple[nn.Module, nn.Module]:
  """As `_video_nets`, for series."""
  if net != {'dtype': jnp.float32, 'remat': False}:
    raise ValueError(
        "config.method.dtype or remat is set with method.variables; expected "
        "'float32' and False, which suffice for series. Set them back.")
  if options['recolour']:
    raise ValueError(
        'config.method.recolour=True with method.variables; expected False, '
        'series have no colours. Set it back.')
  make = functools.partial(construct.make, skip_mlp.SkipMLP)
  return (
      make(options.pop('encoder'), 'method.encoder', out_features=None),
      make(options.pop('denoiser'), 'method.denoiser',
           out_features=options.pop('variables')))


def _divid(config: ml_collections.ConfigDict) -> divid.DiViD:
  """DiViD."""
  options = construct.plain(config.method)
  options.pop('name')
  net = {'dtype': construct.pick('dtype', options.pop('dtype'), _DTYPES),
         'remat': options.pop('remat')}
  sizes = {k: options.pop(k) for k in ('static_dim', 'dynamic_dim')}
  if options['orthogonality'] and len(set(sizes.values())) > 1:
    raise ValueError(
        f'config.method.orthogonality={options["orthogonality"]} with static_'
        f'dim={sizes["static_dim"]} and dynamic_dim={sizes["dynamic_dim"]}; '
        'expected equal sizes, or orthogonality=0. Change one of them.')
  sizes.update(_doubled(options, sizes))
  solver = _solver(config, divid.Solver)
  diffusion = construct.make(
      ddpm.DDPM, options.pop('diffusion'), 'method.diffusion')
  diffusion.levels(solver.num_steps)  # Fails now, not after training.
  return construct.make(
      divid.DiViD, options, 'method',
      encoder=construct.make(
          encoders.ResidualEncoder, {**options.pop('encoder'), **sizes},
          'method.encoder',
          backbone=_backbone(
              options.pop('backbone'), net, 'method.backbone',
              {'flat': None, 'ldm': autoencoder.nets.Encoder, **_BACKBONES})),
      denoiser=decoders.CrossAttentionDenoiser(
          construct.make(
              unet.UNet, {**options.pop('denoiser'), **net}, 'method.denoiser',
              out_channels=options.pop('image_channels')),
          options.pop('token_dim'), options.pop('token_types')),
      diffusion=diffusion, solver=solver)


def _glr(config: ml_collections.ConfigDict) -> glr.GLR:
  """GLR, for series."""
  options = construct.plain(config.method)
  options.pop('name')
  nets = {'local_encoder': (glr_nets.LocalEncoder,
                            {'dim': options.pop('dynamic_dim')}),
          'global_encoder': (glr_nets.GlobalEncoder,
                             {'dim': options.pop('static_dim')}),
          'decoder': (glr_nets.WindowDecoder,
                      {'window': options['window'],
                       'out_features': options.pop('variables')})}
  return construct.make(glr.GLR, options, 'method', **{
      name: construct.make(
          kind, options.pop(name), f'method.{name}', **sizes)
      for name, (kind, sizes) in nets.items()})


def _vae(config: ml_collections.ConfigDict) -> vae.VAE:
  """The VAE, for series."""
  options = construct.plain(config.method)
  options.pop('name')
  beta = options.pop('beta')
  make = functools.partial(construct.make, skip_mlp.SkipMLP)
  head = {k: options.pop(k) for k in ('hidden', 'aggregator', 'causal')}
  head.update({k: 2 * options.pop(k) for k in ('static_dim', 'dynamic_dim')})
  return construct.make(
      vae.VAE, options, 'method', static_kl=beta, dynamic_kl=beta,
      encoder=encoders.SequenceEncoder(
          make(options.pop('encoder'), 'method.encoder', out_features=None),
          construct.make(encoders.SequenceHead, head, 'method')),
      decoder=decoders.CodeDecoder(
          make(options.pop('decoder'), 'method.decoder',
               out_features=options.pop('variables'))))


def _autoencoder(
    config: ml_collections.ConfigDict,
) -> autoencoder.Autoencoder:
  """The first stage of latent diffusion."""
  options = construct.plain(config.method)
  options.pop('name')
  net = options.pop('net')
  net['dtype'] = construct.pick('dtype', options.pop('dtype'), _DTYPES)
  construct.pick('regulariser', net['regulariser'], dict.fromkeys(('kl', 'vq')))
  path = options.pop('perceptual_file')
  perceptual = None if path is None else autoencoder.squeezenet.Perceptual(path)
  return construct.make(
      autoencoder.Autoencoder, options, 'method', perceptual=perceptual,
      net=construct.make(autoencoder.nets.Autoencoder, net, 'method.net',
                     image_channels=options.pop('image_channels')))


_BACKBONES = {'unet': functools.partial(unet.UNet, out_channels=1),
              'convnet': convnet.FrameEncoder}


def _backbone(
    options: dict[str, Any],
    net: dict[str, Any],
    section: str,
    known: Mapping[str, Any],
) -> nn.Module | None:
  """The network of an encoder that reads single frames, if it has one."""
  kind = options.pop('kind')
  make = construct.pick('encoder', kind, known)
  if make is None:
    return None
  if kind != 'unet':
    net = {'dtype': net['dtype']}
  return construct.make(make, {**options, **net}, section)


def _doubled(
    options: Mapping[str, Any], sizes: Mapping[str, Any]
) -> dict[str, int]:
  """Sizes of Gaussian codes: mean and log variance."""
  return {f'{name}_dim': 2 * sizes[f'{name}_dim']
          for name in ('static', 'dynamic')
          if options[f'{name}_kl'] is not None}


def _solver(config: ml_collections.ConfigDict, kind: type[Any]) -> Any:
  """The solver of `config.sampler`."""
  options = construct.plain(config.sampler)
  options.pop('x_T')
  return construct.make(kind, options, 'sampler')


_METHODS = {
    'autoencoder': _autoencoder, 'diffsda': _diffsda, 'divid': _divid,
    'glr': _glr, 'vae': _vae}


def _paper_name(name: str) -> str:
  """The config's p_mean is the paper's P_mean."""
  return 'P' + name[1:] if name.startswith('p_') else name
