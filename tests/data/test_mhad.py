"""UTD-MHAD in the publisher's layout, with pictures that say whose they are."""

import json
import re

import numpy as np
import pytest
import scipy.io

from configs import divid_mhad
from seqdiff import build as builds
from seqdiff.data import disk
from seqdiff.data import films
from seqdiff.data import loader
from seqdiff.data import prepare
from seqdiff.data.builders import mhad

CLIPS = [(a, s, t) for a in (1, 27) for s in (1, 8) for t in (1, 2, 3, 4)]


def length_of(action, subject, trial):
  return 2 + (action + subject + trial) % 4


def grey_of(action, subject, trial):
  """Told apart by 12 at least: after averaging and coding still this grey."""
  return 20 + 100 * (action == 27) + 50 * (subject == 8) + 12 * (trial - 1)


def write_depth(root, clip, *, depth=None, name='d_depth', part='Depth'):
  """A file of a clip; by default a flat body of `grey_of` in the window."""
  if depth is None:
    depth = np.zeros((240, 320, length_of(*clip)), np.uint16)
    depth[8:232, 48:272] = 1800 + 9 * (255 - grey_of(*clip))
  return write_mat(root, clip, 'depth', {name: depth}, part=part)


def write_mat(root, clip, modality, variables, *, part):
  path = root / part / 'a{}_s{}_t{}_{}.mat'.format(*clip, modality)
  path.parent.mkdir(parents=True, exist_ok=True)
  scipy.io.savemat(path, variables, do_compression=True)
  return path


def write_avi(path, frames, *, codec='rawvideo', form='bgr24'):
  """A film at 30 frames per second; by default nothing is lost."""
  av = pytest.importorskip('av')
  path.parent.mkdir(parents=True, exist_ok=True)
  with av.open(str(path), 'w') as container:
    stream = container.add_stream(codec, rate=30)
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = form
    for frame in frames:
      container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
    container.mux(stream.encode())
  return path


MJPEG = dict(codec='mjpeg', form='yuvj420p')  # What cameras write.


@pytest.fixture
def raw(tmp_path):
  """Depth files of two actions of two persons, in two parts."""
  for clip in CLIPS:
    write_depth(tmp_path / 'raw', clip, part=f'x/Depth-part{clip[1]}')
  return tmp_path / 'raw'


def build(root, tmp_path, **options):
  return prepare.prepare(
      'mhad', manual_dir=str(root), data_dir=str(tmp_path / 'data'),
      **({'modality': 'depth', 'size': 4} | options))


def load(tmp_path, **options):
  return disk.load('mhad', data_dir=str(tmp_path / 'data'),
                   **({'modality': 'depth', 'size': 4} | options))


def clips(dataset):
  """By split, by (action, subject) as in the file names."""
  found = {}
  for split, source in dataset.splits.items():
    for i in range(len(source)):
      item = source[i]
      who = dataset.factors[0].values[item['labels/subject']]
      key = split, int(item['labels/action']) + 1, int(who[1:])
      found.setdefault(key, []).append(item['x'])
  return found


def manifest(tmp_path):
  return json.loads(next(tmp_path.rglob('manifest.json')).read_text())


