"""Names, labels and splits of videos, before anything is decoded."""

import dataclasses

import pytest

from seqdiff.data import catalogue


@pytest.fixture
def root(tmp_path):
  """Makes a folder with these files, empty."""

  def make(*names):
    for name in names:
      path = tmp_path / 'videos' / name
      path.parent.mkdir(parents=True, exist_ok=True)
      path.touch()
    return tmp_path / 'videos'

  return make


def named(*names) -> catalogue.Catalogue:
  return catalogue.Catalogue([
      catalogue.Video(name, f'{name}.mp4') for name in names])


def names_of(found) -> list[str]:
  return [video.name for video in found.videos]


class TestFind:

  def test_films_and_folders_of_pictures_at_any_depth(self, root):
    found = catalogue.find(root(
        'b/10.mp4', 'b/2.MOV', 'a/x/1.jpg', 'a/x/2.PNG', 'a/x/info.txt',
        'c.v1/1.gif', 'notes.md', '.hidden/1.mp4', '._2.mp4'))
    assert names_of(found) == ['a/x', 'b/2', 'b/10', 'c.v1/1']
    assert [v.path.name for v in found.videos] == [
        'x', '2.MOV', '10.mp4', '1.gif']
    assert found.ignored == ['a/x/info.txt', 'notes.md']
    assert not found.skipped

  def test_pictures_beside_films_are_no_clip(self, root):
    found = catalogue.find(root('a.mp4', 'a.jpg', 'b.mp4'))
    assert names_of(found) == ['a', 'b'] and found.ignored == ['a.jpg']

  def test_links_are_followed_but_not_in_circles(self, root, tmp_path):
    here = root('a.mp4')
    (tmp_path / 'disk' / 'b').mkdir(parents=True)
    (tmp_path / 'disk' / 'b' / '1.mp4').touch()
    (here / 'far').symlink_to(tmp_path / 'disk')
    (here / 'loop').symlink_to(here)
    assert names_of(catalogue.find(here)) == ['a', 'far/b/1']

  @pytest.mark.parametrize('names', [
      ('p/a.mp4', 'p/a.avi'), ('a.mp4', 'a/1.png')])
  def test_two_clips_of_one_name_are_refused(self, root, names):
    with pytest.raises(ValueError, match=(
        r"Two clips have the name '(p/)?a': .*a.* and .*a.*Rename")):
      catalogue.find(root(*names))

  def test_same_file_name_in_two_folders_is_two_clips(self, root):
    assert names_of(catalogue.find(root('p/1.mp4', 'q/1.mp4'))) == [
        'p/1', 'q/1']

  def test_nothing_to_find_is_an_error(self, root, tmp_path):
    with pytest.raises(ValueError, match='none is no folder; .*--manual_dir'):
      catalogue.find(tmp_path / 'none')
    with pytest.raises(ValueError, match=r'holds no video.*\.mp4.*\.png'):
      catalogue.find(root('notes.txt', 'song.mp3'))


class TestPattern:

  def test_parts_of_the_path_are_labels(self):
    found = catalogue.label_by_path(
        named('ann/walk/1', 'bob/run_fast/1'), '{person}/{action}/{clip}')
    assert [v.labels for v in found.videos] == [
        {'person': 'ann', 'action': 'walk'},
        {'person': 'bob', 'action': 'run_fast'}]

  def test_parts_of_a_name_are_labels(self):
    found = catalogue.label_by_path(
        named('a7_s2_t1_color', 'a12_s3_t4_color'),
        'a{action}_s{subject}_t{clip}_color')
    assert [v.labels for v in found.videos] == [
        {'action': '7', 'subject': '2'}, {'action': '12', 'subject': '3'}]

  def test_other_names_are_skipped_with_the_reason(self):
    found = catalogue.label_by_path(
        named('ann/walk', 'extra', 'ann/walk/2'), '{person}/{clip}')
    assert names_of(found) == ['ann/walk']
    reason = 'its name has not the form {person}/{clip}'
    assert found.skipped == {'extra': reason, 'ann/walk/2': reason}

  @pytest.mark.parametrize('pattern, message', [
      ('{person}/{action}/{clip}', "fits none of 1 videos, such as 'a/b'"),
      ('person/clip', 'is no pattern; expected labels in braces'),
      ('{clip}', 'is no pattern'), ('{a}/{a}', "label 'a'; expected diff"),
      ('{x}/{clip}', "label 'x'; expected .*none of x, mask, observed, fram"),
      ('{observed}/{clip}', "label 'observed'; expected different"),
      ('{my label}/{clip}', "label 'my label'; expected different names"),
      ('{}/{clip}', "label ''"), ('{person/{clip}', "label 'person/{clip'"),
      ('{a}/{clip}{clip}', 'is no pattern'),
  ])
  def test_wrong_pattern_is_refused(self, pattern, message):
    with pytest.raises(ValueError, match=message):
      catalogue.label_by_path(named('a/b'), pattern)


