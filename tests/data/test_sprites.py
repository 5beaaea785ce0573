"""The recipe of the Sprites clips, on sheets that say what is drawn where."""

import os
import pathlib

import numpy as np
import pytest

from seqdiff.data.builders import sprites

# Cell of each frame, written out from the publisher's frame_to_npy.py.
CELLS = {
    'walk front': [138, 131, 132, 133, 134, 135, 136, 137],
    'walk left': [125, 118, 119, 120, 121, 122, 123, 124],
    'walk right': [151, 144, 145, 146, 147, 148, 149, 150],
    'spellcard front': [26, 27, 28, 29, 30, 31, 30, 32],
    'spellcard left': [13, 14, 15, 16, 17, 18, 17, 19],
    'spellcard right': [39, 40, 41, 42, 43, 44, 43, 45],
    'slash front': [182, 183, 184, 185, 186, 187, 186, 182],
    'slash left': [169, 170, 171, 172, 173, 174, 173, 169],
    'slash right': [195, 196, 197, 198, 199, 200, 199, 195],
}


def test_each_frame_shows_its_cell_of_the_sheet(sheets):
  clips, = sprites.draw(sprites.read_sheets(sheets), [0])
  corner = clips[:, :, 63, 63].astype(int)  # Where only the body is.
  assert sprites.ACTIONS == tuple(CELLS)
  np.testing.assert_array_equal(
      corner[..., 0] + 256 * corner[..., 1], list(CELLS.values()))


def test_layers_lie_over_one_another_from_the_body_to_the_shoes(sheets):
  # 13 = 1101 in base 2: body 1, bottomwear 1, topwear 0, hair 1.
  clips, = sprites.draw(sprites.read_sheets(sheets), [13])
  column = clips[0, 0, :, 20]
  assert column[63].tolist() == [138, 0, 1]
  assert column[47].tolist() == [51, 0, 0]
  assert column[31].tolist() == [100, 0, 0]
  assert column[15].tolist() == [151, 0, 0]
  # A fifth of white over the hair: 0.2 * 255 + 0.8 * 151 = 171.8.
  assert column[7].tolist() == [172, 51, 51]


def test_a_character_is_drawn_the_same_in_any_company(sheets):
  read = sprites.read_sheets(sheets)
  together = list(sprites.draw(read, range(16)))
  alone, = sprites.draw(read, [9])
  np.testing.assert_array_equal(together[9], alone)
  assert len({clips.tobytes() for clips in together}) == 16


def test_smaller_clips_are_box_filtered(sheets):
  read = sprites.read_sheets(sheets)
  large, = sprites.draw(read, [13])
  small, = sprites.draw(read, [13], size=32)
  assert small.shape == (9, 8, 32, 32, 3)
  mean = large.astype(float).reshape(9, 8, 32, 2, 32, 2, 3).mean((3, 5))
  np.testing.assert_array_equal(small, np.floor(mean + 0.5))


def test_attributes_are_the_digits_of_the_number_to_base_six():
  # 884 = 4 * 216 + 0 * 36 + 3 * 6 + 2.
  assert sprites.attributes(884) == (4, 0, 3, 2)


def test_the_split_is_the_publishers():
  split = sprites.split_characters()
  # First characters, as published: RandomState(423).permutation(1296).
  assert split['train'][:5].tolist() == [1116, 1135, 17, 469, 1293]
  assert split['test'][:5].tolist() == [884, 1285, 252, 297, 947]
  assert len(split['train']) == 1000 and len(split['test']) == 296
  assert set(split['train']) | set(split['test']) == set(range(1296))


def test_a_folder_without_sheets_is_an_error(tmp_path):
  with pytest.raises(ValueError, match=(
      'does not hold the folders body/, .*shoes/; expected body, .*git clone')):
    sprites.read_sheets(tmp_path / 'nothing')


def test_a_missing_sheet_is_an_error_that_names_it(sheets):
  (sheets / 'hair' / '1.png').unlink()
  with pytest.raises(ValueError, match=r'the sheet .*hair/1\.png is missing'):
    sprites.read_sheets(sheets)


@pytest.mark.parametrize('damage', [
    lambda content: b'',
    lambda content: content[:len(content) // 2],
    lambda content: b'<html>404</html>',
    lambda content: content + b'\0',
], ids=['empty', 'truncated', 'no image', 'altered'])
def test_a_damaged_sheet_is_an_error_that_names_it(sheets, damage):
  path = sheets / 'topwear' / '0.png'
  path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(ValueError, match=(
      r"topwear/0\.png \(\d+ bytes, .* is not the publisher's sheet .*"
      'Get it again from')):
    sprites.read_sheets(sheets)


def test_an_unknown_size_lists_the_sizes():
  with pytest.raises(ValueError, match=r'size=48, expected one of \(64, 32'):
    sprites.Options(size=48)


def test_clips_of_the_real_sheets_equal_an_independent_rendering():
  data = pathlib.Path(os.environ.get('SEQDIFF_DATA', '/nowhere')) / 'sprites'
  if not (data / 'raw').is_dir() or not (data / 'sprites_full.npz').is_file():
    pytest.skip('SEQDIFF_DATA names no folder with the Sprites sheets')
  full = np.load(data / 'sprites_full.npz')
  frames, palette = full['frames'], full['palette']
  characters = [0, 1, 5, 6, 215, 216, 884, 1295]
  drawn = sprites.draw(sprites.read_sheets(data / 'raw'), characters)
  for character, clips in zip(characters, drawn):
    np.testing.assert_array_equal(
        clips, palette[frames[full['frame_of'], character]])
