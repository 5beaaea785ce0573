"""An autoencoder from the command line: reconstructions, and no swaps."""

import json

import pytest

import seqdiff

SMALL = ('--config=configs/autoencoder_puppets.py',) + tuple(
    f'--config.{change}' for change in (
        'data.size=8', 'data.num_train=32', 'data.num_test=6',
        'data.batch_size=8', 'data.eval_batch_size=8', 'method.net.channels=4',
        'method.net.multipliers=(1,2)', 'method.net.groups=2',
        'optim.warmup_steps=1', 'train.num_steps=4', 'train.log_every=2',
        'train.save_every=4', 'eval.num_clips=6', 'eval.num_shown=2',
        'eval.judge.batch_size=8'))


@pytest.mark.slow
def test_train_draws_reconstructions_and_evaluates(cli, tmp_path):
  workdir = tmp_path / 'run'
  ended = cli(*SMALL, f'--workdir={workdir}')
  assert ended.code == 0, ended.err
  assert (workdir / 'figures/reconstruction.png').is_file()
  assert not (workdir / 'figures/swap.png').exists()
  result = json.loads((workdir / 'results/reconstruction.json').read_text())
  assert 0.0 < result['metrics']['psnr'] < 40.0
  model = seqdiff.load(workdir)
  clips = model.dataset.splits['test'][0]['x'][None]
  assert model.encode(clips).shape == (1, 2, 4, 4, 4)
  assert model.reconstruct(clips).shape == clips.shape
  ended = cli(*SMALL, f'--workdir={workdir}', '--mode=swap')
  assert (ended.code, ended.out) == (2, '')
  assert ('error: --mode=swap with method.name=autoencoder, which has no static'
          ' and dynamic factors') in ended.err


@pytest.mark.parametrize('mode', ['train', 'evaluate'])
def test_protocols_of_factors_are_refused_at_once(cli, tmp_path, mode):
  workdir = tmp_path / 'run'
  ended = cli(*SMALL, f'--workdir={workdir}', f'--mode={mode}',
              "--config.eval.protocols=('reconstruction','swap')")
  assert ended.code == 2
  assert 'eval.protocols=swap with method.name=autoencoder' in ended.err
  assert not workdir.exists()
