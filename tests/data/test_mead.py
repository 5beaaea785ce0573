"""MEAD in both layouts, with films that say whose they are."""

import json
import sys

import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import faces
from seqdiff.data import prepare
from seqdiff.data.builders import mead

ACTORS = ('M003', 'W009')
FILMS = 3  # Of each actor and emotion.


def film(actor: int, emotion: int, num_frames: int = 6) -> np.ndarray:
  """Frames whose left half is the actor's and whose right tells the emotion.

  Each frame is brighter than the one before.
  """
  frames = np.zeros((num_frames, 16, 32, 3), np.uint8)
  frames[:, :, :16] = 20 + 100 * actor
  frames[:, :, 16:] = 20 + 20 * emotion
  return frames + 5 * np.arange(num_frames, dtype=np.uint8)[:, None, None, None]


@pytest.fixture(autouse=True)
def detector(monkeypatch):
  """Finds a face of 8 pixels in the left half, if that is not black."""

  def detect(picture):
    return [(4, 4, 8, 8)] if picture[8, 8] > 10 else []

  monkeypatch.setattr(faces, 'haar', lambda: detect)


@pytest.fixture(params=['video/', ''], ids=['published', 'short'])
def raw(request, tmp_path, write_film):
  """The films of two actors, in the publisher's layout or without video/."""
  root = tmp_path / 'raw'
  for a, actor in enumerate(ACTORS):
    for e, emotion in enumerate(mead.EMOTIONS):
      level = 1 if emotion == 'neutral' else 3
      for number in range(1, FILMS + 1):
        write(write_film, root, film(a, e), actor=f'{actor}/{request.param}',
              emotion=emotion, level=level, number=number)
  return root


def write(write_film, root, frames, *, actor='M003/video/', view='front',
          emotion='angry', level=3, number=1):
  path = root / f'{actor}{view}' / emotion / f'level_{level}'
  write_film(path / f'{number:03d}.mkv', frames)
  return path / f'{number:03d}.mkv'


@pytest.fixture
def few(tmp_path, write_film):
  """Three angry films of one actor."""
  for number in 1, 2, 3:
    write(write_film, tmp_path / 'raw', film(1, 1), number=number)
  return tmp_path / 'raw'


def build(root, tmp_path, **options):
  return prepare.prepare(
      'mead', manual_dir=str(root), data_dir=str(tmp_path / 'data'),
      **({'size': 8, 'num_frames': 3, 'num_actors': 2} | options))


def load(tmp_path):
  return disk.load('mead', data_dir=str(tmp_path / 'data'), size=8)


def items(tmp_path):
  return [(split, source[i]) for split, source in load(tmp_path).splits.items()
          for i in range(len(source))]


def manifest(tmp_path):
  return json.loads(next(tmp_path.rglob('manifest.json')).read_text())


def test_clips_of_both_layouts_have_their_labels(raw, tmp_path):
  told = build(raw, tmp_path, crop='center')
  assert '32 train, 16 test clips' in told and 'skipped' not in told
  actor, emotion = load(tmp_path).factors
  assert (actor.kind, actor.values) == ('static', ACTORS)
  assert (emotion.kind, emotion.values) == ('dynamic', (
      'angry', 'contempt', 'disgusted', 'fear', 'happy', 'neutral', 'sad',
      'surprised'))
  seen = {}
  for split, item in items(tmp_path):
    a, e = int(item['labels/actor']), int(item['labels/emotion'])
    expected = film(a, e)[::2, :8].astype(int)
    assert abs(item['x'][:, :, 0] - expected[:, :, 0]).max() <= 1
    assert abs(item['x'][:, :, -1] - expected[:, :, -1]).max() <= 1
    seen.setdefault((a, e), []).append(split)
  # A fifth of three films is one, in each of the 16 groups.
  assert len(seen) == 16
  assert all(sorted(s) == ['test', 'train', 'train'] for s in seen.values())


