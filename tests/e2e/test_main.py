"""The main job from the command line: train, stop, continue, judge, swap."""

import json
import os
import pathlib
import re
import shutil
import signal

import jax
import numpy as np
from PIL import Image
import pytest

import seqdiff
from seqdiff import modes
from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.training import writer

PROTOCOLS = ('reconstruction', 'leakage', 'swap')


@pytest.fixture(scope='module')
def run_dir(tmp_path_factory, small, command) -> pathlib.Path:
  """A run that was stopped by SIGTERM and then continued to its end."""
  workdir = tmp_path_factory.mktemp('runs') / 'small'
  root = pathlib.Path(__file__).resolve().parents[2]
  advance = writer.MetricWriter.advance

  def stop_at_two(self, step):
    advance(self, step)
    if step == 2:
      os.kill(os.getpid(), signal.SIGTERM)

  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(root)
    patch.setattr(writer.MetricWriter, 'advance', stop_at_two)
    assert command(None, *small, f'--workdir={workdir}').code == 0
    assert not (workdir / 'figures').exists()  # It did not go on.
    assert os.listdir(workdir / 'checkpoints') == ['3']
    patch.setattr(writer.MetricWriter, 'advance', advance)
    assert command(None, *small, f'--workdir={workdir}').code == 0
  return workdir


@pytest.fixture(scope='module')
def model(run_dir):
  return seqdiff.load(run_dir)


@pytest.fixture(scope='module')
def clips(model) -> np.ndarray:
  source = model.dataset.splits['test']
  return np.stack([source[i]['x'] for i in range(6)])


def _picture(path) -> np.ndarray:
  with Image.open(path) as image:
    return np.asarray(image.convert('RGB'), float)


class TestTrain:

  def test_continued_run_is_one_run(self, run_dir):
    rows = [json.loads(line) for line in
            (run_dir / 'metrics.jsonl').read_text().splitlines()]
    assert [row['step'] for row in rows] == [2, 3, 4, 6]
    assert all(np.isfinite(row['loss']) for row in rows)
    assert sorted(os.listdir(run_dir / 'checkpoints')) == ['3', '6']

  @pytest.mark.parametrize(
      'name', ['swap.png', 'swap.gif', 'reconstruction.png', 'curves.png'])
  def test_figures_are_drawn(self, run_dir, name):
    image = _picture(run_dir / 'figures' / name)
    assert min(image.shape[:2]) >= 24
    assert image.std() > 10.0
    assert len(np.unique(image.reshape(-1, 3), axis=0)) > 30

  def test_animation_has_the_frames_of_a_clip(self, run_dir):
    with Image.open(run_dir / 'figures' / 'swap.gif') as image:
      assert image.n_frames == 4

  @pytest.mark.parametrize('protocol', PROTOCOLS)
  def test_result_is_of_this_run(self, run_dir, protocol):
    result = results.read(results.path_of(run_dir, protocol))
    assert result.step == 6
    assert result.config == json.loads((run_dir / 'config.json').read_text())
    assert result.hardware['platform'] == 'cpu'
    assert result.wall_seconds > 0.0

  def test_headlines_are_there(self, run_dir):
    metrics = lambda name: results.read(
        results.path_of(run_dir, name)).metrics
    for name in 'static', 'dynamic', 'joint':
      assert f'{name}_accuracy' in metrics('swap')
      assert f'reference/copy_a/{name}_accuracy' in metrics('swap')
    assert 0.0 < metrics('reconstruction')['mse'] < 1.0
    assert 's_to_d/angles' in metrics('leakage')
    judge = results.read(results.path_of(run_dir / 'judges', 'judge'))
    assert 'body_accuracy' in judge.metrics
    assert judge.counts['clips'] == 12


