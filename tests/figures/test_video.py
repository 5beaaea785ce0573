"""Films read back: frames, speed, colours."""

import sys

import numpy as np
from PIL import Image
import pytest

from seqdiff.figures import video


def _read_gif(path) -> tuple[np.ndarray, Image.Image]:
  image = Image.open(path)
  frames = []
  for t in range(image.n_frames):
    image.seek(t)
    frames.append(np.asarray(image.convert('RGB')))
  return np.stack(frames), image


def _moving_dot(num_frames=6, size=(12, 10)) -> np.ndarray:
  frames = np.full((num_frames, *size, 3), 255, np.uint8)
  for t in range(num_frames):
    frames[t, 3, t] = (200, 30 * t, 10)
  return frames


def test_gif_of_few_colours_is_exact(tmp_path):
  frames = _moving_dot()
  video.write_gif(tmp_path / 'a.gif', frames, fps=20)
  again, image = _read_gif(tmp_path / 'a.gif')
  np.testing.assert_array_equal(again, frames)
  assert image.info['duration'] == 50
  assert image.info['loop'] == 0  # For ever.


def test_gif_of_many_colours_is_close(tmp_path):
  # 3 x 32 x 32 colours, 12 times as many as the palette holds.
  y, x = np.mgrid[:32, :32] * 8
  frames = np.stack(
      [np.stack([x, y, np.full_like(x, 60 * t)], -1) for t in range(3)]
  ).astype(np.uint8)
  video.write_gif(tmp_path / 'a.gif', frames)
  again, _ = _read_gif(tmp_path / 'a.gif')
  error = np.abs(again.astype(int) - frames)
  # Even the plainest palette, 8 x 8 x 4 boxes of 32 x 32 x 64, is at most 32
  # away, and (8 + 8 + 16) / 3 on average.
  assert error.max() <= 32
  assert error.mean() <= 32 / 3


def test_what_stands_still_does_not_flicker(tmp_path):
  noise = np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3))
  frames = noise.astype(np.uint8)
  frames[:, :8] = frames[0, :8]
  video.write_gif(tmp_path / 'a.gif', frames)
  again, _ = _read_gif(tmp_path / 'a.gif')
  assert (again[:, :8] == again[0, :8]).all()


def test_white_paper_stays_white(tmp_path):
  noise = np.random.default_rng(0).integers(0, 256, (2, 40, 40, 3))
  frames = noise.astype(np.uint8)
  frames[:, :10] = 255
  frames[:, 10:20] = np.random.default_rng(1).integers(244, 256, (10, 40, 1))
  video.write_gif(tmp_path / 'a.gif', frames)
  again, _ = _read_gif(tmp_path / 'a.gif')
  assert (again[:, :10] == 255).all()


def test_gif_takes_images_and_grey_arrays(tmp_path):
  grey = _moving_dot()[..., :1]
  video.write_gif(tmp_path / 'grey.gif', grey)
  images = [Image.fromarray(f) for f in grey.repeat(3, axis=-1)]
  video.write_gif(tmp_path / 'images.gif', images)
  first, second = (tmp_path / f'{n}.gif' for n in ('grey', 'images'))
  assert first.read_bytes() == second.read_bytes()


def test_frames_of_two_sizes_are_refused(tmp_path):
  frames = [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 6, 3), np.uint8)]
  with pytest.raises(ValueError, match=r'one size.*\(4, 4\), \(6, 4\)'):
    video.write_gif(tmp_path / 'a.gif', frames)


def test_film_without_frames_is_refused(tmp_path):
  with pytest.raises(ValueError, match='got 0 frames'):
    video.write_gif(tmp_path / 'a.gif', [])


def test_mp4_without_pyav_says_what_to_install(tmp_path, monkeypatch):
  monkeypatch.setitem(sys.modules, 'av', None)
  with pytest.raises(ImportError, match=r'pip install seqdiff\[media\]'):
    video.write_mp4(tmp_path / 'a.mp4', _moving_dot())
  assert not list(tmp_path.iterdir())


def test_mp4_reads_back(tmp_path):
  av = pytest.importorskip('av')
  # Odd sizes; each frame a flat grey that the codec can keep.
  frames = np.tile(
      np.array([30, 90, 150, 210], np.uint8)[:, None, None, None],
      (1, 31, 45, 3),
  )
  video.write_mp4(tmp_path / 'a.mp4', frames, fps=8)
  with av.open(str(tmp_path / 'a.mp4')) as container:
    assert container.streams.video[0].average_rate == 8
    again = [f.to_ndarray(format='rgb24') for f in container.decode(video=0)]
  assert np.shape(again) == (4, 32, 46, 3)
  error = np.abs(np.asarray(again)[:, :31, :45].astype(int) - frames)
  assert error.max() <= 6