def test_both_layouts_are_split_alike_and_differently_in_each_group(
    raw, tmp_path):
  build(raw, tmp_path)
  found = manifest(tmp_path)['splits']
  test = {v['video'] for v in found['test']}
  assert 'M003/front/neutral/level_1/' in ' '.join(test)
  # sha256sum of the names of this group, 001 to 003: 07c9, b634, f145.
  group = {n for n in test if n.startswith('M003/front/angry/')}
  assert group == {'M003/front/angry/level_3/001'}
  assert len({name[-3:] for name in test}) == FILMS


@pytest.mark.parametrize('length, numbers', [
    (3, [0, 1, 2]), (8, [0, 2, 5]), (9, [0, 3, 6]), (31, [0, 10, 20])])
def test_frames_are_spread_over_the_film(
    tmp_path, write_film, length, numbers):
  frames = np.zeros((length, 16, 16, 3), np.uint8)
  frames[:] = (8 * np.arange(length) + 4)[:, None, None, None]
  for number in 1, 2:
    write(write_film, tmp_path / 'raw', frames, number=number)
  build(tmp_path / 'raw', tmp_path, num_actors=1, crop='center')
  for _, item in items(tmp_path):
    assert item['x'][:, 4, 4, 0].tolist() == [8 * k + 4 for k in numbers]


def test_all_frames_are_cut_to_the_square_around_the_first_face(
    tmp_path, write_film):
  frames = np.random.default_rng(0).integers(
      50, 256, (6, 16, 32, 3)).astype(np.uint8)
  frames[0] = 0  # No face yet.
  for number in 1, 2:
    write(write_film, tmp_path / 'raw', frames, number=number)
  # 1.3 times 8 is 10 pixels around (8, 8).
  build(tmp_path / 'raw', tmp_path, num_actors=1, size=10)
  found = disk.load('mead', data_dir=str(tmp_path / 'data'), size=10)
  for source in found.splits.values():
    np.testing.assert_array_equal(source[0]['x'], frames[::2, 3:13, 3:13])


@pytest.mark.parametrize('no_face, count', [('skip', 3), ('center', 4)])
def test_a_film_without_a_face_is_skipped_or_cut_to_its_middle(
    few, tmp_path, write_film, no_face, count):
  dark = film(1, 1)
  dark[:, :, :16] = 0
  write(write_film, few, dark, number=9)
  told = build(few, tmp_path, num_actors=1, no_face=no_face, size=16)
  found = disk.load('mead', data_dir=str(tmp_path / 'data'), size=16)
  clips = [source[i]['x'] for source in found.splits.values()
           for i in range(len(source))]
  assert len(clips) == count
  in_middle = [x for x in clips if (x[:, :, :8] == 0).all()]
  if no_face == 'skip':
    assert not in_middle
    assert manifest(tmp_path)['skipped'] == {
        'M003/front/angry/level_3/009': 'shows no face in 3 frames'}
    assert '1 of 4 videos were skipped' in told
    assert manifest(tmp_path)['no_face'] == []
  else:
    np.testing.assert_array_equal(in_middle, [dark[::2, :, 8:24]])
    assert 'skipped' not in told
    assert manifest(tmp_path)['no_face'] == ['M003/front/angry/level_3/009']
    assert ('1 films without a face were cut to their middle, such as '
            'M003/front/angry/level_3/009.') in told


def test_options_choose_view_level_and_actors(tmp_path, write_film):
  root = tmp_path / 'raw'
  grey = lambda level: np.full((3, 16, 16, 3), level, np.uint8)
  for actor, base in ('W010', 40), ('M005', 80), ('M012', 120):
    for number in 1, 2:
      for k, (view, emotion, level) in enumerate([
          ('front', 'sad', 3), ('down', 'sad', 2), ('down', 'sad', 1),
          ('down', 'neutral', 1), ('left_30', 'neutral', 1)]):
        write(write_film, root, grey(base + k), actor=f'{actor}/video/',
              view=view, emotion=emotion, level=level, number=number)
  told = build(root, tmp_path, view='down', level=2, crop='center')
  assert 'skipped' not in told
  assert load(tmp_path).factors[0].values == ('M005', 'M012')
  found = {(int(i['labels/actor']), mead.EMOTIONS[i['labels/emotion']],
            int(i['x'][0, 0, 0, 0])) for _, i in items(tmp_path)}
  assert found == {(0, 'sad', 81), (0, 'neutral', 83),
                   (1, 'sad', 121), (1, 'neutral', 123)}
  with pytest.raises(ValueError, match='otherwise: view: down there, front'):
    build(root, tmp_path, level=2, crop='center')