class TestSet:

  def test_all_frames_of_each_clip_have_its_labels(self, raw, tmp_path):
    told = build(raw, tmp_path)
    assert '12 train, 4 test clips' in told
    assert (tmp_path / 'data' / 'mhad' / 'depth_4').is_dir()
    found = clips(load(tmp_path))
    for split, trials in ('train', (1, 2, 3)), ('test', (4,)):
      for a in 1, 27:
        for s in 1, 8:
          expected = {(length_of(a, s, t), grey_of(a, s, t)) for t in trials}
          assert expected == {(len(x), int(x[0, 0, 0, 0]))
                              for x in found.pop((split, a, s))}
    assert not found

  def test_factors_are_eight_persons_and_27_actions(self, raw, tmp_path):
    build(raw, tmp_path)
    subject, action = load(tmp_path).factors
    assert (subject.name, subject.kind) == ('subject', 'static')
    assert subject.values == ('s1', 's2', 's3', 's4', 's5', 's6', 's7', 's8')
    assert (action.name, action.kind) == ('action', 'dynamic')
    assert action.num_classes == len(set(action.values)) == 27
    assert (action.values[0], action.values[23], action.values[26]) == (
        'swipe left', 'sit to stand', 'squat')

  def test_split_by_subject_is_that_of_lfdm(self, tmp_path):
    for s in range(1, 9):
      write_depth(tmp_path / 'raw', (1, s, 1 + s % 4))
    build(tmp_path / 'raw', tmp_path, split_by='subject')
    found = clips(load(tmp_path))
    assert {s for split, _, s in found if split == 'train'} == {1, 5, 2, 3}
    assert {s for split, _, s in found if split == 'test'} == {6, 8, 4, 7}

  def test_clips_of_different_length_are_read_into_memory(
      self, raw, tmp_path, monkeypatch):
    build(raw, tmp_path)
    source = load(tmp_path).splits['train']
    assert isinstance(source, list)
    on_disk = load(tmp_path, in_memory=False).splits['train']
    assert not isinstance(on_disk, list) and len(on_disk) == len(source) == 12
    for item, other in zip(source, (on_disk[i] for i in range(12))):
      assert item.keys() == other.keys()
      np.testing.assert_array_equal(item['x'], other['x'])
    batch = next(loader.train_batches(
        source, batch_size=8, num_frames=2, take='stratified', seed=0))
    for index, x in zip(batch['index'], batch['x']):
      np.testing.assert_array_equal(x[0], source[index]['x'][0])
    # 45 frames of 16 bytes and some labels of 16 clips do not fit.
    monkeypatch.setattr(disk, 'IN_MEMORY_BYTES', 45 * 16)
    assert not isinstance(load(tmp_path).splits['train'], list)

  @pytest.mark.parametrize('limit', [0, 2**30], ids=['disk', 'memory'])
  def test_clips_that_are_too_short_are_found_when_the_set_is_opened(
      self, raw, tmp_path, monkeypatch, limit):
    build(raw, tmp_path)
    monkeypatch.setattr(disk, 'IN_MEMORY_BYTES', limit)
    config = divid_mhad.get_config()
    config.data.update(data_dir=str(tmp_path / 'data'), modality='depth',
                       size=4, num_frames=2)
    lengths = builds.dataset(config).lengths
    assert {k: sorted(v) for k, v in lengths.items()} == {
        split: sorted(length_of(*c) for c in CLIPS if (c[2] == 4) == is_test)
        for split, is_test in (('train', False), ('test', True))}
    config.data.num_frames = 4
    short = [c for c in CLIPS if length_of(*c) < 4 and c[2] < 4]
    with pytest.raises(ValueError, match=(
        rf'^mhad: {len(short)} of 12 clips of the split train are too short: '
        r'a\d+_s\d_t[1-3]#0 \([23] frames\), .*needs 4\. Lower')) as caught:
      builds.dataset(config)
    for a, s, t, length in re.findall(
        r'a(\d+)_s(\d)_t(\d)#0 .(\d)', str(caught.value)):
      assert length_of(int(a), int(s), int(t)) == int(length) < 4

  def test_the_second_time_nothing_is_done(self, raw, tmp_path):
    build(raw, tmp_path)
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    assert 'already prepared' in build(raw, tmp_path)
    assert before == {p: p.stat().st_mtime_ns for p in tmp_path.rglob('*')}
    with pytest.raises(ValueError, match='split_by: trial there, subject here'):
      build(raw, tmp_path, split_by='subject')

  def test_clips_that_are_not_there_are_mentioned(self, raw, tmp_path):
    (raw / 'x' / 'Depth-part8' / 'a27_s8_t4_depth.mat').unlink()
    told = build(raw, tmp_path)
    assert '12 train, 3 test clips' in told
    assert ('Not there, as not published: a8_s1_t4, a23_s6_t4, a27_s8_t4.\n'
            f'Not there: {864 - 16 - 2} clips, such as a1_s2_t1.') in told
    assert 'skipped' not in told


