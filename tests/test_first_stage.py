"""Latents of another first stage, or normalised otherwise, are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import autoencoder_puppets
from configs import diffsda_puppets_latent
from configs import prior as prior_config
from seqdiff import build
from seqdiff import first_stage
from seqdiff import model
from seqdiff import prior
from seqdiff import run
from seqdiff.evaluation import codes
from seqdiff.methods import latent
from seqdiff.training import checkpoint
from seqdiff.training import loop
from seqdiff.training import state as train_state
from seqdiff.training import writer

SIZES = dict(size=8, num_frames=2, num_train=8, num_test=2, eval_batch_size=8)


@pytest.fixture(scope='module', autouse=True)
def without_key_checks():
  """Orbax slices a great many arrays, each of which would be checked."""
  with jax.debug_key_reuse(False):
    yield


@pytest.fixture(scope='module')
def home(tmp_path_factory):
  """Two first stages of one config at step 0, as converted ones are."""
  home = tmp_path_factory.mktemp('home')
  config = autoencoder_puppets.get_config()
  config.data.update(SIZES)
  config.method.net.update(channels=4, multipliers=(1, 2), groups=2)
  init = jax.jit(lambda key: build.method(config).init(
      key, {'x': jnp.zeros((1, 1, 8, 8, 3))}))
  for seed, name in enumerate(('stage', 'other')):
    params = init(jax.random.key(seed))
    writer.claim_workdir(home / name, run.to_plain(config))
    checkpointer = checkpoint.Checkpointer(home / name / 'checkpoints')
    checkpointer.save(
        train_state.TrainState(
            step=jnp.int32(0), seed=jnp.uint32(0), params=params,
            ema_params=None, opt_state=run.optimizer(config).init(params)),
        config=run.to_plain(config), data={})
    checkpointer.close()
    given = _config(home, name)
    first_stage.encode(given, build.dataset(given))
  return home


def _config(home, name='stage', **changes):
  """A small config on the latents of one of the first stages."""
  config = diffsda_puppets_latent.get_config()
  config.data.update(SIZES)
  config.first_stage.update(
      workdir=str(home / name), cache=str(home / f'{name}_latents'), **changes)
  config.method.denoiser.update(channels=8, multipliers=(1,), groups=4)
  return config


def test_other_weights_of_one_config_are_another_first_stage(home):
  config = _config(home)
  dataset = build.dataset(config)
  first_stage.open_cache(config, dataset)
  config.first_stage.workdir = str(home / 'other')
  with pytest.raises(ValueError, match="holds latents of .*'weights'"):
    first_stage.open_cache(config, dataset)


def test_a_run_sees_what_it_was_trained_on(home, tmp_path, monkeypatch):
  config, workdir = _config(home), tmp_path / 'run'
  monkeypatch.setattr(loop, 'train', lambda *args, **kwargs: None)
  run.train(build.method(config), config, build.dataset(config), workdir)
  monkeypatch.setattr(
      run, 'restore_params', lambda *args, **kwargs: (
          {}, {'step': 7, 'config': run.to_plain(config)}))
  found = model.restore(config, workdir)
  assert found.step == 7 and found.params.keys() == {
      'method', 'first_stage', 'mean', 'std'}
  for changed, difference in (
      (_config(home, std=1.0), 'std: 0.5 there, 1.0 here'),
      (_config(home, scale='clip'), 'scale: channel there, clip here'),
      (_config(home, 'other'), r'weights: \d+ there, \d+ here')):
    with pytest.raises(ValueError, match=f'on top of .*: .*{difference}'):
      model.restore(changed, workdir)
    with pytest.raises(ValueError, match=difference):
      first_stage.claim(changed, build.dataset(changed), workdir)


def test_a_prior_reads_codes_from_the_cache(home, tmp_path, monkeypatch):
  config = _config(home)
  dataset, method = build.dataset(config), build.method(config)
  clip = first_stage.as_trained(config, run.first_batch(config, dataset))
  params = jax.jit(method.init)(jax.random.key(0), clip)
  found = model.Model(
      config, tmp_path, dataset, method,
      first_stage.bundle(config, dataset, params, tmp_path), 1)
  expected = codes.read(found.context(), 'train')
  monkeypatch.setattr(latent.Latent, '_encode', None)  # Would fail if called.
  read = prior._codes(prior_config.get_config(), found, tmp_path)
  # Latents are float16 in the cache.
  np.testing.assert_allclose(
      read.z[:, :expected.static.shape[1]], expected.static, atol=5e-3)
  np.testing.assert_allclose(
      read.z[:, expected.static.shape[1]:],
      expected.dynamic.reshape(len(read.z), -1), atol=5e-3)
  assert np.std(expected.static) > 0.02


def test_a_config_without_weights_is_explained(home, tmp_path):
  config = _config(home)
  (tmp_path / 'config.json').write_text(
      (home / 'stage' / 'config.json').read_text())
  config.first_stage.workdir = str(tmp_path)
  with pytest.raises(ValueError, match=(
      'holds no weights; expected its run directory. Train one .*convert a .*'
      r'4 channels \(vq-f8, vq-f8-n256, kl-f8\).*--preset=<name>')):
    first_stage.open_cache(config, build.dataset(config))


def test_latents_of_other_channels_are_refused_before_anything_is_done(
    home, tmp_path):
  config = _config(home)
  config.method.image_channels = 3
  config.first_stage.cache = str(tmp_path / 'cache')
  dataset = build.dataset(config)
  method = build.method(_config(home))
  for start in (
      lambda: first_stage.encode(config, dataset),
      lambda: run.train(method, config, dataset, tmp_path / 'run')):
    with pytest.raises(ValueError, match='latents have 4 channels; expected 4'):
      start()
  assert not list(tmp_path.iterdir())


def test_no_more_frames_are_encoded_at_once_than_a_chunk_on_each_device(
    home, tmp_path, monkeypatch):
  sizes = []

  def counted(sampler):
    def run(params, frames, key):
      sizes.append(len(frames))
      return sampler(params, frames, key)
    return run

  monkeypatch.setattr(first_stage.devices, 'over_devices', counted)
  config = _config(home, chunk=1)
  config.first_stage.cache = str(tmp_path)
  config.data.eval_batch_size = 64
  first_stage.encode(config, build.dataset(config))
  # Of 8 and of 2 clips of 2 frames.
  assert sizes == 3 * [jax.device_count()]
  found, expected = (np.load(f'{folder}/train-00000.npy') for folder in (
      tmp_path, home / 'stage_latents'))
  np.testing.assert_allclose(found, expected, atol=2e-3)


def test_as_a_clip_all_channels_are_divided_by_one_number(home):
  config = _config(home, scale='clip', std=1.0)
  dataset = build.dataset(config)
  read = lambda config: np.concatenate([
      item['x'] for item in map(
          first_stage.open_cache(config, dataset).splits['train'].__getitem__,
          range(SIZES['num_train']))])
  z, twice = read(config), read(_config(home, scale='clip', std=2.0))
  assert z.std() == pytest.approx(1.0, rel=1e-3)
  assert abs(z.mean()) > 0.01 and np.ptp(z.std(axis=(0, 1, 2))) > 0.01
  np.testing.assert_allclose(twice, 2.0 * z, rtol=1e-5)


def test_each_channel_has_mean_0_and_the_asked_size(home):
  config = _config(home, scale='channel', std=0.5)
  source = first_stage.open_cache(
      config, build.dataset(config)).splits['train']
  z = np.concatenate([source[i]['x'] for i in range(len(source))])
  np.testing.assert_allclose(z.mean(axis=(0, 1, 2)), 0.0, atol=1e-3)
  np.testing.assert_allclose(z.std(axis=(0, 1, 2)), 0.5, rtol=1e-3)
