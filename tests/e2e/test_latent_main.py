"""A latent method from the command line: first stage, latents, training."""

import pathlib

import chex
import jax
import ml_collections
import numpy as np
import pytest

from configs import divid_puppets_latent
import seqdiff
from seqdiff import build
from seqdiff import first_stage
from seqdiff.data import encode_latents
from seqdiff.evaluation import results

DATA = tuple(f'--config.{change}' for change in (
    'data.size=8', 'data.num_train=40', 'data.num_test=12',
    'data.batch_size=8', 'data.eval_batch_size=8', 'train.num_steps=4',
    'train.log_every=2', 'train.save_every=4', 'optim.warmup_steps=1',
    'eval.num_clips=10', 'eval.num_shown=2', 'eval.judge.batch_size=8'))
STAGE = ('--config=configs/autoencoder_puppets.py', *DATA) + tuple(
    f'--config.method.net.{change}' for change in (
        'channels=4', 'multipliers=(1,2)', 'groups=2'))
LATENT = ('--config=configs/divid_puppets_latent.py', *DATA) + tuple(
    f'--config.{change}' for change in (
        'data.num_frames=4', 'method.static_dim=4', 'method.dynamic_dim=4',
        'method.denoiser.channels=4', 'method.denoiser.multipliers=(1,)',
        'method.denoiser.attention_levels=()', 'method.denoiser.groups=2',
        'method.denoiser.heads=2', 'method.encoder.layers=1',
        'method.encoder.width=4', 'method.encoder.heads=2',
        'method.encoder.hidden=4', 'sampler.num_steps=3', 'eval.num_pairs=6',
        'eval.judge.num_steps=3', 'eval.judge.channels=4',
        'eval.judge.hidden=4'))


@pytest.fixture
def paths(tmp_path) -> tuple[str, str]:
  return (f'--config.first_stage.workdir={tmp_path / "stage"}',
          f'--config.first_stage.cache={tmp_path / "latents"}')


@pytest.mark.slow
def test_from_first_stage_to_swapped_clips(cli, tmp_path, paths):
  workdir = tmp_path / 'run'
  ended = cli(*LATENT, *paths, f'--workdir={workdir}')
  assert ended.code == 2 and not workdir.exists()
  assert 'holds no autoencoder; expected its run directory. Train one' in (
      ended.err)
  assert cli(*STAGE, f'--workdir={tmp_path / "stage"}').code == 0
  ended = cli(*LATENT, *paths, f'--workdir={workdir}')
  assert ended.code == 2 and not workdir.exists()
  assert 'holds no finished latents; expected those that' in ended.err
  _check_copy(tmp_path / 'stage')
  ended = cli(*LATENT, *paths, program=encode_latents.main)
  assert ended.code == 0, ended.err
  ended = cli(*LATENT, *paths, f'--workdir={workdir}')
  assert ended.code == 0, ended.err
  swap = results.read(results.path_of(workdir, 'swap'))
  assert 'reference/first_stage/joint_accuracy' in swap.metrics
  _check_model(seqdiff.load(workdir))
  ended = cli(*LATENT, *paths, f'--workdir={workdir}', '--mode=swap',
              '--config.first_stage.std=0.5')
  assert ended.code == 2 and 'std: 1.0 there, 0.5 here' in ended.err
  (pathlib.Path(tmp_path) / 'latents' / 'latents.json').unlink()
  assert cli(*LATENT, *paths, f'--workdir={workdir}').code == 2


def _check_copy(stage):
  """The backbone of a method may start as the encoder of the first stage."""
  model = seqdiff.load(stage)
  config = divid_puppets_latent.get_config()
  config.data = model.config.data
  config.first_stage.update(workdir=str(stage), copy=True)
  method, batch = build.method(config), {'x': np.zeros((1, 2, 4, 4, 4))}
  with pytest.raises(ValueError, match='copy=True with frames=False'):
    first_stage.starting(method, config, model.dataset)
  config.first_stage.frames = True
  net = model.config.method.net  # 'kl': means and variances.
  config.method.backbone = ml_collections.ConfigDict(dict(
      kind='ldm', features=2 * net.z_channels, **{k: net[k] for k in (
          'channels', 'multipliers', 'num_blocks', 'attention_levels',
          'groups')}))
  batch.update(mask=np.ones((1, 2), bool), frames=np.zeros((1, 2, 8, 8, 3)))
  method = first_stage.starting(build.method(config), config, model.dataset)
  params = method.init(jax.random.key(0), batch)
  chex.assert_trees_all_equal(
      params['encoder']['params']['backbone'],
      model.params['params']['encoder'])


def _check_model(model):
  """Clips in, clips out; latents of the training split have unit size."""
  clips = np.stack([
      model.dataset.splits['test'][i]['x'][:4] for i in range(3)])
  swapped = model.swap(clips, clips[::-1])
  assert swapped.shape == clips.shape and swapped.dtype == np.uint8
  assert model.encode(clips).dynamic.shape == (3, 4, 4)
  x = np.concatenate([
      model.dataset.splits['train'][i]['x'] for i in range(40)])
  z = model.method._to_latents(model.params, x[None] / 127.5 - 1.0)
  np.testing.assert_allclose(np.std(z), 1.0, rtol=0.02)  # float16 on disk.
