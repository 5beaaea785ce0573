"""Reads tensors from PyTorch checkpoints, and runs nothing of them.

A checkpoint is a pickle, and a pickle is a program: it may call whatever it
names. This reader resolves a fixed list of names to functions of its own, which
build tensors and nothing else. Classes of a few packages that training scripts
leave behind become empty objects; not even their modules are imported. Any
other name is refused.

It knows the zip files of torch.save (PyTorch 1.6 and later) and the older
sequence of pickles. Tensors are descriptions until `Tensor.array` reads them.
"""

from collections.abc import Callable, Mapping
import collections
import dataclasses
import io
import math
import os
import pathlib
import pickle
import struct
from typing import Any
import zipfile

import jax.numpy as jnp
import numpy as np

# torch.<key>Storage -> type of its elements.
_TYPES = {
    'BFloat16': 'bfloat16', 'Half': 'float16', 'Float': 'float32',
    'Double': 'float64', 'Char': 'int8', 'Byte': 'uint8', 'Short': 'int16',
    'Int': 'int32', 'Long': 'int64', 'Bool': 'bool',
}
# What comes from these is not needed and becomes an empty object.
_INERT = ('_codecs', 'lightning', 'numpy', 'omegaconf', 'pytorch_lightning')
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


class RefusedError(ValueError):
  """A checkpoint that wants more than to hold tensors."""


@dataclasses.dataclass(frozen=True)
class Tensor:
  """An array in a file.

  Attributes:
    shape: its shape.
    strides: distance between neighbours along each axis, in elements.
    offset: its first element in its storage.
    dtype: type of its elements.
    read: reads its storage, (n,) of that type.
  """

  shape: tuple[int, ...]
  strides: tuple[int, ...]
  offset: int
  dtype: np.dtype
  read: Callable[[], np.ndarray]

  def array(self) -> np.ndarray:
    """Reads it.

    Raises:
      ValueError: the file is damaged or too short for it.
    """
    storage = self.read()
    if math.prod(self.shape) == 0:
      return np.zeros(self.shape, self.dtype)
    last = self.offset + sum(
        (n - 1) * stride for n, stride in zip(self.shape, self.strides))
    if min(self.offset, *self.shape, *self.strides, 0) < 0 or (
        last >= len(storage)):
      raise ValueError(
          f'A tensor of shape {self.shape}, strides {self.strides} and offset '
          f'{self.offset} does not fit in its storage of {len(storage)} '
          'elements. The checkpoint is damaged; download it again.')
    strides = [stride * self.dtype.itemsize for stride in self.strides]
    return np.lib.stride_tricks.as_strided(
        storage[self.offset:], self.shape, strides).copy()


def load_state_dict(path: str | os.PathLike) -> dict[str, Tensor]:
  """The tensors of a checkpoint by name.

  Args:
    path: a file written by torch.save: a dict of tensors, or one that has such
      a dict under 'state_dict'.

  Raises:
    RefusedError: the file names anything but tensors and what is known to be
      harmless.
    ValueError: it is no such file, or damaged.
    OSError: it cannot be opened.
  """
  path = pathlib.Path(path)
  with path.open('rb') as file:
    is_zip = file.read(2) == b'PK'
  try:
    tree = _read_zip(path) if is_zip else _read_legacy(path)
  except RefusedError as error:
    raise RefusedError(f'{path}: {error}') from error
  except OSError:
    raise
  except Exception as error:  # A damaged pickle may raise anything.
    raise ValueError(
        f'{path} is no PyTorch checkpoint, or it is damaged '
        f'({type(error).__name__}: {error}). Expected a whole file written by '
        'torch.save, such as model.ckpt (unpacked). Download it again.'
    ) from error
  if isinstance(tree, Mapping) and 'state_dict' in tree:
    tree = tree['state_dict']
  tensors = {name: value for name, value in tree.items()
             if isinstance(name, str) and isinstance(value, Tensor)
             } if isinstance(tree, Mapping) else {}
  if not tensors:
    raise ValueError(
        f'{path} holds no named tensors, neither at the top nor under '
        "'state_dict'; expected a checkpoint of a model. Check the file.")
  return tensors


def _read_zip(path):
  """The pickled object of a zip file."""
  with zipfile.ZipFile(path) as file:
    names = set(file.namelist())
    pickles = [name for name in names if name.endswith('/data.pkl')]
    if len(pickles) != 1:
      raise ValueError(f'{len(pickles)} members are called data.pkl, not 1')
    root = pickles[0].removesuffix('data.pkl')
    order = f'{root}byteorder'
    if order in names and file.read(order) != b'little':
      raise ValueError('its byte order is not little-endian')
    code = file.read(pickles[0])

  def storage(dtype, key, size):

    def read():
      try:
        with zipfile.ZipFile(path) as file:
          data = file.read(f'{root}data/{key}')
      except (KeyError, zipfile.BadZipFile) as error:
        raise _damaged(path, key, error) from error
      if len(data) != size * dtype.itemsize:
        raise _damaged(path, key, f'{len(data)} bytes for {size} {dtype}')
      return np.frombuffer(data, dtype)

    return read

  return _Unpickler(io.BytesIO(code), storage).load()


