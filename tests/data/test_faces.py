"""The square around a face: whose it is, where it ends, what it holds."""

import sys
import types

from matplotlib import cbook
import numpy as np
from PIL import Image
import pytest

from seqdiff.data import faces


def blank(width=100, height=80):
  return Image.new('RGB', (width, height))


@pytest.mark.parametrize('boxes, expected', [
    ([(40, 30, 20, 20)], (37, 27, 63, 53)),  # 26 pixels around (50, 40).
    ([(4, 4, 9, 9), (40, 30, 20, 20), (9, 9, 8, 8)], (37, 27, 63, 53)),
    ([(40, 30, 20, 10)], (37, 22, 63, 48)),  # The longer side counts.
    ([(0, 0, 20, 20)], (0, 0, 26, 26)),  # Moved into the picture.
    ([(80, 60, 20, 20)], (74, 54, 100, 80)),
    ([(5, 5, 70, 70)], (0, 0, 80, 80)),  # 91 pixels are not there.
])
def test_square_is_around_the_largest_face_and_in_the_picture(boxes, expected):
  assert faces.find([blank()], detector=lambda picture: boxes) == expected


def test_enlargement_can_be_chosen():
  box = faces.find(
      [blank()], detector=lambda picture: [(40, 30, 20, 20)], enlarge=2)
  assert box == (30, 20, 70, 60)


def test_pictures_are_looked_at_until_one_shows_a_face():
  seen = []

  def detect(picture):
    seen.append(int(picture[0, 0]))
    assert picture.shape == (80, 100) and picture.dtype == np.uint8
    return [(40, 30, 20, 20)] * (seen[-1] >= 20)

  images = [Image.new('RGB', (100, 80), (k,) * 3) for k in (10, 20, 30)]
  assert faces.find(images, detector=detect) == (37, 27, 63, 53)
  assert seen == [10, 20]


def test_pictures_without_a_face_have_no_square():
  assert faces.find([blank()] * 2, detector=lambda picture: ()) is None


class TestFollow:
  """Squares that follow a face, as in the released code of DiffSDA."""

  def cut(self, boxes, margin=10):
    """Pieces of pictures whose red is the column and green the row."""
    pixels = np.zeros((80, 100, 3), np.uint8)
    pixels[..., 0], pixels[..., 1] = np.meshgrid(
        1 + np.arange(100), 1 + np.arange(80))
    found = iter(boxes)
    return [np.asarray(piece) for piece in faces.follow(
        [Image.fromarray(pixels)] * len(boxes), margin=margin,
        detector=lambda picture: next(found))]

  def test_a_square_around_the_largest_face_and_a_margin(self):
    piece, = self.cut([[(1, 1, 5, 5), (40, 30, 20, 10)]])
    # Around (50, 35); half of the longer side is 10, and 10 more.
    assert piece.shape == (40, 40, 3)
    assert piece[0, 0, :2].tolist() == [31, 16]
    assert piece[-1, -1, :2].tolist() == [70, 55]

  def test_what_lies_outside_is_black(self):
    piece, = self.cut([[(0, 0, 20, 20)]])
    assert piece.shape == (40, 40, 3)
    assert not piece[:10].any() and not piece[:, :10].any()
    assert piece[10, 10, :2].tolist() == [1, 1]

  def test_a_lost_face_is_where_it_was_and_before_it_is_the_middle(self):
    pieces = self.cut([[], [], [(40, 30, 20, 20)], [], [(60, 30, 20, 20)]])
    for piece in pieces[:2]:
      assert piece.shape == (66, 66, 3)  # Two times a third of 100.
      assert piece[0, 0, :2].tolist() == [18, 8]
    np.testing.assert_array_equal(pieces[2], pieces[3])
    assert pieces[2][0, 0, :2].tolist() == [31, 21]
    assert pieces[4][0, 0, :2].tolist() == [51, 21]


class TestHaar:

  @pytest.fixture(autouse=True)
  def opencv(self):
    pytest.importorskip('cv2')

  def test_it_finds_the_face_of_a_portrait(self):
    with cbook.get_sample_data('grace_hopper.jpg') as file:
      portrait = Image.open(file).convert('RGB')  # 512 x 600, looks at us.
    left, top, right, bottom = faces.find(
        [blank(), portrait], detector=faces.haar())
    # Eyes, mouth and chin by hand, from a look at the picture.
    for x, y in ((220, 190), (315, 190), (265, 275), (265, 320)):
      assert left < x < right and top < y < bottom
    assert 250 < right - left == bottom - top < 350

  def test_it_finds_none_in_noise_or_in_nothing(self):
    noise = np.random.default_rng(0).integers(0, 256, (150, 200, 3))
    images = [Image.fromarray(noise.astype(np.uint8)), blank()]
    assert faces.find(images, detector=faces.haar()) is None


def test_without_opencv_the_error_names_the_command(monkeypatch):
  faces.haar.cache_clear()
  monkeypatch.setitem(sys.modules, 'cv2', None)
  with pytest.raises(ValueError, match=(
      r'OpenCV 4 is not installed .*pip install "seqdiff\[faces\]"')):
    faces.haar()


def test_opencv_without_cascades_is_as_good_as_none(monkeypatch):
  faces.haar.cache_clear()
  monkeypatch.setitem(sys.modules, 'cv2', types.ModuleType('cv2'))
  with pytest.raises(ValueError, match='which OpenCV 5 has no more'):
    faces.haar()
