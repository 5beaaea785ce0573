"""What our code computes of a case; `theirs` does the same with the peer."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import types
from tests.peers import cases


def networks(case: cases.Case) -> dict[str, np.ndarray]:
  """The codes of real frames, and the output of the denoiser."""
  factors, noised = case.factors()

  @jax.jit
  def run(params):
    codes = case.method.encode(params, case.batch['x'], case.batch['mask'])
    return codes, case.method.denoiser.apply(
        params['denoiser'], noised, case.levels(), factors.static,
        factors.dynamic)

  codes, output = run(case.params)
  return {
      'static': case.real(np.asarray(codes.static)),
      'dynamic': case.real(np.asarray(codes.dynamic)),
      'output': cases.frames_first(output),
  }


def losses(case: cases.Case) -> tuple[dict[str, np.ndarray], types.Params]:
  """The parts of the loss, and the gradient of its mean."""

  def mean_loss(params):
    loss, parts = case.method.loss(
        params, case.batch, cases.KEY, step=jnp.int32(0), train=True)
    return jnp.mean(loss), {'loss': loss, **parts}

  grads, parts = jax.jit(jax.grad(mean_loss, has_aux=True))(case.params)
  return jax.device_get((parts, grads))


def slopes(
    case: cases.Case, grads: types.Params
) -> dict[str, tuple[float, float]]:
  """By array, how fast the loss rises in its direction, and in the steepest."""
  directions = jax.tree.leaves(case.directions())
  return {
      jax.tree_util.keystr(path, simple=True, separator='/'): (
          np.sum(direction * grad), np.linalg.norm(grad))
      for direction, (path, grad) in zip(
          directions, jax.tree.leaves_with_path(grads), strict=True)
  }


def clips(case: cases.Case) -> np.ndarray:
  """Clips sampled from random codes."""
  factors, x_T = case.factors()
  solver = dataclasses.replace(
      case.method.solver, name=cases.SOLVERS[case.name],
      num_steps=cases.NUM_STEPS)
  method = dataclasses.replace(case.method, solver=solver)
  return cases.frames_first(jax.jit(method.decode)(case.params, factors, x_T))
