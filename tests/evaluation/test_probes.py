"""Tests of `evaluation.probes`: noise tells nothing, and is not chosen."""

import numpy as np
import pytest

from seqdiff.evaluation import probes


def test_probes_know_what_they_were_fitted_to_only():
  # 20 numbers of noise tell 40 clips apart, but nothing of their labels.
  rng = np.random.default_rng(0)
  x, y = rng.normal(size=(40, 20)), np.arange(40) % 2
  found = probes.score({'': x}, y, np.arange(40), classes=True)
  assert found.held_out < 0.75 and found.in_sample > 0.85
  assert set(found.each) == {'linear', 'perceptron'}


@pytest.mark.parametrize('classes', [True, False])
def test_groups_are_never_divided(classes):
  # 12 groups of 8 alike: who has seen one of a group knows the others.
  rng = np.random.default_rng(1)
  group = np.repeat(np.arange(12), 8)
  x = rng.normal(size=(12, 30))[group] + 1e-3 * rng.normal(size=(96, 30))
  y = rng.permutation(np.arange(12) % 2)[group]
  together = probes.score({'': x}, y, group, classes=classes)
  apart = probes.score({'': x}, y, np.arange(96), classes=classes)
  assert apart.held_out > 0.9 and together.held_out < 0.75


def test_best_of_many_inputs_of_noise_is_no_better_than_chance(monkeypatch):
  both = probes._probes
  monkeypatch.setattr(probes, '_probes', lambda classes: both(classes)[:1])
  scores, best = [], []
  for seed in range(8):
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(60) % 2)
    found = probes.score(
        {str(i): rng.normal(size=(60, 3)) for i in range(6)}, y,
        np.arange(60), classes=True)
    scores.append(found.held_out)
    best.append(max(found.each.values()))
  error = np.std(scores, ddof=1) / np.sqrt(len(scores))
  assert abs(np.mean(scores) - 0.5) < 3 * error
  assert np.mean(best) > 0.55  # What choosing afterwards would have said.


def test_the_input_that_tells_is_chosen():
  rng = np.random.default_rng(2)
  y = rng.permutation(np.arange(60) % 3)
  found = probes.score(
      {'told': np.eye(3)[y], 'noise': rng.normal(size=(60, 5))}, y,
      np.arange(60), classes=True)
  assert found.held_out == 1.0
  assert found.each['noise_linear'] < 0.6


def test_values_are_scored_by_r2_clipped_at_0():
  rng = np.random.default_rng(3)
  x = rng.normal(size=(100, 4))
  told = probes.score(
      {'': x}, x @ rng.normal(size=(4, 2)), np.arange(100), classes=False)
  assert told.held_out > 0.95
  noise = probes.score(
      {'': x}, rng.normal(size=(100, 2)), np.arange(100), classes=False)
  assert noise.held_out < 0.05 and noise.each['linear'] >= 0.0
