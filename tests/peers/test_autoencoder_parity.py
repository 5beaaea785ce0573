"""A checkpoint written by PyTorch gives the same autoencoder in Flax."""

import jax
import numpy as np
import pytest

from third_party.ldm_autoencoder import checkpoint
from third_party.ldm_autoencoder import convert
from third_party.ldm_autoencoder import nets

torch = pytest.importorskip('torch')

from tests.peers import torch_autoencoder  # noqa: E402

CASES = {
    'vq': dict(multipliers=(1, 2), attention_levels=(1,), z_channels=4,
               embed_dim=3, regulariser='vq', codebook_size=20),
    'kl': dict(multipliers=(1, 1, 2), attention_levels=(), z_channels=3,
               embed_dim=2, regulariser='kl'),
}


@pytest.fixture(scope='module', params=CASES)
def pair(request, tmp_path_factory):
  """The Flax network, its converted parameters, and the PyTorch model."""
  sizes = CASES[request.param]
  net = nets.Autoencoder(channels=4, num_blocks=2, groups=2, **sizes)
  torch.manual_seed(0)
  model = torch_autoencoder.Autoencoder(
      z_channels=net.z_channels, embed_dim=net.embed_dim,
      n_embed=net.codebook_size if net.regulariser == 'vq' else None,
      ch=net.channels, ch_mult=net.multipliers, num_res_blocks=net.num_blocks,
      attn_levels=net.attention_levels, groups=net.groups).eval()
  with torch.no_grad():
    for parameter in model.parameters():  # Biases and norms matter too.
      parameter.add_(0.2 * torch.randn_like(parameter))
  state = model.state_dict()
  state['loss.discriminator.main.0.weight'] = torch.zeros(2, 2)
  state['model_ema.decay'] = torch.tensor(0.5)
  path = tmp_path_factory.mktemp('torch') / 'model.ckpt'
  torch.save(
      {'state_dict': state, 'epoch': 3, 'optimizer_states': [
          {'state': {0: {'exp_avg': torch.zeros(2)}}}]}, path)
  params = convert.to_params(net, checkpoint.load_state_dict(path))
  return net, params, model


def _frames_first(x):
  return torch.from_numpy(np.ascontiguousarray(np.moveaxis(x, -1, 1)))


def _assert_agree(ours, theirs):
  theirs = np.moveaxis(theirs.detach().numpy(), 1, -1)
  np.testing.assert_allclose(
      ours, theirs, rtol=0.0, atol=1e-4 * np.abs(theirs).max())
  assert theirs.std() > 0.05  # Something is compared.


def test_encodes_and_decodes_alike(pair):
  net, params, model = pair
  rng = np.random.default_rng(0)
  x = rng.uniform(-1.0, 1.0, (2, 12, 8, 3)).astype(np.float32)
  z, _ = jax.jit(lambda p, x: net.apply(p, x, method='encode'))(params, x)
  _assert_agree(z, model.encode(_frames_first(x)))
  z = rng.normal(size=z.shape).astype(np.float32)
  decoded = jax.jit(lambda p, z: net.apply(p, z, method='decode'))(params, z)
  assert decoded.shape == x.shape
  _assert_agree(decoded, model.decode(_frames_first(z)))


def test_log_variance_is_the_second_half(pair):
  net, params, model = pair
  x = np.random.default_rng(1).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
  _, log_var = jax.jit(lambda p, x: net.apply(p, x, method='encode'))(params, x)
  if net.regulariser == 'vq':
    assert log_var is None
  else:
    both = model.quant_conv(model.encoder(_frames_first(x)))
    _assert_agree(log_var, both.chunk(2, dim=1)[1])


def test_published_sizes_have_the_published_names():
  with torch.device('meta'):
    for preset, attention, n_embed in (
        ('vq-f8', (3,), 16384), ('kl-f8', (), None)):
      net = nets.PRESETS[preset]
      model = torch_autoencoder.Autoencoder(
          z_channels=net.z_channels, embed_dim=net.embed_dim, n_embed=n_embed,
          ch=128, ch_mult=net.multipliers, num_res_blocks=2,
          attn_levels=attention, groups=32)
      theirs = {name: tuple(p.shape) for name, p in model.named_parameters()}
      assert convert.published_shapes(net) == theirs, preset


@pytest.mark.parametrize('legacy', [False, True])
def test_tensors_of_every_kind_are_read(tmp_path, legacy):
  torch.manual_seed(0)
  base = torch.randn(4, 6)
  tensors = {
      'float32': base, 'float16': base.half(), 'bfloat16': base.bfloat16(),
      'float64': base.double(), 'int64': torch.arange(5) - 2,
      'bool': base > 0, 'transposed': base.t(), 'slice': base[1:3, ::2],
      'scalar': torch.tensor(2.5), 'empty': torch.zeros(0, 3),
      'expanded': base[:1].expand(3, 6), 'parameter': torch.nn.Parameter(base),
  }
  path = tmp_path / 'model.ckpt'
  torch.save(tensors, path, _use_new_zipfile_serialization=not legacy)
  found = checkpoint.load_state_dict(path)
  assert set(found) == set(tensors)
  for name, tensor in tensors.items():
    array = found[name].array()
    if name == 'bfloat16':
      assert array.dtype.name == name
      array = array.astype(np.float32)
    np.testing.assert_array_equal(
        array, tensor.detach().float().numpy() if name == 'bfloat16' else (
            tensor.detach().numpy()), err_msg=name)
