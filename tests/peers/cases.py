"""What parity is tested on: small configs, both sides of each, the same noise.

All parameters are random (and none is near zero, so that each matters). The
second clip of a batch ends with a padded frame.
"""

import dataclasses
import functools

import jax
import ml_collections
import numpy as np
import torch

from configs import diffsda_sprites32
from configs import divid_puppets
from configs import quickstart
from configs.common import divid
from configs.common import video
from seqdiff import build
from seqdiff.core import keys
from seqdiff.methods import views
from tests.peers import torch_build
from tests.peers import torch_conditional
from tests.peers import weights

KEY = jax.random.key(5)


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


def _divid(**kwargs):
  config = divid.get_config()
  config.method.update(
      static_dim=6, dynamic_dim=6, orthogonality=0.1, **kwargs)
  config.method.encoder.update(
      layers=2, width=8, heads=2, hidden=10, dropout=0.0)
  config.method.denoiser.update(
      channels=8, groups=4, heads=2, num_blocks=1, multipliers=(1, 2),
      attention_levels=(0,))
  return config, 8, 4


def _divid_ablations():
  """LSTM, AdaGN, the other schedule, and the other reading of the MLP."""
  config, size, frames = _divid()
  config.method.encoder.update(aggregator='lstm', static_layers=1)
  config.method.denoiser.update(attention='self', attention_levels=(1,))
  config.method.diffusion.schedule = 'linear'
  return config, size, frames


def _divid_puppets():
  config = divid_puppets.get_config()
  config.method.update(static_dim=6, dynamic_dim=6, orthogonality=0.02)
  config.method.backbone.update(channels=8, features=7)
  config.method.encoder.update(layers=1, width=8, heads=2, hidden=10)
  config.method.denoiser.update(
      channels=8, groups=4, heads=2, multipliers=(1,), attention_levels=(0,))
  config.method.diffusion.update(prediction='v', norm='l1')
  return config, 8, 4


def _divid_switches():
  """All else that can be switched."""
  config, size, frames = _divid(normalised=True, token_dim=5, scale=0.5)
  config.method.encoder.update(residual=False, layers=1, feature_norm=True)
  config.method.denoiser.update(multipliers=(1,))
  config.method.diffusion.update(
      schedule='line', num_levels=100, prediction='x0', norm='l2',
      shared_eps=False, shared_t=False)
  config.sampler.update(num_steps=20, clip=0.9)
  return config, size, frames


CASES = {
    'paper': _paper,
    'paper_text': _paper_text,
    'quickstart': _quickstart,
    'sprites32': _sprites32,
    'recurrent_views': _recurrent_views,
    'unshared_views': _unshared_views,
    'divid': _divid,
    'divid_ablations': _divid_ablations,
    'divid_puppets': _divid_puppets,
    'divid_switches': _divid_switches,
}


@dataclasses.dataclass
class Case:
  """Both sides of a comparison."""

  config: ml_collections.ConfigDict
  method: object
  model: torch_conditional.Conditional
  params: dict
  batch: dict

  @property
  def clips(self) -> torch.Tensor:
    """As the peer has them."""
    return torch_conditional.to_clips(self.batch['x'])

  @property
  def mask(self) -> torch.Tensor:
    """True for real frames."""
    return torch.from_numpy(self.batch['mask'])

  def training_noise(self) -> torch_conditional.Noise:
    """The noise that our loss draws from KEY, for the peer."""
    m = self.config.method
    index, x = self.batch['index'], self.batch['x']
    count = x.shape[1] if m.frames_per_step is None else m.frames_per_step
    normal = lambda name, *shape: keys.normal(
        keys.named(KEY, name), index, shape)
    order = views.random_order(
        keys.named(KEY, 'frames'), index, self.batch['mask'])
    diffusion = self.method.diffusion
    if m.name == 'divid':
      level = diffusion.sample_t(keys.named(KEY, 't'), index, count)
      eps = diffusion.sample_eps(
          keys.named(KEY, 'eps'), index, (count, *x.shape[2:]))
    else:
      level = diffusion.sample_sigma(
          keys.named(KEY, 'sigma'), index, count, step=0)
      eps = normal('eps', count, *x.shape[2:])
    static = dynamic = mix = curves = None
    if m.static_kl is not None:
      shared = m.name == 'divid' or m.shared_static
      static = normal('static', *([] if shared else [count]), m.static_dim)
    if m.dynamic_kl is not None:
      dynamic = normal('dynamic', count, m.dynamic_dim)
    if m.recolour:
      mix, curves = views.random_colours(
          keys.named(KEY, 'colours'), index, x.shape[-1])
    return torch_conditional.Noise(**to_torch(dict(
        order=order, static=static, dynamic=dynamic, level=level,
        eps=frames_first(eps), mix=mix, curves=curves)))


@functools.cache
def make(name: str) -> Case:
  """The case called `name`."""
  config, size, frames = CASES[name]()
  method = build.method(config)
  rng = np.random.default_rng(1)
  x = np.clip(rng.normal(size=(2, frames, size, size, 3)) / 2, -1, 1)
  mask = np.ones((2, frames), bool)
  mask[1, -1] = False
  batch = {'x': x.astype(np.float32), 'mask': mask,
           'index': np.array([3, 8], np.int32)}
  params = weights.random(jax.eval_shape(method.init, KEY, batch))
  model = torch_build.from_config(config, image_size=size)
  weights.load(model, params)
  return Case(config, method, model, params, batch)


def to_torch(tree: dict) -> dict:
  """Arrays -> tensors."""
  return jax.tree.map(lambda a: torch.from_numpy(np.array(a)), tree)


def frames_first(x: jax.Array) -> np.ndarray:
  """(B, T, H, W, C) of ours -> (B, T, C, H, W) as the peer has it."""
  return np.moveaxis(np.asarray(x), -1, 2)
