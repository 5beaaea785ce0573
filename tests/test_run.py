"""Tests of `run`: which runs are the same, and what goes on needs."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from seqdiff import build
from seqdiff import distributed
from seqdiff import run
from seqdiff.evaluation import results
from seqdiff.methods import started
from seqdiff.training import loop


def _config(**changes):
  config = quickstart.get_config()
  with config.unlocked():
    config.data.update(data_dir='here', in_memory=True)
  config.update_from_flattened_dict(changes)
  return config


_OTHER = {'data.in_memory': False, 'data.eval_batch_size': 8,
          'eval.num_shown': 2}


@pytest.mark.parametrize('key', _OTHER)
def test_how_data_are_held_and_how_many_are_looked_at_is_no_other_run(
    tmp_path, key):
  assert set(results.WITHOUT_EFFECT) - set(_OTHER) == {
      f'explore.{name}' for name in (
          'kappa', 'num_alphas', 'num_clips', 'x_T')}
  run.claim(_config(), tmp_path)
  other = _config(**{key: _OTHER[key]})
  run.claim(other, tmp_path)
  result = results.Result(
      protocol='swap', version=1, config=run.to_plain(_config()), seed=0,
      step=1, counts={}, metrics={}, wall_seconds=1.0)
  results.write(tmp_path, result)
  results.check_owner(tmp_path, 'swap', run.to_plain(other))
  with pytest.raises(ValueError, match='data_dir: here there, there here'):
    run.claim(_config(**{'data.data_dir': 'there'}), tmp_path)
  with pytest.raises(ValueError, match='data.size: 16 there, 8 here'):
    run.claim(_config(**{'data.size': 8}), tmp_path)
  with pytest.raises(ValueError, match='the result of another run'):
    results.check_owner(
        tmp_path, 'swap', run.to_plain(_config(**{'data.size': 8})))


def test_results_of_other_settings_are_seen_before_training(tmp_path):
  other = _config(**{'eval.num_pairs': 3})
  results.write(tmp_path, results.Result(
      protocol='swap', version=1, config=run.to_plain(other), seed=0, step=1,
      counts={}, metrics={}, wall_seconds=1.0))
  with pytest.raises(ValueError, match='swap.json holds the result of another'):
    run.claim(_config(), tmp_path)


def test_checkpoint_of_another_method_is_refused():
  trained = run.to_plain(_config())
  run.check_same_method(_config(**{'method.dtype': 'bfloat16',
                                   'sampler.num_steps': 3}), trained)
  # Of before there were such keys.
  del trained['method']['recolour'], trained['method']['encoder']['features']
  run.check_same_method(_config(), trained)
  with pytest.raises(ValueError, match='diffusion.p_mean: .*unit_codes: False '
                                       'there, True here'):
    run.check_same_method(_config(**{
        'method.unit_codes': True, 'method.diffusion.p_mean': 0.0}), trained)


def test_processes_compare_their_data_before_they_train(
    tmp_path, monkeypatch):
  compared = []

  def differ(given, message):
    compared.append(given)
    raise ValueError(f'process 1 {message}')

  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(distributed, 'check_same', differ)
  config = quickstart.get_config()
  config.data.update(num_train=32, num_test=4, size=8)
  with pytest.raises(ValueError, match='has other data in config.data.data_dir'
                                       '.*Copy the folder of process 0'):
    run.train(build.method(config), config, build.dataset(config),
              tmp_path / 'run')
  assert compared[0]['clips'] == {'train': 32, 'test': 4}
  assert not (tmp_path / 'run').exists()


class Colour:
  """Learns the mean colour of the clips."""

  def init(self, key, batch):
    del key
    return {'w': jnp.zeros(batch['x'].shape[-1])}

  def loss(self, params, batch, key, *, step, train):
    del key, step, train
    colours = jnp.mean(batch['x'], axis=(1, 2, 3))
    return jnp.mean((colours - params['w'][None])**2, axis=1), {}


def _train(workdir, **train):
  """One update of the above on small clips."""
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=2, num_train=8, num_test=2,
                     batch_size=8)
  config.optim.warmup_steps = 0
  config.train.update(num_steps=1, save_every=1, log_every=1, **train)
  return run.train(Colour(), config, build.dataset(config), workdir)


def test_a_run_goes_on_when_the_one_it_started_from_is_gone(
    tmp_path, monkeypatch):
  really, methods = loop.train, []
  monkeypatch.setattr(build, 'method', lambda config: Colour())
  monkeypatch.setattr(loop, 'train', lambda method, *args, **kwargs: (
      methods.append(method) or really(method, *args, **kwargs)))
  _train(tmp_path / 'other')
  tuned = _train(tmp_path / 'run', start_from=str(tmp_path / 'other'))
  assert isinstance(methods[1], started.Started)
  assert isinstance(methods[1].start['w'], np.ndarray)  # On no device.
  shutil.rmtree(tmp_path / 'other')
  again = _train(tmp_path / 'run', start_from=str(tmp_path / 'other'))
  assert again.step == tuned.step == 1
  assert jax.tree.all(jax.tree.map(
      np.array_equal, again.state.params, tuned.state.params))
  with pytest.raises(ValueError, match='other is no run directory'):
    _train(tmp_path / 'new', start_from=str(tmp_path / 'other'))
