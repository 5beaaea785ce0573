"""seqdiff and the independent PyTorch peer compute the same numbers.

Both are built from one config, get the same random parameters (of which none is
near zero, so that each matters) and the same noise. Tensors agree to 1e-4 of
their largest value.
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from configs import diffsda_sprites32
from configs import quickstart
from configs.common import video
from seqdiff import build
from seqdiff.core import keys
from seqdiff.methods import base
from seqdiff.methods import views

torch = pytest.importorskip('torch')

from tests.peers import torch_diffsda  # noqa: E402
from tests.peers import weights  # noqa: E402

KEY = jax.random.key(5)
TOLERANCE = 1e-4


def _paper():
  config = video.get_config()
  config.method.update(static_dim=6, dynamic_dim=3, hidden=5)
  for net in config.method.encoder, config.method.denoiser:
    net.update(channels=8, groups=4, num_blocks=1, dropout=0.0,
               multipliers=(1, 2), attention_levels=(1,))
  return config, 8, 4


def _paper_text():
  """The switches to the paper's text, and the ablation of shared codes."""
  config, _, frames = _paper()
  config.method.update(causal=True, as_published=True, shared_static=False,
                       frames_per_step=3)
  for net in config.method.encoder, config.method.denoiser:
    net.update(num_blocks=2, multipliers=(1,), attention_levels=())
  return config, 4, frames


def _shrunk(config, size, frames, frames_per_step):
  config.method.update(
      static_dim=6, dynamic_dim=3, hidden=5, frames_per_step=frames_per_step)
  config.method.encoder.update(channels=8, features=7)
  config.method.denoiser.update(channels=8, groups=4)
  return config, size, frames


def _quickstart():
  config, size, frames = _shrunk(quickstart.get_config(), 8, 6, 4)
  config.method.denoiser.multipliers = (1,)
  return config, size, frames


def _sprites32():
  return _shrunk(diffsda_sprites32.get_config(), 16, 4, 2)


def _views(**kwargs):
  """What training reads of a clip, by recurrences."""
  config, size, frames = _paper()
  config.method.update(
      recolour=True, centre=True, frames_per_step=2, dynamic_kl=0.01, **kwargs)
  for net in config.method.encoder, config.method.denoiser:
    net.update(multipliers=(1,), attention_levels=())
  return config, size, frames


def _recurrent_views():
  """A second clip shorter than the static code asks for; codes of unit size."""
  return _views(static_frames=4, unit_codes=True)


def _unshared_views():
  """With a static code for each frame."""
  return _views(shared_static=False, static_kl=0.02)


CASES = {
    'paper': _paper,
    'paper_text': _paper_text,
    'quickstart': _quickstart,
    'sprites32': _sprites32,
    'recurrent_views': _recurrent_views,
    'unshared_views': _unshared_views,
}


@dataclasses.dataclass
class Case:
  """Both sides of a comparison."""

  config: ml_collections.ConfigDict
  method: object
  model: object
  params: dict
  batch: dict

  @property
  def clips(self):
    return torch_diffsda.to_clips(self.batch['x'])

  @property
  def mask(self):
    return torch.from_numpy(self.batch['mask'])


@functools.cache
def _case(name):
  config, size, frames = CASES[name]()
  method = build.method(config)
  rng = np.random.default_rng(1)
  x = np.clip(rng.normal(size=(2, frames, size, size, 3)) / 2, -1, 1)
  mask = np.ones((2, frames), bool)
  mask[1, -1] = False
  batch = {'x': x.astype(np.float32), 'mask': mask,
           'index': np.array([3, 8], np.int32)}
  params = weights.random(jax.eval_shape(method.init, KEY, batch))
  model = torch_diffsda.from_config(config, image_size=size)
  weights.load(model, params)
  return Case(config, method, model, params, batch)


@pytest.fixture(params=list(CASES))
def case(request):
  threads = torch.get_num_threads()
  torch.set_num_threads(1)
  yield _case(request.param)
  torch.set_num_threads(threads)


def _to_torch(tree):
  return jax.tree.map(lambda a: torch.from_numpy(np.array(a)), tree)


def _frames_first(x):
  """(B, T, H, W, C) of ours -> as the peer has it."""
  return np.moveaxis(np.asarray(x), -1, 2)


