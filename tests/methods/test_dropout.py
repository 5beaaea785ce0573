"""Masks of dropout: drawn for the clips that a device holds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.core import keys
from seqdiff.methods import diffsda
from seqdiff.methods import divid
from seqdiff.methods import prior
from seqdiff.methods import vae


class Net:
  """Any network; it keeps the keys of its masks."""

  frame_by_frame = False

  def __init__(self):
    self.keys = []

  def apply(self, params, x, *args, train, rngs):
    assert train
    self.keys.append(tuple(np.asarray(jax.random.key_data(rngs['dropout']))))
    if len(args) == 1:  # An encoder; `args` is the mask.
      return jnp.zeros((len(x), 2)), jnp.zeros((*x.shape[:2], 2))
    return jnp.zeros((*x.shape[:2], 3))


class Decoder(Net):
  """Codes -> series."""

  def apply(self, params, static, dynamic, *, train, rngs):
    return super().apply(params, dynamic, None, None, train=train, rngs=rngs)


METHODS = {
    'diffsda': lambda: diffsda.DiffSDA(encoder=Net(), denoiser=Net()),
    'divid': lambda: divid.DiViD(encoder=Net(), denoiser=Net()),
    'vae': lambda: vae.VAE(encoder=Net(), decoder=Decoder()),
}


def _drawn(method, index):
  """Keys of the masks of one step on clips of these numbers, by network."""
  nets = [method.encoder, getattr(method, 'denoiser', None) or method.decoder]
  for net in nets:
    net.keys.clear()
  shape = (len(index), 4, 3)
  batch = {'x': jnp.ones(shape), 'mask': jnp.ones(shape[:2], bool),
           'index': jnp.array(index)}
  method.loss(dict.fromkeys(('encoder', 'denoiser', 'decoder')), batch,
              jax.random.key(0), step=jnp.int32(0), train=True)
  return [key for net in nets for key in net.keys]


@pytest.mark.parametrize('name', METHODS)
def test_devices_with_other_clips_draw_other_masks(name):
  method = METHODS[name]()
  first, same, other = (
      _drawn(method, index) for index in ([0, 1], [0, 1], [2, 3]))
  assert first == same and len(first) == 2
  assert len({*first, *other}) == 4


def test_devices_with_other_codes_draw_other_masks_of_the_prior(monkeypatch):
  drawn = []
  monkeypatch.setattr(prior.Prior, '_net', lambda self, params, key: (
      drawn.append(tuple(np.asarray(jax.random.key_data(key)))) or (
          lambda z, t: z)))
  method = prior.Prior(static_dim=1, dynamic_dim=2, num_frames=1)
  for index in [0, 1], [2, 3]:
    batch = {'x': jnp.ones((2, 1, 3)), 'index': jnp.array(index)}
    method.loss({}, batch, jax.random.key(0), step=jnp.int32(0), train=True)
  assert len(set(drawn)) == 2


def test_a_batch_is_known_by_its_first_example():
  key = jax.random.key(0)
  of = lambda name, *index: tuple(np.asarray(jax.random.key_data(
      keys.of_batch(key, name, jnp.array(index)))))
  assert of('dropout', 3, 4) == of('dropout', 3, 5)
  assert len({of('dropout', 3), of('dropout', 4), of('other', 3)}) == 3
