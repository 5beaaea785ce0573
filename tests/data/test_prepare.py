"""From the publisher's files to batches, and what can go wrong on the way."""

import json
import os
import pathlib
import re
import subprocess
import sys

from absl import flags
from absl.testing import flagsaver
import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import loader
from seqdiff.data import prepare
from seqdiff.data.builders import sprites

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def data_dir(tmp_path):
  return tmp_path / 'data'


def build(sheets, data_dir, size=16):
  return prepare.prepare(
      'sprites', manual_dir=sheets, data_dir=data_dir, size=size)


def run_main(**values):
  if not flags.FLAGS.is_parsed():
    flags.FLAGS.mark_as_parsed()
  with flagsaver.flagsaver(**values):
    prepare.main(['prepare'])


def files_in(folder):
  return [path for path in folder.rglob('*') if path.is_file()]


def test_the_command_writes_what_load_reads(sheets, data_dir, capsys):
  run_main(dataset='sprites', manual_dir=str(sheets), data_dir=str(data_dir),
           size=16)
  assert '108 train, 36 test clips' in capsys.readouterr().out
  dataset = disk.load('sprites', data_dir=data_dir, size=16)
  drawn = list(sprites.draw(sprites.read_sheets(sheets), range(16), size=16))
  seen = {}
  for split, source in dataset.splits.items():
    for i in range(len(source)):
      item = source[i]
      character = int(item['labels/character'])
      action = int(item['labels/action'])
      np.testing.assert_array_equal(item['x'], drawn[character][action])
      assert [item[f.key] for f in dataset.factors_of('static')] == [
          int(digit) for digit in f'{character:04b}']
      seen.setdefault(split, set()).add((character, action))
  everything = {(c, a) for c in range(16) for a in range(9)}
  assert seen['train'] | seen['test'] == everything
  assert not {c for c, _ in seen['train']} & {c for c, _ in seen['test']}
  action, = dataset.factors_of('dynamic')
  assert action.values[3] == 'spellcard front' and action.num_classes == 9


@pytest.mark.parametrize('in_memory', [True, False])
def test_a_prepared_set_feeds_the_loader(sheets, data_dir, in_memory):
  build(sheets, data_dir)
  source = disk.load('sprites', data_dir=data_dir, size=16,
                     in_memory=in_memory).splits['train']
  assert isinstance(source, loader.ArraySource) == in_memory
  batch = next(loader.train_batches(
      source, batch_size=4, num_frames=8, seed=0))
  assert batch['x'].dtype == np.uint8
  for index, x in zip(batch['index'], batch['x']):
    np.testing.assert_array_equal(x, source[int(index)]['x'])
  assert batch['labels/hair'].dtype == np.int32


def test_a_second_run_says_that_it_is_prepared_and_changes_nothing(
    sheets, data_dir, capsys):
  build(sheets, data_dir)
  before = {path: path.stat().st_mtime_ns for path in files_in(data_dir)}
  run_main(dataset='sprites', manual_dir=str(sheets), data_dir=str(data_dir),
           size=16)
  assert 'already prepared in' in capsys.readouterr().out
  assert before == {
      path: path.stat().st_mtime_ns for path in files_in(data_dir)}


def test_wrong_sheets_leave_nothing_behind(sheets, data_dir):
  (sheets / 'body' / '1.png').write_bytes(b'')
  with pytest.raises(ValueError, match=r'body/1\.png \(0 bytes'):
    build(sheets, data_dir)
  assert not data_dir.exists()


def test_a_failure_halfway_leaves_nothing_that_is_taken_for_data(
    sheets, data_dir, monkeypatch):
  draw = sprites.draw

  def fail_later(sheets, characters, *, size):
    yield next(draw(sheets, characters, size=size))
    raise OSError('disk full')

  with monkeypatch.context() as patch:
    patch.setattr(sprites, 'draw', fail_later)
    with pytest.raises(OSError, match='disk full'):
      build(sheets, data_dir)
  assert not files_in(data_dir / 'sprites' / '16')
  with pytest.raises(ValueError, match='holds no data set'):
    disk.load('sprites', data_dir=data_dir, size=16)
  assert '108 train' in build(sheets, data_dir)


