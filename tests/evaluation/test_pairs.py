"""Pairs are drawn once, from labels and seed, and differ in both kinds."""

import dataclasses
import json

import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import pairs


def _dataset(who, act, name='toy', factors=None):
  arrays = {'x': np.zeros((len(who), 2, 3), np.float32),
            'labels/who': np.array(who, np.int32),
            'labels/act': np.array(act, np.int32),
            'labels/pose': np.zeros((len(who), 2, 1), np.float32)}
  factors = factors or (
      data_batch.Factor('who', 'static', 4),
      data_batch.Factor('act', 'dynamic', 3),
      data_batch.Factor('pose', 'dynamic', None, ('height',), 0.1))
  return data_batch.Dataset(
      name, {'test': loader.ArraySource(arrays)}, factors)


def _random(num_clips=30):
  rng = np.random.default_rng(0)
  draw = lambda classes: rng.integers(classes, size=num_clips)
  return _dataset(draw(4), draw(3))


def test_both_kinds_of_classes_differ():
  dataset = _random()
  found = pairs.draw(dataset, 'test', num_pairs=200, seed=0)
  labels = dataset.splits['test'].arrays
  assert found.a.shape == found.b.shape == (200,)
  for name in 'labels/who', 'labels/act':
    assert np.all(labels[name][found.a] != labels[name][found.b])
  assert len(set(found.a)) > 15  # Not always the same clips.


def test_one_different_static_class_of_several_is_enough():
  factors = (data_batch.Factor('who', 'static', 4),
             data_batch.Factor('act', 'static', 3))
  dataset = _dataset([0, 0], [1, 2], factors=factors)
  found = pairs.draw(dataset, 'test', num_pairs=5, seed=0)
  assert np.all(found.a + found.b == 1)


def test_continuous_motion_of_two_clips_always_differs():
  factors = (data_batch.Factor('who', 'static', 4),
             data_batch.Factor('pose', 'dynamic', None, ('height',), 0.1))
  dataset = _dataset([0, 1, 2], [0, 0, 0], factors=factors)
  found = pairs.draw(dataset, 'test', num_pairs=20, seed=0)
  assert np.all(found.a != found.b)


def test_a_clip_is_no_pair_with_itself_even_without_labels():
  dataset = data_batch.Dataset('toy', _random(2).splits, ())
  found = pairs.draw(dataset, 'test', num_pairs=20, seed=0)
  assert np.all(found.a != found.b)


def test_draw_depends_on_labels_and_seed_only():
  draw = lambda dataset, seed: np.stack([
      (p := pairs.draw(dataset, 'test', num_pairs=40, seed=seed)).a, p.b])
  first = draw(_random(), 3)
  other_clips = _random()
  other_clips.splits['test'].arrays['x'][:] = 1.0
  np.testing.assert_array_equal(draw(other_clips, 3), first)
  assert np.any(draw(_random(), 4) != first)


@pytest.mark.parametrize('num_pairs', [6, 7])
def test_both_orders_are_each_pair_and_its_reverse(num_pairs):
  found = pairs.draw(
      _random(), 'test', num_pairs=num_pairs, seed=0, both_orders=True)
  assert len(found.a) == num_pairs
  np.testing.assert_array_equal(found.a[0:6:2], found.b[1:6:2])
  np.testing.assert_array_equal(found.b[0:6:2], found.a[1:6:2])
  once = pairs.draw(_random(), 'test', num_pairs=3, seed=0)
  np.testing.assert_array_equal(found.a[0:6:2], once.a)


def test_another_version_draws_other_pairs(monkeypatch):
  first = pairs.draw(_random(), 'test', num_pairs=40, seed=0)
  monkeypatch.setattr(pairs, 'VERSION', 2)
  second = pairs.draw(_random(), 'test', num_pairs=40, seed=0)
  assert np.any(first.a != second.a)


@pytest.mark.parametrize('who, act', [
    ([1] * 9, [0, 1, 2] * 3), ([0, 1, 2] * 3, [1] * 9), ([2], [0])])
def test_too_uniform_set_is_an_error(who, act):
  with pytest.raises(
      ValueError, match=r"Found 0 of 6 pairs in split 'test' of toy \(\d clip"
      r".*num_pairs.*more variety"):
    pairs.draw(_dataset(who, act), 'test', num_pairs=6, seed=0)


def test_no_pairs_at_all_is_an_error():
  with pytest.raises(ValueError, match='num_pairs=0.*at least 1'):
    pairs.draw(_random(), 'test', num_pairs=0, seed=0)


def test_file_is_written_once_and_used_again(tmp_path):
  path = tmp_path / 'results' / 'pairs.json'
  load = lambda: pairs.load_or_draw(
      path, _random(), 'test', num_pairs=5, seed=2)
  first = load()
  content = json.loads(path.read_text())
  assert {k: v for k, v in content.items() if k != 'pairs'} == {
      'version': 1, 'dataset': 'toy', 'split': 'test', 'num_clips': 30,
      'num_pairs': 5, 'seed': 2}
  assert content['pairs'] == [[a, b] for a, b in zip(first.a, first.b)]
  content['pairs'][0] = [7, 8]  # The file counts, not the draw.
  path.write_text(json.dumps(content))
  again = load()
  assert (again.a[0], again.b[0], again.seed) == (7, 8, 2)
  np.testing.assert_array_equal(again.a[1:], first.a[1:])
  assert [p.name for p in path.parent.iterdir()] == ['pairs.json']


