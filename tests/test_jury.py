"""Tests of `jury`: what judges depend on, and whose accuracy is kept."""

import dataclasses
import types

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import divid_mhad
from configs import quickstart
from seqdiff import build
from seqdiff import jury
from seqdiff import run
from seqdiff.data import batch
from seqdiff.data.builders import mhad
from seqdiff.evaluation import results
from seqdiff.methods import judge as judge_lib
from seqdiff.nets import classifiers


@dataclasses.dataclass(frozen=True)
class First:
  """A judge that always sees the first class, and zeros."""

  factors: tuple[batch.Factor, ...]

  def predict(self, params, x, mask):
    del params, mask
    return {f.name: jnp.zeros((len(x), f.num_classes) if f.num_classes else (
        *x.shape[:2], len(f.values))) for f in self.factors}


def _trained(params):
  """What training gives."""
  return types.SimpleNamespace(
      interrupted=False, step=1,
      state=types.SimpleNamespace(eval_params=params))


@pytest.fixture
def config():
  """Few small clips."""
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=3, num_train=4, num_test=8)
  return config


@pytest.fixture
def accuracy(config, tmp_path, monkeypatch):
  """Accuracy and counts that are left by settings of the judges."""
  dataset = build.dataset(config)
  monkeypatch.setattr(build, 'judge', lambda *args: First(dataset.factors))
  monkeypatch.setattr(run, 'train', lambda *args: _trained({}))

  def judge(num_judges, split):
    config.eval.judge.num_judges, config.eval.split = num_judges, split
    jury.jury(config, dataset, epath.Path(tmp_path))
    return results.read(results.path_of(tmp_path / 'judges', 'judge'))

  return judge


def test_accuracy_is_of_the_judges_and_the_split_that_were_asked_for(accuracy):
  first = accuracy(1, 'test')
  assert (first.counts['judges'], first.counts['clips']) == (1, 8)
  assert accuracy(1, 'test') == first  # With its time: it was not made again.
  assert accuracy(2, 'test').counts['judges'] == 2
  assert accuracy(2, 'train').counts['clips'] == 4


def test_judges_are_of_the_network_that_was_asked_for(
    config, tmp_path, monkeypatch):
  def train(judge, config, dataset, home):
    shapes = jax.eval_shape(
        judge.init, jax.random.key(0), run.first_batch(config, dataset))
    return _trained(jax.tree.map(lambda a: np.ones(a.shape, a.dtype), shapes))

  monkeypatch.setattr(run, 'train', train)
  dataset, metrics = build.dataset(config), []
  for network, part in ('lstm', 'frame_encoder'), ('r2plus1d', 'stem'):
    config.eval.judge.update(
        network=network, num_judges=2, batch_size=4, channels=4, hidden=4)
    found = jury.jury(config, dataset, epath.Path(tmp_path))
    assert [part in p['params'] for p in found.params] == [True, True]
    result = results.read(results.path_of(tmp_path / 'judges', 'judge'))
    assert result.config['method']['network'] == network
    metrics.append(result.metrics)
  assert metrics[0].keys() == metrics[1].keys()


@pytest.mark.parametrize('network', classifiers.NETWORKS)
def test_judges_of_both_networks_see_clips_of_mhad(network):
  config = divid_mhad.get_config()
  config.eval.judge.update(network=network, num_judges=3)
  jury.check(config, config.eval.protocols)
  configs = [jury.judge_config(config, number) for number in range(3)]
  judge, *others = [
      build.judge(c, types.SimpleNamespace(factors=mhad.FACTORS))
      for c in configs]
  assert judge.network == network and others == [judge, judge]
  assert [c.seed for c in configs] == [0, 1, 2]
  x, mask = jnp.zeros((2, 10, 128, 128, 3)), jnp.ones((2, 10), bool)
  outputs = jax.eval_shape(lambda key: judge.predict(
      judge.init(key, {'x': x, 'mask': mask}), x, mask), jax.random.key(0))
  assert {name: a.shape for name, a in outputs.items()} == {
      'subject': (2, 8), 'action': (2, 27)}


def _config(changes=()):
  """The config of the quickstart with some values, by section.key."""
  config = quickstart.get_config()
  config.update_from_flattened_dict(dict(changes))
  return config


def test_judge_depends_on_data_and_its_own_settings_only():
  config = _config()
  first = jury.judge_config(config, 0)
  for key, value in (
      ('method.static_dim', 9), ('optim.learning_rate', 1.0),
      ('optim.ema_decay', None), ('optim.warmup_steps', 1),
      ('train.num_steps', 9), ('train.save_every', 9),
      ('train.parallel', 'mesh'), ('train.fsdp', True),
      ('train.num_parts', 2),
      ('sampler.num_steps', 9), ('eval.num_pairs', 9), ('seed', 9),
      ('eval.judge.workdir', 'elsewhere'), ('eval.judge.num_judges', 2),
      ('data.batch_size', 9)):
    other = _config({key: value})
    assert jury.judge_config(other, 0) == first, key
  for key, value in (
      ('data.size', 9), ('eval.judge.num_steps', 9),
      ('eval.judge.learning_rate', 1.0), ('eval.judge.channels', 4),
      ('eval.judge.batch_size', 4), ('eval.judge.max_shift', 4),
      ('eval.judge.network', 'r2plus1d')):
    other = _config({key: value})
    assert jury.judge_config(other, 0) != first, key
  assert jury.judge_config(config, 1).seed == 1
  older = _config()
  del older.train.num_parts, older.train.start_from
  assert jury.judge_config(older, 0) == first


def test_judge_is_made_as_its_config_says():
  config = _config()
  config.eval.judge.update(
      network='r2plus1d', channels=7, hidden=5, max_shift=3,
      max_brightness=0.3, batch_size=6,
      num_steps=40, learning_rate=0.5)
  made = jury.judge_config(config, 0)
  dataset = build.dataset(config)
  assert build.judge(made, dataset) == judge_lib.Judge(
      dataset.factors, 'r2plus1d', channels=7, hidden=5, max_shift=3,
      max_brightness=0.3)
  assert (made.data.batch_size, made.train.num_steps) == (6, 40)
  assert made.optim.learning_rate == 0.5
  assert made.optim.warmup_steps < 40  # However short.


def test_misspelt_option_of_the_judge_is_named():
  config = _config()
  config.eval.judge.chanels = 7
  with pytest.raises(
      ValueError, match="config.eval.judge 'chanels'. Did you mean 'channels'"):
    build.judge(jury.judge_config(config, 0), build.dataset(config))
