"""Puppets: labels are exact, every factor is seen, motion is smooth."""

import numpy as np
import pytest

from seqdiff.data import batch
from seqdiff.data import synthetic

SIZE = 16  # Pixels; small, as for a CPU.
SEEN = 10  # Levels of uint8; a pixel that changes by more can be seen.
STATIC = [f for f in synthetic.FACTORS if f.kind == 'static']


def _characters(source):
  """The set of static labels of the first clips of a source."""
  items = [source[i] for i in range(len(source))]
  return {tuple(int(item[f.key]) for f in STATIC) for item in items}


def _changed(x, y):
  """Share of pixels that differ visibly."""
  return np.mean(np.abs(x.astype(int) - y.astype(int)).max(axis=-1) > SEEN)


def _random_look(rng):
  character = [int(rng.integers(f.num_classes)) for f in STATIC]
  angles = rng.uniform(-1.0, 1.0, (1, 3)) * synthetic.ANGLE_RANGE
  return character, angles


@pytest.mark.parametrize('split', ['train', 'test'])
def test_labels_are_exactly_what_is_drawn(split):
  dataset = synthetic.puppets(size=SIZE, num_train=5, num_test=5)
  for item in (dataset.splits[split][i] for i in range(5)):
    character = [item[f.key] for f in STATIC]
    again = synthetic.render(character, item['labels/angles'], SIZE)
    np.testing.assert_array_equal(again, item['x'])


def test_items_are_as_a_source_promises():
  dataset = synthetic.puppets(size=SIZE, num_frames=5)
  item = dataset.splits['train'][0]
  assert item['x'].shape == (5, SIZE, SIZE, 3) and item['x'].dtype == np.uint8
  assert item['labels/angles'].shape == (5, 3)
  assert item['labels/angles'].dtype == np.float32
  assert set(item) == {'x'} | {f.key for f in dataset.factors}
  for f in STATIC:
    assert item[f.key].dtype == np.int32 and item[f.key].shape == ()
    assert len(f.values) == f.num_classes == f.size
  angles, = dataset.factors_of('dynamic')
  assert (angles.num_classes, angles.size) == (None, 3)
  assert angles.tolerance == 0.35


@pytest.mark.parametrize('angle', range(3))
def test_each_angle_moves_enough_pixels(angle):
  rng = np.random.default_rng(angle)
  for _ in range(10):
    character, angles = _random_look(rng)
    ends = np.repeat(angles, 2, axis=0)
    ends[:, angle] = np.array([-1, 1]) * synthetic.ANGLE_RANGE[angle]
    low, high = synthetic.render(character, ends, SIZE)
    assert _changed(low, high) >= 0.05


@pytest.mark.parametrize('factor', range(4))
def test_each_class_of_each_attribute_is_seen(factor):
  rng = np.random.default_rng(factor)
  for _ in range(10):
    character, angles = _random_look(rng)
    looks = []
    for value in range(STATIC[factor].num_classes):
      character[factor] = value
      looks.append(synthetic.render(character, angles, SIZE)[0])
    for i, look in enumerate(looks):
      for other in looks[:i]:
        assert _changed(look, other) >= 0.03


def test_directions_are_as_documented():
  up = 0.8 * synthetic.ANGLE_RANGE[0]
  pose = lambda *angles: synthetic.render(
      (0, 1, 0, 0), np.array([angles], np.float32), 32)[0]
  limb = np.array(list(synthetic.COLOURS.values())[1])
  at = lambda image, colour: np.argwhere(
      np.abs(image.astype(int) - colour).max(axis=-1) < 40).mean(axis=0)
  rest, left_up = at(pose(0, 0, 0), limb), at(pose(up, 0, 0), limb)
  assert left_up[0] < rest[0] - 0.5  # Rows count downwards.
  head = np.array(synthetic.HEAD_COLOUR)
  assert at(pose(0, 0, 0.5), head)[1] > at(pose(0, 0, 0), head)[1] + 2.0
  changed = np.abs(pose(0, 0, 0).astype(int) - pose(up, 0, 0)).max(-1) > SEEN
  assert np.argwhere(changed)[:, 1].max() < 16  # All of it on the left.


def test_arms_mirror_each_other():
  a = synthetic.render((0, 1, 2, 0), np.array([[0.7, -0.3, 0.2]]), 32)
  b = synthetic.render((0, 1, 2, 0), np.array([[-0.3, 0.7, -0.2]]), 32)
  np.testing.assert_allclose(
      a[:, :, ::-1].astype(int), b.astype(int), atol=1)


def test_edges_are_anti_aliased():
  image = synthetic.render((0, 1, 0, 0), np.zeros((1, 3)), 32)[0]
  colours = len(np.unique(image.reshape(-1, 3), axis=0))
  assert colours > 20  # Hard edges would give four.


