"""Decoders: denoisers conditioned on codes, and codes to values in one step."""

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.core import shapes
from seqdiff.nets import blocks
from seqdiff.nets import skip_mlp
from seqdiff.nets import unet


class AdaGNDenoiser(nn.Module):
  """The denoiser of DiffSDA (arXiv:2510.05717, App. A), frame by frame.

  A frame is conditioned on its noise level first and on a = [d, s] second,
  the dynamic code before the static code as in the released code.

  Attributes:
    backbone: the U-Net with AdaGN, or for series a `SkipMLP`.
  """

  backbone: unet.UNet | skip_mlp.SkipMLP

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      c_noise: jax.Array,
      static: jax.Array,
      dynamic: jax.Array,
      *,
      train: bool = False,
  ) -> jax.Array:
    """F for each frame.

    Args:
      x: (B, T, ...) scaled noised clips.
      c_noise: (B, T) noise conditioning.
      static: (B, Ds), or (B, T, Ds) if it is not shared.
      dynamic: (B, T, Dd).
      train: whether dropout is active.

    Returns:
      float32, shaped as x.
    """
    channels = self.backbone.channels
    codes = jnp.concatenate([dynamic, _per_frame(static, dynamic)], axis=-1)
    noise = blocks.NoiseEmbedding(channels, name='noise_embedding')(
        c_noise.reshape(-1))
    factors = blocks.dense(4 * channels, name='factor_embedding')(
        shapes.merge_frames(codes))
    y = self.backbone(
        shapes.merge_frames(x), (noise, factors), train=train,
        **_over_time(self.backbone, x.shape[1]))
    return shapes.split_frames(y, x.shape[1])


class CrossAttentionDenoiser(nn.Module):
  """The U-Net of DiViD (arXiv:2507.13934, Sec. 3.2), frame by frame.

  A frame is conditioned on its step t and on its own two codes, s and d_i: as
  the two tokens [s, d_i] that spatial transformers attend to or, in the
  ablation with AdaGN (Table 2), joined to one embedding after that of t.

  Attributes:
    backbone: the U-Net; its `attention`, 'cross' or 'self', says which.
    token_dim: None, or size to which a linear layer per kind brings the codes
      first. Without it tokens are the codes, which then have one size.
    token_types: whether a learned vector for each kind is added to the tokens,
      which else differ by their content only. Departure.
  """

  backbone: unet.UNet
  token_dim: int | None = None
  token_types: bool = False

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      t: jax.Array,
      static: jax.Array,
      dynamic: jax.Array,
      *,
      train: bool = False,
  ) -> jax.Array:
    """The network's prediction for each frame.

    Args:
      x: (B, T, H, W, C) noised clips.
      t: (B, T) steps.
      static: (B, D), or (B, T, D) if it is not shared.
      dynamic: (B, T, D).
      train: whether dropout is active.

    Returns:
      (B, T, H, W, C) float32.

    Raises:
      ValueError: for codes of two sizes without `token_dim`.
    """
    static = _per_frame(static, dynamic)
    if self.token_dim is not None:
      static = blocks.dense(self.token_dim, name='static_token')(static)
      dynamic = blocks.dense(self.token_dim, name='dynamic_token')(dynamic)
    tokens = [shapes.merge_frames(code) for code in (static, dynamic)]
    modulation = blocks.TimeEmbedding(
        self.backbone.channels, name='time_embedding')(t.reshape(-1)),
    context = None
    if self.backbone.attention != 'cross':
      modulation += jnp.concatenate(tokens, axis=-1),
    elif static.shape[-1] != dynamic.shape[-1]:
      raise ValueError(
          f'method.static_dim={static.shape[-1]} and method.dynamic_dim='
          f'{dynamic.shape[-1]} as tokens of one sequence; expected equal '
          'sizes. Set method.token_dim to bring both to one.')
    else:
      context = jnp.stack(tokens, axis=1)
      if self.token_types:
        context += self.param(
            'token_types', nn.initializers.normal(0.02),
            context.shape[1:])[None]
    y = self.backbone(
        shapes.merge_frames(x), modulation, context, train=train,
        **_over_time(self.backbone, x.shape[1]))
    return shapes.split_frames(y, x.shape[1])


class CodeDecoder(nn.Module):
  """The codes [d, s] of a step -> its values, as a VAE of series needs.

  Attributes:
    backbone: the perceptron.
  """

  backbone: skip_mlp.SkipMLP

  def __call__(
      self, static: jax.Array, dynamic: jax.Array, *, train: bool = False
  ) -> jax.Array:
    """Static (B, Ds) or (B, T, Ds), dynamic (B, T, Dd) -> (B, T, F)."""
    codes = jnp.concatenate([dynamic, _per_frame(static, dynamic)], axis=-1)
    values = self.backbone(shapes.merge_frames(codes), train=train)
    return shapes.split_frames(values, dynamic.shape[1])


def _over_time(backbone, num_frames):
  """What a U-Net needs to know of clips; perceptrons go frame by frame."""
  return {'num_frames': num_frames} if isinstance(backbone, unet.UNet) else {}


def _per_frame(static, dynamic):
  """A static code for each frame: (B, T, Ds)."""
  if static.ndim == 3:
    return static
  return jnp.broadcast_to(
      static[:, None], dynamic.shape[:2] + static.shape[-1:])