def _assert_agree(theirs, ours, name=''):
  theirs, ours = theirs.detach().numpy(), np.asarray(ours)
  assert theirs.shape == ours.shape, name
  scale = np.max(np.abs(ours))
  assert scale > 1e-6, f'{name}: all of it is 0, which proves nothing'
  error = np.max(np.abs(theirs - ours)) / scale
  assert error < TOLERANCE, f'{name}: relative error {error:.1e}'


def _noise(case):
  """The noise that our loss draws from KEY, for the peer."""
  method, m = case.method, case.config.method
  index, x = case.batch['index'], case.batch['x']
  count = x.shape[1] if m.frames_per_step is None else m.frames_per_step
  normal = lambda name, *shape: keys.normal(
      keys.named(KEY, name), index, shape)
  order = views.random_order(
      keys.named(KEY, 'frames'), index, case.batch['mask'])
  sigma = method.diffusion.sample_sigma(
      keys.named(KEY, 'sigma'), index, count, step=0)
  eps = normal('eps', count, *x.shape[2:])
  static = dynamic = mix = curves = None
  if m.static_kl is not None:
    static = normal(
        'static', *([] if m.shared_static else [count]), m.static_dim)
  if m.dynamic_kl is not None:
    dynamic = normal('dynamic', count, m.dynamic_dim)
  if m.recolour:
    mix, curves = views.random_colours(
        keys.named(KEY, 'colours'), index, x.shape[-1])
  return torch_diffsda.Noise(**_to_torch(dict(
      order=order, static=static, dynamic=dynamic, sigma=sigma,
      eps=_frames_first(eps), mix=mix, curves=curves)))


def test_codes_agree(case):
  ours = jax.jit(case.method.encode)(
      case.params, case.batch['x'], case.batch['mask'])
  static, dynamic = case.model.eval().encode(case.clips, case.mask)
  real = case.batch['mask']
  if static.ndim == 3:  # One for each frame.
    _assert_agree(static[case.mask], np.asarray(ours.static)[real], 'static')
  else:
    _assert_agree(static, ours.static, 'static')
  _assert_agree(dynamic[case.mask], np.asarray(ours.dynamic)[real], 'dynamic')


def test_padding_does_not_matter_to_the_peer(case):
  encode = case.model.eval().encode
  static, dynamic = encode(case.clips, case.mask)
  alone, alone_dynamic = encode(case.clips[1:, :-1])
  short = static[1:, :-1] if static.ndim == 3 else static[1:]
  _assert_agree(alone, short.detach())
  _assert_agree(alone_dynamic, dynamic[1:, :-1].detach())


def test_losses_and_all_gradients_agree(case):
  def mean_loss(params):
    loss, parts = case.method.loss(
        params, case.batch, KEY, step=jnp.int32(0), train=True)
    return jnp.mean(loss), {'loss': loss, **parts}

  grads, ours = jax.jit(jax.grad(mean_loss, has_aux=True))(case.params)
  model = case.model.train()
  loss, parts = model(case.clips, case.mask, noise=_noise(case))
  model.zero_grad()
  loss.mean().backward()
  assert set(ours) == {'loss', *parts}
  for name, part in {'loss': loss, **parts}.items():
    _assert_agree(part, ours[name], name)
  expected = weights.convert(model, grads)
  assert len(expected) == len(list(model.parameters()))
  for name, parameter in model.named_parameters():
    _assert_agree(parameter.grad, expected[name], name)


@pytest.mark.parametrize('case, solver', [
    ('paper', 'heun'), ('paper_text', 'dpmpp_2m'), ('quickstart', 'heun'),
    ('sprites32', 'dpmpp_2m')], indirect=['case'])
def test_samples_agree(case, solver):
  rng = np.random.default_rng(2)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  x, m = case.batch['x'], case.config.method
  static_shape = (2, m.static_dim) if m.shared_static else (
      *x.shape[:2], m.static_dim)
  factors = base.Factors(
      static=draw(*static_shape), dynamic=draw(*x.shape[:2], m.dynamic_dim))
  x_T = draw(*x.shape)
  settings = dict(name=solver, num_steps=4)
  method = dataclasses.replace(case.method, solver=dataclasses.replace(
      case.method.solver, **settings))
  model = case.model.eval()
  model.sampler.update(settings)
  with torch.no_grad():
    theirs = model.decode(
        *_to_torch((factors.static, factors.dynamic)),
        torch.from_numpy(_frames_first(x_T)))
  ours = jax.jit(method.decode)(case.params, factors, x_T)
  _assert_agree(theirs, _frames_first(ours))
