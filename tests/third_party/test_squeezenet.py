"""Features are those of SqueezeNet 1.0; their distance is a distance."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from third_party.squeezenet import squeezenet

# Squeezed and expanded channels of fire2 to fire9 (arXiv:1602.07360, Table 1).
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192),
         (64, 256), (64, 256))


def _weights():
  """Random weights that keep the size of what passes through."""
  rng = np.random.default_rng(0)
  found, channels = {'conv1': (96, 3, 7, 7)}, 96
  for i, (squeeze, expand) in enumerate(FIRES, start=2):
    found[f'fire{i}/conv1x1_1'] = (squeeze, channels, 1, 1)
    found[f'fire{i}/conv1x1_2'] = (expand, squeeze, 1, 1)
    found[f'fire{i}/conv3x3_2'] = (expand, squeeze, 3, 3)
    channels = 2 * expand
  arrays = {}
  for name, shape in found.items():
    fan_in = np.prod(shape[1:])
    arrays[f'{name}/w'] = (
        (2.0 / fan_in) ** 0.5 * rng.normal(size=shape)).astype(np.float32)
    arrays[f'{name}/b'] = rng.normal(size=shape[0]).astype(np.float32)
  return arrays


@pytest.fixture(scope='module')
def net(tmp_path_factory):
  path = tmp_path_factory.mktemp('weights') / 'squeezenet.npz'
  np.savez(path, **_weights(), **{'conv_final/w': np.zeros(3)})
  return squeezenet.Perceptual(str(path))


@pytest.fixture(scope='module')
def images():
  rng = np.random.default_rng(1)
  return rng.uniform(-1.0, 1.0, (2, 34, 37, 3)).astype(np.float32)


def test_features_are_those_of_pytorch(net, images):
  torch = pytest.importorskip('torch')
  functional = torch.nn.functional
  weights = {k: torch.from_numpy(v) for k, v in _weights().items()}
  pixels = (images[..., ::-1] + 1.0) * 127.5 - np.float32([104, 117, 123])
  h = torch.from_numpy(np.ascontiguousarray(np.moveaxis(pixels, -1, 1)))

  def conv(name, x, **kwargs):
    return functional.relu(functional.conv2d(
        x, weights[f'{name}/w'], weights[f'{name}/b'], **kwargs))

  pool = lambda x: functional.max_pool2d(x, 3, 2, ceil_mode=True)
  h = conv('conv1', h, stride=2)
  expected = [h]
  h = pool(h)
  for i in range(2, 10):
    s = conv(f'fire{i}/conv1x1_1', h)
    h = torch.cat([conv(f'fire{i}/conv1x1_2', s),
                   conv(f'fire{i}/conv3x3_2', s, padding=1)], dim=1)
    if i in (4, 8, 9):
      expected.append(h)
    if i in (4, 8):
      h = pool(h)
  found = jax.jit(net.features)(images)
  assert len(found) == 4
  for ours, theirs in zip(found, expected, strict=True):
    theirs = np.moveaxis(theirs.numpy(), 1, -1)
    np.testing.assert_allclose(
        ours, theirs, rtol=0.0, atol=1e-5 * np.abs(theirs).max())


def test_distance(net, images):
  distance = jax.jit(net.distance)
  a, b = images, np.roll(images, 1, axis=0)
  np.testing.assert_array_equal(distance(a, a), 0.0)
  np.testing.assert_allclose(distance(a, b), distance(b, a), rtol=1e-5)
  near, far = (distance(a, np.clip(a + e * (b - a), -1, 1)) for e in (0.1, 0.5))
  assert (0.0 < near).all() and (near < far).all() and (far <= 2.0).all()
  gradient = jax.jit(jax.grad(lambda x: jnp.sum(net.distance(x, a))))
  assert np.isfinite(gradient(np.zeros_like(a))).all()
  np.testing.assert_allclose(gradient(a), 0.0, atol=1e-7)


def test_grey_is_three_equal_channels(net, images):
  grey = images[..., :1]
  features = jax.jit(net.features)
  for one, three in zip(features(grey), features(np.tile(grey, 3))):
    np.testing.assert_allclose(one, three, rtol=1e-5, atol=1e-4)


def test_what_does_not_fit_is_named(net, tmp_path):
  with pytest.raises(ValueError, match='images of 31x64 pixels; expected at'):
    jax.eval_shape(net.features, jnp.zeros((1, 31, 64, 3)))
  arrays = _weights()
  arrays['fire4/conv1x1_1/w'] = np.zeros((16, 128, 1, 1), np.float32)
  np.savez(tmp_path / 'other.npz', **arrays)
  with pytest.raises(ValueError, match=r'other.npz: fire4/conv1x1_1/w has the '
                     r'shape \(16, 128, 1, 1\); expected \(32, 128, 1, 1\)'):
    squeezenet.Perceptual(str(tmp_path / 'other.npz'))
  with pytest.raises(FileNotFoundError, match='absent.npz'):
    squeezenet.Perceptual(str(tmp_path / 'absent.npz'))
