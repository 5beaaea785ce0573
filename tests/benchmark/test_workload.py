"""Tests of `seqdiff.benchmark.workload`."""

import json
from unittest import mock

import jax
import numpy as np
import pytest

from configs import autoencoder_puppets
from configs import diffsda_air_quality
from configs import diffsda_physionet
from configs import quickstart
from configs.common import small_latent
from seqdiff import build
from seqdiff import run
from seqdiff.benchmark import measure
from seqdiff.benchmark import sweeps
from seqdiff.benchmark import workload
from seqdiff.core import flops


def _config(**data):
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=4, batch_size=8, eval_batch_size=8,
                     num_train=16, num_test=8)
  config.data.update(data)
  config.method.update(static_dim=4, dynamic_dim=2, hidden=8, frames_per_step=2)
  config.method.encoder.update(channels=4, features=8)
  config.method.denoiser.update(channels=8, multipliers=(1,), groups=4)
  config.sampler.num_steps = 4
  return config


def test_random_series_are_as_the_real_ones():
  batch = workload.random_batch(diffsda_physionet.get_config(), 30)
  x, mask, observed = (batch[k] for k in ('x', 'mask', 'observed'))
  assert x.shape == (30, 80, 10) and x.dtype == np.float32
  hours = mask.sum(axis=1)
  np.testing.assert_array_equal(mask, np.arange(80)[None] < hours[:, None])
  assert 40 <= hours.min() < hours.max() <= 47
  # Missing values and padding are 0, the others have mean 0 and variance 1.
  np.testing.assert_array_equal(x != 0, observed)
  assert not observed[~mask].any() and 0.6 < observed[mask].mean() < 0.8
  assert abs(x[observed].mean()) < 0.1 and abs(x[observed].std() - 1) < 0.1
  months = workload.random_batch(diffsda_air_quality.get_config(), 2)
  assert months['mask'].all() and not months['observed'].all()


@pytest.fixture
def on_latents(tmp_path):
  """The config on latents of 4 x 4 x 4; of the first stage no weights exist."""
  stage = autoencoder_puppets.get_config()
  stage.method.net.update(channels=4, multipliers=(1, 2), groups=2)
  (tmp_path / 'config.json').write_text(json.dumps(run.to_plain(stage)))
  config = small_latent.on_latents(_config(), 'stage')
  config.first_stage.workdir = str(tmp_path)
  return config


def _first_stage_flops(config):
  """Of each clip: to encode and to decode it."""
  stage, x = build.first_stage(config), np.zeros((1, 4, 8, 8, 3), np.float32)
  mask = np.ones((1, 4), bool)
  params = jax.eval_shape(stage.init, jax.random.key(0), {'x': x})
  z = jax.eval_shape(stage.encode, params, x, mask)
  return (flops.count(stage.encode, params, x, mask),
          flops.count(stage.decode, params, z))


def test_latents_are_trained_on_and_clips_are_swapped(on_latents):
  work = workload.Workload(on_latents)
  x, clips = (work.batches[job]['x'] for job in ('train_step', 'swap'))
  assert x.shape == (8, 4, 4, 4, 4) and x.dtype == np.float32
  assert x.std() == pytest.approx(on_latents.first_stage.std, rel=0.1)
  assert clips.shape == (8, 4, 8, 8, 3) and clips.dtype == np.uint8
  small = on_latents.copy_and_resolve_references()
  small.data.size = 4
  with small.unlocked():
    del small.first_stage  # Latents are then clips of four channels.
  without = workload.Workload(small)
  assert work._flops('train_step') == without._flops('train_step')
  encode, decode = _first_stage_flops(on_latents)
  assert work._flops('swap') - without._flops('swap') == (
      8 * (2 * encode + decode))  # Both clips of a pair are encoded.


@pytest.mark.slow
def test_latents_are_trained_on_and_clips_are_swapped_in_time(on_latents):
  with workload.Workload(on_latents) as work:
    for job in 'train_step', 'swap', 'save':
      work.jobs[job]()
      assert work.facts(job, 1.0)


