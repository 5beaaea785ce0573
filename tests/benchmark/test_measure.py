"""Tests of `seqdiff.benchmark`."""

import contextlib
import itertools
import os
import sys

from absl import flags
import pytest

from configs import diffsda_physionet
from configs import divid_puppets
from configs import quickstart
from seqdiff import cli
from seqdiff.benchmark import __main__ as command
from seqdiff.benchmark import measure
from seqdiff.core import cores
from seqdiff.evaluation import results
from tests.benchmark import fake_work

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
    cli.run(command.main)
  return end.value.code, capsys.readouterr().err


def _small_series():
  config = diffsda_physionet.get_config()
  config.data.update(batch_size=8, eval_batch_size=2)
  config.method.update(static_dim=4, dynamic_dim=2, hidden=8)
  for net in config.method.encoder, config.method.denoiser:
    net.width = 8
  config.sampler.num_steps = 4
  return config


@pytest.mark.parametrize('make_config', [_small_config, _small_series])
def test_metrics_hold_ratios_of_the_two_sides(make_config):
  pytest.importorskip('torch')
  metrics = measure.measure(
      make_config(), jobs=measure.PAIRED, variants=['eager'], **_SMALL)
  for job in measure.PAIRED:
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
  fake_work.put(monkeypatch, lambda *_: 1.0)
  monkeypatch.setattr(measure, '_ROOT', tmp_path)
  with pytest.raises(ValueError, match='peer has stopped.*extra `peers`.*test'):
    measure.measure(
        _small_config(), jobs=measure.PAIRED, variants=['eager'], **_SMALL)


def test_ratio_says_how_much_faster_it_is_than_the_config_beside(monkeypatch):
  fake_work.put(monkeypatch, lambda config, _: {
      'diffsda': 0.5, 'divid': 2.0}[config.method.name])
  metrics = measure.measure(
      quickstart.get_config(), jobs=['train_step'], rounds=3, seconds=1.0,
      beside=('divid_puppets', divid_puppets.get_config()))
  row = 'reference/divid_puppets/train_step'
  assert metrics == pytest.approx({
      'train_step/ratio_beside': 4.0, 'train_step/ratio_beside_std': 0.0,
      'train_step/per_second': 2.0, 'train_step/per_second_std': 0.0,
      'train_step/first_seconds': 0.5, 'train_step/flops': 7.0,
      f'{row}/per_second': 0.5, f'{row}/per_second_std': 0.0,
      f'{row}/first_seconds': 2.0})


def test_config_beside_is_compared_with_the_peer_by_way_of_ours(monkeypatch):
  fake_work.put(monkeypatch, lambda config, _: {
      'diffsda': 2.0, 'divid': 0.5}[config.method.name])

  class Peer(contextlib.nullcontext):
    """Takes 3 s and then 5 s for each repeat."""
    memory = 7

    def __init__(self, *_):
      self._seconds = itertools.cycle((3.0, 5.0))
      super().__init__(self)

    def time(self, job, repeats):
      return repeats * next(self._seconds)

  monkeypatch.setattr(measure, '_Peer', Peer)
  metrics = measure.measure(
      quickstart.get_config(), jobs=['swap'], variants=['eager'], rounds=4,
      seconds=1.0, beside=('divid_puppets', divid_puppets.get_config()))
  assert metrics['swap/ratio_eager'] == 2.0  # 4 / 2, of 3 / 2 and 5 / 2.
  assert metrics['swap/ratio_beside'] == 0.25
  row = 'reference/divid_puppets/swap/ratio_eager'
  assert metrics[row] == 8.0
  # Only that of the peer has a spread, a fourth of the ratio.
  assert metrics[f'{row}_std'] == pytest.approx(2.0)


@pytest.mark.slow
def test_config_beside_itself_is_about_as_fast():
  config = _small_config()
  metrics = measure.measure(
      config, jobs=['train_step'], beside=('itself', config), rounds=5,
      seconds=0.05)
  assert 0.2 < metrics['train_step/ratio_beside'] < 5


def test_config_beside_with_other_batches_is_explained():
  config = _small_config()
  config.data.batch_size = 16
  with pytest.raises(ValueError, match=r'Set --beside.data.batch_size=8\.'):
    measure.measure(_small_config(), jobs=['train_step'],
                      beside=('other', config), **_SMALL)


def test_config_beside_is_read_from_its_file(monkeypatch, capsys, tmp_path):
  found = {}
  monkeypatch.setattr(
      measure, 'measure', lambda config, **given: found.update(given) or {})
  code, text = _call(
      monkeypatch, capsys, '--config=configs/quickstart_ablation.py:aggregator',
      '--beside=configs/quickstart_ablation.py:none', '--beside.seed=5',
      '--jobs=train_step', f'--out={tmp_path / "speed.json"}')
  assert not code, text
  name, beside = found['beside']
  assert name == 'quickstart_ablation-none' and beside.seed == 5
  assert beside.method.aggregator == 'pool'
  # Without the peer.
  assert found['variants'] == [] and found['jobs'] == ['train_step']


