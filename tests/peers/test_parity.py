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
from seqdiff.sampling import swap
from tests.peers import cases
from tests.peers import ours

torch = pytest.importorskip('torch')

from tests.peers import theirs  # noqa: E402
from tests.peers import weights  # noqa: E402


@pytest.fixture(params=list(cases.CASES))
def case(request):
  threads = torch.get_num_threads()
  torch.set_num_threads(1)
  yield theirs.make(request.param)
  torch.set_num_threads(threads)


def test_networks_agree(case):
  cases.assert_all_agree(theirs.networks(case), ours.networks(case))


@pytest.mark.parametrize('case', [
    name for name in cases.CASES if name != 'series_as_published'],
                         indirect=True)
def test_padding_does_not_matter_to_the_peer(case):
  encode = case.model.eval().encode
  static, dynamic = encode(case.clips, case.mask)
  alone, alone_dynamic = encode(case.clips[1:, :-1])
  short = static[1:, :-1] if static.ndim == 3 else static[1:]
  cases.assert_agree(alone.detach(), short.detach())
  cases.assert_agree(alone_dynamic.detach(), dynamic[1:, :-1].detach())


def test_losses_and_all_gradients_agree(case):
  their_parts, their_grads = theirs.losses(case)
  our_parts, our_grads = ours.losses(case)
  cases.assert_all_agree(their_parts, our_parts)
  our_grads = weights.convert(case.model, our_grads)
  for name in [name for name in our_grads if name.endswith('.k.bias')]:
    # What is added to all keys alike changes no attention.
    for grads in our_grads, their_grads:
      assert np.max(np.abs(np.asarray(grads.pop(name)))) < 1e-6, name
  cases.assert_all_agree(their_grads, our_grads)


@pytest.mark.parametrize('case', ['divid_puppets'], indirect=True)
def test_one_of_two_clips_is_compared_without_dynamic_codes(case):
  assert sorted(case.training_noise().kept.tolist()) == [0.0, 1.0]


@pytest.mark.parametrize('case', cases.SOLVERS, indirect=True)
def test_samples_agree(case):
  cases.assert_agree(theirs.clips(case), ours.clips(case))


@pytest.mark.parametrize('case', cases.RECORDED, indirect=True)
def test_recorded_numbers_are_those_of_today(case):
  cases.assert_all_agree(
      cases.recorded(case.name), theirs.numbers(case),
      'stale, python -m tests.peers.record rewrites it: ')


@pytest.mark.parametrize('case', ['divid'], indirect=True)
def test_samples_with_noise_added_agree(case):
  factors, x_T = case.factors()
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
    samples = model.decode(
        *theirs.to_torch((factors.static, factors.dynamic)),
        torch.from_numpy(cases.frames_first(x_T)),
        lambda number: torch.from_numpy(cases.frames_first(noise[number])))
  model.sampler.update(eta=0.0)
  cases.assert_agree(samples, cases.frames_first(sample(case.params, noise)))


@pytest.mark.parametrize('case', ['series'], indirect=True)
def test_swaps_agree(case):
  model = case.model.eval()
  settings = dict(name='heun', num_steps=3)
  model.sampler.update(settings, x_T='dynamics_clip')
  method = dataclasses.replace(case.method, solver=dataclasses.replace(
      case.method.solver, **settings))
  # The peer takes what is missing for measured, as if there were no holes.
  a = {k: v for k, v in case.batch.items() if k != 'observed'}
  b = {k: v[::-1] for k, v in a.items()}
  ours = swap.make_swap(method, x_T='dynamics_clip')(
      case.params, a, b, cases.KEY)
  theirs = model.swap(case.clips, case.clips.flip(0), mask_a=case.mask,
                      mask_b=case.mask.flip(0))
  cases.assert_agree(theirs[b['mask'].copy()], np.asarray(ours)[b['mask']])


@pytest.mark.parametrize('case', ['divid'], indirect=True)
def test_inversions_agree(case):
  factors, _ = case.factors()
  method = dataclasses.replace(case.method, solver=dataclasses.replace(
      case.method.solver, num_steps=3))
  model = case.model.eval()
  model.sampler.update(num_steps=3)
  with torch.no_grad():
    x_T = model.invert(
        *theirs.to_torch((factors.static, factors.dynamic)), case.clips)
  cases.assert_agree(x_T, cases.frames_first(
      jax.jit(method.invert)(case.params, factors, case.batch['x'])))
