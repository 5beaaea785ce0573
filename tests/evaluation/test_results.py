"""Result files: what is written is what is read, and nothing else is."""

import dataclasses
import hashlib
import json
import os

import numpy as np
import pytest

from seqdiff.evaluation import results

CONFIG = {'seed': 3, 'data': {'name': 'puppets', 'size': 16}, 'ema': None}
HARDWARE = {
    'platform': 'cpu',
    'device_kind': 'cpu',
    'device_count': 1,
    'cpu_count': 2,
    'jax_version': '0.0.0',
}


def _result(**changes) -> results.Result:
  values = {
      'protocol': 'swap',
      'version': 1,
      'config': CONFIG,
      'seed': 3,
      'step': 200,
      'counts': {'pairs': 64},
      'wall_seconds': 12.5,
      'metrics': {'joint_accuracy': 0.75, 'reference/real/mse': 2.0},
      'hardware': HARDWARE,
  }
  return results.Result(**(values | changes))


def test_what_is_written_is_read(tmp_path):
  path = results.write(tmp_path, _result())
  assert path == tmp_path / 'results' / 'swap.json'
  assert results.read(path) == _result()


def test_file_has_exactly_the_promised_keys_and_is_readable(tmp_path):
  text = results.write(tmp_path, _result()).read_text()
  keys = list(json.loads(text))
  assert keys == sorted([
      'protocol', 'version', 'config', 'config_hash', 'seed', 'step', 'counts',
      'hardware', 'wall_seconds', 'metrics',
  ])  # fmt: skip
  assert '\n  "step": 200,\n' in text
  assert text.endswith('}\n')


def test_hash_is_of_the_canonical_json():
  # Written by hand: sorted keys, no spaces.
  canonical = b'{"a":[1,2],"b":{"c":null,"d":true}}'
  expected = hashlib.sha256(canonical).hexdigest()[:16]
  config = {'b': {'d': True, 'c': None}, 'a': (1, 2)}
  assert results.config_hash(config) == expected
  assert _result(config=config).config_hash == expected


def test_hash_sees_a_nested_change():
  other = {**CONFIG, 'data': {'name': 'puppets', 'size': 17}}
  assert results.config_hash(other) != results.config_hash(CONFIG)


@pytest.mark.parametrize(
    'metrics, message',
    [
        ({'mse': float('nan')}, "'mse' is nan.*finite"),
        ({'mse': float('inf')}, "'mse' is inf.*finite"),
        ({'real': {'mse': 1.0}}, "'real' is a dict.*flat"),
        ({'mse': [1.0]}, "'mse' is a list.*flat"),
        ({'mse': np.ones(2)}, "'mse' is a ndarray.*float"),
        ({'mse': '1'}, "'mse' is a str"),
        ({'mse': True}, "'mse' is a bool"),
        ({'joint_accuracy': 75.0}, r'75.*\[0, 1\]'),
        ({'reference/real/joint_accuracy': -0.1}, r'-0.1.*\[0, 1\]'),
        ({'mse_std': 0.1}, "'mse_std' is a spread.*Add 'mse'"),
    ],
)
def test_bad_metric_is_refused_and_nothing_is_left(tmp_path, metrics, message):
  with pytest.raises(ValueError, match=message):
    results.write(tmp_path, _result(metrics=metrics))
  assert not list(tmp_path.rglob('*.*'))


def test_numpy_scalars_and_spreads_are_numbers(tmp_path):
  metrics = {'mse': np.float32(0.5), 'mse_std': np.float64(0.25), 'n': 3}
  path = results.write(tmp_path, _result(metrics=metrics))
  assert results.read(path).metrics == {'mse': 0.5, 'mse_std': 0.25, 'n': 3.0}


def test_same_run_replaces_its_result(tmp_path):
  results.write(tmp_path, _result(step=100))
  path = results.write(tmp_path, _result(step=200))
  assert results.read(path).step == 200


def test_result_of_another_run_is_kept(tmp_path):
  path = results.write(tmp_path, _result())
  other = _result(config={**CONFIG, 'seed': 4}, step=999)
  with pytest.raises(ValueError, match='another run.*another workdir'):
    results.write(tmp_path, other)
  assert results.read(path) == _result()


def test_config_that_is_not_json_is_refused(tmp_path):
  with pytest.raises(ValueError, match='cannot be written as JSON.*to_dict'):
    results.write(tmp_path, _result(config={'f': np.ones(2)}))


def test_failed_write_leaves_the_old_file_and_no_part(tmp_path, monkeypatch):
  path = results.write(tmp_path, _result(step=100))

  def fail(source, target):
    assert json.loads(source.read_text())['step'] == 200  # Whole by now.
    assert target == path
    raise OSError('disk full')

  monkeypatch.setattr(os, 'replace', fail)
  with pytest.raises(OSError, match='disk full'):
    results.write(tmp_path, _result(step=200))
  assert [p.name for p in path.parent.iterdir()] == ['swap.json']
  assert results.read(path).step == 100


@pytest.mark.parametrize(
    'change, message',
    [
        (lambda c: c['config'].update(seed=5), 'changed by hand'),
        (lambda c: c.pop('seed'), r'expected the keys .*evaluate|Evaluate'),
        (lambda c: c.update(score=1), 'score'),
        (lambda c: c.pop('config_hash'), 'no result file'),
        (lambda c: c['metrics'].update(mse='good'), "'mse' is a str"),
    ],
)
def test_tampered_file_is_refused(tmp_path, change, message):
  path = results.write(tmp_path, _result())
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content))
  with pytest.raises(ValueError, match=message):
    results.read(path)


@pytest.mark.parametrize('text', ['', '{"protocol": "sw', '[]', '3'])
def test_what_is_no_result_file_is_named(tmp_path, text):
  path = tmp_path / 'torn.json'
  path.write_text(text)
  with pytest.raises(ValueError, match='torn.json is no result file'):
    results.read(path)


def test_hardware_says_what_jax_computes_on():
  hardware = results.hardware()
  assert set(hardware) == set(HARDWARE)
  assert hardware['cpu_count'] == os.cpu_count()
  assert hardware['device_count'] >= 1
  assert dataclasses.replace(_result(), hardware=hardware) != _result()
