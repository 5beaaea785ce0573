"""Tests of `seqdiff.benchmark`."""

import functools
import sys

from absl import flags
import numpy as np
import pytest

from configs import diffsda_air_quality
from configs import diffsda_physionet
from configs import divid_puppets
from configs import quickstart
from seqdiff import benchmark
from seqdiff import cli
from seqdiff.evaluation import results

_SMALL = dict(rounds=2, seconds=0.01)


def _small_config():
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=4, batch_size=8, eval_batch_size=2)
  config.method.update(static_dim=4, dynamic_dim=2, hidden=8, frames_per_step=2)
  config.method.encoder.update(channels=4, features=8)
  config.method.denoiser.update(channels=8, multipliers=(1,), groups=4)
  return config


def _call(monkeypatch, capsys, *args):
  """Runs the command line; returns exit code and stderr."""
  flags.FLAGS.unparse_flags()
  monkeypatch.setattr(sys, 'argv', ['seqdiff.benchmark', *args])
  with pytest.raises(SystemExit) as end:
    cli.run(benchmark.main)
  return end.value.code, capsys.readouterr().err


def test_sides_take_turns_of_equal_work():
  order, cost = [], {'here': 0.5, 'there': 2.0}

  def side(name):
    def work(repeats):
      order.append((name, repeats))
      return repeats * cost[name]
    return work

  here, there = benchmark.take_turns(
      side('here'), side('there'), rounds=3, seconds=10.0)
  # Once to compile, once to see how long it takes, then the rounds.
  assert order == [('here', 1), ('there', 1)] * 2 + [
      ('here', 5), ('there', 5)] * 3
  np.testing.assert_allclose(here.seconds, [0.5] * 3)
  np.testing.assert_allclose(there.seconds, [2.0] * 3)
  assert (here.first, there.first) == (0.5, 2.0)


def _small_series():
  config = diffsda_physionet.get_config()
  config.data.update(batch_size=8, eval_batch_size=2)
  config.method.update(static_dim=4, dynamic_dim=2, hidden=8)
  for net in config.method.encoder, config.method.denoiser:
    net.width = 8
  config.sampler.num_steps = 4
  return config


def test_random_series_are_as_the_real_ones():
  batch = benchmark.random_batch(diffsda_physionet.get_config(), 30)
  x, mask, observed = (batch[k] for k in ('x', 'mask', 'observed'))
  assert x.shape == (30, 80, 10) and x.dtype == np.float32
  hours = mask.sum(axis=1)
  np.testing.assert_array_equal(mask, np.arange(80)[None] < hours[:, None])
  assert 40 <= hours.min() < hours.max() <= 47
  # Missing values and padding are 0, the others have mean 0 and variance 1.
  np.testing.assert_array_equal(x != 0, observed)
  assert not observed[~mask].any() and 0.6 < observed[mask].mean() < 0.8
  assert abs(x[observed].mean()) < 0.1 and abs(x[observed].std() - 1) < 0.1
  months = benchmark.random_batch(diffsda_air_quality.get_config(), 2)
  assert months['mask'].all() and not months['observed'].all()


@pytest.mark.parametrize('make_config', [_small_config, _small_series])
def test_metrics_hold_ratios_of_the_two_sides(make_config):
  pytest.importorskip('torch')
  metrics = benchmark.measure(
      make_config(), jobs=benchmark.JOBS, variants=['eager'], **_SMALL)
  for job in benchmark.JOBS:
    ours, theirs = metrics[f'{job}/per_second'], metrics[
        f'{job}/per_second_eager']
    # The median of two ratios lies between them, as does that of speeds.
    spread = 4 * metrics[f'{job}/ratio_eager_std'] + 1e-6
    assert metrics[f'{job}/ratio_eager'] == pytest.approx(
        ours / theirs, abs=spread)
    # To compile takes longer than to run.
    assert metrics[f'{job}/first_seconds'] * ours > 5
  assert min(metrics['peak_bytes'], metrics['peak_bytes_eager']) > 10e6


def test_peer_that_is_not_there_is_explained(monkeypatch, tmp_path):
  monkeypatch.setattr(benchmark, '_ROOT', tmp_path)
  with pytest.raises(ValueError, match='peer has stopped.*extra `peers`.*test'):
    benchmark.measure(
        _small_config(), jobs=benchmark.JOBS, variants=['eager'], **_SMALL)


def _fake_jobs(monkeypatch, **seconds):
  """Jobs that take so long by a clock of their own, by name of the method."""
  clock = [0.0]

  def job(config):
    clock[0] += seconds[config.method.name]

  monkeypatch.setattr(benchmark.time, 'perf_counter', lambda: clock[0])
  monkeypatch.setattr(benchmark, '_our_jobs', lambda config, _: {
      name: functools.partial(job, config) for name in benchmark.JOBS})


