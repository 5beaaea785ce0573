"""VoxCeleb's faces: who is for tests, which frames, what cannot be used."""

import json
import os
import re
import time

import numpy as np
import pytest

from seqdiff.core import cores
from seqdiff.data import disk
from seqdiff.data import films
from seqdiff.data import prepare
from seqdiff.data.builders import kept
from seqdiff.data.builders import voxceleb

SPEAKERS = ('A.J._Buckley', 'Eartha_Kitt', 'Fay_Wray')


def clip(speaker: int, num_frames: int, size: int = 8) -> np.ndarray:
  """Frames whose red is the speaker and whose green counts the frames."""
  frames = np.zeros((num_frames, size, size + 4, 3), np.uint8)
  frames[..., 0] = 50 * speaker
  frames[..., 1] = 4 * np.arange(num_frames)[:, None, None]
  return frames


def write(write_pictures, root, speaker, *, number=1, length=12, size=8):
  """One clip; its frames are numbered from 1, without leading zeros."""
  where = root / 'data' / speaker / '1.6' / 'video' / str(number)
  index = SPEAKERS.index(speaker) if speaker in SPEAKERS else 0
  write_pictures(where, clip(index, length, size), first=1)
  for path in list(where.iterdir()):  # Lossless pictures under their name.
    path.rename(path.with_suffix('.jpg'))
  return where


@pytest.fixture
def raw(tmp_path, write_pictures):
  """Two clips of each speaker, of 12 and 21 frames."""
  root = tmp_path / 'raw' / 'unzippedIntervalFaces'
  for speaker in SPEAKERS:
    for number, length in (1, 12), (2, 21):
      write(write_pictures, root, speaker, number=number, length=length)
  return root


def build(root, tmp_path, **options):
  return prepare.prepare(
      'voxceleb', manual_dir=str(root), data_dir=str(tmp_path / 'data'),
      **({'size': 8, 'num_frames': 16} | options))


def load(tmp_path, size=8):
  return disk.load('voxceleb', data_dir=str(tmp_path / 'data'), size=size)


def manifest(tmp_path):
  return json.loads(next(tmp_path.rglob('manifest.json')).read_text())


@pytest.mark.parametrize('take, lengths', [
    ('first', [12, 16]), ('all', [12, 16])])