class TestPixels:

  def test_depth_is_coded_before_it_is_averaged(self, tmp_path):
    depth = np.zeros((240, 320, 2), np.uint16)
    depth[:8] = depth[:, :48] = depth[232:] = depth[:, 272:] = 2000  # Cut off.
    # Of the first square of 56 x 56 a half is 900 mm behind 1.8 m (grey 155),
    # in the next one a quarter of it, in the third all of it is too near.
    depth[8:64, 48:76, 0] = 2700
    depth[8:36, 104:132, 0] = 2700
    depth[8:64, 160:216, 0] = 500
    depth[176:232, 216:272, 1] = 9000  # Too far: 1, not background.
    path = write_depth(tmp_path, (1, 1, 1), depth=depth)
    found = mhad.read_depth(path, size=4)[..., 0]
    expected = np.zeros((2, 4, 4))
    expected[0, 0, :3] = 78, 39, 255  # 77.5 and 38.75, rounded.
    expected[1, 3, 3] = 1
    np.testing.assert_array_equal(found, expected)

  @pytest.mark.parametrize('millimetres, grey', [
      (0, 0), (1, 255), (1800, 255), (1809, 254), (2700, 155), (4077, 2),
      (4086, 1), (65535, 1), (2704.5, 154.5)])
  def test_depth_coding(self, millimetres, grey):
    assert mhad.to_grey(np.array(millimetres)) == grey

  def test_colour_is_the_mean_over_areas_of_the_middle_square(
      self, tmp_path):
    film = np.random.default_rng(0).integers(
        0, 256, (3, 480, 640, 3)).astype(np.uint8)
    film[:, :, :80] = film[:, :, 560:] = 255
    path = write_avi(tmp_path / 'a1_s1_t1_color.avi', film)
    square = film[:, :, 80:560].reshape(3, 4, 120, 4, 120, 3)
    np.testing.assert_array_equal(
        mhad.read_color(path, size=4),
        np.floor(square.mean((2, 4)) + 0.5))
    # 480 pixels become 128: each of these counts 3.75 x 3.75 pixels.
    corner = np.zeros((4, 4, 1))
    corner[:] = np.outer([1, 1, 1, .75], [1, 1, 1, .75])[..., None]
    mean = (film[0, :4, 80:84] * corner).sum((0, 1)) / 3.75**2
    np.testing.assert_array_equal(
        mhad.read_color(path, size=128)[0, 0, 0], np.floor(mean + 0.5))

  def test_skeletons_are_metres_joint_by_joint(self, tmp_path):
    joints = np.random.default_rng(0).normal(size=(20, 3, 5))
    joints[7, 2, 3] = -1.25
    path = write_mat(tmp_path, (1, 1, 1), 'skeleton', {'d_skel': joints},
                     part='Skeleton')
    found = mhad.read_skeleton(path)
    assert found.shape == (5, 60) and found.dtype == np.float32
    assert found[3, 3 * 7 + 2] == -1.25
    np.testing.assert_allclose(found[4, :3], joints[0, :, 4], rtol=1e-6)


