"""CelebV-HQ: faces that move, labels of the json file, what cannot be used."""

import json

import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import faces
from seqdiff.data import prepare

NAMES = [f'ytb-{k}_0' for k in range(5)]
INFO = {
    'meta_info': {'appearance_mapping': ['Blurry', 'Male', 'Young']},
    'clips': {name: {'attributes': {'appearance': [0, k % 2, int(k > 2)]}}
              for k, name in enumerate([*NAMES, 'gone_3'])}}


def film(number: int, num_frames: int = 12) -> np.ndarray:
  """Grey frames; a white face of 8 pixels moves down by 4 pixels a frame."""
  frames = np.full((num_frames, 96, 96, 3), 10 + 20 * number, np.uint8)
  for k, frame in enumerate(frames):
    frame[4 * k:4 * k + 8, 44:52] = 255
  return frames


@pytest.fixture(autouse=True)
def detector(monkeypatch):
  """Finds the white square."""

  def detect(picture):
    rows = np.flatnonzero(picture[:, 48] > 250)
    return [(44, int(rows[0]), 8, len(rows))] if len(rows) else []

  monkeypatch.setattr(faces, 'haar', lambda: detect)


@pytest.fixture
def raw(tmp_path, write_film):
  """Five films of 12 frames, and a json file that knows one more."""
  root = tmp_path / 'raw'
  root.mkdir()
  (root / 'celebvhq_info.json').write_text(json.dumps(INFO))
  for number, name in enumerate(NAMES):
    write(write_film, root, name, film(number))
  return root


def write(write_film, root, name, frames, folder='35666'):
  """A film without loss, under the name of another kind."""
  path = root / folder / f'{name}.mkv'
  write_film(path, frames)
  path.rename(path.with_suffix('.mp4'))


def build(root, tmp_path, **options):
  return prepare.prepare(
      'celebv_hq', manual_dir=str(root), data_dir=str(tmp_path / 'data'),
      **({'size': 88} | options))


def load(tmp_path):
  return disk.load('celebv_hq', data_dir=str(tmp_path / 'data'), size=88)


def by_name(tmp_path):
  dataset = load(tmp_path)
  return {name.removesuffix('#0'): (split, source[i])
          for split, source in dataset.splits.items()
          for i, name in enumerate(dataset.names[split])}


def test_each_frame_is_cut_to_the_square_around_its_face(raw, tmp_path):
  build(raw, tmp_path)
  for number, name in enumerate(NAMES):
    x = by_name(tmp_path)[name][1]['x'].astype(int)
    # 4 + 40 pixels around the centre: 88, and the face stays in the middle.
    assert (x[:, 40:48, 40:48] == 255).all()
    assert (x[:, 40:48, [38, 50]] == 10 + 20 * number).all()
    # The face of frame k is centred in row 4 + 4 k: what is above is black.
    for k in range(12):
      assert (x[k, :max(0, 40 - 4 * k)] == 0).all()
      assert (x[k, max(0, 40 - 4 * k):40] == 10 + 20 * number).all()


def test_another_detector_finds_the_faces(
    raw, tmp_path, monkeypatch):
  (tmp_path / 'own_detector.py').write_text(
      'def top(picture):\n  return [(44, 0, 8, 8)]\n')
  monkeypatch.syspath_prepend(tmp_path)
  monkeypatch.setattr(faces, 'haar', None)
  build(raw, tmp_path, detector='own_detector:top')
  x = by_name(tmp_path)[NAMES[0]][1]['x']
  # Always around row 4: the white face starts there and moves down.
  for k in range(11):
    assert (x[k, 40 + 4 * k:48 + 4 * k, 40:48] == 255).all()


def test_the_middle_square_needs_no_face(raw, tmp_path, monkeypatch):
  monkeypatch.setattr(faces, 'haar', None)
  build(raw, tmp_path, crop='center', size=96)
  found = disk.load('celebv_hq', data_dir=str(tmp_path / 'data'), size=96)
  number = NAMES.index(found.names['test'][0].removesuffix('#0'))
  np.testing.assert_array_equal(found.splits['test'][0]['x'], film(number))


