"""From a folder of videos to batches: the builder and its command."""

import json
import pathlib
import re

from absl import flags
from absl.testing import flagsaver
import numpy as np
import pytest

from seqdiff.data import disk
from seqdiff.data import loader
from seqdiff.data import prepare
from seqdiff.data import films
from seqdiff.data.builders import frames

PEOPLE = {'ann': 40, 'bob': 120, 'cyd': 200}  # Grey of the person.
ACTIONS = {'still': 0, 'glow': 5}  # How much brighter each frame is.


@pytest.fixture
def videos(tmp_path, write_pictures) -> pathlib.Path:
  """Folders of 9 pictures: <person>/<action>/<take>, two takes each."""
  for person, level in PEOPLE.items():
    for action, gain in ACTIONS.items():
      for take in '12':
        clip = np.empty((9, 8, 12, 3), np.uint8)
        clip[:] = (level + gain * np.arange(9))[:, None, None, None]
        write_pictures(tmp_path / 'videos' / person / action / take, clip)
  return tmp_path / 'videos'


@pytest.fixture
def data_dir(tmp_path):
  return tmp_path / 'data'


def build(videos, data_dir, **options):
  options = {'size': 4, 'num_frames': 4} | options
  return prepare.prepare(
      'frames', manual_dir=str(videos), data_dir=str(data_dir), **options)


def load(data_dir, **form):
  return disk.load('frames', data_dir=str(data_dir), **({'size': 4} | form))


def manifest(data_dir, name='videos_4'):
  return json.loads(
      (data_dir / 'frames' / name / '1.0.0' / 'manifest.json').read_text())


def items(dataset):
  return {split: [source[i] for i in range(len(source))]
          for split, source in dataset.splits.items()}


def no_data(data_dir):
  return not list(pathlib.Path(data_dir).rglob('*array_record*'))


class TestSet:

  def test_unlabelled_videos_become_clips_that_the_loader_takes(
      self, videos, data_dir):
    told = build(videos, data_dir)
    dataset = load(data_dir)
    # 12 videos of two clips each; a fifth of the videos, 2, for test.
    assert '20 train, 4 test clips' in told
    assert {s: len(c) for s, c in dataset.splits.items()} == {
        'train': 20, 'test': 4}
    assert dataset.factors == ()
    first = {level + gain * k for level in PEOPLE.values()
             for gain in ACTIONS.values() for k in (0, 4)}
    assert {int(item['x'][0, 0, 0, 0]) for split in items(dataset).values()
            for item in split} <= first
    batch = next(loader.train_batches(
        dataset.splits['train'], batch_size=4, num_frames=4, seed=0))
    assert batch['x'].shape == (4, 4, 4, 4, 3) and batch['mask'].all()

  def test_labels_of_the_path_belong_to_their_clips(self, videos, data_dir):
    build(videos, data_dir, pattern='{person}/{action}/{clip}',
          dynamic='action', split_by='person', test_fraction=0.3)
    dataset = load(data_dir)
    person, action = dataset.factors
    assert (person.name, person.kind, person.values) == (
        'person', 'static', ('ann', 'bob', 'cyd'))
    assert (action.name, action.kind, action.values) == (
        'action', 'dynamic', ('glow', 'still'))
    seen = {'train': set(), 'test': set()}
    for split, clips in items(dataset).items():
      for item in clips:
        who = person.values[item['labels/person']]
        gain = ACTIONS[action.values[item['labels/action']]]
        grey = item['x'][:, 0, 0, 0].astype(int)
        assert grey[0] - PEOPLE[who] in (0, 4 * gain)
        assert set(np.diff(grey)) == {gain}
        seen[split].add(who)
    assert len(seen['train']) == 2 and len(seen['test']) == 1
    assert not seen['train'] & seen['test']

  def test_labels_of_a_table_belong_to_their_clips(self, videos, data_dir):
    table = videos / 'labels.csv'
    rows = [f'{p}/{a}/{t},{p}' for p in PEOPLE for a in ACTIONS for t in '12']
    table.write_text('\n'.join(['clip,who', *rows[:-1], 'zoe/glow/1,zoe']))
    told = build(videos, data_dir, labels=str(table), take='first')
    assert '1 of 12 videos were skipped' in told
    assert '  cyd/glow/2: a label is missing in' in told
    assert 'Rows without a video: 1, such as line 13: zoe/glow/1' in told
    assert manifest(data_dir)['ignored'] == []  # Not the table itself.
    dataset = load(data_dir)
    who, = dataset.factors
    assert who.values == ('ann', 'bob', 'cyd')
    for item in [i for clips in items(dataset).values() for i in clips]:
      assert item['x'][0, 0, 0, 0] == PEOPLE[who.values[item['labels/who']]]

  def test_the_manifest_tells_what_became_of_each_video(
      self, videos, data_dir, write_pictures):
    write_pictures(videos / 'ann' / 'short', np.zeros((3, 8, 8, 3), np.uint8))
    (videos / 'bob' / 'still' / '1' / '8.png').write_bytes(b'junk')
    (videos / 'cyd' / 'still' / '1' / '0.png').write_bytes(b'junk')
    (videos / 'notes.txt').touch()
    told = build(videos, data_dir)
    found = manifest(data_dir)
    assert found['skipped'] == {
        'ann/short': 'is too short: 3 frames, a clip takes 4',
        'bob/still/1': 'has a frame that is no picture: 8.png; '
                       '2 clips before that were used',
        'cyd/still/1': 'has a frame that is no picture: 0.png'}
    assert '3 of 13 videos were skipped:\n  ' in told
    assert all(f'{n}: {r}' in told for n, r in found['skipped'].items())
    used = {v['video']: v['clips'] for s in found['splits'].values() for v in s}
    names = {f'{p}/{a}/{t}' for p in PEOPLE for a in ACTIONS for t in '12'}
    assert used == dict.fromkeys(names - {'cyd/still/1'}, 2)
    assert found['ignored'] == ['notes.txt']
    assert found['options']['num_frames'] == 4
    counts = {split: sum(v['clips'] for v in videos)
              for split, videos in found['splits'].items()}
    assert counts == {s: len(c) for s, c in load(data_dir).splits.items()}

  def test_clips_of_one_video_are_in_one_split(self, videos, data_dir):
    build(videos, data_dir, num_frames=1, test_fraction=0.5)
    found = manifest(data_dir)['splits']
    assert [len(found[s]) for s in ('train', 'test')] == [6, 6]
    assert all(v['clips'] == 9 for s in found.values() for v in s)

  def test_films_and_folders_can_be_mixed(
      self, videos, data_dir, write_film):
    write_film(videos / 'film.mkv', np.full((4, 8, 8, 3), 77, np.uint8))
    build(videos, data_dir)
    greys = [i['x'][0, 0, 0, 0] for s in items(load(data_dir)).values()
             for i in s]
    assert greys.count(77) == 1

  def test_new_films_are_read_as_the_clips_were(self, tmp_path, data_dir,
                                                write_film):
    film = np.zeros((12, 8, 16, 3), np.uint8)
    film[:, :, 4:12] = np.arange(12)[:, None, None, None] * 20
    for name in 'a.mkv', 'b.mkv':
      write_film(tmp_path / 'films' / name, film)
    build(tmp_path / 'films', data_dir, fps=5, crop='pad', size=8)
    dataset = load(data_dir, size=8)
    assert dataset.reading == {'crop': 'pad', 'stride': 1, 'fps': 5}
    again = next(films.clips(tmp_path / 'films' / 'a.mkv', size=8,
                             num_frames=4, **dataset.reading))
    np.testing.assert_array_equal(again, dataset.splits['train'][0]['x'])
    assert again[:, 4, 4, 0].tolist() == [0, 40, 80, 120]
    assert not again[:, 0].any()

  def test_sprites_have_no_rule_to_read_films_by(self):
    assert disk.find_builder('sprites').reading_in(pathlib.Path('x')) == {}