def test_ratio_says_how_much_faster_it_is_than_the_config_beside(monkeypatch):
  _fake_jobs(monkeypatch, diffsda=0.5, divid=2.0)
  metrics = benchmark.measure(
      quickstart.get_config(), jobs=['train_step'], rounds=3, seconds=1.0,
      beside=('divid_puppets', divid_puppets.get_config()))
  row = 'reference/divid_puppets/train_step'
  assert metrics == pytest.approx({
      'train_step/ratio_beside': 4.0, 'train_step/ratio_beside_std': 0.0,
      'train_step/per_second': 2.0, 'train_step/per_second_std': 0.0,
      'train_step/first_seconds': 0.5, f'{row}/per_second': 0.5,
      f'{row}/per_second_std': 0.0, f'{row}/first_seconds': 2.0})


def test_config_beside_itself_is_about_as_fast():
  config = _small_config()
  metrics = benchmark.measure(
      config, jobs=['train_step'], beside=('itself', config), rounds=5,
      seconds=0.05)
  assert 0.2 < metrics['train_step/ratio_beside'] < 5


def test_config_beside_with_other_batches_is_explained():
  config = _small_config()
  config.data.batch_size = 16
  with pytest.raises(ValueError, match=r'Set --beside.data.batch_size=8\.'):
    benchmark.measure(_small_config(), jobs=['train_step'],
                      beside=('other', config), **_SMALL)


def test_config_beside_is_read_from_its_file(monkeypatch, capsys, tmp_path):
  found = {}
  monkeypatch.setattr(
      benchmark, 'measure', lambda config, **given: found.update(given) or {})
  code, text = _call(
      monkeypatch, capsys, '--config=configs/quickstart_ablation.py:aggregator',
      '--beside=configs/quickstart_ablation.py:none', '--beside.seed=5',
      '--jobs=train_step', f'--out={tmp_path / "speed.json"}')
  assert not code, text
  name, beside = found['beside']
  assert name == 'quickstart_ablation-none' and beside.seed == 5
  assert beside.method.aggregator == 'pool'
  # Without an independent program.
  assert found['variants'] == [] and found['jobs'] == ['train_step']


@pytest.mark.parametrize('args, message', [
    ((), r'--out is missing; expected .*results/quickstart/benchmark\.json'),
    (('--out=x.json', '--variants=egaer'), 'variants=egaer, expected eager'),
    (('--out=x.json', '--config.method.name=divd'), "Unknown method 'divd'"),
    (('--out=x.json', '--jobs=swap,trainstep'), "job 'trainstep'.*train_step"),
    (('--out=x.json', '--beside=nothing.py'), "config file 'nothing.py'"),
])
def test_wrong_flags_are_explained(
    monkeypatch, capsys, tmp_path, args, message):
  config = cli.__file__.replace('seqdiff/cli.py', 'configs/quickstart.py')
  monkeypatch.chdir(tmp_path)
  code, text = _call(monkeypatch, capsys, f'--config={config}', *args)
  assert code == 2
  with pytest.raises(ValueError, match=message):
    raise ValueError(text)
  assert not list(tmp_path.iterdir())


def test_file_that_is_no_result_is_kept(monkeypatch, capsys, tmp_path):
  path = tmp_path / 'thesis.json'
  path.write_text('mine')
  code, text = _call(
      monkeypatch, capsys, '--config=configs/quickstart.py', f'--out={path}')
  assert code == 2 and 'is no result file' in text
  assert path.read_text() == 'mine'


def test_result_can_be_read(monkeypatch, capsys, tmp_path):
  path = tmp_path / 'speed.json'
  monkeypatch.setattr(benchmark, 'measure', lambda config, **_: {
      'swap/ratio_eager': 1.5})
  code, _ = _call(monkeypatch, capsys, '--config=configs/quickstart.py',
                  f'--out={path}', '--rounds=3')
  found = results.read(path)
  assert code is None or code == 0
  assert found.protocol == 'benchmark' and found.counts['rounds'] == 3
  assert found.config['data']['name'] == 'puppets'
  assert found.metrics == {'swap/ratio_eager': 1.5}


def test_cores_divide_all_batches(monkeypatch):
  found = []
  monkeypatch.setattr(cli.os, 'cpu_count', lambda: 12)
  monkeypatch.setattr(cli.jax.config, 'update', lambda *a: found.append(a))
  config = quickstart.get_config()
  config.data.update(batch_size=24, eval_batch_size=64)
  config.eval.judge.batch_size = 32
  cli.use_all_cores(config)
  assert found == [('jax_num_cpu_devices', 8)]
