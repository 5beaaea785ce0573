"""The solver protocol on a method whose error is known for each solver."""

import dataclasses
import types

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.evaluation.protocols import solvers
from seqdiff.methods import base
from seqdiff.methods import diffsda
from seqdiff.methods import divid
from seqdiff.methods import latent


@dataclasses.dataclass(frozen=True)
class Off:
  """Decodes every clip with an error of 2 / num_steps in each value."""

  solver: diffsda.Solver | divid.Solver = diffsda.Solver()

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


class Stage:
  """A first stage that leaves the clips as they are."""

  net = types.SimpleNamespace(multipliers=(1,), embed_dim=3)

  def encode(self, params, x, mask):
    del params, mask
    return x

  def decode(self, params, z):
    del params
    return z


def test_solvers_of_latents_are_those_of_the_method_within(toy, tmp_path):
  params = {'method': None, 'first_stage': None, 'mean': np.zeros(3),
            'std': np.ones(3)}
  metrics, _ = solvers.run(toy.make_context(
      tmp_path, method=latent.Latent(Off(), Stage()), params=params,
      num_clips=3))
  assert metrics['heun_nfe15/mse_ratio'] == pytest.approx(16, rel=1e-4)


def test_a_sampler_with_noise_is_compared_without_it(toy, tmp_path):
  method = Off(divid.Solver(eta=0.5))
  metrics, _ = solvers.run(toy.make_context(
      tmp_path, method=method, num_clips=3))
  assert metrics['euler_nfe16/mse_ratio'] == pytest.approx(4, rel=1e-4)


@pytest.mark.parametrize('wrap', [
    lambda method: method, lambda method: latent.Latent(method, Stage())])
def test_a_method_without_a_solver_is_refused(toy, tmp_path, wrap):
  ctx = toy.make_context(tmp_path, method=wrap(toy.Codes()))
  with pytest.raises(ValueError, match='solvers with Codes, which has no solv'):
    solvers.run(ctx)
