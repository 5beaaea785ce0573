"""The PyTorch peer of a config."""

from typing import Any

import torch
from torch import nn

from tests.peers import torch_autoencoder
from tests.peers import torch_conditional
from tests.peers import torch_diffsda
from tests.peers import torch_divid
from tests.peers import torch_nets
from tests.peers import torch_skip_mlp
from tests.peers import torch_unet


def from_config(
    config: Any, *, image_size: int | None = None, channels_last: bool = False
) -> torch_conditional.Conditional:
  """The peer of `seqdiff.build.method(config)`, on the current device.

  Args:
    config: a config of DiffSDA on video or on series, or of DiViD on video.
    image_size: side of a frame, of a latent if it is trained on latents; None =
      `config.data.size`, if there is one.
    channels_last: memory format of the convolutions.
  """
  latents = 'first_stage' in config
  assert not (latents and config.first_stage.frames), 'the peer has no frames'
  assert not (latents and image_size is None), 'latents are smaller than clips'
  options = config.method.to_dict()
  make = {'diffsda': _diffsda, 'divid': _divid}.get(options.pop('name'))
  if make is None:
    raise ValueError(
        f'method {config.method.name!r}, expected diffsda or divid.')
  options.update(
      dtype=getattr(torch, options['dtype']), sampler=config.sampler.to_dict())
  if image_size is None and 'size' in config.data:
    image_size = config.data.size
  model = make(options, image_size)
  torch_nets.initialise(model)
  if channels_last:
    model = model.to(memory_format=torch.channels_last)
  return model


def _diffsda(options, size):
  dtype, remat = options.pop('dtype'), options.pop('remat')
  codes = options['static_dim'] + options['dynamic_dim']
  head = {k: options.pop(k) for k in (
      'static_dim', 'dynamic_dim', 'hidden', 'aggregator', 'causal',
      'shared_static', 'feature_norm', 'read_padding') if k in options}
  if 'variables' in options:
    frames, features, net, channels = _series_nets(options)
  else:
    frames, features, net, channels = _video_nets(options, size, remat)
  return torch_diffsda.DiffSDA(
      torch_nets.Encoder(
          frames,
          torch_nets.SequenceHead(features, **_doubled(head, options)), dtype),
      torch_nets.Denoiser(net, channels, codes, dtype), **options)


def _video_nets(options, size, remat):
  """What reads frames, the size of its result; what denoises, its channels."""
  channels, net = options.pop('image_channels'), _denoiser(options)
  unet = torch_unet.UNet(
      channels, channels, embeddings=2 * (4 * net['channels'],), remat=remat,
      as_published=options.pop('as_published'), **net)
  return (*_frames(options.pop('encoder'), channels, size, remat), unet,
          net['channels'])


def _denoiser(options):
  """Options of the U-Net, which draws each frame on its own."""
  net = options.pop('denoiser')
  assert not net.pop('temporal'), 'the peer has no attention over time'
  return net


def _series_nets(options):
  """As `_video_nets`; embeddings of 256 values, as published."""
  variables, encoder = options.pop('variables'), options.pop('encoder')
  return (
      torch_skip_mlp.SkipMLP(variables, None, **encoder), encoder['width'],
      torch_skip_mlp.SkipMLP(variables, variables, embeddings=(256, 256),
                             **options.pop('denoiser')), 64)


def _divid(options, size):
  dtype, remat = options.pop('dtype'), options.pop('remat')
  channels, token = options.pop('image_channels'), options.pop('token_dim')
  codes = {k: options.pop(k) for k in ('static_dim', 'dynamic_dim')}
  static, dynamic = codes.values()
  frames, features = _frames(options.pop('backbone'), channels, size, remat)
  net, encoder = _denoiser(options), options.pop('encoder')
  for name in 'causal', 'scale_inputs':
    assert not encoder.pop(name), f'the peer has no {name}'
  encoder.pop('kernel_init')  # Weights are copied.
  assert not options.pop('token_types'), 'the peer has no kinds of tokens'
  cross = net['attention'] == 'cross'
  embeddings = [4 * net['channels']]  # Of t.
  if not cross:
    embeddings.append(static + dynamic if token is None else 2 * token)
  unet = torch_unet.UNet(
      channels, channels, embeddings=embeddings, remat=remat,
      context=static if token is None else token, **net)
  return torch_divid.DiViD(
      torch_nets.ResidualEncoder(
          frames, features, dtype=dtype, **encoder,
          **_doubled(codes, options)),
      torch_nets.TokenDenoiser(
          unet, net['channels'], cross=cross, dtype=dtype,
          token_dims=None if token is None else (static, dynamic, token)),
      **options)


def _frames(net, channels, size, remat):
  """What an encoder applies to each frame, and the size of its result."""
  kind = net.pop('kind')
  if kind == 'flat':
    return nn.Identity(), channels * size**2
  if kind == 'convnet':
    return torch_nets.ConvNet(channels, size, **net), net['features']
  if kind == 'ldm':
    encoder = torch_autoencoder.Encoder(
        channels, net['features'], ch=net['channels'],
        ch_mult=net['multipliers'], num_res_blocks=net['num_blocks'],
        attn_levels=net['attention_levels'], groups=net['groups'])
    side = size // 2 ** (len(net['multipliers']) - 1)
    return encoder, net['features'] * side**2
  if kind != 'unet':
    raise ValueError(
        f'frames by {kind!r}, expected unet, convnet, ldm or flat.')
  return torch_unet.UNet(channels, 1, remat=remat, **net), size**2


def _doubled(sizes, options):
  """Sizes of codes; Gaussian ones have a mean and a log variance."""
  doubled = lambda name: options.get(name.replace('_dim', '_kl')) is not None
  return {k: 2 * v if doubled(k) else v for k, v in sizes.items()}
