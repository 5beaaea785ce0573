r"""VAE: the plain row, Gaussian codes and a Gaussian decoder for series.

The encoder, the codes and the sizes are those of DiffSDA for series
(arXiv:2510.05717), so that a difference between the two rows is one between
their decoders and losses. The codes have the prior N(0, I), each on its own,
and a step is decoded from its code and that of the series, with unit variance
(Kingma and Welling 2014, arXiv:1312.6114; beta: Higgins et al. 2017):

  -log p(x | s, d^{1:T}) + beta (KL(q(s) | p) + sum_t KL(q(d^t) | p)),

with p = N(0, I), over the values that were measured, divided by their number.
The weight beta is `static_kl` and `dynamic_kl` of `conditional`. A decoder of
variance v is the same as beta = v, up to a constant.
"""

import dataclasses
from typing import Any

import chex
import jax
import jax.numpy as jnp

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.losses import gaussian
from seqdiff.methods import base
from seqdiff.methods import conditional


@dataclasses.dataclass(frozen=True)
class VAE(conditional.Coder):
  """The method as an object without weights; see `methods.base.Method`.

  Parameters are {'encoder': ..., 'decoder': ...}.

  Attributes:
    decoder: codes -> series; a `nets.decoders.CodeDecoder`.
  """

  decoder: Any = dataclasses.field(kw_only=True)

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`."""
    encoder, codes = self._init_encoder(key, batch)
    decoder = self.decoder.init(
        keys.named(key, 'decoder'), codes.static, codes.dynamic)
    return {'encoder': encoder, 'decoder': decoder}

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of each series (B,), see `methods.base.Trainable`.

    In evaluation the codes are their means.
    """
    del step
    shown, codes, penalty = self._read(params['encoder'], batch, key, train)
    rngs = {'dropout': keys.of_batch(
        key, 'dropout', batch['index'])} if train else None
    guess = self.decoder.apply(
        params['decoder'], codes.static, codes.dynamic, train=train, rngs=rngs)
    nll = gaussian.nll(shown['x'], guess) * data_batch.observed(shown)
    parts = {'nll': shapes.masked_mean(jnp.mean(nll, axis=2), shown['mask'])
                    / data_batch.observed_share(batch)}
    num_values = jnp.maximum(
        jnp.sum(data_batch.observed(batch), axis=(1, 2)), 1)
    num_frames = jnp.sum(batch['mask'], axis=1)
    for name, kl in penalty.items():
      code = codes.static if name == 'static_kl' else codes.dynamic
      count = num_frames if code.ndim == 3 else 1  # A mean, or one only.
      parts[name] = kl * count / num_values
    return sum(parts.values()), parts

  def decode(
      self, params: types.Params, factors: base.Factors, x_init: types.Array
  ) -> jax.Array:
    """Factors -> the means of the series; `x_init` has no influence."""
    chex.assert_equal_shape_prefix([factors.dynamic, x_init], 2)
    return self.decoder.apply(
        params['decoder'], factors.static, factors.dynamic)

  def invert(
      self, params: types.Params, factors: base.Factors, x: types.Array
  ) -> jax.Array:
    """Zeros shaped as the series: no x_T is needed to decode them."""
    del params, factors
    return jnp.zeros_like(x)
