"""Parameters of seqdiff -> parameters of the PyTorch peer, name by name.

`convert` maps a tree (parameters, gradients or averages) and insists that each
array on either side is used exactly once. The layouts that differ:

  convolution  (kh, kw, in, out) -> (out, in, kh, kw)
  linear       (in, out) -> (out, in)
  patches      channels (row, column, c) -> (c, row, column)
  flattening   (h, w, c) -> (c, h, w)
  attention    q, k and v -> one 1x1 convolution
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from tests.peers import torch_diffsda
from tests.peers import torch_nets

# A torch name, the names on our side, and how these make the torch array.
Rule = tuple[str, tuple[str, ...], Callable[..., np.ndarray]]


def load(model: torch_diffsda.DiffSDA, params: Mapping[str, Any]) -> None:
  """Copies parameters, and the constant noise frequencies, into the model."""
  state = convert(model, params)
  name = 'denoiser.noise_embedding.frequencies'
  count = len(model.get_buffer(name))
  # Ours are drawn from this seed and are no parameters.
  state[name] = torch.as_tensor(
      16.0 * np.random.RandomState(0).randn(count), dtype=torch.float32)
  model.load_state_dict(state)


def random(shapes: Mapping[str, Any]) -> dict[str, Any]:
  """Parameters that keep activations near 1 and of which all matter."""
  rng = np.random.default_rng(0)

  def draw(name, value):
    if isinstance(value, Mapping):
      return {k: draw(k, v) for k, v in value.items()}
    array = rng.normal(size=value.shape)
    if name.endswith('kernel'):
      array *= np.prod(value.shape[:-1]) ** -0.5
    else:
      array = 0.3 * array + (name == 'scale')
    return array.astype(np.float32)

  return draw('', shapes)


def convert(
    model: torch_diffsda.DiffSDA, tree: Mapping[str, Any]
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
  frames = model.encoder.frames
  if isinstance(frames, torch_nets.UNet):
    yield from _unet('encoder.frames', 'encoder/backbone', frames)
  else:
    yield from _convnet('encoder.frames', 'encoder/backbone', frames)
  yield from _head('encoder.head', 'encoder/head', model.encoder.head)
  yield from _unet('denoiser.unet', 'denoiser/backbone', model.denoiser.unet)
  for name in 'linear_1', 'linear_2':
    yield from _linear(f'denoiser.noise_embedding.{name}',
                       f'denoiser/noise_embedding/{name}')
  yield from _linear('denoiser.codes_embedding', 'denoiser/factor_embedding')


def _unet(torch_name, our_name, unet) -> Iterator[Rule]:
  p = unet.patch_size
  yield from _conv(f'{torch_name}.head', f'{our_name}/head',
                   lambda k: _unpatch(k, 2, p, 2 * unet.coordinates))
  level = block = 0
  for i, layer in enumerate(unet.down):
    there, here = f'{torch_name}.down.{i}', f'{our_name}/down_{level}'
    if isinstance(layer, torch_nets.ResBlock):
      yield from _block(there, f'{here}_block_{block}', layer)
      block += 1
    else:
      yield from _conv(there, f'{here}_stride')
      level, block = level + 1, 0
  for i, layer in enumerate(unet.middle):
    yield from _block(
        f'{torch_name}.middle.{i}', f'{our_name}/middle_block_{i}', layer)
  block = 0
  for i, layer in enumerate(unet.up):
    there, here = f'{torch_name}.up.{i}', f'{our_name}/up_{level}'
    if isinstance(layer, torch_nets.ResBlock):
      yield from _block(there, f'{here}_block_{block}', layer)
      block += 1
    else:
      yield from _conv(f'{there}.conv', f'{here}_conv')
      level, block = level - 1, 0
  yield from _norm(f'{torch_name}.tail_norm', f'{our_name}/tail_norm')
  yield from _conv(f'{torch_name}.tail', f'{our_name}/tail',
                   lambda k: _unpatch(k, -1, p))


def _block(torch_name, our_name, block) -> Iterator[Rule]:
  adaptive = hasattr(block, 'conv_3')
  for i in (1, 2, 3) if adaptive else (1, 2):
    yield from _norm(f'{torch_name}.norm_{i}', f'{our_name}/norm_{i}')
    yield from _conv(f'{torch_name}.conv_{i}', f'{our_name}/conv_{i}')
  if adaptive:
    for there, here in ('noise', 1), ('codes', 2):
      yield from _linear(
          f'{torch_name}.{there}_affine', f'{our_name}/modulation_{here}')
  if not isinstance(block.shortcut, torch.nn.Identity):
    yield from _conv(f'{torch_name}.shortcut', f'{our_name}/shortcut')
  if isinstance(block.attention, torch_nets.Attention):
    there, here = f'{torch_name}.attention', f'{our_name}/attention'
    names = tuple(f'{here}/{name}' for name in 'qkv')
    pointwise = lambda *ws: np.concatenate(
        [w.T for w in ws])[:, :, None, None]
    yield from _norm(f'{there}.norm', f'{here}/norm')
    yield (f'{there}.qkv.weight', tuple(f'{n}/kernel' for n in names),
           pointwise)
    yield (f'{there}.qkv.bias', tuple(f'{n}/bias' for n in names),
           lambda *bs: np.concatenate(bs))
    yield f'{there}.out.weight', (f'{here}/out/kernel',), pointwise
    yield f'{there}.out.bias', (f'{here}/out/bias',), _same


def _convnet(torch_name, our_name, net) -> Iterator[Rule]:
  for i in range(len(net.layers) // 3):  # Convolution, norm, activation.
    yield from _conv(f'{torch_name}.layers.{3 * i}', f'{our_name}/conv_{i}')
    yield from _norm(f'{torch_name}.layers.{3 * i + 1}', f'{our_name}/norm_{i}')
  yield (f'{torch_name}.features.weight', (f'{our_name}/features/kernel',),
         lambda w: _unflatten(w, net.out_channels))
  yield (f'{torch_name}.features.bias', (f'{our_name}/features/bias',), _same)


def _head(torch_name, our_name, head) -> Iterator[Rule]:
  if isinstance(head.norm, torch.nn.LayerNorm):
    yield from _norm(f'{torch_name}.norm', f'{our_name}/feature_norm')
  if head.aggregator == 'lstm':
    there, here = f'{torch_name}.lstm', f'{our_name}/lstm'
    if head.lstm.bidirectional:
      yield from _recurrence(there, f'{here}/forward')
      yield from _recurrence(there, f'{here}/backward', '_reverse')
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


def _recurrence(torch_name, our_name, suffix='') -> Iterator[Rule]:
  # Both have the gates in the order i, f, g, o.
  for there, here in ('ih', 'input'), ('hh', 'state'):
    yield (f'{torch_name}.weight_{there}_l0{suffix}',
           (f'{our_name}/{here}_kernel',), np.transpose)
    yield (f'{torch_name}.bias_{there}_l0{suffix}',
           (f'{our_name}/{here}_bias',), _same)


def _conv(torch_name, our_name, channels=lambda a: a) -> Iterator[Rule]:
  """`channels` reorders our channels; a bias has outputs only."""
  yield (f'{torch_name}.weight', (f'{our_name}/kernel',),
         lambda k: channels(k).transpose(3, 2, 0, 1))
  is_tail = torch_name.endswith('.tail')
  yield (f'{torch_name}.bias', (f'{our_name}/bias',),
         channels if is_tail else _same)


def _linear(torch_name, our_name) -> Iterator[Rule]:
  yield f'{torch_name}.weight', (f'{our_name}/kernel',), np.transpose
  yield f'{torch_name}.bias', (f'{our_name}/bias',), _same


def _norm(torch_name, our_name) -> Iterator[Rule]:
  yield f'{torch_name}.weight', (f'{our_name}/scale',), _same
  yield f'{torch_name}.bias', (f'{our_name}/bias',), _same


def _same(a):
  return a


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