def test_angles_are_in_range_smooth_and_never_constant():
  source = synthetic.puppets(size=8, num_frames=8, num_train=200).splits[
      'train']
  angles = np.stack([source[i]['labels/angles'] for i in range(200)])
  limit = np.array(synthetic.ANGLE_RANGE)
  assert np.all(np.abs(angles) <= limit + 1e-6)
  assert np.all(np.abs(angles).max(axis=(0, 1)) > 0.9 * limit)
  # A frame takes at most half of the way between the two limits.
  assert np.all(np.abs(np.diff(angles, axis=1)) <= limit + 1e-6)
  assert np.all(np.ptp(angles, axis=1) > 0.02)  # rad, in every clip.
  correlation = np.corrcoef(angles.reshape(-1, 3).T) - np.eye(3)
  assert np.abs(correlation).max() < 0.2  # The angles are independent.


def test_path_has_no_jump_at_its_key_poses():
  path = synthetic.smooth_paths(np.random.default_rng(0), 2000, spacing=200.0)
  assert np.abs(np.diff(path, axis=0)).max() < 0.02
  assert np.all(np.ptp(path, axis=0) > 1.0 * np.array([1.0, 1.0, 0.5]))


def test_a_clip_depends_on_seed_and_index_only():
  make = lambda **kw: synthetic.puppets(**{'size': 8, 'num_frames': 3, **kw})
  first = make().splits['train']
  first[0]  # Other clips before it make no difference.
  clip = first[7]
  more = make(num_train=9, num_test=1).splits['train'][7]
  for name, value in clip.items():
    np.testing.assert_array_equal(value, more[name])
  angles = 'labels/angles'
  assert np.any(make(seed=1).splits['train'][7][angles] != clip[angles])
  assert np.any(first[8][angles] != clip[angles])
  assert np.any(make().splits['test'][7][angles] != clip[angles])


@pytest.mark.parametrize('seed', range(5))
def test_characters_are_disjoint_and_attributes_shared(seed):
  splits = synthetic.puppets(size=8, num_frames=1, seed=seed).splits
  train, test = _characters(splits['train']), _characters(splits['test'])
  assert not train & test
  total = np.prod([f.num_classes for f in STATIC])
  assert len(test) <= 0.2 * total + 1
  assert len(test) > 0.1 * total
  for k, f in enumerate(STATIC):
    for characters in train, test:
      assert {c[k] for c in characters} == set(range(f.num_classes))


@pytest.mark.parametrize('held_out', [0.0001, 0.9999])
def test_no_split_is_without_characters(held_out):
  dataset = synthetic.puppets(size=8, num_frames=1, held_out=held_out)
  for source in dataset.splits.values():
    assert source[0]['x'].shape == (1, 8, 8, 3)


@pytest.mark.parametrize('size, num_frames', [(8, 1), (33, 2), (20, 50)])
def test_any_size_and_length(size, num_frames):
  dataset = synthetic.puppets(
      size=size, num_frames=num_frames, num_train=3, num_test=2)
  x = dataset.splits['test'][1]['x']
  assert x.shape == (num_frames, size, size, 3)
  assert len(np.unique(x)) > 5
  assert [len(dataset.splits[k]) for k in ('train', 'test')] == [3, 2]


def test_a_larger_picture_shows_the_same():
  character, angles = (0, 1, 2, 3), np.array([[0.5, -0.8, 0.3]])
  small, large = (
      synthetic.render(character, angles, size)[0] for size in (16, 64))
  shrunk = large.reshape(16, 4, 16, 4, 3).mean(axis=(1, 3))
  assert np.abs(shrunk - small).mean() < 4.0


@pytest.mark.parametrize('option, message', [
    ({'size': 7}, 'size=7, expected at least 8. Set config.data.size'),
    ({'num_frames': 0}, 'num_frames=0, expected at least 1'),
    ({'num_train': 0}, 'num_train=0, expected at least 1'),
    ({'num_test': -1}, 'num_test=-1, expected at least 1'),
    ({'held_out': 0.0}, 'held_out=0.0, expected a share between 0 and 1'),
    ({'held_out': 1.5}, 'held_out=1.5.*Set config.data.held_out'),
])
def test_values_out_of_range_are_named(option, message):
  with pytest.raises(ValueError, match=f'puppets: {message}'):
    synthetic.puppets(**option)


@pytest.mark.parametrize('index', [-1, 3])
def test_clip_that_does_not_exist_is_an_index_error(index):
  source = synthetic.puppets(size=8, num_train=3).splits['train']
  with pytest.raises(IndexError, match=f'clip {index} of 3'):
    source[index]


def test_pictures_use_the_range_that_models_see():
  x = synthetic.puppets(size=SIZE, num_train=50).splits['train']
  pixels = np.stack([batch.to_float(x[i]['x']) for i in range(50)])
  assert 0.3 < pixels.std() < 0.8  # sigma_data of the diffusion is 0.5.