def test_jobs_without_a_pair_are_measured_alone(monkeypatch):
  fake_work.put(monkeypatch, lambda config, _: 0.25)
  metrics = measure.measure(
      quickstart.get_config(), jobs=['loader', 'swap'], rounds=3, seconds=1.0)
  assert metrics.pop('peak_bytes') > 10e6
  assert metrics == {
      f'{job}/{name}': value for job in ('loader', 'swap') for name, value in {
          'per_second': 4.0, 'per_second_std': 0.0, 'first_seconds': 0.25,
          'flops': 7.0}.items()}


def test_all_that_was_asked_for_is_in_one_result(monkeypatch, capsys, tmp_path):
  fake_work.put(monkeypatch, lambda config, _: 0.5)
  monkeypatch.setattr(
      command.choices, 'measure', lambda names, **settings: {
          f'choice/{name}/ratio': 2.0 for name in names})
  path = tmp_path / 'speed.json'
  code, text = _call(
      monkeypatch, capsys, '--config=configs/quickstart.py', f'--out={path}',
      '--variants=none', '--jobs=save', '--sweep=data.batch_size=8,16',
      '--sweep=method.hidden=4', '--devices=1,4', '--choices=uint8')
  assert not code, text
  metrics = results.read(path).metrics
  assert {name.rpartition('/')[0] for name in metrics} == {
      '', 'save', 'choice/uint8', 'scaling/1', 'scaling/4',
      'sweep/method.hidden=4/train_step',
      'sweep/data.batch_size=8/train_step',
      'sweep/data.batch_size=16/train_step'}


@pytest.mark.parametrize('args, message', [
    ((), r'--out is missing; expected .*results/quickstart/benchmark\.json'),
    (('--out=x.json', '--variants=egaer'), 'variants=egaer, expected eager'),
    (('--out=x.json', '--config.method.name=divd'), "Unknown method 'divd'"),
    (('--out=x.json', '--jobs=swap,trainstep'), "job 'trainstep'.*train_step"),
    (('--out=x.json', '--choices=grup_norm'), "'grup_norm'.*group_norm"),
    (('--out=x.json', '--sweep=data.batch=8'), "'data.batch'.*batch_size'"),
    (('--out=x.json', '--sweep=train.num_parts=3'), r'of 3 parts'),
    (('--out=x.json', '--devices=1,99'), "'99'; expected numbers from 1 to 8"),
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
  monkeypatch.setattr(measure, 'measure', lambda config, **_: {
      'swap/ratio_eager': 1.5})
  code, _ = _call(monkeypatch, capsys, '--config=configs/quickstart.py',
                  f'--out={path}', '--rounds=3')
  found = results.read(path)
  assert code is None or code == 0
  assert found.protocol == 'benchmark' and found.counts['rounds'] == 3
  assert found.config['data']['name'] == 'puppets'
  assert found.metrics == {'swap/ratio_eager': 1.5}


def test_peer_keeps_memory_as_this_process_does(monkeypatch):
  started = []

  def popen(*_, env, **__):
    started.append(env)
    raise InterruptedError

  monkeypatch.setattr(measure.subprocess, 'Popen', popen)
  monkeypatch.setattr(
      measure.memory, 'environment',
      lambda one_heap: {'HEAPS': 'one' if one_heap else 'many'})
  for count, heaps in (1, 'one'), (2, 'many'):
    monkeypatch.setattr(measure.jax, 'device_count', lambda: count)
    with pytest.raises(InterruptedError):
      measure._Peer(quickstart.get_config(), {}, 'eager').__enter__()
    assert started.pop() == {**os.environ, 'HEAPS': heaps}


def test_cores_divide_all_batches_unless_devices_are_asked_for(monkeypatch):
  found, shared = [], []
  monkeypatch.delenv('JAX_NUM_CPU_DEVICES', raising=False)
  monkeypatch.setattr(cli.memory, 'share_heap', lambda: shared.append(1))
  monkeypatch.setattr(cores, 'count', lambda: 12)
  monkeypatch.setattr(cli.jax.config, 'update', lambda *a: found.append(a))
  config = quickstart.get_config()
  config.data.update(batch_size=24, eval_batch_size=64)
  config.eval.judge.batch_size = 32
  cli.use_all_cores(config)
  assert found == [('jax_num_cpu_devices', 8)] and not shared
  cli.use_all_cores(diffsda_physionet.get_config())
  assert found.pop() == ('jax_num_cpu_devices', 1)
  monkeypatch.setenv('JAX_NUM_CPU_DEVICES', '2')
  cli.use_all_cores(config)
  assert len(found) == 1 and len(shared) == 1
