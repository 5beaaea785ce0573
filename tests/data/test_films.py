"""Frames come out of films and folders where, when and how they were put in."""

import itertools
import struct
import sys

import numpy as np
from PIL import Image
import pytest

from seqdiff.data import films

GREYS = np.arange(20, dtype=np.uint8) * 12


def grey(levels, size=(8, 8)) -> np.ndarray:
  """Frames (T, H, W, 3), each of one level of grey."""
  frames = np.empty((len(levels), *size, 3), np.uint8)
  frames[:] = np.asarray(levels, np.uint8)[:, None, None, None]
  return frames


def noise(num_frames, height=8, width=8) -> np.ndarray:
  rng = np.random.default_rng(0)
  return rng.integers(
      0, 256, (num_frames, height, width, 3)).astype(np.uint8)


def levels(path, **options) -> list[int]:
  """Grey of the middle of each frame that is read."""
  return [int(np.asarray(image)[4, 4, 0])
          for image in films.read(path, **options)]


class TestPlace:

  @pytest.mark.parametrize('height, width', [(8, 13), (15, 8), (8, 8)])
  def test_center_is_the_middle_square_pixel_by_pixel(
      self, tmp_path, write_film, height, width):
    frames = noise(4, height, width)
    write_film(tmp_path / 'a.mkv', frames)
    clip, = films.clips(tmp_path / 'a.mkv', size=8, num_frames=4)
    top, left = (height - 8) // 2, (width - 8) // 2
    np.testing.assert_array_equal(
        clip, frames[:, top:top + 8, left:left + 8])

  def test_square_moves_as_in_the_film_when_it_is_halved(
      self, tmp_path, write_film):
    frames = grey([0] * 5, size=(16, 24))
    for t in range(5):  # 4 x 4, on whole pixels of the smaller picture.
      frames[t, 4:8, 2 + 2 * t:6 + 2 * t] = 255
    write_film(tmp_path / 'a.mkv', frames)
    clip, = films.clips(tmp_path / 'a.mkv', size=8, num_frames=5)
    bright = clip[..., 0] > 100
    assert bright.sum((1, 2)).tolist() == [4 - 2, 4, 4, 4, 4]  # One cut off.
    for t in range(1, 5):
      assert bright[t, 2:4, t - 1:t + 1].all()

  def test_pad_puts_black_bars_and_keeps_all(self):
    wide = Image.fromarray(grey([255], size=(8, 16))[0])
    found = films.fit(wide, size=16, crop='pad')
    assert (found[4:12] == 255).all()
    assert not found[:4].any() and not found[12:].any()
    tall = Image.fromarray(grey([255], size=(16, 8))[0])
    np.testing.assert_array_equal(
        films.fit(tall, size=16, crop='pad'), found.swapaxes(0, 1))

  def test_stretch_keeps_both_ends(self):
    picture = grey([0], size=(8, 16))[0]
    picture[:, :8] = 255
    found = films.fit(Image.fromarray(picture), size=8, crop='stretch')
    assert (found[:, :3] == 255).all() and not found[:, 5:].any()

  def test_smaller_pictures_are_averages(self):
    board = np.indices((32, 32)).sum(0) % 2 * 255
    picture = np.repeat(board[..., None], 3, -1).astype(np.uint8)
    found = films.fit(Image.fromarray(picture), size=4)
    assert np.abs(found[1:-1, 1:-1].astype(int) - 127).max() <= 1

  def test_grey_is_one_channel(self):
    picture = Image.new('RGB', (4, 4), (255, 0, 0))
    found = films.fit(picture, size=4, channels=1)
    assert found.shape == (4, 4, 1)
    assert np.ptp(found) == 0 and found[0, 0, 0] == 76  # 0.299 * 255.

  def test_unknown_crop_lists_the_known(self):
    with pytest.raises(ValueError, match="'centre'. Did you mean 'center'"):
      films.fit(Image.new('RGB', (4, 4)), size=4, crop='centre')

  def test_film_of_a_phone_is_turned_as_a_player_does(
      self, tmp_path, write_film):
    frames = grey([0] * 3, size=(32, 64))
    frames[:, :16] = 255  # Top of what the sensor saw.
    write_film(tmp_path / 'a.mp4', frames, codec='libx264')
    content = (tmp_path / 'a.mp4').read_bytes()
    one = 1 << 16
    upright = struct.pack('>9i', one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    turned = struct.pack('>9i', 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    at = content.index(upright, content.index(b'tkhd'))
    (tmp_path / 'b.mp4').write_bytes(
        content[:at] + turned + content[at + len(turned):])
    picture = np.asarray(next(films.read(tmp_path / 'b.mp4')))
    assert picture.shape == (64, 32, 3)
    # x' = -y, y' = x: a quarter clockwise, so that the top is at the right.
    assert picture[:, 20:].min() > 200 and picture[:, :12].max() < 50


class TestTime:

  def test_frames_keep_their_order_and_number(self, tmp_path, write_film):
    write_film(tmp_path / 'a.mkv', grey(GREYS))
    assert levels(tmp_path / 'a.mkv') == GREYS.tolist()
    assert levels(tmp_path / 'a.mkv', stride=6) == GREYS[::6].tolist()

  @pytest.mark.parametrize('name, codec', [
      ('a.mp4', 'libx264'), ('a.mov', 'libx264'), ('a.avi', 'mpeg4'),
      ('a.webm', 'libvpx-vp9'), ('a.mpg', 'mpeg2video')])
  def test_common_containers_are_read(
      self, tmp_path, write_film, name, codec):
    write_film(tmp_path / name, grey(GREYS, size=(32, 32)), codec=codec)
    found = np.array(levels(tmp_path / name))
    assert found.shape == GREYS.shape
    assert np.abs(found - GREYS).max() <= 6

  def test_variable_rate_counts_frames_or_follows_the_clock(
      self, tmp_path, write_film):
    times = [0, 100, 200, 700, 800, 1500]
    write_film(tmp_path / 'a.mkv', grey(range(6)), times=times)
    path = tmp_path / 'a.mkv'
    assert levels(path) == [0, 1, 2, 3, 4, 5]
    # At 0, 500, 1000, 1500 ms these frames are on the screen.
    assert levels(path, fps=2) == [0, 2, 4, 5]
    assert levels(path, fps=10) == [
        0, 1, 2, 2, 2, 2, 2, 3, 4, 4, 4, 4, 4, 4, 4, 5]

  def test_clock_that_begins_late_is_the_same_clock(
      self, tmp_path, write_film):
    times = [2000, 2100, 2200, 2700]
    write_film(tmp_path / 'a.mkv', grey(range(4)), times=times)
    assert levels(tmp_path / 'a.mkv', fps=5) == [0, 2, 2, 2]

  def test_gif_is_exact_and_has_its_own_clock(self, tmp_path):
    frames = grey([0, 80, 160, 240])
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(tmp_path / 'a.gif', save_all=True, loop=0,
                     append_images=pictures[1:], duration=[100, 300, 100, 100])
    found = list(films.read(tmp_path / 'a.gif'))
    np.testing.assert_array_equal(np.stack(found), frames)
    assert levels(tmp_path / 'a.gif', fps=10) == [0, 80, 80, 80, 160, 240]

  def test_pictures_are_sorted_by_number(self, tmp_path, write_pictures):
    # As text it would be 10, 11, 12, 8, 9.
    write_pictures(tmp_path / 'a', grey(GREYS[:5]), form='f{}.png', first=8)
    assert levels(tmp_path / 'a') == GREYS[:5].tolist()

  def test_pictures_have_no_clock(self, tmp_path, write_pictures):
    write_pictures(tmp_path / 'a', grey(GREYS))
    with pytest.raises(films.Unreadable, match='no times.*stride, not fps'):
      levels(tmp_path / 'a', fps=5)

  def test_clips_follow_one_another_without_overlap(
      self, tmp_path, write_pictures):
    frames = noise(11)
    write_pictures(tmp_path / 'a', frames)
    found = list(films.clips(tmp_path / 'a', size=8, num_frames=4))
    np.testing.assert_array_equal(found, [frames[:4], frames[4:8]])
    found = list(films.clips(tmp_path / 'a', size=8, num_frames=3, stride=2))
    np.testing.assert_array_equal(found, [frames[:6:2], frames[6:11:2]])
    found = list(films.clips(
        tmp_path / 'a', size=8, num_frames=4, take='first'))
    np.testing.assert_array_equal(found, [frames[:4]])

  def test_no_more_than_one_clip_is_read_ahead(
      self, tmp_path, write_pictures, monkeypatch):
    write_pictures(tmp_path / 'a', grey(GREYS))
    opened, fit = [], films.fit
    monkeypatch.setattr(
        films, 'fit', lambda *a, **k: (opened.append(1), fit(*a, **k))[1])
    clips = films.clips(tmp_path / 'a', size=8, num_frames=5)
    for number in 1, 2:
      next(clips)
      assert len(opened) == 5 * number

  def test_too_short_says_how_short(self, tmp_path, write_pictures):
    write_pictures(tmp_path / 'a', grey(GREYS))
    with pytest.raises(
        films.Unreadable,
        match='too short: 7 frames with stride=3, a clip takes 8'):
      next(films.clips(tmp_path / 'a', size=8, num_frames=8, stride=3))


class TestDamage:

  @pytest.mark.parametrize('name, codec, options, message', [
      ('a.mp4', 'libx264', {}, 'cannot be decoded .Invalid data'),
      ('a.mp4', 'libx264', {'movflags': 'faststart'}, 'damaged or cut off'),
      ('a.mkv', 'libx264', {}, r'cut off: ends after 1\.\d+ of 2\.00 s'),
      ('a.avi', 'mpeg4', {}, 'damaged or cut off'),
      ('a.webm', 'libvpx-vp9', {}, 'cut off: ends after'),
  ])
  def test_film_that_was_cut_off_is_refused(
      self, tmp_path, write_film, name, codec, options, message):
    write_film(tmp_path / name, noise(20, 32, 48), codec=codec,
               options=options)
    content = (tmp_path / name).read_bytes()
    assert len(list(films.read(tmp_path / name))) == 20
    (tmp_path / name).write_bytes(content[:len(content) * 6 // 10])
    with pytest.raises(films.Unreadable, match=message):
      next(films.clips(tmp_path / name, size=8, num_frames=2))

  def test_damage_in_the_middle_is_refused_when_it_is_reached(
      self, tmp_path, write_film):
    path = tmp_path / 'a.mp4'
    write_film(path, noise(20, 32, 48), codec='libx264')
    first, *_ = films.clips(path, size=32, num_frames=2)
    content = bytearray(path.read_bytes())
    half, junk = len(content) // 2, noise(1, 32, 32).tobytes()
    content[half:half + len(junk)] = junk
    path.write_bytes(content)
    clips = films.clips(path, size=32, num_frames=2)
    np.testing.assert_array_equal(next(clips), first)
    with pytest.raises(films.Unreadable, match='damaged at|cannot be decoded'):
      list(clips)

  def test_gif_that_was_cut_off_is_refused(self, tmp_path):
    pictures = [Image.fromarray(frame) for frame in noise(9, 32, 32)]
    path = tmp_path / 'a.gif'
    pictures[0].save(path, save_all=True, append_images=pictures[1:])
    content = path.read_bytes()
    path.write_bytes(content[:len(content) * 6 // 10])
    with pytest.raises(films.Unreadable, match='damaged or no GIF'):
      list(films.read(path))

  @pytest.mark.parametrize('name', ['a.mp4', 'a.mkv', 'a.gif'])
  @pytest.mark.parametrize('content, message', [
      (b'', 'is empty: 0 bytes'),
      (b'<html>404</html>' * 50, 'cannot be decoded|no GIF'),
  ])
  def test_file_that_is_no_film_is_refused(
      self, tmp_path, name, content, message):
    pytest.importorskip('av')
    (tmp_path / name).write_bytes(content)
    with pytest.raises(films.Unreadable, match=message):
      list(films.read(tmp_path / name))

  def test_sound_alone_is_refused(self, tmp_path):
    av = pytest.importorskip('av')
    with av.open(str(tmp_path / 'a.mp4'), 'w') as container:
      stream = container.add_stream('aac', rate=16000)
      frame = av.AudioFrame.from_ndarray(
          np.zeros((1, 16000), np.float32), format='fltp', layout='mono')
      frame.sample_rate = 16000
      container.mux(stream.encode(frame))
      container.mux(stream.encode())
    with pytest.raises(films.Unreadable, match='no pictures, only sound'):
      list(films.read(tmp_path / 'a.mp4'))

  def test_other_files_among_the_frames_are_passed_by(
      self, tmp_path, write_pictures):
    write_pictures(tmp_path / 'a', grey(GREYS[:3]), form='{}.PNG')
    for name in 'Thumbs.db', '1.txt', '._0.PNG':
      (tmp_path / 'a' / name).write_bytes(b'junk')
    assert levels(tmp_path / 'a') == GREYS[:3].tolist()

  @pytest.mark.parametrize('content', [b'', b'junk', None])
  def test_frame_that_is_no_picture_is_named(
      self, tmp_path, write_pictures, content):
    write_pictures(tmp_path / 'a', noise(3, 32, 32))
    path = tmp_path / 'a' / '1.png'
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    with pytest.raises(films.Unreadable, match=r'no picture: 1\.png'):
      list(films.read(tmp_path / 'a'))

  def test_what_is_transparent_is_black(self, tmp_path):
    (tmp_path / 'a').mkdir()
    Image.new('RGBA', (8, 8), (250, 9, 9, 0)).save(tmp_path / 'a' / '0.png')
    assert levels(tmp_path / 'a') == [0]

  def test_sixteen_bits_are_refused_not_clipped(self, tmp_path):
    (tmp_path / 'a').mkdir()
    depth = Image.fromarray(np.full((8, 8), 3000, np.uint16))
    depth.save(tmp_path / 'a' / '0.png')
    with pytest.raises(films.Unreadable, match='mode I.16, not 8 bits'):
      levels(tmp_path / 'a')

  def test_without_pyav_films_name_the_extra_and_others_work(
      self, tmp_path, monkeypatch, write_pictures):
    write_pictures(tmp_path / 'a', grey(GREYS[:2]))
    Image.fromarray(grey([7])[0]).save(tmp_path / 'b.gif')
    (tmp_path / 'c.mp4').write_bytes(b'film')
    monkeypatch.setitem(sys.modules, 'av', None)
    assert levels(tmp_path / 'a') == GREYS[:2].tolist()
    assert levels(tmp_path / 'b.gif') == [7]
    with pytest.raises(ValueError, match=r'c\.mp4 .*pip install .*\[media\]'):
      levels(tmp_path / 'c.mp4')
    with pytest.raises(ValueError, match=r'c\.mp4'):
      films.require_pyav([tmp_path / 'b.gif', tmp_path / 'c.mp4'])
    films.require_pyav([tmp_path / 'a', tmp_path / 'b.gif'])


def test_numbers_in_names_count_as_numbers():
  names = ['a10', 'a9', 'B1', 'a09', '7']
  assert sorted(names, key=films.natural) == ['7', 'a09', 'a9', 'a10', 'B1']
  for one, other in itertools.combinations(['1a', 'a1', '', '01', '1'], 2):
    assert (films.natural(one) < films.natural(other)) != (
        films.natural(other) < films.natural(one))
