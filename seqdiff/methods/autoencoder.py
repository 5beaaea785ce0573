"""Autoencoders of single frames: the first stage of latent diffusion.

An image x becomes a latent z, smaller and regularised, and z becomes an image
again (Rombach et al. 2022, arXiv:2112.10752, App. G). Per frame, the loss is

  |x - D(z~)| + w_p perceptual(x, D(z~)) + regulariser

with means over the values of the frame, and

  'vq'  z~ = the nearest codes, straight through;
        w_c (mean |sg(z) - z~|^2 + beta mean |z - sg(z~)|^2)
  'kl'  z~ ~ N(z, sigma^2);  w_kl KL(N(z, sigma^2) | N(0, I))

where KL is in nats per value of the image, so that w_kl is the published
one. Departures: no adversarial term, and another perceptual distance (see
`third_party.squeezenet`), off by default.

An autoencoder has latents and no factors: it is encoded, decoded, trained and
evaluated by its reconstructions like any method, but cannot swap.
"""

import dataclasses

import jax
import jax.numpy as jnp

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.losses import gaussian
from seqdiff.losses import quantisation
from third_party.ldm_autoencoder import nets
from third_party.squeezenet import squeezenet


@dataclasses.dataclass(frozen=True)
class Autoencoder:
  """The method as an object without weights; see `methods.base.Trainable`.

  Parameters are those of `net`.

  Attributes:
    net: encoder, latent and decoder.
    beta: weight of the commitment to the codes ('vq').
    codebook_weight: weight of the codebook loss, commitment included ('vq').
    kl_weight: weight of the KL divergence ('kl').
    perceptual: None, or the distance that is added to the L1 distance.
    perceptual_weight: its weight.
  """

  net: nets.Autoencoder
  beta: float = 0.25
  codebook_weight: float = 1.0
  kl_weight: float = 1e-6
  perceptual: squeezenet.Perceptual | None = None
  perceptual_weight: float = 1.0

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`."""
    return self.net.init(key, batch['x'][0, :1])

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The loss of each clip (B,), see `methods.base.Trainable`.

    Parts are the weighted terms and, for 'vq', the `perplexity` of the codes
    of the clip, which falls to 1 if the codebook collapses. In evaluation the
    latent of 'kl' is its mean.
    """
    del step
    mask, num_frames = batch['mask'], batch['mask'].shape[1]
    x = shapes.merge_frames(batch['x'])
    z, log_var = self._apply(params, 'encode', x)
    per_frame, logged = {}, {}
    if log_var is None:
      quantised, codes = self._apply(params, 'quantise', z)
      per_frame['codebook'] = self.codebook_weight * (
          quantisation.codebook_loss(z, quantised, beta=self.beta))
      logged['perplexity'] = _perplexity(codes, mask, self.net.codebook_size)
      z = quantisation.straight_through(z, quantised)
    else:
      flat = lambda a: a.reshape(len(a), -1)
      kl = gaussian.kl_to_unit(flat(z), flat(log_var))
      per_frame['kl'] = self.kl_weight * kl / x[0].size
      if train:
        noise = keys.normal(
            keys.named(key, 'latent'), batch['index'],
            (num_frames,) + z.shape[1:])
        z = z + jnp.exp(log_var / 2.0) * shapes.merge_frames(noise)
    guess = self._apply(params, 'render', z)
    per_frame['l1'] = jnp.mean(jnp.abs(guess - x), axis=(1, 2, 3))
    if self.perceptual is not None:
      per_frame['perceptual'] = self.perceptual_weight * (
          self.perceptual.distance(guess, x))
    parts = {
        name: shapes.masked_mean(shapes.split_frames(value, num_frames), mask)
        for name, value in per_frame.items()}
    return sum(parts.values()), {**parts, **logged}

  def encode(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> jax.Array:
    """Clips (B, T, H, W, C) -> latents (B, T, h, w, c), each frame on its own.

    They are those before quantisation, or the means.
    """
    del mask
    z, _ = self._apply(params, 'encode', shapes.merge_frames(x))
    return shapes.split_frames(z, x.shape[1])

  def decode(
      self,
      params: types.Params,
      latents: types.Array,
      x_init: types.Array | None = None,
  ) -> jax.Array:
    """Latents -> clips, in [-1, 1] up to error; `x_init` has no influence."""
    del x_init
    x = self._apply(params, 'decode', shapes.merge_frames(latents))
    return shapes.split_frames(x, latents.shape[1])

  def invert(
      self, params: types.Params, latents: types.Array, x: types.Array
  ) -> jax.Array:
    """Zeros shaped as the clips: no x_T is needed to decode them."""
    del params, latents
    return jnp.zeros_like(x)

  def _apply(self, params, name, x):
    return self.net.apply(params, x, method=name)


def _perplexity(codes, mask, num_codes):
  """Codes used by the real frames of each clip: (B*T, h, w) -> (B,)."""
  codes = codes.reshape(*mask.shape, -1)
  weight = jnp.broadcast_to(mask[..., None], codes.shape)
  flat = lambda a: a.reshape(len(mask), -1)
  return quantisation.perplexity(flat(codes), flat(weight), num_codes)