class TestAgain:

  def test_the_same_options_change_nothing(self, videos, data_dir):
    build(videos, data_dir)
    before = {p: p.stat().st_mtime_ns for p in data_dir.rglob('*')}
    assert 'already prepared in' in build(videos, data_dir)
    assert before == {p: p.stat().st_mtime_ns for p in data_dir.rglob('*')}

  @pytest.mark.parametrize('options, message', [
      (dict(crop='pad'), 'crop: center there, pad here'),
      (dict(num_frames=3, stride=2), 'num_frames: 4 there, 3 here; stride: 1'),
      (dict(pattern='{a}/{b}/{clip}'), r'pattern: None there, \{a\}'),
  ])
  def test_other_options_never_overwrite(
      self, videos, data_dir, options, message):
    build(videos, data_dir)
    before = manifest(data_dir)
    with pytest.raises(ValueError, match=(
        f'was prepared otherwise: {message}.*another --set')):
      build(videos, data_dir, **options)
    assert manifest(data_dir) == before
    build(videos, data_dir, set='other', **options)
    assert manifest(data_dir, 'other_4') != before == manifest(data_dir)

  def test_another_folder_is_another_set(self, videos, data_dir, tmp_path):
    build(videos, data_dir)
    with pytest.raises(ValueError, match='manual_dir: .*videos there, .*/ann'):
      build(videos / 'ann', data_dir)

  def test_sizes_lie_side_by_side(self, videos, data_dir):
    build(videos, data_dir)
    build(videos, data_dir, size=2)
    assert load(data_dir).splits['test'][0]['x'].shape == (4, 4, 4, 3)
    assert load(data_dir, size=2).splits['test'][0]['x'].shape == (4, 2, 2, 3)

  def test_clips_are_the_same_each_time(self, videos, tmp_path):
    read = []
    for name in 'one', 'two':
      build(videos, tmp_path / name)
      read.append([i['x'] for i in items(load(tmp_path / name))['train']])
    np.testing.assert_array_equal(*read)