def _read_legacy(path):
  """The pickled object of a file before PyTorch 1.6.

  Four pickles (a magic number, the version, the system, the object), then one
  with the keys of the storages, and these one by one with their sizes.
  """
  places = {}  # Where in the file each storage is; known last.

  def storage(dtype, key, size):

    def read():
      offset, saved = places.get(key, (0, None))
      if saved != size:
        raise _damaged(path, key, f'{saved} elements, not {size}')
      data = np.fromfile(path, dtype, size, offset=offset)
      if len(data) != size:
        raise _damaged(path, key, f'{len(data)} elements, not {size}')
      return data

    sizes[key] = dtype.itemsize
    return read

  sizes = {}
  with path.open('rb') as file:
    load = lambda: _Unpickler(file, storage).load()
    if load() != _LEGACY_MAGIC:
      raise ValueError('it does not begin like one')
    load()
    system = load()
    if not system['little_endian']:
      raise ValueError('its byte order is not little-endian')
    tree = load()
    for key in load():
      (size,) = struct.unpack('<q', file.read(8))
      places[key] = (file.tell(), size)
      file.seek(size * sizes[key], os.SEEK_CUR)
  return tree


class _Unpickler(pickle.Unpickler):
  """Builds tensors and plain containers; calls nothing else."""

  def __init__(self, file, storage):
    """`storage(dtype, key, size)` returns a function that reads a storage."""
    super().__init__(file, encoding='utf-8')
    self._storage = storage
    # New ones each time, as a pickle may set their attributes.
    self._known = {
        ('collections', 'OrderedDict'): collections.OrderedDict,
        ('torch', 'Size'): tuple,
        ('torch._utils', '_rebuild_tensor'): lambda *args: _tensor(*args),
        ('torch._utils', '_rebuild_tensor_v2'): lambda *args: _tensor(
            *args[:4]),
        ('torch._utils', '_rebuild_parameter'): lambda data, *_: data,
        **{('torch', f'{name}Storage'): dtype
           for name, dtype in _TYPES.items()},
    }

  def find_class(self, module: str, name: str) -> Any:
    """What a name stands for."""
    if (module, name) in self._known:
      return self._known[module, name]
    if module.split('.')[0] in _INERT:
      return type(name, (_Inert,), {})
    raise RefusedError(
        f'The checkpoint asks for {module}.{name}, which is not needed for '
        'tensors and could run code; expected tensors in dictionaries. Do not '
        'open the file with other tools unless you trust where it is from.')

  def persistent_load(self, pid: Any) -> Any:
    """A storage: ('storage', type, key, device, size[, view])."""
    kind, dtype, key, _, size, *view = pid
    if kind != 'storage' or dtype not in _TYPES.values() or any(
        v is not None for v in view) or not isinstance(size, int) or size < 0:
      raise ValueError(f'unknown storage {pid!r}')
    dtype = np.dtype(jnp.bfloat16 if dtype == 'bfloat16' else dtype)
    return _Storage(dtype, self._storage(dtype, str(key), size))


@dataclasses.dataclass(frozen=True)
class _Storage:
  dtype: np.dtype
  read: Callable[[], np.ndarray]


class _Inert:
  """Stands for an object that is not needed; takes anything, does nothing."""

  def __new__(cls, *unused_args, **unused_kwargs):
    return super().__new__(cls)

  def __init__(self, *unused_args, **unused_kwargs):
    pass

  def __setstate__(self, unused_state):
    pass

  def __setitem__(self, unused_key, unused_value):
    pass

  def append(self, unused_item):
    """Does nothing."""


def _tensor(storage, offset, shape, strides):
  """A `Tensor` from what a pickle says of it."""
  numbers = (offset, *shape, *strides)
  if not isinstance(storage, _Storage) or len(shape) != len(strides) or any(
      not isinstance(n, int) for n in numbers):
    raise ValueError(f'unknown tensor {numbers}')
  return Tensor(
      tuple(shape), tuple(strides), offset, storage.dtype, storage.read)


def _damaged(path, key, reason):
  return ValueError(
      f'{path}: storage {key} cannot be read ({reason}); expected a whole '
      'file. Download it again.')