def test_attributes_are_static_labels(raw, tmp_path):
  told = build(raw, tmp_path, attributes='young, Male')
  young, male = load(tmp_path).factors
  assert (young.name, young.kind, young.values) == (
      'young', 'static', ('no', 'yes'))
  assert male.name == 'male'
  for k, name in enumerate(NAMES):
    _, item = by_name(tmp_path)[name]
    assert (item['labels/young'], item['labels/male']) == (k > 2, k % 2)
  assert 'Rows without a video: 1, such as gone_3.' in told


def test_a_fifth_is_for_tests_or_what_a_table_says(raw, tmp_path):
  build(raw, tmp_path)
  splits = {name: split for name, (split, _) in by_name(tmp_path).items()}
  assert sorted(splits.values()) == ['test'] + ['train'] * 4
  table = tmp_path / 'splits.csv'
  table.write_text('clip,split\nytb-1_0.mp4,test\nytb-2_0,train\n')
  build(raw, tmp_path / 'again', splits=str(table))
  found = by_name(tmp_path / 'again')
  assert {name: split for name, (split, _) in found.items()} == {
      'ytb-1_0': 'test', 'ytb-2_0': 'train'}


def test_what_cannot_be_used_is_skipped_by_name(raw, tmp_path, write_film):
  write(write_film, raw, 'unknown_0', film(0))
  write(write_film, raw, 'gone_3', film(0, 9))
  told = build(raw, tmp_path)
  skipped = json.loads(
      next(tmp_path.rglob('manifest.json')).read_text())['skipped']
  assert skipped == {
      'unknown_0': 'has no entry in celebvhq_info.json',
      'gone_3': 'is too short: 9 frames, a clip takes 10'}
  assert '2 of 7 videos were skipped' in told


class TestRefused:

  def test_no_json_file(self, raw, tmp_path):
    (raw / 'celebvhq_info.json').unlink()
    with pytest.raises(ValueError, match=(
        'raw holds 35666, but no celebvhq_info.json; expected')):
      build(raw, tmp_path)

  @pytest.mark.parametrize('content, message', [
      ('{', 'cannot be read .*expected the json file of CelebV-HQ'),
      ('{"clips": {}}', "cannot be read .KeyError.'meta_info'"),
      (json.dumps({**INFO, 'clips': {'a': {'attributes': {
          'appearance': [0, 1]}}}}), '1 clips, such as a, have no list of 3'),
      (json.dumps({**INFO, 'clips': {}}),
       'has 0 clips, but none of 5 films in .*35666, such as ytb-0_0'),
  ])
  def test_another_json_file(self, raw, tmp_path, content, message):
    (raw / 'celebvhq_info.json').write_text(content)
    with pytest.raises(ValueError, match=message):
      build(raw, tmp_path)
    assert not (tmp_path / 'data').exists()

  def test_another_folder(self, raw, tmp_path):
    with pytest.raises(ValueError, match=(
        r'holds 35666, celebvhq_info.json, but no 512_face_crop; expected')):
      build(raw, tmp_path, folder='512_face_crop')

  @pytest.mark.parametrize('options, message', [
      (dict(attributes='mail'), "appearance 'mail'. Did you mean 'male'"),
      (dict(crop='stretch'), "Unknown crop 'stretch'. Known: center, face"),
      (dict(detector='no_module:f'), 'detector=no_module:f cannot be imported'),
      (dict(detector='json:find'), "json:find .*no attribute 'find'"),
      (dict(detector='mtcnn'), 'expected haar, or module:function'),
      (dict(num_frames=5), 'num_frames=5, expected 10 or more'),
  ])
  def test_wrong_options(self, raw, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
      build(raw, tmp_path, **options)
