"""Every config builds, and its nets fit its data."""

import importlib.util
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from configs import diffsda_sprites32
from configs import diffsda_sprites32_ablation
from configs import quickstart
from configs import quickstart_ablation
from configs.common import levers
from seqdiff import build
from seqdiff.diffusion import edm
from seqdiff.methods import base

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    p for p in (ROOT / 'configs').glob('*.py') if p.stem != '__init__')


@pytest.fixture(params=CONFIGS, ids=lambda path: path.stem)
def config(request, monkeypatch) -> ml_collections.ConfigDict:
  """The config of one file, as the command line gets it."""
  monkeypatch.syspath_prepend(ROOT)
  spec = importlib.util.spec_from_file_location(
      f'config_{request.param.stem}', request.param)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module.get_config().lock()


def test_there_are_configs():
  assert 'quickstart' in {path.stem for path in CONFIGS}


def test_method_fits_the_data(config):
  method = build.method(config)
  size, frames = config.data.size, config.data.num_frames
  clips = (2, frames, size, size, config.method.image_channels)
  batch = {'x': jnp.zeros(clips), 'mask': jnp.ones(clips[:2], bool),
           'index': jnp.arange(2)}

  def use(key):
    params = method.init(key, batch)
    loss, parts = method.loss(params, batch, key, step=jnp.int32(0), train=True)
    factors = method.encode(params, batch['x'], batch['mask'])
    x = method.decode(params, base.swap(factors, factors), batch['x'])
    return params, loss, parts, factors, x

  with jax.debug_key_reuse(False):  # `key` stands for two keys.
    params, loss, parts, factors, x = jax.eval_shape(use, jax.random.key(0))
  assert {a.dtype for a in jax.tree.leaves(params)} == {np.dtype('float32')}
  assert x.shape == clips
  assert loss.shape == (2,)
  assert {a.shape for a in parts.values()} == {(2,)}
  per_clip = config.method.shared_static
  static_shape = (2,) if per_clip else clips[:2]
  assert factors.static.shape == static_shape + (config.method.static_dim,)
  assert factors.dynamic.shape == clips[:2] + (config.method.dynamic_dim,)


def test_misspelt_option_is_named_with_the_known_ones(config):
  with config.unlocked():
    config.method.denoiser.chanels = 3
  message = "option config.method.denoiser 'chanels'. Did you mean 'channels'"
  with pytest.raises(ValueError, match=message):
    build.method(config)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_file_opens_with_its_command(path):
  assert f'--config=configs/{path.name}' in path.read_text().split('"""')[1]


@pytest.mark.parametrize('base_config, ablation', [
    (quickstart, quickstart_ablation),
    (diffsda_sprites32, diffsda_sprites32_ablation)],
    ids=['quickstart', 'sprites32'])
@pytest.mark.parametrize('lever', levers.LEVERS)
def test_each_lever_but_none_makes_another_method(
    base_config, ablation, lever):
  plain = build.method(base_config.get_config())
  method = build.method(ablation.get_config(lever))
  assert (method == plain) == (lever == 'none')
  assert (method.diffusion == edm.EDM()) == (lever == 'noise')
