"""Tests of `seqdiff.benchmark.sweeps`."""

import jax
import pytest

from configs import quickstart
from seqdiff.benchmark import sweeps
from tests.benchmark import fake_work

_SETTINGS = dict(rounds=3, seconds=1.0)


def test_each_value_is_measured_and_the_config_stays(monkeypatch):
  fake_work.put(monkeypatch, lambda config, _: config.data.batch_size / 32)
  config = quickstart.get_config()
  before = config.to_json()
  metrics = sweeps.sweep(
      sweeps.read_sweep(config, 'data.batch_size=8,16'), **_SETTINGS)
  assert config.to_json() == before
  assert metrics['sweep/data.batch_size=8/train_step/per_second'] == 4.0
  assert metrics['sweep/data.batch_size=16/train_step/per_second'] == 2.0
  assert metrics['sweep/data.batch_size=16/train_step/flops'] == 7.0


def test_values_have_the_type_that_they_have_in_the_config():
  config = quickstart.get_config()
  swept = sweeps.read_sweep(config, 'method.remat=True,False,dots_saveable')
  assert [c.method.remat for c in swept.values()] == [
      True, False, 'dots_saveable']
  swept = sweeps.read_sweep(config, 'method.dtype=bfloat16')
  assert swept['method.dtype=bfloat16'].method.dtype == 'bfloat16'


def test_value_that_does_not_fit_into_memory_is_left_out(monkeypatch, capsys):

  def seconds(config, _):
    if config.data.batch_size == 16:
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory.')
    return 1.0

  fake_work.put(monkeypatch, seconds)
  metrics = sweeps.sweep(sweeps.read_sweep(
      quickstart.get_config(), 'data.batch_size=8,16,24'), **_SETTINGS)
  assert {name.split('/')[1] for name in metrics} == {
      'data.batch_size=8', 'data.batch_size=24'}
  assert 'data.batch_size=16 does not fit' in capsys.readouterr().err


@pytest.mark.parametrize('text, message', [
    ('data.batchsize=8', "'data.batchsize'. Did you mean 'data.batch_size'"),
    ('data=8', "Unknown key of --sweep 'data'"),
    ('data.batch_size=', "value ''; expected values of the type"),
    ('data.batch_size=8,many', "value 'many'; expected values of the type"),
    ('data.batch_size=12', 'there are 8 devices.*set the batch size to 8 or'),
])
def test_wrong_sweep_is_explained(text, message):
  with pytest.raises(ValueError, match=message):
    sweeps.read_sweep(quickstart.get_config(), text)


def test_efficiency_is_speed_per_device_over_that_of_the_first(monkeypatch):
  sizes = {}

  def seconds(config, count):
    sizes[count] = config.data.batch_size
    return {1: 1.0, 2: 1.25, 4: 2.0}[count]

  fake_work.put(monkeypatch, seconds)
  metrics = sweeps.scale(sweeps.read_devices(
      quickstart.get_config(), ['1', '2', '4']), **_SETTINGS)
  # The batch of 32 is that of 4 devices, each always has 8 clips.
  assert sizes == {1: 8, 2: 16, 4: 32}
  assert {k: v for k, v in metrics.items() if not k.endswith('_std')} == (
      pytest.approx({
          'scaling/1/clips_per_second': 8.0, 'scaling/1/efficiency': 1.0,
          'scaling/2/clips_per_second': 12.8, 'scaling/2/efficiency': 0.8,
          'scaling/4/clips_per_second': 16.0, 'scaling/4/efficiency': 0.5}))


@pytest.mark.parametrize('counts, message', [
    (['1', '16'], "'16'; expected numbers from 1 to 8"),
    (['0'], "'0'; expected numbers from 1"),
    (['two'], "'two'; expected numbers from 1"),
    (['1', '3'], 'data.batch_size=32; expected a multiple of 3'),
])
def test_wrong_devices_are_explained(counts, message):
  with pytest.raises(ValueError, match=message):
    sweeps.read_devices(quickstart.get_config(), counts)