class TestCsv:

  @pytest.fixture
  def table(self, tmp_path):
    def write(text):
      path = tmp_path / 'labels.csv'
      path.write_bytes(text if isinstance(text, bytes) else text.encode())
      return path
    return write

  @pytest.mark.parametrize('text', [
      'clip,person,action\np/1.mp4,ann,walk\nq/2,bob,run\n',
      '\ufeffclip;person;action\r\n./p/1;ann;walk\r\n2;bob;run\r\n',
      'clip\tperson\taction\np\\1.mp4\tann\twalk\n\n2.mp4\t bob\trun',
      'clip,person,action\n"p/1","ann","walk"\nq/2.mp4,bob,run',
  ])
  def test_usual_forms_are_read(self, table, text):
    found, strays = catalogue.label_by_csv(
        catalogue.Catalogue([
            catalogue.Video('p/1', table('').with_name('1.mp4')),
            catalogue.Video('q/2', table('').with_name('2.mp4'))]),
        table(text))
    assert [v.labels for v in found.videos] == [
        {'person': 'ann', 'action': 'walk'}, {'person': 'bob', 'action': 'run'}]
    assert not found.skipped and not strays

  def test_missing_labels_skip_the_clip_and_strays_are_listed(self, table):
    path = table('clip,person,action\n1,ann,walk\n2,bob,\n9,eve,run\n')
    found, strays = catalogue.label_by_csv(
        catalogue.Catalogue([catalogue.Video(n, path.with_name(n))
                             for n in '123']), path)
    assert names_of(found) == ['1']
    assert set(found.skipped) == {'2', '3'}
    assert all('a label is missing in' in r for r in found.skipped.values())
    assert strays == ['line 4: 9']

  @pytest.mark.parametrize('text, message', [
      (None, r'labels\.csv cannot be read .*No such file.*expected a csv file'),
      (b'\xff\xfe\x00junk', 'cannot be read .*expected a csv file in UTF-8'),
      ('', 'has no columns; expected a first line'),
      ('clip\na/1\n', 'has no columns'),
      ('clip,person\na/1,"ann\n', 'cannot be read .*unexpected end'),
      ('clip,person\na/1\n', 'line 2 has 1 cells; expected 2'),
      ('clip,person\na/1,ann,x\n', 'line 2 has 3 cells; expected 2'),
      ('clip,my person\na/1,ann\n', "label 'my person'; expected"),
      ('clip,p,p\na/1,b,c\n', "label 'p'; expected different names"),
      ('clip,person\n1,ann\n',
       "line 2: '1' is the name of 2 clips, 'a/1' and 'b/1'.*Give the path"),
      ('clip,person\na/1,ann\na/1.mp4,bob\n',
       "line 3: 'a/1' has labels already; expected one line"),
      ('clip,person\nz,ann\n', "labels for none of 2 videos.*such as 'a/1'"),
  ])
  def test_wrong_table_is_refused_with_its_line(
      self, table, tmp_path, text, message):
    path = tmp_path / 'labels.csv' if text is None else table(text)
    videos = [catalogue.Video(f'{p}/1', tmp_path / p / '1.mp4') for p in 'ab']
    with pytest.raises(ValueError, match=message):
      catalogue.label_by_csv(catalogue.Catalogue(videos), path)


def labelled(**people) -> catalogue.Catalogue:
  """Videos by person: number of clips of each."""
  return catalogue.Catalogue([
      catalogue.Video(f'{p}/{k}', f'{p}{k}', {'person': p, 'take': str(k)})
      for p, count in people.items() for k in range(count)])


def test_factors_hold_the_values_in_order():
  person, take = catalogue.factors_of(labelled(bob=12, ann=1), ['take'])
  assert (person.kind, person.values) == ('static', ('ann', 'bob'))
  assert take.kind == 'dynamic' and take.num_classes == 12
  assert take.values == tuple(str(k) for k in range(12))  # 2 before 10.
  assert catalogue.factors_of(named('a', 'b')) == ()
  with pytest.raises(ValueError, match="--dynamic 'tke'. Did you mean 'take'"):
    catalogue.factors_of(labelled(ann=1), ['tke'])


class TestSplit:

  def splits(self, found, **options):
    return {v.name: v.split for v in catalogue.split(found, **options).videos}

  def test_share_is_kept_and_does_not_depend_on_the_order(self):
    found = named(*(f'clip{k}' for k in range(50)))
    splits = self.splits(found, test_fraction=0.3)
    assert list(splits.values()).count('test') == 15
    turned = dataclasses.replace(found, videos=found.videos[::-1])
    assert self.splits(turned, test_fraction=0.3) == splits

  def test_it_is_the_same_on_every_machine(self):
    # `printf a | sha256sum` begins with ca97, b: 3e23, c: 2e7d, d: 18ac.
    assert self.splits(named(*'abcd'), test_fraction=0.5) == {
        'a': 'train', 'b': 'train', 'c': 'test', 'd': 'test'}

  def test_one_more_video_moves_at_most_one(self):
    before = self.splits(
        named(*(f'clip{k}' for k in range(50))), test_fraction=0.2)
    after = self.splits(
        named(*(f'clip{k}' for k in range(51))), test_fraction=0.2)
    assert sum(before[name] != after[name] for name in before) <= 1

  def test_people_are_in_one_split_only(self):
    found = labelled(ann=5, bob=3, cyd=1, dan=4)
    splits = self.splits(found, by='person', test_fraction=0.5)
    of = lambda split: {
        name.split('/')[0] for name, s in splits.items() if s == split}
    assert len(of('test')) == len(of('train')) == 2
    assert not of('test') & of('train')

  @pytest.mark.parametrize('fraction, tests', [(0.01, 1), (0.99, 3)])
  def test_neither_split_is_empty(self, fraction, tests):
    splits = self.splits(named(*'abcd'), test_fraction=fraction)
    assert list(splits.values()).count('test') == tests

  def test_what_cannot_be_divided_is_refused(self):
    with pytest.raises(ValueError, match="have one clip, 'a'; .*at least two"):
      catalogue.split(named('a'), test_fraction=0.5)
    with pytest.raises(ValueError, match="have one person, 'ann'.*--split_by"):
      catalogue.split(labelled(ann=3), by='person', test_fraction=0.5)
    with pytest.raises(ValueError, match="--split_by 'persn'. Did you mean"):
      catalogue.split(labelled(ann=3), by='persn', test_fraction=0.5)
