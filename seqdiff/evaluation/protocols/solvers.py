"""The solver protocol: what fewer evaluations of the network cost.

Version 1. Clips are decoded from their own factors and the same fresh noise by
several solvers, none of which adds noise; `<solver>_nfe<n>/mse` is the squared
error in [0, 1] units and `<solver>_nfe<n>/mse_ratio` that over the error of
Heun at 63 evaluations, the setting of DiffSDA (arXiv:2510.05717).
"""

import dataclasses

from seqdiff.diffusion import samplers
from seqdiff.evaluation import context
from seqdiff.evaluation.protocols import reconstruction
from seqdiff.methods import base
from seqdiff.methods import latent
from seqdiff.sampling import reconstruct

VERSION = 1
# (solver, steps); the first is what the others are compared with.
SETTINGS = (('heun', 32), ('heun', 8), ('dpmpp_2m', 16), ('dpmpp_2m', 12),
            ('dpmpp_2m', 8), ('euler', 16))


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol.

  Raises:
    ValueError: if the method has no solver.
  """
  samplers_by_name = {}
  for name, num_steps in SETTINGS:
    nfe = samplers.num_evaluations(name, num_steps)
    samplers_by_name[f'{name}_nfe{nfe}'] = reconstruct.make_reconstruct(
        _with_solver(ctx.method, name, num_steps), x_T='fresh_shared')
  errors, _, counts = reconstruction.errors(ctx, samplers_by_name)
  reference = next(iter(errors.values()))
  metrics = {f'{k}/mse': v for k, v in errors.items()}
  metrics.update({f'{k}/mse_ratio': v / reference for k, v in errors.items()})
  return metrics, counts


def _with_solver(
    method: base.Method, name: str, num_steps: int
) -> base.Method:
  """The method, or that of latents within it, with another solver."""
  if isinstance(method, latent.Latent):
    return dataclasses.replace(
        method, method=_with_solver(method.method, name, num_steps))
  if not hasattr(method, 'solver'):
    raise ValueError(
        f'Protocol solvers with {type(method).__name__}, which has no solver; '
        'expected a method that samples by diffusion. Leave it out of '
        'config.eval.protocols.')
  # DDIM alone can add noise: others refuse an eta.
  silent = {'eta': 0.0} if hasattr(method.solver, 'eta') else {}
  return dataclasses.replace(method, solver=dataclasses.replace(
      method.solver, name=name, num_steps=num_steps, **silent))