class TestOtherModes:

  def test_evaluation_is_repeatable(self, run_dir, cli, small):
    paths = [results.path_of(run_dir, name) for name in PROTOCOLS]
    before = [results.read(path) for path in paths]
    ended = cli(*small, f'--workdir={run_dir}', '--mode=evaluate')
    assert ended.code == 0, ended.err
    for old, path in zip(before, paths):
      new = results.read(path)
      assert new.metrics == old.metrics
      assert new.wall_seconds != old.wall_seconds  # It was written anew.
    assert 'joint_accuracy' in ended.out and 'swap.json' in ended.out

  @pytest.mark.parametrize('mode', ['swap', 'reconstruct'])
  def test_figures_are_drawn_again(self, run_dir, cli, small, mode):
    name = {'swap': 'swap', 'reconstruct': 'reconstruction'}[mode]
    path = run_dir / 'figures' / f'{name}.png'
    before = _picture(path)
    path.unlink()
    ended = cli(*small, f'--workdir={run_dir}', f'--mode={mode}')
    assert ended.code == 0, ended.err
    assert str(path) in ended.out
    np.testing.assert_array_equal(_picture(path), before)

  @pytest.mark.parametrize('mode', ['swap', 'reconstruct', 'evaluate'])
  def test_another_method_of_the_same_shapes_is_refused(
      self, run_dir, cli, small, mode):
    files = [p for p in run_dir.rglob('*') if p.is_file()]
    before = {p: p.stat().st_mtime_ns for p in files}
    ended = cli(*small, f'--workdir={run_dir}', f'--mode={mode}',
                '--config.method.unit_codes=True')
    assert ended.code == 2
    assert 'unit_codes: False there, True here. Expected the sa' in ended.err
    assert {p: p.stat().st_mtime_ns for p in files} == before

  def test_another_sampler_draws_from_the_same_run(
      self, run_dir, cli, small):
    path = run_dir / 'figures' / 'reconstruction.png'
    before = _picture(path)
    ended = cli(*small, f'--workdir={run_dir}', '--mode=reconstruct',
                '--config.sampler.num_steps=2')
    assert ended.code == 0, ended.err
    assert np.any(_picture(path) != before)

  def test_run_that_is_done_trains_no_further(
      self, run_dir, cli, small, monkeypatch):
    judged = []
    monkeypatch.setattr(
        modes, '_evaluate', lambda model, resume: judged.append(model))
    before = (run_dir / 'metrics.jsonl').read_text()
    ended = cli(*small, f'--workdir={run_dir}')
    assert ended.code == 0, ended.err
    assert (run_dir / 'metrics.jsonl').read_text() == before
    assert [model.step for model in judged] == [6]


@pytest.fixture
def terminate():
  """Sends SIGTERM to this process, which must not come through."""
  came = []
  former = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
  yield lambda: os.kill(os.getpid(), signal.SIGTERM)
  signal.signal(signal.SIGTERM, former)
  assert not came


class TestStoppedAfterTraining:

  def test_judge_is_saved_and_the_command_goes_on(
      self, run_dir, cli, small, tmp_path, terminate, monkeypatch):
    home = shutil.copytree(run_dir, tmp_path / 'run')
    shutil.rmtree(home / 'judges')
    args = *small, f'--workdir={home}', '--mode=evaluate'
    advance = writer.MetricWriter.advance

    def stop_after_one(self, step):
      advance(self, step)
      if step == 1:
        terminate()

    with monkeypatch.context() as patch:
      patch.setattr(writer.MetricWriter, 'advance', stop_after_one)
      ended = cli(*args)
    assert ended.code == 0, ended.err
    assert 'training judge 0, which was saved; the same command' in ended.out
    assert os.listdir(home / 'judges/0/checkpoints') == ['2']
    ended = cli(*args)
    assert ended.code == 0, ended.err
    assert 'joint_accuracy' in ended.out

  @pytest.mark.slow
  def test_nothing_comes_after_the_protocol_or_figure_it_came_in(
      self, run_dir, cli, small, tmp_path, terminate, monkeypatch):
    home = shutil.copytree(run_dir, tmp_path / 'run')
    shutil.rmtree(home / 'figures')
    written = {name: results.path_of(home, name).read_text()
               for name in PROTOCOLS}
    first, *others = written
    run, draw = runner.PROTOCOLS[first].run, modes._draw_reconstruction

    def stop_in(function, *args):
      terminate()
      return function(*args)

    with monkeypatch.context() as patch:
      patch.setattr(runner.PROTOCOLS[first], 'run', lambda ctx: stop_in(
          run, ctx))
      patch.setattr(modes, '_draw_reconstruction', lambda model: stop_in(
          draw, model))
      evaluated = cli(*small, f'--workdir={home}', '--mode=evaluate')
      drawn = cli(*small, f'--workdir={home}')
    for ended in evaluated, drawn:
      assert ended.code == 0, ended.err
      assert 'Stopped by SIGTERM; the same command continues.' in ended.out
    assert results.path_of(home, first).read_text() != written[first]
    assert all(results.path_of(home, name).read_text() == written[name]
               for name in others)
    assert not (home / 'figures/swap.png').exists()
    assert cli(*small, f'--workdir={home}').code == 0
    assert (home / 'figures/swap.png').exists()