def test_encoder_that_sees_frames_is_given_clips_beside_latents(on_latents):
  on_latents.first_stage.frames = True
  batch = workload.trained_batch(on_latents, 2)
  assert batch['x'].shape == (2, 4, 4, 4, 4)
  assert batch['frames'].shape == (2, 4, 8, 8, 3)


def test_peer_trains_on_the_same_latents_but_cannot_swap(on_latents):
  pytest.importorskip('torch')
  small = dict(variants=['eager'], rounds=2, seconds=0.01)
  with pytest.raises(ValueError, match='no first stage.* --jobs=train_step'):
    measure.measure(on_latents, jobs=measure.PAIRED, **small)
  metrics = measure.measure(on_latents, jobs=['train_step'], **small)
  assert metrics['train_step/per_second_eager'] > 0
  on_latents.first_stage.frames = True
  with pytest.raises(ValueError, match='first_stage.frames=True; expected a m'):
    measure.measure(on_latents, jobs=['train_step'], **small)


@pytest.mark.slow
def test_all_jobs_can_be_repeated_in_any_order():
  config = _config()
  config.train.parallel = 'mesh'
  with workload.Workload(config) as work:
    for job in ('restore', 'train_step', 'swap', 'loader', 'save'):
      work.jobs[job]()
    one = work.facts('save', 1.0)['save/bytes']
    for job in ('save', 'train_step', 'restore'):
      work.jobs[job]()
    assert work.facts('restore', 1.0)['restore/bytes'] == pytest.approx(
        one, rel=0.5)  # Of one checkpoint, not of all; zeros are packed.


def _swap_facts(**changes):
  config = _config()
  config.update_from_flattened_dict(changes)
  return workload.Workload(config).facts('swap', 2.0)


def test_each_step_of_the_sampler_and_each_clip_counts():
  found = {n: _swap_facts(**{'sampler.num_steps': n})['swap/flops']
           for n in (4, 5, 8)}
  assert found[8] - found[4] == 4 * (found[5] - found[4]) > 0
  assert _swap_facts(**{'data.eval_batch_size': 16})['swap/flops'] == (
      2 * found[4])


def test_share_of_the_peak_is_told_where_the_peak_is_known(monkeypatch):
  assert 'swap/mfu' not in _swap_facts()
  monkeypatch.setitem(flops.PEAK, jax.devices()[0].device_kind, 1e9)
  facts = _swap_facts()
  assert facts['swap/flops_per_second'] == 2 * facts['swap/flops']
  assert facts['swap/mfu'] == pytest.approx(2 * facts['swap/flops'] / 8e9)


@pytest.mark.parametrize('aggregator, given', [('lstm', False), ('pool', True)])
def test_operations_per_byte_are_left_out_of_a_step_with_a_loop(
    aggregator, given, monkeypatch):
  config = _config()
  config.method.aggregator = aggregator
  work = workload.Workload(config, devices=jax.devices()[:1])
  # Stands in for what is slow to compile.
  compiled = mock.MagicMock()
  compiled.cost_analysis.return_value = {'bytes accessed': 2.0}
  work._update = mock.MagicMock()
  work._update.lower.return_value.compile.return_value = compiled
  work._state = None
  facts = work.facts('train_step', 1.0)
  assert facts.get('train_step/flops_per_byte') == (
      facts['train_step/flops'] / 2 if given else None)


@pytest.mark.slow
def test_memory_and_operations_grow_with_the_batch():
  found = sweeps.sweep(sweeps.read_sweep(
      _config(), 'data.batch_size=8,16'), rounds=1, seconds=0.01)
  small, large = ({
      name: found[f'sweep/data.batch_size={n}/train_step/{name}']
      for name in ('flops', 'flops_per_byte', 'temp_bytes', 'argument_bytes')
  } for n in (8, 16))
  assert large['flops'] == 2 * small['flops'] > 0
  assert large['temp_bytes'] > small['temp_bytes']
  assert large['flops_per_byte'] > small['flops_per_byte']  # Parameters: once.
  # Of each of the 8 devices: x, mask, example_mask, index of one clip more.
  clip = 4 * 8 * 8 * 3 + 4 + 1 + 4
  assert large['argument_bytes'] - small['argument_bytes'] == clip
