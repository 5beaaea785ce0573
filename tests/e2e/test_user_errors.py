"""What a user does wrong ends in one paragraph and exit code 2."""

import os
import pathlib
import subprocess
import sys

import ml_collections
import pytest

from seqdiff import main
from seqdiff import modes

QUICK = '--config=configs/quickstart.py'


def _is_one_paragraph(ended, message: str) -> None:
  assert ended.code == 2
  assert ended.err.startswith('error: ')
  assert ended.err.count('\n') == 1 and 'Traceback' not in ended.err
  with pytest.raises(ValueError, match=message):
    raise ValueError(ended.err)


@pytest.mark.parametrize('args, message', [
    ((QUICK, '--config.optim.lerning_rate=1'),
     "Unknown key of config.optim 'lerning_rate'. Did you mean 'learning_rate'"
     '.*Known: b1, b2'),
    ((QUICK, '--config.optm.learning_rate=1'),
     "Unknown key of config 'optm'. Did you mean 'optim'"),
    ((QUICK, '--config.seed.x=1'), "Unknown key of config.seed 'x'"),
    ((QUICK, '--config.optim.learning_rate=abc'),
     "config.optim.learning_rate=abc: could not convert.*'abc'.*of the type"),
    ((QUICK, '--config.train.num_steps=2.5'),
     "config.train.num_steps=2.5: invalid.*int.*of the type"),
    ((QUICK, '--config.train.fsdp=maybe'), 'fsdp=maybe: .*boolean'),
    ((QUICK, '--config.method.remat=dots'),
     "Unknown remat 'dots'.*Known: dots_saveable"),
    ((QUICK, '--config.train.num_steps'), 'Missing value for flag'),
    (('--config.train.num_steps=2',), 'No --config was given.*quickstart.py'),
    ((), 'No --config was given.*--config=configs/quickstart.py'),
    (('--config=configs/quikstart.py',),
     "Unknown config file 'configs/quikstart.py'. Did you mean 'configs/quick"),
    (('--config', 'none.py'), "Unknown config file 'none.py'.*configs/quick"),
    ((QUICK, '--mode=trian'), "Unknown mode 'trian'. Did you mean 'train'"),
    ((QUICK, 'swap'), r"Arguments \['swap'\] are not flags"),
    ((QUICK, '--workdr=x'), "Unknown command line flag 'workdr'. Did you mean"),
    ((QUICK, '--platform=abacus'), 'platform=abacus.*cpu|gpu|tpu'),
    ((QUICK, '--config.eval.protocols=("swp",)'),
     "Unknown protocol 'swp'. Did you mean 'swap'"),
    ((QUICK, '--config.sampler.x_T=encoded'), "Unknown x_T 'encoded'"),
    ((QUICK, '--config.sampler.name=ddim'), "Unknown sampler 'ddim'"),
    ((QUICK, '--config.method.name=divd'), "Unknown method 'divd'"),
    ((QUICK, '--config.method.aggregator=pol'), "Unknown aggregator 'pol'"),
    ((QUICK, '--config.data.name=pupets'), "data set 'pupets'.*'puppets'"),
    ((QUICK, '--config.eval.split=validation'), "Unknown split 'validation'"),
    ((QUICK, '--config.data.batch_size=12'),
     'batch size is 12 and there are 8 devices.*8 or 16'),
    ((QUICK, '--config.eval.judge.batch_size=12'),
     r'judges \(eval.judge.batch_size\) is 12 and there are 8 devices'),
    ((QUICK, '--config.eval.judge.num_judges=0'), 'num_judges=0; expected 1'),
    ((QUICK, '--config.eval.judge.num_steps=0'), 'num_steps=0; expected 1 or'),
    ((QUICK, '--config.eval.judge.network=r2plus1'), "'r2plus1d'"),
    ((QUICK, '--config.eval.num_shown=0'), 'num_shown=0; expected 1 or more'),
    ((QUICK, '--config.data.eval_batch_size=0', '--mode=reconstruct'),
     'data.eval_batch_size=0; expected 1 or more clips'),
    ((QUICK, '--mode=swap', f'--data={QUICK[9:]}',
      '--data.data.eval_batch_size=-1'),
     'data.eval_batch_size=-1; expected 1 or more clips'),
    ((QUICK, '--config.data.num_frames=0'), 'num_frames=0, expected at least'),
    (('--config=configs/quickstart_ablation.py:cross_static',),
     "Unknown lever 'cross_static'.*Known: aggregator, centre, coord"),
    ((QUICK, '--config.method.shared_static=False'),
     'static_frames=2 .*shared_static=False, where each frame has a static'),
    ((QUICK, '--config.method.image_channels=1'),
     'image_channels=1 with clips of 3 channels; expected 3'),
    ((QUICK, '--config.data.size=10'), 'images of 10x10 cannot be halved'),
    ((QUICK, '--config.train.num_steps=5', '--config.optim.warmup_steps=7'),
     'warmup_steps is 7 and train.num_steps is 5'),
    ((QUICK, '--config.train.save_every=0'), 'save_every is 0.*1 or more'),
    ((QUICK, '--config.train.keep_last=0'), 'keep_last is 0.*1 or more.*None'),
    ((QUICK, '--config.train.keep_last=-1'), 'keep_last is -1. Expected 1 or'),
    ((QUICK, '--config.sampler.num_steps=1'), 'steps=1, expected at least 2'),
    ((QUICK, '--config.sampler.sigma_min=100'), 'sigma_min=100.0.*sigma_max'),
    ((QUICK, '--config.train.parallel=mash'), "'mash'. Did you mean 'mesh'"),
    ((QUICK, '--config.train.fsdp=True'), "fsdp is True with .*'mesh'"),
    ((QUICK, '--config.optim.schedule=cosin'), "schedule 'cosin'.*'cosine'"),
    ((QUICK, '--mode=evaluate'), 'There is no checkpoint in .*Train first'),
    ((QUICK, '--mode=swap'), 'There is no checkpoint in .*Train first'),
])
def test_mistake_is_explained_and_leaves_nothing(
    cli, tmp_path, args, message):
  ended = cli(f'--workdir={tmp_path / "run"}', *args)
  _is_one_paragraph(ended, message)
  assert not (tmp_path / 'run').exists()  # Another config may still use it.


