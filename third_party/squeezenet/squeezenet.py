"""A perceptual distance: features of SqueezeNet 1.0, compared.

Iandola et al. 2016, arXiv:1602.07360. The distance follows LPIPS (Zhang et al.
2018, arXiv:1801.03924, Eq. 1) without its learned channel weights, which do not
exist for this version of the network: features of unit length, their squared
difference, the mean over pixels and layers. It is not LPIPS, and its values are
not comparable with it.
"""

from collections.abc import Mapping
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import types

# Channels: squeezed, expanded by each of two convolutions.
_FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192),
          7: (48, 192), 8: (64, 256), 9: (64, 256)}
_POOL_AFTER = (4, 8)
_COMPARED = (4, 8, 9)  # The last layer of each resolution, after the first.
_MEAN = (104.0, 117.0, 123.0)  # Of blue, green and red.
_MIN_SIZE = 32  # Pixels; smaller ones leave nothing after the poolings.


@dataclasses.dataclass(frozen=True)
class Perceptual:
  """A distance of images.

  Attributes:
    path: npz file of the weights, float32: conv1/w (96, 3, 7, 7), conv1/b
      (96,), and for i = 2..9 fire<i>/conv1x1_1, conv1x1_2 and conv3x3_2, each
      with /w (out, in, h, w) and /b. Others are not read.
  """

  path: str

  def __post_init__(self):
    _load(self.path)  # What is wrong with the file is said now.

  def distance(self, a: types.Array, b: types.Array) -> jax.Array:
    """Distances (N,), at least 0, of images (N, H, W, C) in [-1, 1].

    C is 3 (RGB) or 1 (grey).

    Raises:
      ValueError: for images of less than 32 pixels.
    """
    per_layer = []
    for f, g in zip(self.features(a), self.features(b)):
      square = jnp.square(_unit(f) - _unit(g))
      per_layer.append(jnp.mean(jnp.sum(square, axis=-1), axis=(1, 2)))
    return sum(per_layer) / len(per_layer)

  def features(self, x: types.Array) -> list[jax.Array]:
    """Features (N, h, w, c) of four resolutions and depths."""
    if min(x.shape[1:3]) < _MIN_SIZE:
      raise ValueError(
          f'perceptual distance of images of {x.shape[1]}x{x.shape[2]} pixels; '
          f'expected at least {_MIN_SIZE}. Set perceptual_file=None, or use '
          'larger images.')
    weights = _load(self.path)
    rgb = jnp.broadcast_to(x, x.shape[:3] + (3,)).astype(jnp.float32)
    mean = jnp.asarray(_MEAN)[None, None, None]
    h = (rgb[..., ::-1] + 1.0) * 127.5 - mean
    h = _conv(weights, 'conv1', h, stride=2, pad=0)
    found = [h]
    h = _pool(h)
    for i in _FIRES:
      squeezed = _conv(weights, f'fire{i}/conv1x1_1', h, pad=0)
      h = jnp.concatenate([
          _conv(weights, f'fire{i}/conv1x1_2', squeezed, pad=0),
          _conv(weights, f'fire{i}/conv3x3_2', squeezed, pad=1)], axis=-1)
      if i in _COMPARED:
        found.append(h)
      if i in _POOL_AFTER:
        h = _pool(h)
    return found


def _shapes() -> Mapping[str, tuple[int, ...]]:
  """Shapes of the weights by name."""
  found, channels = {'conv1': (96, 3, 7, 7)}, 96
  for i, (squeeze, expand) in _FIRES.items():
    found[f'fire{i}/conv1x1_1'] = (squeeze, channels, 1, 1)
    found[f'fire{i}/conv1x1_2'] = (expand, squeeze, 1, 1)
    found[f'fire{i}/conv3x3_2'] = (expand, squeeze, 3, 3)
    channels = 2 * expand
  return {f'{name}/{kind}': shape if kind == 'w' else shape[:1]
          for name, shape in found.items() for kind in 'wb'}


@functools.lru_cache
def _load(path):
  """The weights by name, numpy arrays."""
  weights = {}
  with np.load(path, allow_pickle=False) as file:
    for name, shape in _shapes().items():
      found = file[name].shape if name in file else None
      if found != shape:
        raise ValueError(
            f'{path}: {name} has the shape {found}; expected {shape}, as '
            'SqueezeNet 1.0 has. See third_party/squeezenet/README.md.')
      weights[name] = file[name].astype(np.float32)
  return weights


def _conv(weights, name, x, *, stride=1, pad):
  """Convolution and ReLU."""
  y = jax.lax.conv_general_dilated(
      x, jnp.asarray(weights[f'{name}/w']), (stride, stride), ((pad, pad),) * 2,
      dimension_numbers=('NHWC', 'OIHW', 'NHWC'))
  return jax.nn.relu(y + jnp.asarray(weights[f'{name}/b'])[None, None, None])


def _pool(x):
  """Maximum of 3 x 3 pixels, every second, to the last pixel."""
  pad = tuple((0, (n - 3) % 2) for n in x.shape[1:3])
  return jax.lax.reduce_window(
      x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1),
      ((0, 0), *pad, (0, 0)))


def _unit(x):
  """Channels scaled to unit length; 0 stays 0, and its gradient bounded."""
  return x * jax.lax.rsqrt(jnp.sum(jnp.square(x), -1, keepdims=True) + 1e-2)
