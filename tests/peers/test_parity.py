"""seqdiff and the independent PyTorch peer compute the same numbers.

Both are built from one config, get the same random parameters and the same
noise (see `cases`). Tensors agree to 1e-4 of their largest value.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.diffusion import ddpm
from seqdiff.methods import base

torch = pytest.importorskip('torch')

from tests.peers import cases  # noqa: E402
from tests.peers import weights  # noqa: E402

TOLERANCE = 1e-4


@pytest.fixture(params=list(cases.CASES))
def case(request):
  threads = torch.get_num_threads()
  torch.set_num_threads(1)
  yield cases.make(request.param)
  torch.set_num_threads(threads)


def _assert_agree(theirs, ours, name=''):
  theirs, ours = theirs.detach().numpy(), np.asarray(ours)
  assert theirs.shape == ours.shape, name
  scale = np.max(np.abs(ours))
  assert scale > 1e-6, f'{name}: all of it is 0, which proves nothing'
  error = np.max(np.abs(theirs - ours)) / scale
  assert error < TOLERANCE, f'{name}: relative error {error:.1e}'


def _factors(case):
  """Random codes and unit noise x_T."""
  x, m = case.batch['x'], case.config.method
  rng = np.random.default_rng(2)
  draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
  shared = m.name == 'divid' or m.shared_static
  static_shape = (2, m.static_dim) if shared else (*x.shape[:2], m.static_dim)
  factors = base.Factors(
      static=draw(*static_shape), dynamic=draw(*x.shape[:2], m.dynamic_dim))
  return factors, draw(*x.shape)


def test_networks_agree(case):
  factors, noised = _factors(case)
  level = np.resize(np.arange(0, 2, 0.13, np.float32), noised.shape[:2])
  if case.config.method.name == 'divid':
    level = np.resize([0, 7, 60, 99, 31], noised.shape[:2]).astype(np.int32)

  @jax.jit
  def run(params):
    codes = case.method.encode(params, case.batch['x'], case.batch['mask'])
    return codes, case.method.denoiser.apply(
        params['denoiser'], noised, level, factors.static, factors.dynamic)

  codes, output = run(case.params)
  model, real = case.model.eval(), case.batch['mask']
  static, dynamic = model.encode(case.clips, case.mask)
  if static.ndim == 3:  # One for each frame.
    _assert_agree(static[case.mask], np.asarray(codes.static)[real], 'static')
  else:
    _assert_agree(static, codes.static, 'static')
  _assert_agree(dynamic[case.mask], np.asarray(codes.dynamic)[real], 'dynamic')
  theirs = model.denoiser(*cases.to_torch((
      cases.frames_first(noised), level, factors.static, factors.dynamic)))
  _assert_agree(theirs, cases.frames_first(output), 'output')


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
        params, case.batch, cases.KEY, step=jnp.int32(0), train=True)
    return jnp.mean(loss), {'loss': loss, **parts}

  grads, ours = jax.jit(jax.grad(mean_loss, has_aux=True))(case.params)
  model = case.model.train()
  loss, parts = model(case.clips, case.mask, noise=case.training_noise())
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
    ('sprites32', 'dpmpp_2m'), ('divid', 'ddim'), ('divid_puppets', 'ddim'),
    ('divid_ablations', 'dpmpp_2m'), ('divid_switches', 'ddim'),
], indirect=['case'])
def test_samples_agree(case, solver):
  factors, x_T = _factors(case)
  settings = dict(name=solver, num_steps=4)
  method = dataclasses.replace(case.method, solver=dataclasses.replace(
      case.method.solver, **settings))
  model = case.model.eval()
  model.sampler.update(settings)
  with torch.no_grad():
    theirs = model.decode(
        *cases.to_torch((factors.static, factors.dynamic)),
        torch.from_numpy(cases.frames_first(x_T)))
  ours = jax.jit(method.decode)(case.params, factors, x_T)
  _assert_agree(theirs, cases.frames_first(ours))


@pytest.mark.parametrize('case', ['divid'], indirect=True)
def test_samples_with_noise_added_agree(case):
  factors, x_T = _factors(case)
  noise = np.random.default_rng(3).normal(size=(3, *x_T.shape))
  noise = noise.astype(np.float32)
  diffusion = case.method.diffusion

  @jax.jit
  def sample(params, noise):
    def estimate(x, t):
      t = jnp.broadcast_to(t, x.shape[:2])
      output = case.method.denoiser.apply(
          params['denoiser'], x, t, factors.static, factors.dynamic)
      return diffusion.estimate(output, x, t)

    return ddpm.ddim(estimate, x_T, diffusion, 3, eta=1.0,
                     noise=lambda number: noise[number])

  model = case.model.eval()
  model.sampler.update(name='ddim', num_steps=3, eta=1.0)
  with torch.no_grad():
    theirs = model.decode(
        *cases.to_torch((factors.static, factors.dynamic)),
        torch.from_numpy(cases.frames_first(x_T)),
        lambda number: torch.from_numpy(cases.frames_first(noise[number])))
  model.sampler.update(eta=0.0)
  _assert_agree(theirs, cases.frames_first(sample(case.params, noise)))


@pytest.mark.parametrize('case', ['divid'], indirect=True)
def test_inversions_agree(case):
  factors, _ = _factors(case)
  method = dataclasses.replace(case.method, solver=dataclasses.replace(
      case.method.solver, num_steps=3))
  model = case.model.eval()
  model.sampler.update(num_steps=3)
  with torch.no_grad():
    theirs = model.invert(
        *cases.to_torch((factors.static, factors.dynamic)), case.clips)
  ours = jax.jit(method.invert)(case.params, factors, case.batch['x'])
  _assert_agree(theirs, cases.frames_first(ours))
