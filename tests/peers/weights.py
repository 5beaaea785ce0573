"""Parameters of seqdiff -> parameters of the PyTorch peer, name by name.

`convert` maps a tree (parameters, gradients or averages) and insists that each
array on either side is used exactly once. The layouts that differ:

  convolution  (kh, kw, in, out) -> (out, in, kh, kw)
  linear       (in, out) -> (out, in)
  patches      channels (row, column, c) -> (c, row, column)
  flattening   (h, w, c) -> (c, h, w)
  attention    q, k and v -> one 1x1 convolution, or one linear layer; heads
               are an axis of ours
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from tests.peers import torch_autoencoder
from tests.peers import torch_conditional
from tests.peers import torch_nets
from tests.peers import torch_skip_mlp
from tests.peers import torch_unet

# A torch name, the names on our side, and how these make the torch array.
Rule = tuple[str, tuple[str, ...], Callable[..., np.ndarray]]


def load(
    model: torch_conditional.Conditional, params: Mapping[str, Any]
) -> None:
  """Copies parameters, and the constant noise frequencies, into the model."""
  state = convert(model, params)
  name = 'denoiser.noise_embedding.frequencies'
  if name in model.state_dict():
    # Ours are drawn from this seed and are no parameters.
    state[name] = torch.as_tensor(
        16.0 * np.random.RandomState(0).randn(len(model.get_buffer(name))),
        dtype=torch.float32)
  model.load_state_dict(state)


def convert(
    model: torch_conditional.Conditional, tree: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
  """A tree shaped as our parameters -> tensors by the model's names.

  Raises:
    ValueError: a name that is missing, unused or used twice; a wrong shape.
  """
  ours = dict(_flatten({k: v['params'] for k, v in tree.items()}))
  theirs = {k: tuple(v.shape) for k, v in model.named_parameters()}
  result = {}
  for name, sources, layout in _rules(model):
    missing = [s for s in sources if s not in ours]
    if missing or name not in theirs:
      raise ValueError(f'{name} from {sources}: missing {missing or name}.')
    array = layout(*(np.asarray(ours.pop(s)) for s in sources))
    if array.shape != theirs.pop(name):
      raise ValueError(f'{name} from {sources}: shape {array.shape}.')
    result[name] = torch.from_numpy(np.array(array, order='C'))
  if ours or theirs:
    raise ValueError(f'Without a peer: {sorted(ours)}, {sorted(theirs)}.')
  return result


def _rules(model) -> Iterator[Rule]:
  encoder, denoiser = model.encoder, model.denoiser
  for name, net in (
      ('encoder.frames', encoder.frames), ('denoiser.net', denoiser.net)):
    rules = {torch_unet.UNet: _unet, torch_nets.ConvNet: _convnet,
             torch_skip_mlp.SkipMLP: _skip_mlp,
             torch_autoencoder.Encoder: _image_encoder}.get(type(net))
    if rules is not None:  # Else it has no parameters.
      yield from rules(name, f'{name.split(".")[0]}/backbone', net)
  if isinstance(encoder, torch_nets.ResidualEncoder):
    channels = denoiser.net.tail.out_channels // denoiser.net.patch_size**2
    yield from _residual_encoder(encoder, channels)
    embedding = 'time_embedding'
    for name in 'static_token', 'dynamic_token':
      if isinstance(denoiser.get_submodule(name), torch.nn.Linear):
        yield from _linear(f'denoiser.{name}', f'denoiser/{name}')
  else:
    yield from _head('encoder.head', 'encoder/head', encoder.head)
    embedding = 'noise_embedding'
    yield from _linear('denoiser.codes_embedding', 'denoiser/factor_embedding')
  for name in 'linear_1', 'linear_2':
    yield from _linear(f'denoiser.{embedding}.{name}',
                       f'denoiser/{embedding}/{name}')


def _unet(torch_name, our_name, unet) -> Iterator[Rule]:
  p = unet.patch_size
  yield from _conv(f'{torch_name}.head', f'{our_name}/head',
                   lambda k: _unpatch(k, 2, p, 2 * unet.coordinates))
  level = block = 0
  for side, layers in ('down', unet.down), ('up', unet.up):
    for i, layer in enumerate(layers):
      there, here = f'{torch_name}.{side}.{i}', f'{our_name}/{side}_{level}'
      if not torch_unet.resizes(layer):
        yield from _block(there, here, block, layer)
        block += 1
        continue
      if isinstance(layer, torch_unet.ResBlock):
        yield from _res_block(there, f'{here}_block', layer)
      elif side == 'down':
        yield from _conv(there, f'{here}_stride')
      else:
        yield from _conv(f'{there}.conv', f'{here}_conv')
      level, block = level + (1 if side == 'down' else -1), 0
    block = 0
  for i, layer in enumerate(unet.middle):
    yield from _block(
        f'{torch_name}.middle.{i}', f'{our_name}/middle', i, layer)
  yield from _norm(f'{torch_name}.tail_norm', f'{our_name}/tail_norm')
  yield from _conv(f'{torch_name}.tail', f'{our_name}/tail',
                   lambda k: _unpatch(k, -1, p))


def _block(torch_name, level_name, number, block) -> Iterator[Rule]:
  """A residual block and, beside it on our side, its attention."""
  yield from _res_block(torch_name, f'{level_name}_block_{number}', block)
  there, here = f'{torch_name}.attention', f'{level_name}_attention_{number}'
  if isinstance(block.attention, torch_unet.SpatialTransformer):
    yield from _spatial_transformer(there, here)
  elif block.attention is not None:
    yield from _norm(f'{there}.norm', f'{here}/norm')
    names = tuple(f'{here}/attention/{name}' for name in 'qkv')
    yield (f'{there}.qkv.weight', tuple(f'{n}/kernel' for n in names),
           _pointwise)
    yield (f'{there}.qkv.bias', tuple(f'{n}/bias' for n in names), _joined)
    yield f'{there}.out.weight', (f'{here}/attention/out/kernel',), _pointwise
    yield f'{there}.out.bias', (f'{here}/attention/out/bias',), _same


def _res_block(torch_name, our_name, block) -> Iterator[Rule]:
  for i in (1, 2) if block.conv_3 is None else (1, 2, 3):
    yield from _norm(f'{torch_name}.norm_{i}', f'{our_name}/norm_{i}')
    yield from _conv(f'{torch_name}.conv_{i}', f'{our_name}/conv_{i}')
  for i in range(len(block.affines)):
    yield from _linear(
        f'{torch_name}.affines.{i}', f'{our_name}/modulation_{i + 1}')
  if not isinstance(block.shortcut, torch.nn.Identity):
    yield from _conv(f'{torch_name}.shortcut', f'{our_name}/shortcut')


def _spatial_transformer(torch_name, our_name) -> Iterator[Rule]:
  for name in 'norm', 'norm_1', 'norm_2', 'norm_3':
    yield from _norm(f'{torch_name}.{name}', f'{our_name}/{name}')
  for name in 'project_in', 'project_out':
    yield (f'{torch_name}.{name}.weight', (f'{our_name}/{name}/kernel',),
           _pointwise)
    yield f'{torch_name}.{name}.bias', (f'{our_name}/{name}/bias',), _same
  for name in 'self_attention', 'cross_attention':
    for part in 'qkv':
      yield (f'{torch_name}.{name}.{part}.weight',
             (f'{our_name}/{name}/{part}/kernel',), np.transpose)
    yield from _linear(f'{torch_name}.{name}.out', f'{our_name}/{name}/out')
  yield from _linear(f'{torch_name}.widen', f'{our_name}/gate')
  yield from _linear(f'{torch_name}.shrink', f'{our_name}/shrink')


def _convnet(torch_name, our_name, net) -> Iterator[Rule]:
  for i in range(len(net.layers) // 3):  # Convolution, norm, activation.
    yield from _conv(f'{torch_name}.layers.{3 * i}', f'{our_name}/conv_{i}')
    yield from _norm(f'{torch_name}.layers.{3 * i + 1}', f'{our_name}/norm_{i}')
  yield from _linear(
      f'{torch_name}.features', f'{our_name}/features', net.out_channels)


def _image_encoder(torch_name, our_name, net) -> Iterator[Rule]:
  yield from _conv(f'{torch_name}.conv_in', f'{our_name}/head')
  for i, level in enumerate(net.down):
    there, here = f'{torch_name}.down.{i}', f'{our_name}/down_{i}'
    for j, block in enumerate(level.block):
      yield from _image_block(f'{there}.block.{j}', f'{here}_block_{j}', block)
    for j in range(len(level.attn)):
      yield from _image_attention(f'{there}.attn.{j}', f'{here}_attention_{j}')
    if hasattr(level, 'downsample'):
      yield from _conv(f'{there}.downsample.conv', f'{here}_stride')
  there, here = f'{torch_name}.mid', f'{our_name}/middle'
  yield from _image_block(
      f'{there}.block_1', f'{here}_block_0', net.mid.block_1)
  yield from _image_block(
      f'{there}.block_2', f'{here}_block_1', net.mid.block_2)
  yield from _image_attention(f'{there}.attn_1', f'{here}_attention')
  yield from _norm(f'{torch_name}.norm_out', f'{our_name}/tail_norm')
  yield from _conv(f'{torch_name}.conv_out', f'{our_name}/tail')


def _image_block(torch_name, our_name, block) -> Iterator[Rule]:
  for i in 1, 2:
    yield from _norm(f'{torch_name}.norm{i}', f'{our_name}/norm_{i}')
    yield from _conv(f'{torch_name}.conv{i}', f'{our_name}/conv_{i}')
  if hasattr(block, 'nin_shortcut'):
    yield from _conv(f'{torch_name}.nin_shortcut', f'{our_name}/shortcut')


def _image_attention(torch_name, our_name) -> Iterator[Rule]:
  yield from _norm(f'{torch_name}.norm', f'{our_name}/norm')
  for there, here in zip(('q', 'k', 'v', 'proj_out'), ('q', 'k', 'v', 'out')):
    yield from _conv(f'{torch_name}.{there}', f'{our_name}/{here}')


def _skip_mlp(torch_name, our_name, net) -> Iterator[Rule]:
  last = len(net.layers)
  for i, affines in enumerate(net.affines):
    yield from _linear(f'{torch_name}.layers.{i}', f'{our_name}/layer_{i}')
    yield from _norm(f'{torch_name}.norms.{i}', f'{our_name}/norm_{i}')
    for j in range(len(affines)):
      yield from _linear(
          f'{torch_name}.affines.{i}.{j}', f'{our_name}/modulation_{i}_{j}')
  yield from _linear(f'{torch_name}.last', f'{our_name}/layer_{last}')
  if isinstance(net.last_norm, torch.nn.LayerNorm):
    yield from _norm(f'{torch_name}.last_norm', f'{our_name}/norm_{last}')


def _head(torch_name, our_name, head) -> Iterator[Rule]:
  if isinstance(head.norm, torch.nn.LayerNorm):
    yield from _norm(f'{torch_name}.norm', f'{our_name}/feature_norm')
  if head.aggregator == 'lstm':
    there, here = f'{torch_name}.lstm', f'{our_name}/lstm'
    if head.lstm.bidirectional:
      yield from _recurrence(there, f'{here}/forward')
      yield from _recurrence(there, f'{here}/backward', '_l0_reverse')
      yield from _recurrence(f'{torch_name}.dynamic_rnn', f'{our_name}/rnn')
    else:
      yield from _recurrence(there, here)
      yield from _recurrence(
          f'{torch_name}.dynamic_rnn', f'{our_name}/dynamic_lstm')
  else:
    for name in 'static_layer', 'dynamic_layer':
      yield from _linear(f'{torch_name}.{name}', f'{our_name}/{name}')
  for name in 'static_head', 'dynamic_head':
    yield from _linear(f'{torch_name}.{name}', f'{our_name}/{name}')


def _residual_encoder(encoder, channels) -> Iterator[Rule]:
  """Without a net of its own it flattens images of so many channels."""
  first = 1
  if isinstance(encoder.frames, torch.nn.Identity):
    first = channels
  elif isinstance(encoder.frames, torch_autoencoder.Encoder):
    first = encoder.frames.conv_out.out_channels
  if isinstance(encoder.norm, torch.nn.LayerNorm):
    yield from _norm('encoder.norm', 'encoder/feature_norm', first)
  layers = range(len(encoder.static_layers))
  for i in layers:
    yield from _linear(f'encoder.static_layers.{i}',
                       f'encoder/static_layer_{i}', 1 if i else first)
  yield from _linear('encoder.static_head', 'encoder/static_head',
                     1 if layers else first)
  yield from _linear('encoder.project', 'encoder/project', first)
  yield from _linear('encoder.dynamic_head', 'encoder/dynamic_head')
  if encoder.aggregator == 'lstm':
    for i in range(encoder.lstm.num_layers):
      for suffix, name in ('', 'forward'), ('_reverse', 'backward'):
        yield from _recurrence(
            'encoder.lstm', f'encoder/lstm_{i}/{name}', f'_l{i}{suffix}')
  else:
    for i in range(len(encoder.layers)):
      yield from _transformer_layer(
          f'encoder.layers.{i}', 'encoder/transformer', i)
    if isinstance(encoder.last_norm, torch.nn.LayerNorm):
      yield from _norm('encoder.last_norm', 'encoder/transformer/last_norm')


def _transformer_layer(torch_name, our_name, i) -> Iterator[Rule]:
  attention = f'{our_name}/attention_{i}'
  names = tuple(f'{attention}/{n}' for n in ('query', 'key', 'value'))
  there = f'{torch_name}.self_attn'
  yield (f'{there}.in_proj_weight', tuple(f'{n}/kernel' for n in names),
         lambda *ws: _joined(*(w.reshape(len(w), -1).T for w in ws)))
  yield (f'{there}.in_proj_bias', tuple(f'{n}/bias' for n in names),
         lambda *bs: _joined(*(b.ravel() for b in bs)))
  yield (f'{there}.out_proj.weight', (f'{attention}/out/kernel',),
         lambda w: w.reshape(-1, w.shape[-1]).T)
  yield f'{there}.out_proj.bias', (f'{attention}/out/bias',), _same
  yield from _norm(f'{torch_name}.norm1', f'{our_name}/attention_norm_{i}')
  yield from _linear(f'{torch_name}.linear1', f'{our_name}/widen_{i}')
  yield from _linear(f'{torch_name}.linear2', f'{our_name}/shrink_{i}')
  yield from _norm(f'{torch_name}.norm2', f'{our_name}/norm_{i}')


def _recurrence(torch_name, our_name, suffix='_l0') -> Iterator[Rule]:
  # Both have the gates in the order i, f, g, o.
  for there, here in ('ih', 'input'), ('hh', 'state'):
    yield (f'{torch_name}.weight_{there}{suffix}',
           (f'{our_name}/{here}_kernel',), np.transpose)
    yield (f'{torch_name}.bias_{there}{suffix}',
           (f'{our_name}/{here}_bias',), _same)


def _conv(torch_name, our_name, channels=lambda a: a) -> Iterator[Rule]:
  """`channels` reorders our channels; a bias has outputs only."""
  yield (f'{torch_name}.weight', (f'{our_name}/kernel',),
         lambda k: channels(k).transpose(3, 2, 0, 1))
  is_tail = torch_name.endswith('.tail')
  yield (f'{torch_name}.bias', (f'{our_name}/bias',),
         channels if is_tail else _same)


def _linear(torch_name, our_name, channels=1) -> Iterator[Rule]:
  """`channels` of the images that were flattened, if any."""
  yield (f'{torch_name}.weight', (f'{our_name}/kernel',),
         lambda w: _unflatten(w, channels))
  yield f'{torch_name}.bias', (f'{our_name}/bias',), _same


def _norm(torch_name, our_name, channels=1) -> Iterator[Rule]:
  """`channels` as of `_linear`."""
  flat = lambda a: _unflatten(a[:, None], channels)[0]
  yield f'{torch_name}.weight', (f'{our_name}/scale',), flat
  yield f'{torch_name}.bias', (f'{our_name}/bias',), flat


def _same(a):
  return a


def _joined(*arrays):
  return np.concatenate(arrays)


def _pointwise(*kernels):
  """Linear layers -> one 1x1 convolution."""
  return _joined(*(w.T for w in kernels))[:, :, None, None]


def _unpatch(a, axis, p, extra=0):
  """Channels on `axis`, (row, column, c) and `extra` -> (c, row, column)."""
  a = np.moveaxis(a, axis, 0)
  count = len(a) - extra
  patches = a[:count].reshape(p * p, count // (p * p), -1).swapaxes(0, 1)
  patches = patches.reshape(a[:count].shape)
  return np.moveaxis(np.concatenate([patches, a[count:]]), 0, axis)


def _unflatten(w, channels):
  """A linear layer on (h, w, c) -> on (c, h, w), transposed."""
  return w.reshape(-1, channels, w.shape[-1]).transpose(2, 1, 0).reshape(
      w.shape[-1], -1)


def _flatten(tree, prefix='') -> Iterator[tuple[str, Any]]:
  for name, value in tree.items():
    if isinstance(value, Mapping):
      yield from _flatten(value, f'{prefix}{name}/')
    else:
      yield f'{prefix}{name}', value