class TestWrongRun:

  def test_another_config_is_refused(self, run_dir, cli, small):
    ended = cli(*small, f'--workdir={run_dir}',
                '--config.optim.learning_rate=0.125')
    assert ended.code == 2
    assert re.match(
        r'error: The run directory .* belongs to another configuration: '
        r'optim.learning_rate: \S* there, 0.125 here. .*--workdir', ended.err)

  def test_checkpoint_of_another_shape_is_refused(self, run_dir, cli, small):
    before = results.path_of(run_dir, 'swap').read_text()
    ended = cli(*small, f'--workdir={run_dir}', '--mode=evaluate',
                '--config.method.static_dim=5')
    assert ended.code == 2
    assert re.match(
        r'error: The checkpoint .* is of another model: .* there and .* in '
        r'this configuration. Use the configuration', ended.err)
    assert results.path_of(run_dir, 'swap').read_text() == before

  def test_results_of_another_sampler_are_refused(self, run_dir, cli, small):
    ended = cli(*small, f'--workdir={run_dir}', '--mode=evaluate',
                '--config.sampler.num_steps=2')
    assert ended.code == 2
    assert 'holds the result of another run' in ended.err


class TestLoad:

  def test_codes_belong_to_clips(self, model, clips):
    factors = model.encode(clips)
    assert factors.static.shape == (6, 4) and factors.dynamic.shape == (6, 4, 2)
    assert isinstance(factors.static, np.ndarray)
    one = model.encode(clips[2:3])
    np.testing.assert_allclose(one.static[0], factors.static[2], atol=1e-4)
    np.testing.assert_allclose(one.dynamic[0], factors.dynamic[2], atol=1e-4)
    assert np.ptp(factors.static, axis=0).min() > 1e-3

  def test_floats_are_as_good_as_bytes(self, model, clips):
    as_float = clips.astype(np.float64) / 127.5 - 1.0
    np.testing.assert_allclose(
        model.encode(as_float).static, model.encode(clips).static, atol=1e-4)

  def test_decode_of_the_codes_is_reconstruction(self, model, clips):
    found = model.decode(model.encode(clips), seed=3)
    expected = model.reconstruct(clips, seed=3)
    assert found.dtype == expected.dtype == np.uint8
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert np.any(model.decode(model.encode(clips), seed=4) != found)

  def test_swap_with_itself_is_reconstruction(self, model, clips):
    np.testing.assert_array_equal(
        model.swap(clips, clips, x_T='fresh_shared', seed=1),
        model.reconstruct(clips, seed=1))

  def test_swap_decodes_static_of_a_and_dynamic_of_b(self, model, clips):
    a, b = clips, clips[::-1]
    of_a, of_b = model.encode(a), model.encode(b)
    expected = model.decode(of_a.replace(dynamic=of_b.dynamic))
    found = model.swap(a, b, x_T='fresh_shared')
    assert np.abs(found.astype(int) - expected).max() <= 1
    default = model.swap(a, b)  # config.sampler.x_T
    np.testing.assert_array_equal(default, found)

  def test_own_x_T_gives_the_clip_back(self, model, clips):
    error = lambda x_T: np.square(
        model.reconstruct(clips, x_T=x_T).astype(float) - clips).mean()
    assert error('encoded') < 0.5 * error('fresh_shared')

  def test_motion_may_be_longer_than_the_identity(self, model, clips):
    assert model.swap(clips[:, :3], clips).shape == clips.shape

  def test_second_call_compiles_nothing(self, model, clips, caplog):
    model.reconstruct(clips)
    with jax.log_compiles():
      model.reconstruct(clips)
      assert 'Compiling' not in caplog.text
      model.reconstruct(clips[:, :2])
      assert 'Compiling' in caplog.text

  def test_judge_alone_is_scored_again(self, run_dir, model):
    found = model.evaluate(['judge'])['judge']
    written = results.read(results.path_of(run_dir / 'judges', 'judge'))
    assert found.metrics == written.metrics

  def test_older_checkpoint_has_other_weights(self, run_dir, model, clips):
    older = seqdiff.load(run_dir, step=3)
    assert (older.step, model.step) == (3, 6)
    assert np.any(older.encode(clips).static != model.encode(clips).static)

  @pytest.mark.parametrize('change, message', [
      (lambda x: x[0], r'shape \(4, 8, 8, 3\); expected \(B, T, 8, 8, 3\)'),
      (lambda x: x[:, :, :4], r'shape \(6, 4, 4, 8, 3\).*Resize or crop'),
      (lambda x: x[:0], r'shape \(0, 4, 8, 8, 3\); expected at least one clip'),
      (lambda x: x[:, :0], r'shape \(6, 0, 8, 8, 3\); .*at least one frame'),
      (lambda x: x.astype(float), r'outside \[-1, 1\].*x \* 2 - 1'),
      (lambda x: np.full(x.shape, np.nan), 'not finite'),
      (lambda x: np.zeros(x.shape, int), 'type int64.*expected uint8'),
      (lambda x: np.full(x.shape, 'x'), 'type <U1.*expected uint8'),
  ])
  def test_clips_of_another_form_are_refused(
      self, model, clips, change, message):
    for use in model.encode, model.reconstruct:
      with pytest.raises(ValueError, match=message):
        use(change(clips))
    with pytest.raises(ValueError, match=message):
      model.swap(change(clips), change(clips))

  def test_other_mistakes_are_named(self, run_dir, model, clips, tmp_path):
    with pytest.raises(ValueError, match='2 clips a and 3 clips b.*Repeat'):
      model.swap(clips[:2], clips[:3])
    with pytest.raises(ValueError, match="x_T 'fesh'. Did you mean 'fresh'"):
      model.swap(clips, clips, x_T='fesh')
    with pytest.raises(ValueError, match='protocol .swp.. Did you mean .swap.'):
      model.evaluate(['swp'])
    with pytest.raises(ValueError, match='no checkpoint of step 4.*3'):
      seqdiff.load(run_dir, step=4)
    with pytest.raises(ValueError, match='is no run directory.*config.json'):
      seqdiff.load(tmp_path)