def test_windows_hold_consecutive_frames_and_may_be_short(
    raw, tmp_path, take, lengths):
  build(raw.parent, tmp_path, take=take)
  dataset = load(tmp_path)
  found = {}
  for split, source in dataset.splits.items():
    for i, name in enumerate(dataset.names[split]):
      item = source[i]
      # The name says where it is from, the pixels and the label who it is.
      speaker = SPEAKERS[item['x'][0, 0, 0, 0] // 50]
      assert name.startswith(f'data/{speaker}/1.6/video/')
      assert dataset.factors[0].values[item['labels/speaker']] == speaker
      assert (split == 'test') == (speaker == 'Eartha_Kitt')
      # By number: 2 comes before 10.
      assert item['x'][:, 0, 0, 1].tolist() == [
          4 * k for k in range(len(item['x']))]
      found.setdefault(speaker, []).append(len(item['x']))
  assert {s: sorted(v) for s, v in found.items()} == dict.fromkeys(
      SPEAKERS, lengths)
  assert (dataset.factors[0].name, dataset.factors[0].kind) == (
      'speaker', 'static')


def test_all_windows_follow_one_another_to_the_last_ten_frames(
    raw, tmp_path, write_pictures):
  write(write_pictures, raw, 'Fay_Wray', number=3, length=36)
  build(raw, tmp_path, num_frames=10, take='all')
  dataset = load(tmp_path)
  starts = {}
  for i, name in enumerate(dataset.names['train']):
    video, number = name.split('#')
    starts.setdefault(video, {})[int(number)] = (
        dataset.splits['train'][i]['x'][[0, -1], 0, 0, 1] // 4).tolist()
  # 36 frames: three windows of ten, six are left over.
  assert starts['data/Fay_Wray/1.6/video/3'] == {
      0: [0, 9], 1: [10, 19], 2: [20, 29]}
  assert starts['data/A.J._Buckley/1.6/video/1'] == {0: [0, 9]}


def test_large_frames_are_kept_as_jpeg_and_read_from_disk(
    tmp_path, write_pictures):
  noise = np.random.default_rng(0).integers(0, 40, (12, 8, 8, 3))
  smooth = (100 + noise).astype(np.uint8).repeat(17, 1).repeat(19, 2)
  for speaker in SPEAKERS[:2]:
    where = tmp_path / 'raw' / 'data' / speaker / '1.6' / 'v' / '1'
    write_pictures(where, smooth)
    for path in list(where.iterdir()):
      path.rename(path.with_suffix('.jpg'))
  told = build(tmp_path / 'raw', tmp_path, size=128)
  source = load(tmp_path, size=128).splits['test']
  x = source[0]['x']
  assert x.shape == (12, 128, 128, 3) and x.dtype == np.uint8
  in_memory = disk.load('voxceleb', data_dir=str(tmp_path / 'data'), size=128,
                        in_memory=True).splits['test'][0]['x']
  np.testing.assert_array_equal(in_memory, x)
  # The middle square of 136 x 152 pixels, and not its colours turned round.
  middle = smooth[:, :, 8:144].astype(int)
  assert abs(x.mean((1, 2)) - middle.mean((1, 2))).max() < 1
  size = float(re.search(r'A clip takes ([\d.]+) MB', told)[1]) * 1e6
  assert x.nbytes / 50 < size < x.nbytes / 4


def test_missing_test_speakers_are_counted(raw, tmp_path, monkeypatch):
  assert '1 of 40 test speakers found.' in build(raw, tmp_path)
  monkeypatch.setattr(voxceleb, '_TEST_NUMBERS', range(10270, 10271))
  (tmp_path / 'data').rename(tmp_path / 'before')
  assert 'test speakers' not in build(raw, tmp_path)


@pytest.mark.parametrize('speaker, test', [
    ('Eartha_Kitt', True), ('Ezra_Miller', True), ('id10270', True),
    ('id10309', True), ('id10310', False), ('id10269', False),
    ('Fay_Wray', False), ('A.J._Buckley', False)])
def test_forty_speakers_are_for_tests(speaker, test):
  assert voxceleb.is_for_tests(speaker) == test


def test_a_table_divides_the_speakers_and_leaves_out_others(raw, tmp_path):
  table = tmp_path / 'speakers.csv'
  table.write_text('speaker,split\nEartha_Kitt,train\nFay_Wray,test\nX,test\n')
  told = build(raw, tmp_path, splits=str(table))
  assert {split: {v['labels']['speaker'] for v in videos} for split, videos
          in manifest(tmp_path)['splits'].items()} == {
              'train': {'Eartha_Kitt'}, 'test': {'Fay_Wray'}}
  assert '2 of 6 videos were skipped' in told
  assert 'speaker A.J._Buckley is not in' in told
  assert 'Rows without a video: 1, such as X.' in told


def test_short_clips_and_broken_pictures_are_skipped_by_name(
    raw, tmp_path, write_pictures):
  write(write_pictures, raw, 'Fay_Wray', number=3, length=9)
  broken = write(write_pictures, raw, 'Fay_Wray', number=4) / '3.jpg'
  broken.write_bytes(broken.read_bytes()[:30])
  told = build(raw, tmp_path)
  assert manifest(tmp_path)['skipped'] == {
      'data/Fay_Wray/1.6/video/3': 'is too short: 9 frames, a clip takes 10',
      'data/Fay_Wray/1.6/video/4': 'has a frame that is no picture: 3.jpg'}
  assert '2 of 8 videos were skipped' in told


@pytest.mark.parametrize('size', [8, 128])
def test_what_was_stopped_goes_on_with_what_is_not_decoded_yet(
    tmp_path, write_pictures, monkeypatch, size):
  for number in range(6):
    write(write_pictures, tmp_path / 'raw', SPEAKERS[number % 2],
          number=number, length=30, size=size)
  options = dict(size=size, num_frames=10, take='all')
  build(tmp_path / 'raw', tmp_path / 'whole', **options)
  really, decoded = films.clips, []

  def clips(path, **options):
    decoded.append(path.name)
    if len(decoded) == 4:
      raise KeyboardInterrupt
    return really(path, **options)

  monkeypatch.setattr(films, 'clips', clips)
  monkeypatch.setattr(cores, 'count', lambda: 1)
  with pytest.raises(KeyboardInterrupt):
    build(tmp_path / 'raw', tmp_path, **options)
  stopped = decoded[3]  # Others may have been read ahead.
  # One of those that are there is replaced.
  again = tmp_path / 'raw/data' / SPEAKERS[0] / '1.6/video' / decoded[0]
  os.utime(again / '3.jpg', (1, 1))
  before = len(decoded)
  build(tmp_path / 'raw', tmp_path, **options)
  assert sorted(decoded[before:]) == sorted(
      {stopped, again.name, *(set('012345') - set(decoded[:before]))})
  assert not list(tmp_path.glob('data/**/decoded-*'))
  found, whole = load(tmp_path, size), load(tmp_path / 'whole', size)
  for split, source in whole.splits.items():
    assert len(source) == len(found.splits[split]) == 9
    for i in range(9):
      np.testing.assert_array_equal(
          found.splits[split][i]['x'], source[i]['x'])


def test_what_was_kept_and_is_torn_is_not_there(tmp_path):
  path = tmp_path / 'a.npz'
  assert kept.load(path) is None
  clips = [[b'one', b'', b'three'], np.arange(6, dtype=np.uint8)]
  kept.save(path, clips)
  found = kept.load(path)
  assert found[0] == clips[0] and (found[1] == clips[1]).all()
  assert [p.name for p in tmp_path.iterdir()] == ['a.npz']
  whole = path.read_bytes()
  for torn in b'', whole[:100], whole[:-10], bytes(len(whole)):
    path.write_bytes(torn)
    assert kept.load(path) is None


def test_videos_read_ahead_keep_their_order_names_and_reasons(
    tmp_path, write_pictures, monkeypatch):
  # Even clips come late; of clip 7 the second window cannot be read.
  for number in range(12):
    where = write(write_pictures, tmp_path / 'raw',
                  SPEAKERS[number % 2], number=number, length=30)
    if number == 7:
      (where / '15.jpg').write_bytes(b'junk')
  really = films.clips

  def clips(path, **options):
    if int(path.name) % 2 == 0:
      time.sleep(0.02)
    return really(path, **options)

  monkeypatch.setattr(films, 'clips', clips)
  monkeypatch.setattr(cores, 'count', lambda: 3)
  build(tmp_path / 'raw', tmp_path, num_frames=10, take='all')
  found = manifest(tmp_path)
  assert found['skipped'] == {'data/Eartha_Kitt/1.6/video/7': (
      'has a frame that is no picture: 15.jpg; 1 clips before that were used')}
  for split, first in ('train', 0), ('test', 1):
    assert [(v['video'], v['clips']) for v in found['splits'][split]] == [
        (f'data/{SPEAKERS[first]}/1.6/video/{k}', 1 if k == 7 else 3)
        for k in range(first, 12, 2)]
  dataset = load(tmp_path)
  for split, source in dataset.splits.items():
    assert len(source) == len(dataset.names[split])
    for i, name in enumerate(dataset.names[split]):
      assert source[i]['x'][0, 0, 0, 1] == 40 * int(name[-1])


class TestRefused:

  @pytest.mark.parametrize('path, message', [
      ('clips/A/1.6/v/1/1.jpg', r'raw holds clips, but no data; expected'),
      ('data/A/1.7/v/1/1.jpg', r'data/A holds 1.7, but no 1.6; expected'),
      ('data/A/1.6/v/1.jpg', r'1.6/v/1.jpg holds nothing, but no \*.jpg'),
      ('data/A/1.6/v/1/1.txt', r'v/1 holds 1.txt, but no \*.jpg; expected'),
      ('data/A/1.6/v/1/1.jpg', r'holds 1 speakers, such as A; expected some'),
  ])
  def test_another_layout(self, tmp_path, path, message):
    (tmp_path / 'raw' / path).parent.mkdir(parents=True)
    (tmp_path / 'raw' / path).write_bytes(b'')
    with pytest.raises(ValueError, match=message):
      build(tmp_path / 'raw', tmp_path)
    assert not (tmp_path / 'data').exists()

  @pytest.mark.parametrize('text, message', [
      ('speaker,split\nX,test\nY,train\n', 'names 0 of 6 videos, by speaker'),
      ('speaker,split\nFay_Wray,test\n', 'names 2 of 6 videos.*some in train'),
      ('speaker,split\nFay_Wray,dev\n', "line 2: 'Fay_Wray' is in 'dev'"),
      ('speaker,split\nA,test\nA,train\n', "line 3: 'A' is in 'train'.*once"),
      ('speaker\n', '--splits=.*has no columns'),
  ])
  def test_a_table_of_other_speakers(self, raw, tmp_path, text, message):
    (tmp_path / 'speakers.csv').write_text(text)
    with pytest.raises(ValueError, match=message):
      build(raw, tmp_path, splits=str(tmp_path / 'speakers.csv'))

  @pytest.mark.parametrize('options, message', [
      (dict(num_frames=9), 'num_frames=9, expected 10 or more'),
      (dict(take='last'), "Unknown take 'last'. Known: all, first"),
      (dict(size=0), 'size=0, expected 1 or more'),
      (dict(stride=2), "option of voxceleb 'stride'"),
  ])
  def test_wrong_options(self, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
      build(tmp_path, tmp_path, **options)
