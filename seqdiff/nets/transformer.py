"""Transformer encoder over the frames of a clip.

Source: Vaswani et al. 2017, arXiv:1706.03762, with the norm after the residual
sum, or before (`pre_norm`); DiViD (arXiv:2507.13934, Sec. 4.1) for the sizes.
"""

import functools
import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.nets import blocks


class TransformerEncoder(nn.Module):
  """Layers of self-attention and of perceptrons over frames.

  Frames with mask 0 are not attended to.

  Attributes:
    layers: number of layers.
    heads: number of heads; divides the size of the features.
    hidden: hidden size of the perceptrons.
    dropout: dropout rate, of the input too.
    causal: whether a frame sees those before it only.
    pre_norm: whether the norms come before attention and perceptrons, and one
      after the last layer (Xiong et al. 2020, arXiv:2002.04745).
    scale_inputs: whether the input is multiplied by sqrt(D) before positions
      are added (Vaswani et al., Sec. 3.4).
    kernel_init: initialiser of weights, but for those of
    projection_init: of queries, keys and values.
  """

  layers: int = 4
  heads: int = 32
  hidden: int = 1024
  dropout: float = 0.1
  causal: bool = False
  pre_norm: bool = False
  scale_inputs: bool = False
  kernel_init: nn.initializers.Initializer = blocks.XAVIER
  projection_init: nn.initializers.Initializer = blocks.XAVIER

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """(B, T, D), mask (B, T) -> (B, T, D); adds positions to x first."""
    size = x.shape[-1]
    drop = blocks.Dropout(self.dropout, deterministic=not train)
    norm = lambda name, h: nn.LayerNorm(epsilon=1e-5, name=name)(h)
    seen = nn.make_attention_mask(jnp.ones_like(mask), mask)
    if self.causal:
      seen = nn.combine_masks(seen, nn.make_causal_mask(mask))

    def attend(h, i):
      return nn.MultiHeadDotProductAttention(
          self.heads, dropout_rate=self.dropout, deterministic=not train,
          broadcast_dropout=False, kernel_init=self.projection_init,
          out_kernel_init=self.kernel_init, name=f'attention_{i}')(h, mask=seen)

    def perceive(h, i):
      layer = functools.partial(blocks.dense, init=self.kernel_init)
      h = nn.relu(layer(self.hidden, name=f'widen_{i}')(h))
      return layer(size, name=f'shrink_{i}')(drop(h))

    if self.scale_inputs:
      x = x * math.sqrt(size)
    x = drop(x + blocks.sinusoids(jnp.arange(x.shape[1]), size)[None])
    for i in range(self.layers):
      for layer, name in (
          (attend, f'attention_norm_{i}'), (perceive, f'norm_{i}')):
        if self.pre_norm:
          x = x + drop(layer(norm(name, x), i))
        else:
          x = norm(name, x + drop(layer(x, i)))
    return norm('last_norm', x) if self.pre_norm else x
