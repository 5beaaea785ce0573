"""Each value of an autoencoder's config reaches its place."""

import jax.numpy as jnp
import ml_collections
import pytest

from configs.common import autoencoder as common
from seqdiff import build
from third_party.ldm_autoencoder import nets

NAMES = {'dtype': 'bfloat16', 'regulariser': 'kl'}


def _leaves(section, path=()):
  for key, value in section.items():
    if isinstance(value, ml_collections.ConfigDict):
      yield from _leaves(value, path + (key,))
    else:
      yield path + (key,), value


def _build(**changes):
  """The method with some values, given as section__key=value."""
  config = common.get_config()
  for key, value in changes.items():
    *path, last = key.split('__')
    section = config.method
    for part in path:
      section = section[part]
    with section.unlocked():
      section[last] = value
  return build.method(config)


OPTIONS = {
    '__'.join(path): value for path, value in _leaves(
        common.get_config().method)
    if path not in (('name',), ('perceptual_file',))}


@pytest.mark.parametrize('option', OPTIONS)
def test_every_option_makes_another_method(option):
  other, value = NAMES.get(option.split('__')[-1]), OPTIONS[option]
  if other is None:
    other = value + (1,) if isinstance(value, tuple) else value + 1
  assert _build() == _build()
  assert _build(**{option: other}) != _build()


def test_defaults_are_the_published_ones():
  assert _build().net == nets.PRESETS['vq-f4']


def test_places():
  method = _build(
      dtype='bfloat16', image_channels=1, beta=0.5, codebook_weight=2.0,
      kl_weight=3.0, perceptual_weight=4.0, net__groups=8)
  assert (method.net.dtype, method.net.image_channels) == (jnp.bfloat16, 1)
  assert (method.beta, method.codebook_weight, method.kl_weight) == (0.5, 2, 3)
  assert (method.perceptual_weight, method.net.groups) == (4.0, 8)
  assert method.perceptual is None


def test_what_does_not_exist_is_named(tmp_path):
  with pytest.raises(ValueError, match="regulariser 'vae'. Known: kl, vq"):
    _build(net__regulariser='vae')
  with pytest.raises(ValueError, match="option config.method 'beat'. Did you"):
    _build(beat=1.0)
  with pytest.raises(FileNotFoundError, match='absent.npz'):
    _build(perceptual_file=str(tmp_path / 'absent.npz'))
