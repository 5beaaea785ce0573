"""The commands of the README from raw frames to pictures of latent space."""

import json
import pathlib
import re
import shlex
import subprocess
import sys

from PIL import Image
import pytest

from configs import prior as prior_config
from seqdiff import main
from seqdiff.data import encode_latents
from seqdiff.data import synthetic

ROOT = pathlib.Path(__file__).resolve().parents[2]
SMALL = ('train.num_steps=4', 'train.log_every=2', 'train.save_every=4',
         'data.batch_size=8', 'data.eval_batch_size=8', 'optim.warmup_steps=1',
         'eval.num_clips=4', 'eval.num_shown=2')
OPTIONS = {
    'autoencoder_frames': (
        'method.net.channels=4', 'method.net.multipliers=(1,2,2)',
        'method.net.groups=2'),
    'diffsda_frames_latent': (
        'method.static_dim=4', 'method.dynamic_dim=2', 'method.hidden=8',
        'method.encoder.channels=4', 'method.encoder.features=8',
        'method.denoiser.channels=4', 'method.denoiser.multipliers=(1,)',
        'method.denoiser.groups=2', 'sampler.num_steps=3'),
    'prior': ('method.layers=3', 'method.expand=2', 'sampler.num_steps=4',
              'explore.num_codes=64', 'explore.num_components=1',
              'explore.num_alphas=3'),
}


def _commands() -> list[list[str]]:
  """The words of each line of the README's section."""
  text = (ROOT / 'README.md').read_text().split('**Latents.**')[1]
  block = re.search('```bash\n(.*?)```', text, re.DOTALL)[1]
  return [shlex.split(line)[1:] for line in block.splitlines()]


def test_exploring_is_sized_for_two_cores():
  (words,) = (words for words in _commands() if '--mode=explore' in words)
  codes, steps = (
      next(int(word.split('=')[1]) for word in words if f'{name}=' in word)
      for name in ('explore.num_codes', 'sampler.num_steps'))
  config = prior_config.get_config()
  # The whole takes 45 minutes.
  whole = config.explore.num_codes * config.sampler.num_steps
  assert codes * steps <= whole / 100


@pytest.mark.slow
def test_from_frames_to_pictures_of_latent_space(tmp_path, monkeypatch, cli):
  (tmp_path / 'configs').symlink_to(ROOT / 'configs')
  clips = synthetic.puppets(num_frames=12, num_train=8, num_test=1).splits
  for k in range(8):
    folder = tmp_path / 'videos' / f'clip{k}'
    folder.mkdir(parents=True)
    for t, frame in enumerate(clips['train'][k]['x']):
      Image.fromarray(frame).save(folder / f'{t}.png')
  monkeypatch.chdir(tmp_path)
  for _, module, *words in _commands():
    if module == 'seqdiff.data.prepare':
      subprocess.run([sys.executable, '-m', module, *words], check=True)
      continue
    name = re.search('--config=configs/(\\w+).py', words[0])[1]
    program = {'seqdiff.main': main.main,
               'seqdiff.data.encode_latents': encode_latents.main}[module]
    ended = cli(*words, *(f'--config.{option}' for option in (
        *SMALL, *OPTIONS[name])), program=program)
    assert ended.code == 0, (words, ended.err)
  runs, prior = tmp_path / 'runs', tmp_path / 'runs/frames_prior'
  for path in (
      runs / 'autoencoder_frames/figures/reconstruction.png',
      runs / 'diffsda_frames_latent/figures/swap.gif',
      runs / 'diffsda_frames_latent/on_puppets/figures/swap.gif',
      prior / 'figures/generated.png', prior / 'figures/completed_static.png',
      prior / 'figures/explore_static_1.gif',
      prior / 'figures/explore_dynamic_1.png',
      prior / 'figures/interpolation.gif'):
    assert path.stat().st_size > 500, path
  for path in (runs / 'diffsda_frames_latent/results/reconstruction.json',
               prior / 'results/exploration.json'):
    assert json.loads(path.read_text())['step'] == 4
