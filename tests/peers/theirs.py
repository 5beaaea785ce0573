"""What the PyTorch peer computes of a case; `ours` does the same with ours."""

import dataclasses
import functools
import itertools

import jax
import numpy as np
import torch

from seqdiff.core import keys
from seqdiff.methods import views
from tests.peers import cases
from tests.peers import torch_build
from tests.peers import torch_conditional
from tests.peers import weights


@dataclasses.dataclass
class Case(cases.Case):
  """With the peer, which has the same parameters."""

  model: torch_conditional.Conditional

  @property
  def clips(self) -> torch.Tensor:
    """As the peer has them."""
    return torch_conditional.to_clips(self.batch['x'])

  @property
  def mask(self) -> torch.Tensor:
    """True for real frames."""
    return torch.from_numpy(self.batch['mask'])

  @property
  def observed(self) -> torch.Tensor | None:
    """True for values that are not missing; None for video."""
    observed = self.batch.get('observed')
    return None if observed is None else torch.from_numpy(observed)

  def training_noise(self) -> torch_conditional.Noise:
    """The noise that our loss draws from KEY, for the peer."""
    m, draws = self.config.method, self.model.noise_draws
    x, mask = (np.repeat(self.batch[k], draws, axis=0) for k in ('x', 'mask'))
    # The draws of clip i have the numbers draws * i, draws * i + 1, ...
    index = np.add.outer(
        draws * self.batch['index'], np.arange(draws, dtype=np.int32)).ravel()
    count = x.shape[1] if m.frames_per_step is None else m.frames_per_step
    named = lambda name: keys.named(cases.KEY, name)
    normal = lambda name, *shape: keys.normal(named(name), index, shape)
    order = views.random_order(named('frames'), index, mask)
    diffusion = self.method.diffusion
    if m.name == 'divid':
      level = diffusion.sample_t(named('t'), index, count)
      eps = diffusion.sample_eps(named('eps'), index, (count, *x.shape[2:]))
    else:
      level = diffusion.sample_sigma(named('sigma'), index, count, step=0)
      eps = normal('eps', count, *x.shape[2:])
    static = dynamic = mix = curves = None
    if m.static_kl is not None:
      shared = m.name == 'divid' or m.shared_static
      static = normal('static', *([] if shared else [count]), m.static_dim)
    if m.dynamic_kl is not None:
      dynamic = normal('dynamic', count, m.dynamic_dim)
    if m.recolour:
      mix, curves = views.random_colours(named('colours'), index, x.shape[-1])
    kept = views.drop(
        named('dropped'), index, np.ones(len(x), np.float32),
        m.dynamic_dropout)
    return torch_conditional.Noise(**to_torch(dict(
        order=order, static=static, dynamic=dynamic, level=level,
        eps=cases.frames_first(eps), mix=mix, curves=curves, kept=kept)))


@functools.cache
def make(name: str) -> Case:
  """The case called `name`, with its peer."""
  case = cases.make(name)
  model = torch_build.from_config(
      case.config, image_size=case.batch['x'].shape[2])
  weights.load(model, case.params)
  return Case(**vars(case), model=model)


def networks(case: Case) -> dict[str, np.ndarray]:
  """The codes of real frames, and the output of the denoiser."""
  factors, noised = case.factors()
  model = case.model.eval()
  static, dynamic = model.encode(case.clips, case.mask)
  output = model.denoiser(*to_torch((
      cases.frames_first(noised), case.levels(), factors.static,
      factors.dynamic)))
  return {
      'static': case.real(static.detach().numpy()),
      'dynamic': case.real(dynamic.detach().numpy()),
      'output': output.detach().numpy(),
  }


def losses(
    case: Case,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """The parts of the loss, and the gradients of its mean."""
  model = case.model.train()
  loss, parts = model(
      case.clips, case.mask, case.observed, noise=case.training_noise())
  model.zero_grad()
  loss.mean().backward()
  parts = {k: v.detach().numpy() for k, v in {'loss': loss, **parts}.items()}
  return parts, {k: p.grad.numpy() for k, p in model.named_parameters()}


def slopes(case: Case, grads: dict[str, np.ndarray]) -> np.ndarray:
  """How fast the loss rises as each array of ours goes its direction."""
  numbers = itertools.count()
  sources = weights.convert(case.model, jax.tree.map(
      lambda a: np.full(a.shape, next(numbers)), case.params))
  directions = weights.convert(case.model, case.directions())
  count = next(numbers)
  return sum(
      np.bincount(sources[k].ravel(), (directions[k].numpy() * grad).ravel(),
                  minlength=count)
      for k, grad in grads.items()).astype(np.float32)


def clips(case: Case) -> np.ndarray:
  """Clips sampled from random codes."""
  factors, x_T = case.factors()
  model = case.model.eval()
  model.sampler.update(
      name=cases.SOLVERS[case.name], num_steps=cases.NUM_STEPS)
  with torch.no_grad():
    return model.decode(*to_torch((
        factors.static, factors.dynamic, cases.frames_first(x_T)))).numpy()


def numbers(case: Case) -> dict[str, np.ndarray]:
  """All that is recorded."""
  parts, grads = losses(case)
  return {**networks(case), **parts, 'slopes': slopes(case, grads),
          'clips': clips(case)}


def to_torch(tree: dict) -> dict:
  """Arrays -> tensors."""
  return jax.tree.map(lambda a: torch.from_numpy(np.array(a)), tree)
