"""Tests of `explore`: what a move along a component leaves as it was."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from configs import quickstart
from seqdiff import build
from seqdiff import explore
from seqdiff import model
from seqdiff.methods import base
from seqdiff.sampling import explore as directions


@dataclasses.dataclass(frozen=True)
class Means:
  """Codes are colours; what they do not hold of a clip is in x_T."""

  def encode(self, params, x, mask):
    del params, mask
    return base.Factors(
        static=jnp.mean(x, axis=(1, 2, 3)), dynamic=jnp.mean(x, axis=(2, 3)))

  def decode(self, params, factors, x_init):
    del params
    code = factors.static[:, None] + factors.dynamic
    return 0.5 * code[:, :, None, None] + x_init

  def invert(self, params, factors, x):
    return x - self.decode(params, factors, 0.0)


@pytest.mark.parametrize('kind', ['static', 'dynamic'])
def test_the_move_by_0_from_its_own_x_T_is_the_clip(kind, tmp_path):
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=3, num_train=9, num_test=3)
  dataset = build.dataset(config)
  found = model.Model(config, tmp_path, dataset, Means(), {}, 1)
  clips = np.stack([dataset.splits['test'][i]['x'] for i in range(3)])
  codes = getattr(found.encode(clips), kind)
  explorer = explore.Explorer(
      types.SimpleNamespace(model=found), {kind: directions.principal(codes)})
  moved = explorer.traverse(clips, kind, 1, (0.0, 1.0), x_T='encoded')
  # A grey level more or less by rounding.
  np.testing.assert_allclose(moved[0].astype(int), clips, atol=1)
  assert np.abs(moved[1].astype(int) - clips).mean() > 5


def test_titles_name_the_factor_that_a_component_tells_best():
  metrics = {
      'dynamic_component_2/pose': 0.613,
      'reference/chance/dynamic_component_2/pose': 0.0}
  assert explore._title(metrics, 'dynamic', 2) == (
      'dynamic component 2: pose 0.61 (chance 0.00)')
  assert explore._title(metrics, 'static', 2) == 'static component 2'
