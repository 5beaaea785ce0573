"""Tests of `model`: the noise that factors are decoded from."""

import numpy as np
import pytest

from configs import quickstart
from seqdiff import build
from seqdiff import model
from seqdiff.methods import base


class Noise:
  """Gives back the noise, whatever the codes are."""

  def decode(self, params, factors, x_init):
    del params, factors
    return x_init


@pytest.mark.parametrize('x_T, shared', [
    ('fresh', False), ('fresh_shared', True), ('dynamics_clip', True)])
def test_codes_without_a_clip_start_as_the_config_says(x_T, shared, tmp_path):
  config = quickstart.get_config()
  config.data.update(size=8, num_train=1, num_test=1)
  config.sampler.x_T = x_T
  found = model.Model(
      config, tmp_path, build.dataset(config), Noise(), {}, 1)
  x = found.decode(base.Factors(
      static=np.zeros((2, 3)), dynamic=np.zeros((2, 5, 1))), seed=3)
  assert x.shape == (2, 5, 8, 8, 3) and (x[0] != x[1]).any()
  assert (x == x[:, :1]).all() == shared