@pytest.mark.parametrize('change', [
    {'seed': 3}, {'num_pairs': 6}, {'both_orders': True},
    {'dataset': _random(31)},
    {'dataset': _dataset([0, 1] * 15, [0, 1] * 15, name='other')}])
def test_file_for_something_else_is_refused(tmp_path, change):
  path = tmp_path / 'pairs.json'
  known = {'dataset': _random(), 'num_pairs': 5, 'seed': 2}
  load = lambda dataset, **kw: pairs.load_or_draw(path, dataset, 'test', **kw)
  load(**known)
  before = path.read_text()
  with pytest.raises(ValueError, match='pairs.json holds pairs for .*expected'
                     '.*another workdir, or remove'):
    load(**{**known, **change})
  assert path.read_text() == before


def test_file_of_both_orders_is_refused_where_one_is_meant(tmp_path):
  load = lambda both: pairs.load_or_draw(
      tmp_path / 'pairs.json', _random(), 'test', num_pairs=4, seed=2,
      both_orders=both)
  load(True)
  with pytest.raises(ValueError, match="'both_orders': True}; expected"):
    load(False)


def test_file_of_another_version_is_refused(tmp_path, monkeypatch):
  load = lambda: pairs.load_or_draw(
      tmp_path / 'pairs.json', _random(), 'test', num_pairs=5, seed=2)
  load()
  monkeypatch.setattr(pairs, 'VERSION', 2)
  with pytest.raises(ValueError, match="'version': 1.*'version': 2"):
    load()


def test_chance_is_the_product_over_the_factors():
  factors = [data_batch.Factor('a', 'static', 4),
             data_batch.Factor('b', 'static', 5)]
  assert pairs.chance(factors) == pytest.approx(0.05)


class TestPublished:
  """Pairs of a csv file, by the names of videos."""

  NAMES = ('b#1', 'data/E/1.6/v/2#0', 'a#0', 'b#0', 'a#1')

  def read(self, tmp_path, text, names=NAMES):
    path = tmp_path / 'pairs.csv'
    path.write_text(text)
    dataset = dataclasses.replace(_random(5), names={'test': names})
    return pairs.read(path, dataset, 'test')

  @pytest.mark.parametrize('text', [
      'filename_A,filename_B\na.mp4,b.mp4\nb.mp4,data/E/1.6/v/2\n',
      'video_path_A,categ_A,subj_A,video_path_B,categ_B,subj_B\n'
      'a,0,1,b,2,3\nb,2,3,data/E/1.6/v/2,4,5\n',
      'path_A,speaker_id_A,yt_id_A,vid_id_A,'
      'path_B,speaker_id_B,yt_id_B,vid_id_B\n'
      'a,1,x,8,b,2,y,2\nb,2,y,2,data/E/1.6/v/2,3,v,2\n'])
  def test_layouts_of_diffsda_name_the_first_clips(self, tmp_path, text):
    found = self.read(tmp_path, text)
    assert found.a.tolist() == [2, 3] and found.b.tolist() == [3, 1]
    assert found.seed is None

  def test_each_can_be_followed_by_its_reverse(self, tmp_path):
    path = tmp_path / 'pairs.csv'
    path.write_text('path_A,path_B\na,b\nb,data/E/1.6/v/2\n')
    dataset = dataclasses.replace(_random(5), names={'test': self.NAMES})
    found = pairs.read(path, dataset, 'test', both_orders=True)
    assert found.a.tolist() == [2, 3, 3, 1]
    assert found.b.tolist() == [3, 2, 1, 3]

  @pytest.mark.parametrize('text, message', [
      ('path_A,path_B\na,b\nz,y\nb,x\nw,a\n',
       r"names 4 clips, such as 'w', 'x', 'y', that are not in split 'test' of "
       r"toy; expected some of its 3 names, such as 'data/E"),
      ('first,second\na,b\n', 'has 1 rows of columns first, second; expected'),
      ('path_A,path_B\n', 'has 0 rows of columns unknown; expected rows with'),
  ])
  def test_other_files_are_refused(self, tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
      self.read(tmp_path, text)

  def test_a_set_without_names_is_refused(self, tmp_path):
    with pytest.raises(ValueError, match='expected some of its 0 names'):
      self.read(tmp_path, 'path_A,path_B\na,b\n', names=())

  def test_a_file_that_is_not_there_is_named(self, tmp_path):
    with pytest.raises(ValueError, match=r'pairs_file=.*nowhere.csv cannot be'):
      pairs.read(tmp_path / 'nowhere.csv', _random(), 'test')
