"""The autoencoders have the published sizes, and their latents a meaning."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from third_party.ldm_autoencoder import nets

# Of vq-f4 and vq-f8-n256 worked out layer by layer from arXiv:2112.10752; of
# kl-f8, whose total of 83,653,863 is that of Stable Diffusion's autoencoder.
COUNTS = {
    'vq-f4': dict(encoder=22_337_411, quant_conv=12, codebook=24_576,
                  post_quant_conv=12, decoder=32_960_771),
    'vq-f8': dict(encoder=27_397_764, quant_conv=20, codebook=65_536,
                  post_quant_conv=20, decoder=40_253_955),
    'vq-f8-n256': dict(encoder=27_397_764, quant_conv=20, codebook=1_024,
                       post_quant_conv=20, decoder=40_253_955),
    'kl-f8': dict(encoder=34_163_592, quant_conv=72, post_quant_conv=20,
                  decoder=49_490_179),
}


def _small(**kwargs):
  sizes = dict(channels=4, multipliers=(1, 2), num_blocks=1, groups=2,
               codebook_size=7)
  return nets.Autoencoder(**{**sizes, **kwargs})


def _random(net, size=8):
  """Parameters that all matter, without compiling `init`."""
  rng = np.random.default_rng(0)
  abstract = jax.eval_shape(
      net.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))

  def draw(leaf):
    scale = np.prod(leaf.shape[:-1]) ** -0.5 if leaf.ndim == 4 else 0.3
    values = scale * rng.normal(size=leaf.shape) + (leaf.ndim == 1)
    return values.astype(np.float32)

  return jax.tree.map(draw, abstract)


@pytest.mark.parametrize('preset', nets.PRESETS)
def test_published_number_of_parameters(preset):
  net = nets.PRESETS[preset]
  size = 32
  params = jax.eval_shape(
      net.init, jax.random.key(0), jnp.zeros((1, size, size, 3)))['params']
  count = lambda tree: sum(a.size for a in jax.tree.leaves(tree))
  assert {name: count(part) for name, part in params.items()} == COUNTS[preset]
  z, _ = jax.eval_shape(
      lambda p, x: net.apply({'params': p}, x, method='encode'),
      params, jnp.zeros((1, 128, 128, 3)))
  side = 32 if preset == 'vq-f4' else 16
  assert z.shape == (1, side, side, net.embed_dim)


def test_decoding_quantises_and_encoding_does_not():
  net = _small()
  params = _random(net)
  rng = np.random.default_rng(1)
  x = rng.uniform(-1.0, 1.0, (2, 8, 8, 3)).astype(np.float32)
  z, log_var = net.apply(params, x, method='encode')
  assert log_var is None
  codebook = params['params']['codebook']
  q, codes = net.apply(params, z, method='quantise')
  np.testing.assert_array_equal(q, codebook[codes])
  assert len(np.unique(codes)) > 1
  assert np.abs(z - q).max() > 0.1
  decoded = net.apply(params, z, method='decode')
  np.testing.assert_array_equal(decoded, net.apply(params, q, method='decode'))
  np.testing.assert_array_equal(decoded, net.apply(params, q, method='render'))
  assert np.abs(decoded - net.apply(params, z, method='render')).max() > 1e-3


def test_gaussian_latent_is_decoded_as_it_is():
  net = _small(regulariser='kl')
  params = _random(net)
  z = np.random.default_rng(1).normal(size=(1, 4, 4, 3)).astype(np.float32)
  np.testing.assert_array_equal(
      net.apply(params, z, method='decode'),
      net.apply(params, z, method='render'))
  big = jax.tree.map(lambda a: 1e4 * a, params['params']['quant_conv'])
  params = {'params': {**params['params'], 'quant_conv': big}}
  _, log_var = net.apply(params, np.ones((1, 8, 8, 3)), method='encode')
  assert (log_var.min(), log_var.max()) == (-30.0, 20.0)  # And is bounded.


def test_images_are_halved_without_padding_above_and_left():
  net = _small(regulariser='kl')
  params = _random(net)
  x = np.random.default_rng(1).normal(size=(1, 8, 8, 3)).astype(np.float32)
  _, state = net.apply(
      params, x, method='encode', mutable='intermediates',
      capture_intermediates=lambda m, _: m.name in (
          'down_0_block_0', 'down_0_stride'))
  found = state['intermediates']['encoder']
  before, after = (found[name]['__call__'][0] for name in (
      'down_0_block_0', 'down_0_stride'))
  weights = params['params']['encoder']['down_0_stride']
  # The first pixel sees rows and columns 0 to 2, the last 6, 7 and zeros.
  for place, rows in ((0, slice(0, 3)), (3, slice(6, 8))):
    patch = before[0, rows, rows]
    expected = weights['bias'] + np.einsum(
        'hwi,hwio->o', patch, weights['kernel'][:len(patch), :len(patch)])
    np.testing.assert_allclose(
        after[0, place, place], expected, rtol=1e-4, atol=1e-5)


def test_image_that_cannot_be_halved_is_refused():
  net = _small(multipliers=(1, 1, 1))
  with pytest.raises(ValueError, match='6x8 pixels cannot be halved 2 times'):
    jax.eval_shape(net.init, jax.random.key(0), jnp.zeros((1, 6, 8, 3)))
