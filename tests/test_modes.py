"""Tests of `modes`: how a film is cut for a model, and what is generated."""

import pathlib
import types

from etils import epath
import jax
import numpy as np
from PIL import Image
import pytest

from configs import prior as prior_config
from configs import quickstart
from seqdiff import build
from seqdiff import model
from seqdiff import modes
from seqdiff import prior
from seqdiff import run
from seqdiff.data import batch
from seqdiff.data import loader
from seqdiff.evaluation import runner
from seqdiff.evaluation.protocols import swap
from seqdiff.figures import curves
from seqdiff.training import loop


@pytest.fixture
def film(tmp_path):
  """A folder of nine pictures, number t of brightness 20 t."""
  for t in range(9):
    Image.new('RGB', (10, 10), (20 * t,) * 3).save(tmp_path / f'{t}.png')
  return tmp_path


@pytest.mark.parametrize('changes, expected', [
    ({}, [0, 1, 2, 3]), ({'stride': 2}, [0, 2, 4, 6]),
    # The middle frames of 0-1, 2-3, 4-5 and 6-8.
    ({'take': 'stratified'}, [0, 2, 4, 7]),
    # The stride is 9 // 4 at most, as for a clip of nine frames in training.
    ({'take': 'shrinking', 'stride': 2}, [0, 2, 4, 6]),
    ({'take': 'shrinking', 'stride': 3}, [0, 2, 4, 6]),
])
def test_films_are_cut_like_clips_in_the_evaluation(film, changes, expected):
  config = quickstart.get_config()
  with config.unlocked():
    config.data.update(num_frames=4, **changes)
  item = {'x': np.zeros((9, 8, 8, 3), np.uint8)}
  dataset = batch.Dataset('toy', {'train': [item]})
  clip = modes._read_clip('a', film, config, dataset)
  assert clip.shape == (4, 8, 8, 3)
  whole = [{'x': np.arange(9, dtype=np.uint8).reshape(9, 1, 1, 1)}]
  np.testing.assert_array_equal(next(loader.eval_batches(
      whole, batch_size=1, **run.cut(config)))['x'].ravel(), expected)
  np.testing.assert_array_equal(clip[:, 0, 0, 0], 20 * np.array(expected))
  for k in range(3, 9):
    (film / f'{k}.png').unlink()
  with pytest.raises(ValueError, match='too short: 3 frames, a clip takes'):
    modes._read_clip('a', film, config, dataset)


def test_as_many_clips_are_generated_as_the_prior_is_to_show(
    tmp_path, monkeypatch):
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=5, num_train=2, num_test=8)
  dataset = build.dataset(config)
  draw = lambda count, seed: np.random.default_rng(seed).integers(
      256, size=(count, 5, 8, 8, 3), dtype=np.uint8)
  sampler = types.SimpleNamespace(
      model=model.Model(config, tmp_path, dataset, None, {}, 1),
      codes=types.SimpleNamespace(prior=types.SimpleNamespace(num_frames=5)),
      generate=lambda count, *, seed: draw(count, seed),
      complete=lambda clips, *, keep, seed: draw(
          len(clips), seed + ord(keep[0])))
  monkeypatch.setattr(prior, 'restore', lambda *args: sampler)
  settings = prior_config.get_config()
  settings.eval.update(num_shown=3, seed=8)
  modes.generate(settings, tmp_path)
  read = lambda name: dict(np.load(tmp_path / f'figures/{name}.npz'))
  np.testing.assert_array_equal(read('generated')['sample'], draw(3, 8))
  found = read('completed_dynamic')
  assert found.keys() == {'original', 'new_static_code'}
  np.testing.assert_array_equal(found['new_static_code'], draw(3, 8 + ord('d')))
  np.testing.assert_array_equal(
      found['original'], [dataset.splits['test'][i]['x'] for i in range(3)])
  for name in 'generated', 'completed_static', 'completed_dynamic':
    with Image.open(tmp_path / f'figures/{name}.gif') as film:
      assert film.n_frames == 5
    assert (tmp_path / f'figures/{name}.png').stat().st_size > 500


class Mirror(model.Model):
  """Without networks: what is decoded are the clips that were given."""

  def reconstruct(self, clips, **kwargs):
    return clips

  def swap(self, a, b, **kwargs):
    return a


@pytest.fixture
def run_all(tmp_path, film, monkeypatch):
  """Runs the modes of a model in a run directory; returns the files there."""
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=3, num_train=2, num_test=8)
  config.eval.update(
      num_shown=2, num_pairs=2, protocols=('reconstruction',))
  workdir = epath.Path(tmp_path) / 'run'
  mirror = Mirror(config, workdir, build.dataset(config), None, {}, 1)
  monkeypatch.setattr(model, 'restore', lambda *args, **kwargs: mirror)
  monkeypatch.setattr(run, 'train', lambda *args: loop.Result(
      state=None, step=1, interrupted=False))
  monkeypatch.setattr(curves, 'read_metrics', lambda path: {
      'loss': (np.arange(2), np.ones(2))})
  monkeypatch.setitem(runner.PROTOCOLS, 'reconstruction', types.SimpleNamespace(
      VERSION=1, run=lambda ctx: ({'mse': 0.5}, {
          'pairs': len(swap._pairs(ctx).a)})))  # Which draws them.

  def run_all():
    for mode in 'train', 'reconstruct', 'swap', 'evaluate':
      modes.run_mode(mode, config, workdir)
    modes.run_mode('swap', config, workdir, a=str(film), b=str(film))
    return {str(p.relative_to(workdir)) for p in pathlib.Path(
        workdir).rglob('*') if p.is_file()}

  return run_all


def test_only_the_first_process_writes_figures_results_and_pairs(
    run_all, film, monkeypatch):
  with monkeypatch.context() as patch:
    patch.setattr(jax, 'process_index', lambda: 1)
    assert not run_all()
  name = f'figures/swap_{film.name}_{film.name}'
  assert run_all() - {f'{name}.mp4'} == {  # Which needs PyAV.
      'figures/curves.png', 'figures/reconstruction.png', 'figures/swap.png',
      'figures/swap.gif', f'{name}.gif', 'pairs.json',
      'results/reconstruction.json'}