def test_broken_films_are_skipped_counted_and_listed(
    few, tmp_path, write_film):
  write(write_film, few, film(0, 0)[:2], number=4)
  path = write(write_film, few, film(0, 0), number=5)
  path.write_bytes(b'broken')
  write(write_film, few, film(0, 0), actor='other/')
  told = build(few, tmp_path, num_actors=1)
  assert '2 train, 1 test' in told
  skipped = manifest(tmp_path)['skipped']
  assert skipped['M003/front/angry/level_3/004'].startswith('is too short: 2')
  assert 'cannot be decoded' in skipped['M003/front/angry/level_3/005']
  assert 'is not <actor>/video/<view>' in skipped[
      'other/front/angry/level_3/001']
  assert '3 of 6 videos were skipped' in told


def test_a_single_film_is_to_train_on(few, tmp_path, write_film):
  write(write_film, few, film(0, 2), emotion='fear')
  build(few, tmp_path, num_actors=1)
  names = [v['video'] for v in manifest(tmp_path)['splits']['train']]
  assert 'M003/front/fear/level_3/001' in names


def test_the_second_time_nothing_is_done(few, tmp_path):
  build(few, tmp_path, num_actors=1)
  assert load(tmp_path).reading == {'crop': 'center'}
  assert 'already prepared' in build(few, tmp_path, num_actors=1)
  with pytest.raises(ValueError, match='crop: face there, center here'):
    build(few, tmp_path, num_actors=1, crop='center')


class TestRefused:

  def test_too_few_actors(self, few, tmp_path):
    with pytest.raises(ValueError, match=(
        'holds 3 films of front, level 3, of 1 actors; expected 30 folders')):
      build(few, tmp_path, num_actors=30)
    assert not (tmp_path / 'data').exists()

  def test_one_film_in_both_layouts(self, few, tmp_path, write_film):
    write(write_film, few, film(0, 0), actor='M003/')
    with pytest.raises(ValueError, match=(
        'two films are M003/front/angry/level_3/001: .*expected one of each')):
      build(few, tmp_path, num_actors=1)

  def test_all_films_broken(self, few, tmp_path):
    for path in few.rglob('*.mkv'):
      path.write_bytes(b'broken')
    with pytest.raises(ValueError, match='holds no clips: none of its . video'):
      build(few, tmp_path, num_actors=1)
    assert not list((tmp_path / 'data').rglob('*array_record*'))

  def test_without_opencv_before_anything_is_read(self, tmp_path, monkeypatch):
    monkeypatch.undo()
    faces.haar.cache_clear()
    monkeypatch.setitem(sys.modules, 'cv2', None)
    with pytest.raises(ValueError, match=r'pip install "seqdiff\[faces\]"'):
      build(tmp_path / 'nowhere', tmp_path)
    # The middle needs no detector: now the folder is missed.
    with pytest.raises(ValueError, match='nowhere is no folder'):
      build(tmp_path / 'nowhere', tmp_path, crop='center')

  @pytest.mark.parametrize('options, message', [
      (dict(view='left'), "Unknown view 'left'. Did you mean 'left_"),
      (dict(level=4), 'level=4, expected 1, 2 or 3'),
      (dict(crop='pad'), "Unknown crop 'pad'. Known: center, face"),
      (dict(no_face='keep'), "Unknown no_face 'keep'. Known: center, skip"),
      (dict(num_actors=0), 'num_actors=0, expected 1 or more'),
  ])
  def test_wrong_options(self, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
      build(tmp_path, tmp_path, **options)
