"""A VAE in the place of DiffSDA on series: the plain row of the tables.

Data, protocols, sizes of codes and networks, optimizer and length of the
training are those of DiffSDA's config; the denoiser's perceptron is the
decoder. What is compared is the method.
"""

import ml_collections

# What both methods have.
_SHARED = ('variables', 'static_dim', 'dynamic_dim', 'hidden', 'aggregator',
           'causal', 'frames_per_step', 'encoder')


def get_config(row: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """The config `row` of DiffSDA on series, with a VAE as its method."""
  config = ml_collections.ConfigDict(row)
  config.method = ml_collections.ConfigDict(dict(
      name='vae',
      beta=0.1,  # Weight of both divergences; as GLR's. 1: a bound of log p.
      decoder=row.method.denoiser,
      **{name: row.method[name] for name in _SHARED}))
  # Decoding needs no noise; this is only what the protocols ask for.
  config.sampler = ml_collections.ConfigDict(dict(x_T='fresh_shared'))
  return config
