"""What parity is tested on: small configs, the same noise, how it is judged.

All parameters are random (and none is near zero, so that each matters). The
second clip of a batch ends with a padded frame; of series some values are
missing. Nothing here needs torch.
"""

from collections.abc import Mapping
import dataclasses
import functools
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from configs import diffsda_physionet
from configs import diffsda_sprites32
from configs import divid_puppets
from configs import quickstart
from configs.common import divid
from configs.common import video
from seqdiff import build
from seqdiff.methods import base

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


def _series(variant='default', **kwargs):
  config = diffsda_physionet.get_config(variant)
  config.method.update(
      variables=3, static_dim=6, dynamic_dim=2, hidden=5, **kwargs)
  for net in config.method.encoder, config.method.denoiser:
    net.update(width=8, dropout=0.0)
  return config, None, 6


def _series_as_published():
  """All switches of the released code."""
  return _series('as_published', noise_draws=3)


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
  """LSTM, AdaGN, the other schedule, and the other reading of the MLP.

  Features are those of an image encoder of the paper's layout.
  """
  config, size, frames = _divid()
  config.method.backbone = ml_collections.ConfigDict(dict(
      kind='ldm', features=2, channels=4, multipliers=(1, 2), num_blocks=1,
      attention_levels=(1,), groups=2))
  config.method.encoder.update(aggregator='lstm', static_layers=1)
  config.method.denoiser.update(attention='self', attention_levels=(1,))
  config.method.diffusion.schedule = 'linear'
  return config, size, frames


def _divid_puppets():
  config = divid_puppets.get_config()
  config.method.update(
      static_dim=6, dynamic_dim=6, static_kl=0.02, dynamic_kl=0.01,
      orthogonality=0.02, dynamic_dropout=0.05)  # Of one of the two clips.
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
    'series': functools.partial(_series, frames_per_step=4),
    'series_as_published': _series_as_published,
    'divid': _divid,
    'divid_ablations': _divid_ablations,
    'divid_puppets': _divid_puppets,
    'divid_switches': _divid_switches,
}

# What clips are sampled with, in so many steps.
SOLVERS = {
    'paper': 'heun',
    'paper_text': 'dpmpp_2m',
    'quickstart': 'heun',
    'sprites32': 'dpmpp_2m',
    'series': 'heun',
    'divid': 'ddim',
    'divid_puppets': 'ddim',
    'divid_ablations': 'dpmpp_2m',
    'divid_switches': 'ddim',
}
NUM_STEPS = 4

# The peer's numbers of these are on file. Each costs machines without torch
# about 20 seconds.
RECORDED = ('paper', 'sprites32', 'series', 'divid')


@dataclasses.dataclass
class Case:
  """Our side of a comparison, and what both sides are given."""

  name: str
  config: ml_collections.ConfigDict
  method: base.Method
  params: dict[str, Any]
  batch: dict[str, np.ndarray]

  def factors(self) -> tuple[base.Factors, np.ndarray]:
    """Random codes and unit noise x_T."""
    x, m = self.batch['x'], self.config.method
    rng = np.random.default_rng(2)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    shared = m.name == 'divid' or m.shared_static
    static_shape = (2, m.static_dim) if shared else (
        *x.shape[:2], m.static_dim)
    factors = base.Factors(
        static=draw(*static_shape), dynamic=draw(*x.shape[:2], m.dynamic_dim))
    return factors, draw(*x.shape)

  def levels(self) -> np.ndarray:
    """Noise levels (B, T) for the denoiser."""
    shape = self.batch['mask'].shape
    if self.config.method.name == 'divid':
      return np.resize([0, 7, 60, 99, 31], shape).astype(np.int32)
    return np.resize(np.arange(0, 2, 0.13, np.float32), shape)

  def directions(self) -> dict[str, Any]:
    """For each parameter 1 or -1."""
    rng = np.random.default_rng(3)
    return jax.tree.map(
        lambda a: rng.choice(np.float32([-1, 1]), a.shape), self.params)

  def real(self, code: np.ndarray) -> np.ndarray:
    """The codes of real frames, or the one code of all frames."""
    return code[self.batch['mask']] if code.ndim == 3 else code


@functools.cache
def make(name: str) -> Case:
  """The case called `name`."""
  config, size, frames = CASES[name]()
  method = build.method(config)
  rng = np.random.default_rng(1)
  mask = np.ones((2, frames), bool)
  mask[1, -1] = False
  batch = {'mask': mask, 'index': np.array([3, 8], np.int32)}
  if size is None:
    x = rng.normal(size=(2, frames, config.method.variables))
    batch['observed'] = (rng.uniform(size=x.shape) < 0.7) & mask[..., None]
    x *= batch['observed']  # As a loader has it; the peer reads what it gets.
  else:
    x = np.clip(rng.normal(size=(2, frames, size, size, 3)) / 2, -1, 1)
  batch['x'] = x.astype(np.float32)
  params = random_params(jax.eval_shape(method.init, KEY, batch))
  return Case(name, config, method, params, batch)


def random_params(shapes: Mapping[str, Any]) -> dict[str, Any]:
  """Parameters that keep activations near 1 and of which all matter."""
  rng = np.random.default_rng(0)

  def draw(name, value):
    if isinstance(value, Mapping):
      return {k: draw(k, v) for k, v in value.items()}
    array = rng.normal(size=value.shape)
    if name.endswith('kernel'):
      array *= np.prod(value.shape[:-1]) ** -0.5
    else:
      array = 0.3 * array + (name == 'scale')
    return array.astype(np.float32)

  return draw('', shapes)


def frames_first(x: jax.Array) -> np.ndarray:
  """(B, T, H, W, C) of ours -> (B, T, C, H, W) as the peer has it.

  Series (B, T, F) are the same on both sides.
  """
  return np.moveaxis(np.asarray(x), -1, 2)


def recorded_path(name: str) -> pathlib.Path:
  """The file with the peer's numbers of a case."""
  return pathlib.Path(__file__).parent / 'recorded' / f'{name}.npz'


def recorded(name: str) -> dict[str, np.ndarray]:
  """The peer's numbers of a case, as they are on file."""
  with np.load(recorded_path(name)) as file:
    return {k: v for k, v in file.items() if k != 'torch_version'}


def assert_agree(
    theirs: np.ndarray, ours: np.ndarray, name: str = '',
    scale: float | None = None,
) -> None:
  """Differences are small beside the scale; None = the largest value."""
  theirs, ours = np.asarray(theirs), np.asarray(ours)
  assert theirs.shape == ours.shape, name
  scale = np.max(np.abs(ours)) if scale is None else scale
  assert scale > 1e-6, f'{name}: all of it is 0, which proves nothing'
  error = np.max(np.abs(theirs - ours)) / scale
  assert error < TOLERANCE, f'{name}: relative error {error:.1e}'


def assert_all_agree(
    theirs: Mapping[str, np.ndarray], ours: Mapping[str, np.ndarray],
    prefix: str = '',
) -> None:
  """Both have the same names, and what is called alike agrees."""
  assert set(theirs) == set(ours), prefix
  for name in theirs:
    assert_agree(theirs[name], ours[name], f'{prefix}{name}')