def test_data_that_was_not_prepared_is_explained(cli, tmp_path):
  path = tmp_path / 'sprites.py'
  path.write_text(
      'from configs.common import video\n'
      'def get_config():\n'
      '  config = video.get_config()\n'
      '  config.data.name = "sprites"\n'
      f'  config.data.data_dir = "{tmp_path}"\n'
      '  return config\n')
  ended = cli(f'--config={path}', f'--workdir={tmp_path / "run"}')
  _is_one_paragraph(ended, 'holds no data set. Prepare it once with `python -m'
                    ' seqdiff.data.prepare --dataset=sprites')


def test_directory_that_cannot_be_made_is_explained(cli, small, tmp_path):
  (tmp_path / 'file').write_text('')
  ended = cli(*small, f'--workdir={tmp_path / "file" / "run"}')
  _is_one_paragraph(ended, 'Not a directory')


class TestFlags:

  @pytest.fixture
  def given(self, monkeypatch):
    """What a mode was called with."""
    calls = []
    monkeypatch.setitem(
        modes.MODES, 'train', lambda config, path: calls.append((config, path)))
    return calls

  def test_freed_memory_is_kept_before_a_mode_begins(
      self, cli, given, monkeypatch):
    kept = []
    monkeypatch.setattr(
        main.memory, 'keep_freed', lambda: kept.append(len(given)))
    assert cli(QUICK).code == 0
    assert kept == [0] and len(given) == 1

  def test_values_reach_the_config(self, cli, given):
    ended = cli(
        QUICK, '--config.optim.learning_rate=0.25', '--config.seed=3',
        '--config.eval.protocols=("swap",)', '--config.train.fsdp=true',
        '--config.method.denoiser.multipliers=(1, 2, 3)',
        '--config.train.parallel=mesh', '--workdir=some/where',
        '--config.method.remat=dots_saveable')
    assert ended.code == 0, ended.err
    (config, workdir), = given
    assert isinstance(config, ml_collections.ConfigDict) and config.is_locked
    assert (config.optim.learning_rate, config.seed) == (0.25, 3)
    assert config.eval.protocols == ('swap',)
    assert config.method.denoiser.multipliers == (1, 2, 3)
    assert (config.train.fsdp, config.train.parallel) == (True, 'mesh')
    assert config.method.remat == 'dots_saveable'
    assert config.data.name == 'puppets'  # As in the file.
    assert workdir == pathlib.Path('some/where')

  def test_none_turns_off(self, cli, given):
    ended = cli(QUICK, '--config.optim.clip_norm=None',
                '--config.optim.ema_decay=None', '--config.seed=1')
    assert ended.code == 0, ended.err
    config = given[0][0]
    assert config.optim.clip_norm is None and config.optim.ema_decay is None
    assert config.seed == 1

  def test_what_is_off_can_be_set(self, cli, given):
    assert cli(QUICK, '--config.method.static_kl=0.25').code == 0
    assert given[0][0].method.static_kl == 0.25

  @pytest.mark.parametrize('config, name', [
      ('quickstart.py', 'quickstart'),
      ('quickstart_ablation.py:noise', 'quickstart_ablation-noise')])
  def test_run_is_named_after_its_config(self, cli, given, config, name):
    assert cli(f'--config=configs/{config}').code == 0
    assert given[0][1] == pathlib.Path('runs') / name


def _run(*args, **env):
  return subprocess.run(
      [sys.executable, '-m', 'seqdiff.main', *args], text=True, timeout=120,
      capture_output=True, env={**os.environ, **env})


def test_platform_that_is_not_there_is_explained(tmp_path):
  ended = _run(QUICK, '--platform=gpu', f'--workdir={tmp_path / "run"}',
               CUDA_VISIBLE_DEVICES='')
  assert ended.returncode == 2
  assert ended.stderr.splitlines()[-1].startswith(
      'error: --platform=gpu was given, but JAX finds no gpu here. Install')
  assert 'Traceback' not in ended.stderr
  assert not (tmp_path / 'run').exists()