def test_what_a_killed_run_left_is_not_read_but_named(sheets, data_dir):
  left = data_dir / 'sprites' / '16' / 'incomplete.ABC123_1.0.0'
  left.mkdir(parents=True)
  (left / 'sprites-train.array_record-00000-of-00001').write_bytes(b'')
  with pytest.raises(ValueError, match='holds no data set'):
    disk.load('sprites', data_dir=data_dir, size=16)
  assert f'{left} is of an interrupted run' in build(sheets, data_dir)
  assert len(disk.load(
      'sprites', data_dir=data_dir, size=16).splits['test']) == 36


def test_a_folder_in_the_way_is_an_error(sheets, data_dir):
  (data_dir / 'sprites' / '16' / '1.0.0').mkdir(parents=True)
  with pytest.raises(ValueError, match='holds no complete data set; .*delete'):
    build(sheets, data_dir)


def test_a_set_that_is_not_there_names_the_command(data_dir):
  with pytest.raises(ValueError, match=(
      r'holds no data set.*python -m seqdiff\.data\.prepare '
      f'--dataset=sprites --size=32 --data_dir={data_dir} --manual_dir=')):
    disk.load('sprites', data_dir=data_dir, size=32)


def test_a_flipped_byte_on_disk_is_an_error(sheets, data_dir):
  build(sheets, data_dir)
  path, = data_dir.rglob('*test.array_record*')
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  with pytest.raises(ValueError, match=r'cannot be read .*prepare it again'):
    disk.load('sprites', data_dir=data_dir, size=16)


@pytest.mark.parametrize('options, message', [
    (dict(name='sprite'), r"'sprite'\. Did you mean 'sprites'"),
    (dict(name='sprites', sise=16), r"option of sprites 'sise'.*'size'"),
    (dict(name='sprites', size=7), 'size=7, expected one of'),
])
def test_unknown_names_and_options_are_errors(data_dir, options, message):
  with pytest.raises(ValueError, match=message):
    disk.load(data_dir=data_dir, **options)


@pytest.mark.parametrize('values, message', [
    (dict(dataset='nothing'), r"Unknown data set on disk 'nothing'.*sprites"),
    (dict(manual_dir=None), '--manual_dir is missing; expected --dataset'),
    (dict(), 'does not hold the folders'),
])
def test_the_command_ends_with_one_paragraph_and_status_2(
    tmp_path, capsys, values, message):
  known = dict(dataset='sprites', manual_dir=str(tmp_path / 'none'),
               data_dir=str(tmp_path / 'data'))
  with pytest.raises(SystemExit) as end:
    run_main(**(known | values))
  assert end.value.code == 2
  printed = capsys.readouterr().err
  assert printed.count('\n') == 1
  assert re.search(message, printed)


# A stand-in for TensorFlow is on the path, so that an import would succeed
# and be seen.
SCRIPT = """
import json, sys
from seqdiff.data import disk, loader, prepare
from seqdiff.data.builders import sprites
sprites.SHA256, sprites.VARIANTS = json.loads(sys.argv[3]), 2
sprites.NUM_CHARACTERS, sprites.NUM_TRAIN = 16, 12
prepare.prepare('sprites', manual_dir=sys.argv[1], data_dir=sys.argv[2])
source = disk.load('sprites', data_dir=sys.argv[2]).splits['train']
next(loader.train_batches(source, batch_size=2, num_frames=8, seed=0))
assert 'tensorflow_datasets' in sys.modules
assert 'tensorflow' not in sys.modules
"""


def test_tensorflow_is_never_imported(sheets, data_dir, tmp_path):
  (tmp_path / 'tensorflow').mkdir()
  (tmp_path / 'tensorflow' / '__init__.py').touch()
  path = os.pathsep.join([str(ROOT), str(tmp_path)])
  done = subprocess.run(
      [sys.executable, '-c', SCRIPT, str(sheets), str(data_dir),
       json.dumps(sprites.SHA256)],
      env=os.environ | {'PYTHONPATH': path}, capture_output=True, text=True,
      check=False)
  assert done.returncode == 0, done.stderr


def test_as_a_program_it_shows_no_traceback(tmp_path):
  done = subprocess.run(
      [sys.executable, '-m', 'seqdiff.data.prepare', '--dataset=sprites',
       f'--manual_dir={tmp_path}', f'--data_dir={tmp_path / "data"}'],
      cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 2
  assert 'does not hold the folders' in done.stderr
  assert 'Traceback' not in done.stderr
