"""A VAE in the place of DiffSDA on series: the plain row of the tables.

Data, protocols, sizes of codes and networks, optimizer and length of the
training are those of DiffSDA's config; the denoiser's perceptron is the
decoder. What is compared is the method.
"""

from collections.abc import Callable

import ml_collections

from seqdiff.core import errors

# What both methods have.
_SHARED = ('variables', 'static_dim', 'dynamic_dim', 'hidden', 'aggregator',
           'causal', 'centre', 'static_frames', 'frames_per_step', 'encoder')


def get_config(
    of_row: Callable[[str], ml_collections.ConfigDict],
    variant: str,
    known: tuple[str, ...],
) -> ml_collections.ConfigDict:
  """A config of DiffSDA on series, with a VAE as its method.

  Args:
    of_row: the function that gives DiffSDA's config.
    variant: of it, one of `known`.
    known: the variants that this row has.

  Raises:
    ValueError: for another variant.
  """
  if variant not in known:
    raise errors.unknown_name('variant', variant, known)
  config = of_row(variant)
  row = config.method
  config.method = ml_collections.ConfigDict(dict(
      name='vae',
      beta=0.1,  # Weight of both divergences; as GLR's. 1: a bound of log p.
      decoder=row.denoiser,
      **{name: row[name] for name in _SHARED}))
  # Decoding needs no noise; this is only what the protocols ask for.
  config.sampler = ml_collections.ConfigDict(dict(x_T='fresh_shared'))
  return config