class TestFineTuning:
  """`train.start_from`, with attention over time that begins as nothing."""

  FLAGS = tuple(f'--config.{change}' for change in (
      'method.frames_per_step=None', 'method.denoiser.temporal=True',
      'optim.ema_decay=None', 'optim.warmup_steps=0', 'train.num_steps=1',
      'train.save_every=1', 'eval.protocols=()'))

  @pytest.mark.slow
  def test_training_starts_as_the_other_run_ended(
      self, run_dir, model, clips, tmp_path, cli, small):
    ended = cli(*small, *self.FLAGS, f'--workdir={tmp_path / "run"}',
                '--config.optim.learning_rate=1e-12',
                f'--config.train.start_from={run_dir}')
    assert ended.code == 0, ended.err
    tuned = seqdiff.load(tmp_path / 'run')
    assert jax.tree.structure(tuned.params) != jax.tree.structure(model.params)
    np.testing.assert_allclose(
        tuned.swap(clips, clips[::-1]).astype(int),
        model.swap(clips, clips[::-1]).astype(int), atol=1)

  @pytest.mark.parametrize('changes, message', [
      (('--config.train.start_from=nowhere',), 'nowhere is no run directory'),
      (('--config.train.start_from={run}', '--config.method.hidden=4'),
       'config.train.start_from: encoder/'),
      (('--config.method.frames_per_step=2',), 'frames_per_step=2; expected')])
  def test_what_does_not_fit_is_named(
      self, run_dir, tmp_path, cli, small, changes, message):
    ended = cli(*small, *self.FLAGS, f'--workdir={tmp_path / "run"}',
                *(change.format(run=run_dir) for change in changes))
    assert ended.code == 2 and message in ended.err, ended.err
    assert not (tmp_path / 'run').exists()
