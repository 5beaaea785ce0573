"""TaiChi-HD: whose split, which names, what cannot be used."""

import json

import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import prepare


def clip(level: int, num_frames: int = 12) -> np.ndarray:
  """Frames of one grey whose green counts them."""
  frames = np.full((num_frames, 8, 8, 3), level, np.uint8)
  frames[..., 1] = np.arange(num_frames)[:, None, None]
  return frames


@pytest.fixture
def raw(tmp_path, write_pictures):
  """Ten clips of five YouTube videos, two of them in test/."""
  root = tmp_path / 'raw' / 'taichi-png'
  for video in range(5):
    folder = 'test' if video == 4 else 'train'
    for start in (0, 300):
      write_pictures(
          root / folder / f'id-{video}#{start}#{start + 12}.mp4',
          clip(20 * video), form='{:07d}.png')
  return root


def build(root, tmp_path, **options):
  return prepare.prepare(
      'taichi_hd', manual_dir=str(root), data_dir=str(tmp_path / 'data'),
      size=8, **options)


def load(tmp_path):
  return disk.load('taichi_hd', data_dir=str(tmp_path / 'data'), size=8)


@pytest.mark.parametrize('split_by', ['given', 'clip'])
def test_clips_are_named_labelled_and_divided(raw, tmp_path, split_by):
  build(raw.parent, tmp_path, split_by=split_by)
  dataset = load(tmp_path)
  video, = dataset.factors
  assert (video.name, video.kind) == ('video', 'static')
  assert video.values == tuple(f'id-{k}' for k in range(5))
  sizes = {split: len(source) for split, source in dataset.splits.items()}
  assert sizes == ({'train': 8, 'test': 2} if split_by == 'given' else
                   {'train': 9, 'test': 1})
  for split, source in dataset.splits.items():
    for i, name in enumerate(dataset.names[split]):
      item = source[i]
      folder, _, rest = name.partition('/')
      number = int(item['x'][0, 0, 0, 0]) // 20
      assert rest.startswith(f'id-{number}#') and rest.endswith('12#0')
      assert item['labels/video'] == number
      assert folder == ('test' if number == 4 else 'train')
      if split_by == 'given':
        assert folder == split
      # Pixels are kept as they are.
      np.testing.assert_array_equal(item['x'], clip(20 * number))


def test_films_have_the_names_of_folders(tmp_path, write_film):
  for folder in 'train', 'test':
    write_film(tmp_path / 'raw' / folder / 'a#0#12.mp4', clip(100),
               codec='mpeg4')
  build(tmp_path / 'raw', tmp_path, split_by='given')
  assert load(tmp_path).names == {
      'train': ('train/a#0#12#0',), 'test': ('test/a#0#12#0',)}


def test_other_folders_and_short_clips_are_skipped_by_name(
    raw, tmp_path, write_pictures):
  write_pictures(raw / 'val' / 'a#0#12', clip(0))
  write_pictures(raw / 'train' / 'b#0#9', clip(0, 9))
  told = build(raw, tmp_path)
  skipped = json.loads(
      next(tmp_path.rglob('manifest.json')).read_text())['skipped']
  assert skipped == {
      'val/a#0#12': 'is none of train/*#*, test/*#*',
      'train/b#0#9': 'is too short: 9 frames, a clip takes 10'}
  assert '2 of 12 videos were skipped' in told


@pytest.mark.parametrize('names, message', [
    (['clips/a#0#12'], r'holds clips, but no train; expected train/\*#\*'),
    (['train/a#0#12'], r'holds train, but no test; expected test/\*#\*'),
    (['train/a', 'test/a#0#12'], r'raw/train holds a, but no \*#\*'),
    (['train/a#0#12/frames', 'test/a#0#12/frames'],
     r"None of 2 videos, such as 'test/a#0#12/frames', lies where.*train/\*#"),
])
def test_another_layout_is_refused(tmp_path, write_pictures, names, message):
  for name in names:
    write_pictures(tmp_path / 'raw' / name, clip(0))
  with pytest.raises(ValueError, match=message):
    build(tmp_path / 'raw', tmp_path)
  assert not (tmp_path / 'data').exists()


def test_wrong_options_are_refused(tmp_path):
  with pytest.raises(ValueError, match="split_by 'video'. Known: clip, given"):
    build(tmp_path, tmp_path, split_by='video')
  with pytest.raises(ValueError, match='test_fraction=1.0, expected a share'):
    build(tmp_path, tmp_path, test_fraction=1.0)
