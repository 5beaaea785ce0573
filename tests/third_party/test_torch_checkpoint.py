"""Checkpoints are read, damaged ones named, and none is run."""

import os
import pickle
import struct

import ml_dtypes
import numpy as np
import pytest

from third_party.ldm_autoencoder import checkpoint

VALUES = np.arange(12, dtype=np.float32) / 4.0


class Evil:
  """Makes a directory when it is unpickled."""

  def __init__(self, path):
    self.path = str(path)

  def __reduce__(self):
    return os.mkdir, (self.path,)


@pytest.mark.parametrize('dtype', [
    'float32', 'float16', 'float64', 'int64', 'bfloat16'])
def test_types(tmp_path, torch_file, dtype):
  f = torch_file
  kind = ml_dtypes.bfloat16 if dtype == 'bfloat16' else dtype
  values = (8 * VALUES).astype(kind)
  path = f.write(
      tmp_path / 'm', f.dict_of({f.text('a'): f.tensor('7', dtype, 12)}),
      {'7': values})
  found = checkpoint.load_state_dict(path)['a']
  assert found.shape == (12,)
  assert found.array().dtype == values.dtype
  np.testing.assert_array_equal(found.array(), values)


@pytest.mark.parametrize('shape, strides, offset, expected', [
    ((3, 4), None, 0, VALUES.reshape(3, 4)),
    ((4, 3), (1, 4), 0, VALUES.reshape(3, 4).T),
    ((2, 2), (4, 2), 5, VALUES.reshape(3, 4)[1:, 1::2]),
    ((2, 3), (0, 1), 9, np.tile(VALUES[9:], (2, 1))),
    ((), (), 11, VALUES[11]),
    ((0, 5), (5, 1), 12, np.zeros((0, 5))),
])
def test_views_of_a_storage(
    tmp_path, torch_file, shape, strides, offset, expected):
  f = torch_file
  tensor = f.tensor('0', 'float32', 12, shape=shape, strides=strides,
                    offset=offset)
  path = f.write(tmp_path / 'm', f.dict_of({f.text('a'): tensor}),
                 {'0': VALUES})
  found = checkpoint.load_state_dict(path)['a'].array()
  assert found.shape == expected.shape
  np.testing.assert_array_equal(found, expected)


def test_what_lightning_leaves_behind_is_passed_over(tmp_path, torch_file):
  f = torch_file
  callback = f.named('pytorch_lightning.callbacks.no_such', 'ModelCheckpoint')
  score = f.call(f.named('numpy.core.multiarray', 'scalar'), f.text('x'))
  config = f.call(f.named('omegaconf.dictconfig', 'DictConfig'), f.text('x'))
  tree = f.dict_of({
      f.text('epoch'): f.integer(3),
      f.text('callbacks'): f.dict_of({
          callback: f.dict_of({f.text('best'): score})}),
      # With a state, and with items of its own.
      f.text('hparams'): config + f.dict_of({f.text('a'): f.integer(1)}) + b'b'
                         + b'(' + f.text('k') + f.integer(2) + b'u',
      f.text('state_dict'): f.dict_of({
          f.text('a'): f.tensor('0', 'float32', 12),
          f.text('no tensor'): f.integer(1)}),
  })
  found = checkpoint.load_state_dict(
      f.write(tmp_path / 'm', tree, {'0': VALUES}))
  assert set(found) == {'a'}
  np.testing.assert_array_equal(found['a'].array(), VALUES)


@pytest.mark.parametrize('where', ['zip', 'legacy', 'inside'])
def test_code_is_refused_and_not_run(tmp_path, torch_file, where):
  f, trace = torch_file, tmp_path / 'was here'
  evil = pickle.dumps(Evil(trace), protocol=2)[2:-1]
  path = tmp_path / 'm'
  if where == 'zip':
    f.write(path, evil)
  elif where == 'legacy':
    path.write_bytes(f.program(evil))
  else:  # As an argument of something that is passed over.
    f.write(path, f.call(f.named('numpy', 'dtype'), evil))
  with pytest.raises(
      checkpoint.RefusedError,
      match=r'/m: The checkpoint asks for (posix|nt|os).mkdir, which is'):
    checkpoint.load_state_dict(path)
  assert not trace.exists()
  pickle.loads(f.program(evil))
  assert trace.exists()  # It would have worked.


@pytest.mark.parametrize('module, name', [
    ('os', 'system'), ('builtins', 'eval'), ('builtins', 'getattr'),
    ('torch', 'load'), ('torch.storage', '_load_from_bytes'),
    ('collections', 'namedtuple'), ('numpyx', 'a'), ('functools', 'partial')])
def test_other_names_are_refused(tmp_path, torch_file, module, name):
  f = torch_file
  tree = f.dict_of({f.text('a'): f.named(module, name)})
  path = f.write(tmp_path / 'm', tree)
  with pytest.raises(checkpoint.RefusedError, match=f'{module}.{name}'):
    checkpoint.load_state_dict(path)


