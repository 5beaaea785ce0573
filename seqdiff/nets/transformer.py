"""Transformer encoder over the frames of a clip.

Source: Vaswani et al. 2017, arXiv:1706.03762, with the norm after the residual
sum; DiViD (arXiv:2507.13934, Sec. 4.1) for the sizes.
"""

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
  """

  layers: int = 4
  heads: int = 32
  hidden: int = 1024
  dropout: float = 0.1

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """(B, T, D), mask (B, T) -> (B, T, D); adds positions to x first."""
    drop = nn.Dropout(self.dropout, deterministic=not train)
    norm = lambda name, h: nn.LayerNorm(epsilon=1e-5, name=name)(h)
    seen = nn.make_attention_mask(jnp.ones_like(mask), mask)
    x = drop(x + blocks.sinusoids(jnp.arange(x.shape[1]), x.shape[-1])[None])
    for i in range(self.layers):
      attend = nn.MultiHeadDotProductAttention(
          self.heads, dropout_rate=self.dropout, deterministic=not train,
          broadcast_dropout=False, kernel_init=blocks.XAVIER,
          name=f'attention_{i}')
      x = norm(f'attention_norm_{i}', x + drop(attend(x, mask=seen)))
      h = nn.relu(blocks.dense(self.hidden, name=f'widen_{i}')(x))
      h = blocks.dense(x.shape[-1], name=f'shrink_{i}')(drop(h))
      x = norm(f'norm_{i}', x + drop(h))
    return x
