"""Tests of `seqdiff.benchmark.choices`."""

import jax
import numpy as np
import pytest

from seqdiff.benchmark import choices


@pytest.mark.parametrize('name', sorted({*choices.CHOICES} - {'dropout'}))
def test_both_sides_give_the_same_numbers(name):
  ours, plain = (side() for side in choices.CHOICES[name]())
  if name == 'lstm':  # Kernels of another form: those of all gates at once.
    ours, plain = (ours[0], ours[1]['params']), (plain[0], plain[1]['params'])
    cell = plain[1]['cell']
    plain = plain[0], {
        f'{to}_kernel': np.concatenate(
            [cell[f'{letter}{gate}']['kernel'] for gate in 'ifgo'], axis=1)
        for to, letter in (('input', 'i'), ('state', 'h'))}
    ours = ours[0], {key: ours[1][key] for key in plain[1]}
  assert len(jax.tree.leaves(ours)) > 0
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(plain), strict=True):
    scale = np.abs(b).max()
    assert scale > 0
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5 * scale)


def test_both_sides_drop_as_many_values():
  (ours,), (plain,) = (side() for side in choices.CHOICES['dropout']())
  assert ours.shape == plain.shape and (ours != plain).any()
  for function in (lambda x: x != 0.0), np.abs:
    np.testing.assert_allclose(
        function(ours).mean(), function(plain).mean(), rtol=2e-3)


def test_ratio_is_the_speed_over_that_of_the_plain_way(monkeypatch):
  seconds = {'ours': 1.0, 'plain': 3.0}
  monkeypatch.setitem(choices.CHOICES, 'frames', lambda: tuple(seconds))
  monkeypatch.setattr(
      choices.timing, 'timed', lambda side: lambda repeats: (
          repeats * seconds[side]))
  metrics = choices.measure(['frames'], rounds=3, seconds=1.0)
  assert metrics['choice/frames/ratio'] == 3.0
  assert metrics['choice/frames/per_second'] == 1.0
