"""MUG in both layouts, with pictures that say whose they are."""

import json

import numpy as np
import pytest

from seqdiff.core import cores
from seqdiff.data import disk
from seqdiff.data import films
from seqdiff.data import prepare
from seqdiff.data.builders import mug

SUBJECTS = ('001', '002', '010')


def take(subject: int, expression: int, num_frames: int) -> np.ndarray:
  """Frames whose red is the subject, green the expression, blue the time."""
  clip = np.zeros((num_frames, 4, 6, 3), np.uint8)
  clip[..., 0], clip[..., 1] = 20 * subject, 40 * expression
  clip[..., 2] = np.arange(num_frames)[:, None, None]
  return clip


@pytest.fixture
def raw(tmp_path, write_pictures):
  """The publisher's layout; take000 is long, take001 of 20 frames."""
  root = tmp_path / 'MUG'
  for s, subject in enumerate(SUBJECTS):
    for e, expression in enumerate(mug.EXPRESSIONS):
      for number, length in enumerate((62, 20)):
        write_pictures(
            root / 'subjects3' / subject / expression / f'take00{number}',
            take(s, e, length), form='img_{:04d}.png')
  return root


def build(root, tmp_path, **options):
  return prepare.prepare(
      'mug', manual_dir=str(root), data_dir=str(tmp_path / 'data'), size=4,
      **options)


def clips(tmp_path):
  dataset = disk.load('mug', data_dir=str(tmp_path / 'data'), size=4)
  return dataset, [(split, source[i]) for split, source
                   in dataset.splits.items() for i in range(len(source))]


def test_long_takes_are_taken_two_by_two_in_windows_of_fifteen(raw, tmp_path):
  build(raw, tmp_path)
  dataset, found = clips(tmp_path)
  subject, expression = dataset.factors
  assert (subject.kind, subject.values) == ('static', SUBJECTS)
  assert (expression.kind, expression.values) == ('dynamic', mug.EXPRESSIONS)
  assert expression.values == (
      'anger', 'disgust', 'happiness', 'fear', 'sadness', 'surprise')
  times = {}
  for _, item in found:
    x = item['x']
    assert (x[..., 0] == 20 * item['labels/subject']).all()
    assert (x[..., 1] == 40 * item['labels/expression']).all()
    key = int(item['labels/subject']), int(item['labels/expression'])
    times.setdefault(key, set()).add(tuple(x[:, 0, 0, 2].tolist()))
  assert len(times) == 18
  # 62 frames, every second one: 31, or two clips; 20 frames: one clip.
  assert all(t == {tuple(range(0, 30, 2)), tuple(range(30, 60, 2)),
                   tuple(range(15))} for t in times.values())


def test_what_was_stopped_goes_on_with_what_is_not_decoded_yet(
    raw, tmp_path, monkeypatch):
  really, decoded = films.clips, []

  def counted(path, **options):
    decoded.append(path)
    if len(decoded) == 20:
      raise KeyboardInterrupt
    return really(path, **options)

  monkeypatch.setattr(films, 'clips', counted)
  monkeypatch.setattr(cores, 'count', lambda: 1)
  with pytest.raises(KeyboardInterrupt):
    build(raw, tmp_path)
  before = decoded[:]  # Some were read ahead.
  build(raw, tmp_path)
  assert set(decoded[len(before):]) & set(before) == {decoded[19]}
  assert len(set(decoded)) == 36 and len(clips(tmp_path)[1]) == 54
  assert not list(tmp_path.glob('data/**/decoded-*'))


def test_a_quarter_of_the_takes_is_for_tests_and_no_take_in_both(
    raw, tmp_path):
  build(raw, tmp_path)
  found = json.loads(
      next(tmp_path.rglob('manifest.json')).read_text())['splits']
  names = {split: {v['video'] for v in videos}
           for split, videos in found.items()}
  assert len(names['test']) == 9 and len(names['train']) == 27
  assert not names['test'] & names['train']
  assert 'subjects3/001/anger/take000' in names['test'] | names['train']


def test_split_by_subject_leaves_test_persons_unseen(raw, tmp_path):
  build(raw, tmp_path, split_by='subject')
  _, found = clips(tmp_path)
  of = lambda split: {int(i['labels/subject']) for s, i in found if s == split}
  assert len(of('test')) == 1 and len(of('train')) == 2
  assert not of('test') & of('train')


def test_other_expressions_are_skipped_by_name(raw, tmp_path, write_pictures):
  write_pictures(raw / 'subjects3' / '001' / 'neutral' / 'take000',
                 take(0, 0, 20))
  told = build(raw, tmp_path)
  assert '1 of 37 videos were skipped' in told
  assert 'subjects3/001/neutral/take000: is none of the expressions' in told


def test_published_preprocessing_keeps_its_split(tmp_path, write_pictures):
  for split, s in (('train', 0), ('train', 1), ('test', 2)):
    for e in range(6):
      name = f'mug_pre2_{split}/{e}/user{SUBJECTS[s]}_take000_{e:02d}'
      # As the publisher's frames, they have no leading zeros.
      write_pictures(tmp_path / 'raw' / name, take(s, e, 15), form='{}.jpg')
  build(tmp_path / 'raw', tmp_path)
  dataset, found = clips(tmp_path)
  assert len(found) == 18
  for split, item in found:
    assert (split == 'test') == (item['labels/subject'] == 2)
    assert abs(int(item['x'][0, 0, 0, 1]) - 40 * item['labels/expression']) < 9
    assert (np.diff(item['x'][:, 2, 2, 2].astype(int)) >= -2).all()
  assert dataset.reading == {'crop': 'center', 'stride': 2}


@pytest.mark.parametrize('names, message', [
    (['a/b/c'], r'raw holds a, but no subjects3; expected subjects3/\['),
    (['subjects3/001/joy/take000'],
     r'subjects3/001 holds joy, but no anger; expected subjects3/\['),
    (['subjects3/001/anger/take000/x'],
     'holds 0 takes of MUG.*expected subjects3/001/anger/take000'),
    (['x_test/0/user001_a', '001/anger/take000'], '2 layouts; expected'),
    (['x_test/0/user001_a', 'x_test/1/user002_a'], 'the split test only'),
])
def test_other_folders_are_refused(tmp_path, write_pictures, names, message):
  for name in names:
    write_pictures(tmp_path / 'raw' / name, take(0, 0, 15))
  with pytest.raises(ValueError, match=message):
    build(tmp_path / 'raw', tmp_path)
  assert not (tmp_path / 'data').exists()


def test_wrong_options_are_refused(tmp_path):
  with pytest.raises(ValueError, match="split_by 'person'. Known: clip, subj"):
    build(tmp_path, tmp_path, split_by='person')
  with pytest.raises(ValueError, match="option of mug 'stride'.*Known: crop"):
    build(tmp_path, tmp_path, stride=2)
