"""The solver protocol on a method whose error is known for each solver."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.evaluation.protocols import solvers
from seqdiff.methods import base
from seqdiff.methods import diffsda


@dataclasses.dataclass(frozen=True)
class Off:
  """Decodes every clip with an error of 2 / num_steps in each value."""

  solver: diffsda.Solver = diffsda.Solver()

  def encode(self, params, x, mask):
    del params, mask
    return base.Factors(static=x[:, 0, 0, 0], dynamic=0.25 * x)

  def decode(self, params, factors, x_init):
    del params, x_init
    # Towards 0, for samples are clipped to [-1, 1].
    x = 4.0 * factors.dynamic
    return x - jnp.sign(x) * 2.0 / self.solver.num_steps


def test_each_solver_is_named_by_its_nfe_and_compared_with_heun_63(
    toy, tmp_path):
  metrics, counts = solvers.run(toy.make_context(
      tmp_path, method=Off(), num_clips=10))
  # A value of an error 2 / N is 1 / N in units of [0, 1]; no value is 0.
  for name, num_steps in (
      ('heun_nfe63', 32), ('heun_nfe15', 8), ('dpmpp_2m_nfe16', 16),
      ('dpmpp_2m_nfe12', 12), ('dpmpp_2m_nfe8', 8), ('euler_nfe16', 16)):
    np.testing.assert_allclose(
        metrics[f'{name}/mse'], num_steps**-2.0, rtol=1e-4)
    assert metrics[f'{name}/mse_ratio'] == pytest.approx(
        (32 / num_steps) ** 2, rel=1e-4)
  assert counts == {'clips': 10, 'frames': 40}
