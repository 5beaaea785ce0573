"""From a folder of films to swapped ones, with the commands of the README."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from PIL import Image
import pytest

from configs import quickstart
import seqdiff
from seqdiff import build
from seqdiff import model as model_lib
from seqdiff import run
from seqdiff.data import films as film_lib
from seqdiff.data import synthetic
from seqdiff.figures import video

av = pytest.importorskip('av')
pytestmark = pytest.mark.slow

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def films(tmp_path_factory) -> pathlib.Path:
  """20 films of 6 frames, and one that was cut off."""
  root = tmp_path_factory.mktemp('films')
  source = synthetic.puppets(
      size=32, num_frames=6, num_train=20, num_test=1).splits['train']
  for k in range(20):
    clip = np.pad(source[k]['x'], ((0, 0), (0, 0), (8, 9), (0, 0)))  # 32 x 49.
    (root / f'p{k % 4}').mkdir(exist_ok=True)
    video.write_mp4(root / f'p{k % 4}' / f'{k}.mp4', clip)
  content = (root / 'p0' / '0.mp4').read_bytes()
  (root / 'p0' / 'bad.mp4').write_bytes(content[:len(content) // 2])
  return root


@pytest.fixture(scope='module')
def flags_of(tmp_path_factory, small):
  """Flags of the shipped config for own videos, made as small as possible."""
  data_dir = tmp_path_factory.mktemp('data')
  return ('--config=configs/diffsda_frames.py',
          f'--config.data.data_dir={data_dir}') + tuple(
              flag for flag in small[1:] if '.data.num_t' not in flag) + (
                  '--config.train.num_steps=2', '--config.train.save_every=2')


@pytest.fixture(scope='module')
def workdir(tmp_path_factory, films, flags_of, command) -> pathlib.Path:
  """The two commands."""
  workdir = tmp_path_factory.mktemp('runs') / 'own'
  data_dir = flags_of[1].partition('=')[2]
  done = subprocess.run(
      [sys.executable, '-m', 'seqdiff.data.prepare', '--dataset=frames',
       f'--manual_dir={films}', f'--data_dir={data_dir}', '--size=8',
       '--num_frames=4'],
      cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ)
  assert done.returncode == 0, done.stderr
  assert '16 train, 4 test clips' in done.stdout
  assert 'p0/bad: cannot be decoded' in done.stdout
  assert 'train: 100%' in done.stderr  # Progress with a total.
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(ROOT)
    assert command(None, *flags_of, f'--workdir={workdir}').code == 0
  return workdir


def _frames(path) -> list[np.ndarray]:
  return [np.asarray(image, int) for image in film_lib.read(path)]


def test_two_commands_end_in_a_swapped_gif(workdir):
  with Image.open(workdir / 'figures' / 'swap.gif') as image:
    assert image.n_frames == 4
  metrics = json.loads(
      (workdir / 'results' / 'reconstruction.json').read_text())['metrics']
  assert metrics['mse'] > 0.0


def test_two_films_exchange_their_motions(workdir, films, cli, flags_of):
  a, b = films / 'p0' / '0.mp4', films / 'p1' / '1.mp4'
  ended = cli(*flags_of, f'--workdir={workdir}', '--mode=swap', f'--a={a}',
              f'--b={b}')
  assert ended.code == 0, ended.err
  figure = workdir / 'figures' / 'swap_0_1.gif'
  assert str(figure) in ended.out
  assert str(figure.with_suffix('.mp4')) in ended.out
  frames = _frames(figure)
  assert len(frames) == 4 == len(_frames(figure.with_suffix('.mp4')))
  scale = 160 // 8
  panel = lambda k, t: frames[t][42:42 + 160, 16 + k * 172:16 + k * 172 + 160]
  # First the two clips, as the reader cuts them for the model, enlarged.
  model = seqdiff.load(workdir)
  clips = [next(film_lib.clips(path, size=8, num_frames=4))
           for path in (a, b)]
  swaps = model.swap(np.stack(clips), np.stack(clips[::-1]))
  for k, clip in enumerate([*clips, *swaps]):
    for t in range(4):
      expected = clip[t].repeat(scale, 0).repeat(scale, 1).astype(int)
      # A palette of 256 colours.
      assert np.abs(panel(k, t) - expected).mean() < 12, (k, t)
  before = figure.read_bytes()
  again = cli(*flags_of, f'--workdir={workdir}', '--mode=swap', f'--a={a}',
              f'--b={b}')
  assert str(figure.with_stem('swap_0_1_2')) in again.out
  assert figure.read_bytes() == before  # Nobody's file is overwritten.


def test_gifs_and_folders_of_pictures_are_swapped_too(
    workdir, tmp_path, cli, flags_of, monkeypatch):
  pictures = [Image.new('RGB', (10, 20), (40 * t, 0, 0)) for t in range(5)]
  pictures[0].save(tmp_path / 'one.gif', save_all=True,
                   append_images=pictures[1:])
  (tmp_path / 'other.d').mkdir()
  for t, picture in enumerate(pictures):
    picture.save(tmp_path / 'other.d' / f'{t}.png')
  monkeypatch.setitem(sys.modules, 'av', None)  # Neither needs it.
  ended = cli(*flags_of, f'--workdir={workdir}', '--mode=swap',
              f'--a={tmp_path / "one.gif"}', f'--b={tmp_path / "other.d"}')
  assert ended.code == 0, ended.err
  figure = workdir / 'figures' / 'swap_one_other.d.gif'
  assert figure.is_file() and str(figure) in ended.out
  assert 'Writing MP4 needs PyAV' in ended.out


OTHER = tuple(f'--data{change}' for change in (
    '=configs/quickstart.py', '.data.size=16', '.data.num_frames=5',
    '.data.num_train=30', '.data.num_test=9',
    '.data.eval_batch_size=8', '.eval.num_pairs=10', '.eval.num_clips=9',
    '.eval.judge.num_steps=2', '.eval.judge.batch_size=8',
    '.eval.judge.channels=4', '.eval.judge.hidden=4'))


def test_a_model_swaps_and_is_judged_on_data_it_never_saw(
    workdir, cli, flags_of, monkeypatch):
  monkeypatch.setattr('seqdiff.data.disk.load', None)  # Its own are not read.
  flags = (*flags_of, f'--workdir={workdir}', *OTHER)
  ended = cli(*flags, '--mode=swap')
  assert ended.code == 0, ended.err
  assert str(workdir / 'on_puppets' / 'figures' / 'swap.gif') in ended.out
  with Image.open(workdir / 'on_puppets' / 'figures' / 'swap.gif') as image:
    assert image.n_frames == 5
  assert cli(*flags, '--mode=evaluate').code == 0
  result = json.loads(
      (workdir / 'on_puppets' / 'results' / 'swap.json').read_text())
  # The judge sees the clips as the model does, 8 x 8.
  assert result['config']['data'] == {
      **result['config']['data'], 'name': 'puppets', 'size': 8}
  assert 'reference/self_reconstruction/joint_accuracy' in result['metrics']
  other = quickstart.get_config()
  other.data.size = 16
  model = model_lib.restore_for(run.read_config(workdir), workdir, other)
  seen, clip = (d.splits['test'][0]['x'].astype(float)
                for d in (model.dataset, build.dataset(other)))
  smaller = clip.reshape(-1, 8, 2, 8, 2, 3).mean(axis=(2, 4))
  assert seen.shape == smaller.shape and np.abs(seen - smaller).mean() < 8.0
  own = run.read_config(workdir)
  monkeypatch.undo()
  assert model_lib.restore_for(own, workdir, own).workdir == (
      workdir / f'on_frames-{own.data.set}')


@pytest.mark.parametrize('args, message', [
    (('--mode=train',), 'expected --mode=evaluate or reconstruct or swap'),
    (('--mode=swap', '--a=x.mp4', '--b=y.mp4'), 'without --a and --b'),
    (('--mode=swap', '--data=mug'), "Unknown config file 'mug'"),
    (('--mode=swap', '--data.data.siz=3'), "data.data 'siz'. Did you mean")])
def test_bad_use_of_other_data_is_named(workdir, cli, flags_of, args, message):
  ended = cli(*flags_of, f'--workdir={workdir}', *OTHER, *args)
  assert ended.code == 2 and message in ended.err, ended.err


@pytest.mark.parametrize('args, message', [
    (('--a={ok}',), 'expected --mode=swap with both'),
    (('--a={ok}', '--b={none}'), r'--b=\S*none.mp4 does not exist; expected'),
    (('--a={bad}', '--b={ok}'), r'--a=\S*bad.mp4 cannot be decoded .*; expec'),
    (('--a={ok}', '--b={short}'), r'too short: 2 frames, a clip takes 4.*Give'),
    (('--a={ok}', '--b={empty}'), r'--b=\S*empty.mp4 is empty: 0 bytes'),
    (('--mode=evaluate', '--a={ok}', '--b={ok}'), '--mode=evaluate with --a='),
])
def test_bad_films_are_named_before_the_checkpoint_is_read(
    workdir, films, tmp_path, cli, flags_of, monkeypatch, args, message):
  paths = dict(ok=films / 'p0' / '0.mp4', bad=films / 'p0' / 'bad.mp4',
               none=tmp_path / 'none.mp4', short=tmp_path / 'short.mp4',
               empty=tmp_path / 'empty.mp4')
  paths['empty'].touch()
  video.write_mp4(paths['short'], np.zeros((2, 16, 16, 3), np.uint8))
  monkeypatch.setattr(model_lib, 'restore', None)
  ended = cli(*flags_of, f'--workdir={workdir}', '--mode=swap',
              *(arg.format(**paths) for arg in args))
  assert ended.code == 2
  assert ended.err.startswith('error: ') and ended.err.count('\n') == 1
  with pytest.raises(ValueError, match=message):
    raise ValueError(ended.err)