class TestModalities:

  def test_modalities_lie_side_by_side(self, raw, tmp_path):
    film = np.zeros((4, 480, 640, 3), np.uint8)
    for t, level in (1, 60), (4, 180):
      film[:] = level
      write_avi(raw / 'RGB-part1' / f'a1_s1_t{t}_color.avi', film, **MJPEG)
      write_mat(raw, (1, 1, t), 'skeleton',
                {'d_skel': np.full((20, 3, 6), t / 8)}, part='Skeleton')
    build(raw, tmp_path)
    assert '1 train, 1 test' in build(raw, tmp_path, modality='color')
    assert '1 train, 1 test' in build(
        raw, tmp_path, modality='skeleton', size=128)
    assert {p.name for p in (tmp_path / 'data' / 'mhad').iterdir()} == {
        'depth_4', 'color_4', 'skeleton'}
    color = load(tmp_path, modality='color')
    assert color.reading == {'crop': 'center'}
    for split, level in ('train', 60), ('test', 180):
      x = color.splits[split][0]['x']
      assert x.shape == (4, 4, 4, 3) and abs(x.astype(int) - level).max() <= 2
    x = load(tmp_path, modality='skeleton', size=128).splits['test'][0]['x']
    assert x.shape == (6, 60) and (x == 0.5).all()
    assert manifest(tmp_path)['ignored'] == []  # Other modalities are known.

  def test_films_that_are_broken_are_skipped_counted_and_listed(
      self, tmp_path):
    film = np.random.default_rng(0).integers(
        0, 256, (6, 480, 640, 3)).astype(np.uint8)
    one, two, three, _ = (
        write_avi(tmp_path / 'raw' / f'a1_s1_t{t}_color.avi', film, **MJPEG)
        for t in (1, 2, 3, 4))
    two.write_bytes(one.read_bytes()[:one.stat().st_size // 2])
    three.write_bytes(b'no film')
    told = build(tmp_path / 'raw', tmp_path, modality='color')
    assert '1 train, 1 test clips' in told
    assert '2 of 4 videos were skipped' in told
    skipped = manifest(tmp_path)['skipped']
    assert skipped.keys() == {'a1_s1_t2', 'a1_s1_t3'}
    assert re.search('damaged|cut off', skipped['a1_s1_t2'])
    assert 'cannot be decoded' in skipped['a1_s1_t3']

  def test_a_film_that_is_cut_off_or_of_another_camera_is_unreadable(
      self, tmp_path):
    film = np.random.default_rng(0).integers(
        0, 256, (6, 480, 640, 3)).astype(np.uint8)
    path = write_avi(tmp_path / 'a1_s1_t1_color.avi', film, **MJPEG)
    assert len(mhad.read_color(path, size=4)) == 6
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    with pytest.raises(films.Unreadable, match='damaged|cut off'):
      mhad.read_color(path, size=4)
    path.write_bytes(b'no film')
    with pytest.raises(films.Unreadable, match='cannot be decoded'):
      mhad.read_color(path, size=4)
    write_avi(path, film[:, :240, :320])
    with pytest.raises(films.Unreadable, match='240 x 320 pixels, not 480 x 6'):
      mhad.read_color(path, size=4)


class TestBroken:

  def test_broken_files_are_skipped_counted_and_listed(self, raw, tmp_path):
    def path(trial):
      return raw / 'x' / 'Depth-part1' / f'a1_s1_t{trial}_depth.mat'

    content = path(1).read_bytes()
    path(1).write_bytes(content[:len(content) // 2])
    path(2).write_bytes(b'')
    part = 'x/Depth-part1'
    write_depth(raw, (1, 1, 3), name='depth', part=part)
    write_depth(raw, (1, 1, 4), depth=np.zeros((240, 320, 0)), part=part)
    write_depth(raw, (27, 1, 1), depth=np.ones((120, 320, 4)), part=part)
    write_depth(raw, (27, 1, 2), depth=np.full((240, 320, 2), np.nan),
                part=part)
    write_depth(raw, (28, 1, 1), part=part)
    (raw / 'readme.txt').touch()
    told = build(raw, tmp_path)
    assert '7 train, 3 test clips' in told
    assert '7 of 17 videos were skipped' in told
    found = manifest(tmp_path)
    reasons = {
        'a1_s1_t1': 'is damaged or no MATLAB file',
        'a1_s1_t2': 'is damaged or no MATLAB file',
        'a1_s1_t3': 'holds no variable d_depth',
        'a1_s1_t4': 'holds no frames',
        'a27_s1_t1': 'holds d_depth of shape (120, 320, 4)',
        'a27_s1_t2': 'holds NaN or infinite values in d_depth',
        'a28_s1_t1_depth.mat': 'is no clip of 27 actions'}
    assert found['skipped'].keys() == reasons.keys()
    for name, reason in reasons.items():
      assert found['skipped'][name].startswith(reason)
      assert f'{name}: {reason}' in told
    assert found['ignored'] == ['readme.txt']
    used = {v['video'] for split in found['splits'].values() for v in split}
    assert used == {f'a{a}_s{s}_t{t}' for a, s, t in CLIPS} - reasons.keys()

  def test_nothing_but_broken_files_is_an_error(self, tmp_path):
    for t in 1, 4:
      path = write_depth(tmp_path / 'raw', (1, 1, t))
      path.write_bytes(b'broken')
    with pytest.raises(ValueError, match=(
        r'holds no clips: none of its 1 videos can be used \(a1_s1_t. is dam')):
      build(tmp_path / 'raw', tmp_path)
    assert not list((tmp_path / 'data').rglob('*array_record*'))
    with pytest.raises(ValueError, match='holds no data set'):
      load(tmp_path)

  @pytest.mark.parametrize('names, message', [
      ([(1, 1, 1), (1, 1, 2)], '2 clips .*_depth.mat; expected some of t4 for'),
      ([(1, 1, 4)], '1 clips .*and some others to train on. Name the folder'),
      ([], 'holds 0 clips'),
  ])
  def test_a_folder_without_both_splits_is_refused(
      self, tmp_path, names, message):
    (tmp_path / 'raw').mkdir()
    for clip in names:
      write_depth(tmp_path / 'raw', clip)
    with pytest.raises(ValueError, match=message):
      build(tmp_path / 'raw', tmp_path)
    assert not (tmp_path / 'data').exists()

  @pytest.mark.parametrize('other', ['a1_s1_t1_depth', 'a01_s1_t1_depth'])
  def test_two_files_of_one_clip_are_refused(self, raw, tmp_path, other):
    (raw / 'copy').mkdir()
    (raw / 'copy' / f'{other}.mat').touch()
    with pytest.raises(ValueError, match=(
        rf'two files are clip a1_s1_t1: .*{other}.*expected one of each')):
      build(raw, tmp_path)
    assert not (tmp_path / 'data').exists()

  @pytest.mark.parametrize('options, message', [
      (dict(modality='rgb'), "Unknown modality 'rgb'. Known: color, depth, sk"),
      (dict(split_by='clip'), "Unknown split_by 'clip'. Known: subject, trial"),
      (dict(size=0), 'size=0, expected 1 or more'),
      (dict(modality='skeleton', size=64), 'size=64 with modality=skeleton'),
  ])
  def test_wrong_options_are_refused(self, tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
      build(tmp_path, tmp_path, **options)
