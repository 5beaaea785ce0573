"""PyTorch checkpoints written by hand, instruction by instruction."""

import pathlib
import struct
import types
import zipfile

import numpy as np
import pytest

_STORAGES = {'float32': 'Float', 'float16': 'Half', 'float64': 'Double',
             'int64': 'Long', 'bfloat16': 'BFloat16'}


def integer(n: int) -> bytes:
  return b'J' + struct.pack('<i', n)


def text(s: str) -> bytes:
  return b'X' + struct.pack('<I', len(s.encode())) + s.encode()


def tuple_of(*items: bytes) -> bytes:
  return b'(' + b''.join(items) + b't'


def named(module: str, name: str) -> bytes:
  return f'c{module}\n{name}\n'.encode()


def call(function: bytes, *args: bytes) -> bytes:
  return function + tuple_of(*args) + b'R'


def dict_of(items: dict[bytes, bytes]) -> bytes:
  return b'}(' + b''.join(k + v for k, v in items.items()) + b'u'


def tensor(key, dtype, size, *, shape=None, strides=None, offset=0) -> bytes:
  """A tensor in storage `key` of `size` elements; by default all of it."""
  shape = (size,) if shape is None else shape
  if strides is None:
    strides = [int(np.prod(shape[i + 1:])) for i in range(len(shape))]
  storage = tuple_of(
      text('storage'), named('torch', f'{_STORAGES[dtype]}Storage'),
      text(key), text('cpu'), integer(size)) + b'Q'
  no_hooks = call(named('collections', 'OrderedDict'))
  return call(
      named('torch._utils', '_rebuild_tensor_v2'), storage, integer(offset),
      tuple_of(*map(integer, shape)), tuple_of(*map(integer, strides)),
      b'\x89', no_hooks)


def program(tree: bytes) -> bytes:
  return b'\x80\x02' + tree + b'.'


def write(path: pathlib.Path, tree: bytes, storages=()) -> pathlib.Path:
  """Writes a zip file as torch.save does."""
  with zipfile.ZipFile(path, 'w') as file:
    file.writestr('archive/data.pkl', program(tree))
    for key, data in dict(storages).items():
      file.writestr(f'archive/data/{key}', np.ascontiguousarray(data).tobytes())
    file.writestr('archive/version', '3\n')
  return path


def write_arrays(path: pathlib.Path, arrays) -> pathlib.Path:
  """Writes named float32 arrays under 'state_dict'."""
  keys = {name: str(i) for i, name in enumerate(arrays)}
  state = dict_of({
      text(name): tensor(keys[name], 'float32', a.size, shape=a.shape)
      for name, a in arrays.items()})
  return write(path, dict_of({text('state_dict'): state}),
               {keys[name]: a for name, a in arrays.items()})


@pytest.fixture
def torch_file():
  """The functions above."""
  return types.SimpleNamespace(**{
      f.__name__: f for f in (
          integer, text, tuple_of, named, call, dict_of, tensor, program, write,
          write_arrays)})