def test_names_that_are_known_cannot_be_changed(tmp_path, torch_file):
  f = torch_file
  rebuild = f.named('torch._utils', '_rebuild_tensor_v2')
  # BUILD sets attributes: here the defaults of the function.
  state = f.tuple_of(b'N', f.dict_of({
      f.text('__defaults__'): f.tuple_of(f.integer(1))}))
  tree = f.dict_of({f.text('a'): rebuild + state + b'b'})
  path = f.write(tmp_path / 'm', tree)
  with pytest.raises(ValueError, match='holds no named tensors'):
    checkpoint.load_state_dict(path)
  good = f.write_arrays(tmp_path / 'good', {'a': VALUES})
  np.testing.assert_array_equal(
      checkpoint.load_state_dict(good)['a'].array(), VALUES)


def test_truncated_file_is_named(tmp_path, torch_file):
  path = torch_file.write_arrays(tmp_path / 'model.ckpt', {'a': VALUES})
  data = path.read_bytes()
  for size in 3, len(data) // 2, len(data) - 10:
    path.write_bytes(data[:size])
    with pytest.raises(ValueError, match='model.ckpt is no PyTorch checkpoint, '
                       'or it is damaged .*Download it again'):
      checkpoint.load_state_dict(path)


def test_changed_byte_is_noticed(tmp_path, torch_file):
  path = torch_file.write_arrays(tmp_path / 'm', {'a': VALUES})
  data = path.read_bytes()
  assert data.count(VALUES.tobytes()) == 1
  changed = VALUES.copy()
  changed[3] = 9.0
  path.write_bytes(data.replace(VALUES.tobytes(), changed.tobytes()))
  with pytest.raises(ValueError, match='storage 0 cannot be read .*CRC'):
    checkpoint.load_state_dict(path)['a'].array()


@pytest.mark.parametrize('kwargs, storages, message', [
    (dict(shape=(13,)), {'0': VALUES}, 'does not fit in its storage of 12'),
    (dict(shape=(2, 2), strides=(-1, 1), offset=4), {'0': VALUES}, 'not fit'),
    (dict(offset=-1), {'0': VALUES}, 'does not fit'),
    ({}, {'0': VALUES[:-1]}, '44 bytes for 12 float32'),
    ({}, {}, "no item named 'archive/data/0'"),
])
def test_tensor_beyond_its_storage_is_refused(
    tmp_path, torch_file, kwargs, storages, message):
  f = torch_file
  path = f.write(
      tmp_path / 'm',
      f.dict_of({f.text('a'): f.tensor('0', 'float32', 12, **kwargs)}),
      storages)
  with pytest.raises(ValueError, match=message):
    checkpoint.load_state_dict(path)['a'].array()


@pytest.mark.parametrize('content', [b'', b'not a pickle', b'PK', b'I3\n.'])
def test_other_files_are_named(tmp_path, content):
  path = tmp_path / 'notes.txt'
  path.write_bytes(content)
  with pytest.raises(ValueError, match='notes.txt is no PyTorch checkpoint'):
    checkpoint.load_state_dict(path)


def test_checkpoint_without_tensors_is_named(tmp_path, torch_file):
  f = torch_file
  for tree in f.integer(3), f.dict_of({f.text('state_dict'): f.integer(3)}):
    with pytest.raises(ValueError, match='holds no named tensors'):
      checkpoint.load_state_dict(f.write(tmp_path / 'm', tree))


def test_file_of_before_2020(tmp_path, torch_file):
  f, path = torch_file, tmp_path / 'm'
  tensor = f.tensor('9', 'float32', 12, shape=(3, 4)).replace(
      f.integer(12) + b'tQ', f.integer(12) + b'NtQ')  # A view of its own.
  other = f.tensor('5', 'int64', 2).replace(
      f.integer(2) + b'tQ', f.integer(2) + b'NtQ')
  path.write_bytes(b''.join([
      pickle.dumps(0x1950A86A20F9469CFC6C, 2), pickle.dumps(1001, 2),
      pickle.dumps({'little_endian': True}, 2),
      f.program(f.dict_of({f.text('a'): tensor, f.text('b'): other})),
      pickle.dumps(['5', '9'], 2),
      struct.pack('<q2q', 2, 7, -8), struct.pack('<q', 12), VALUES.tobytes()]))
  found = checkpoint.load_state_dict(path)
  np.testing.assert_array_equal(found['a'].array(), VALUES.reshape(3, 4))
  np.testing.assert_array_equal(found['b'].array(), [7, -8])
  path.write_bytes(path.read_bytes()[:-1])
  with pytest.raises(ValueError, match='storage 9 .*11 elements, not 12'):
    checkpoint.load_state_dict(path)['a'].array()