class TestRefused:

  def test_failure_halfway_leaves_nothing_that_is_taken_for_data(
      self, videos, data_dir, monkeypatch):
    clips = films.clips

    def fail_later(path, **options):
      if 'cyd' in str(path):
        raise OSError('disk full')
      return clips(path, **options)

    with monkeypatch.context() as patch:
      patch.setattr(films, 'clips', fail_later)
      with pytest.raises(OSError, match='disk full'):
        build(videos, data_dir)
    assert no_data(data_dir)
    with pytest.raises(ValueError, match='holds no data set.*--set=videos'):
      load(data_dir, set='videos')
    assert '20 train' in build(videos, data_dir)

  def test_split_whose_videos_are_all_bad_is_refused(
      self, videos, data_dir):
    with pytest.raises(ValueError, match=(
        r'The split train holds no clips: none of its 10 videos can be used '
        r'\(ann/glow/1 is too short: 9 frames, a clip takes 10; .*\.\.\.\)')):
      build(videos, data_dir, num_frames=10)
    assert no_data(data_dir)

  def test_manifest_that_is_gone_is_an_error(self, videos, data_dir):
    build(videos, data_dir)
    for path in data_dir.rglob('manifest.json'):
      path.unlink()
    with pytest.raises(ValueError, match='no readable manifest.*Delete it'):
      load(data_dir)

  @pytest.mark.parametrize('options, message', [
      (dict(sise=4), "option of frames 'sise'. Did you mean 'size'.*num_frame"),
      (dict(size=0), 'size=0, expected 1 or more. Change --size'),
      (dict(stride=0), 'stride=0, expected 1 or more'),
      (dict(fps=0.0), 'fps=0.0, expected more than 0'),
      (dict(fps=5.0), 'fps=5 was given, but .* is a folder of pictures'),
      (dict(fps=5.0, stride=2), 'expected one of them. Leave the other out'),
      (dict(test_fraction=1.0), 'test_fraction=1.0, expected a share'),
      (dict(crop='middle'), "Unknown crop 'middle'.*center"),
      (dict(take='one'), "Unknown take 'one'. Known: all, first"),
      (dict(set='../x'), "set='../x', expected letters"),
      (dict(pattern='{a}/{clip}', labels='x.csv'), 'both given, expected one'),
      (dict(labels='none.csv'), 'none.csv cannot be read'),
      (dict(pattern='{a}/{b}/{clip}', dynamic='c'), "--dynamic 'c'.*: a, b"),
      (dict(pattern='{a}/{b}/{clip}', split_by='c'), "--split_by 'c'"),
      (dict(split_by='person'), "--split_by 'person'.*Known: clip"),
  ])
  def test_wrong_option_is_named_and_writes_nothing(
      self, videos, data_dir, options, message):
    with pytest.raises(ValueError, match=message):
      build(videos, data_dir, **options)
    assert not data_dir.exists()

  def test_options_of_preparing_are_none_of_a_config(self, data_dir):
    with pytest.raises(ValueError, match="frames 'crop'. .*Known: set, size"):
      load(data_dir, crop='pad')


class TestCommand:

  def run(self, **values):
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    with flagsaver.flagsaver(**values):
      prepare.main(['prepare'])

  def test_flags_are_the_options(self, videos, data_dir, capsys):
    self.run(
        dataset='frames', manual_dir=str(videos), data_dir=str(data_dir),
        set='mine', size=4, num_frames=2, stride=3, crop='stretch',
        take='first', pattern='{who}/{what}/{clip}', dynamic='what',
        split_by='who', test_fraction=0.4)
    assert '8 train, 4 test clips' in capsys.readouterr().out
    expected = frames.Options(
        set='mine', size=4, num_frames=2, stride=3, crop='stretch',
        take='first', pattern='{who}/{what}/{clip}', dynamic='what',
        split_by='who', test_fraction=0.4)
    found = manifest(data_dir, 'mine_4')['options']
    assert frames.Options(**found) == expected

  def test_option_of_another_set_is_refused(self, videos, data_dir, capsys):
    with pytest.raises(SystemExit) as end:
      self.run(dataset='sprites', manual_dir=str(videos),
               data_dir=str(data_dir), crop='pad')
    assert end.value.code == 2
    assert "option of sprites 'crop'. Known: size" in capsys.readouterr().err

  def test_unknown_flag_lists_the_known(self, capsys):
    with pytest.raises(SystemExit) as end:
      prepare._parse_flags(['prepare', '--strid=2'])
    assert end.value.code == 2
    err = capsys.readouterr().err
    assert err.count('\n') == 1
    assert re.search("Unknown command line flag 'strid'.*--stride", err)

  def test_help_tells_whose_option_it_is(self):
    text = flags.FLAGS['num_frames'].help
    assert 'frames: frames per clip (default 12)' in text
    assert 'mug: frames per clip (default 15)' in text
