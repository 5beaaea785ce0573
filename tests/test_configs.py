"""Every config builds, and its nets fit its data."""

import dataclasses
import functools
import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import ml_collections
from ml_collections.config_flags import config_path
import numpy as np
import pytest

from configs import autoencoder_mead
from configs import autoencoder_mhad
from configs import autoencoder_puppets
from configs import autoencoder_voxceleb
from configs import diffsda_celebv_hq
from configs import diffsda_mug
from configs import diffsda_mug_ablation
from configs import diffsda_sprites32
from configs import diffsda_sprites32_ablation
from configs import diffsda_taichi
from configs import diffsda_voxceleb
from configs import diffsda_voxceleb_ablation
from configs import divid_mhad
from configs import divid_mhad_ablation
from configs import divid_mhad_copy
from configs import divid_mhad_depth32
from configs import divid_mhad_depth32_ablation
from configs import divid_mhad_pixels
from configs import prior
from configs import quickstart
from configs import quickstart_ablation
from configs import quickstart_speed
from configs.common import divid
from configs.common import levers
from seqdiff import build
from seqdiff import run
from seqdiff.data import loader
from seqdiff.diffusion import edm
from seqdiff.losses import orthogonality
from seqdiff.methods import base
from seqdiff.methods import divid as divid_lib
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGS = sorted(
    p for p in (ROOT / 'configs').glob('*.py')
    if p.stem != '__init__' and not p.stem.startswith('prior'))  # Need models.


# Their nets are those of other configs.
_ALIKE = (
    'autoencoder_mead', 'diffsda_celebv_hq', 'diffsda_frames',
    'diffsda_frames_latent',
    'diffsda_mug_ablation', 'diffsda_sprites', 'diffsda_sprites32_ablation',
    'diffsda_taichi', 'diffsda_voxceleb_ablation', 'divid_mead',
    'divid_mhad_ablation', 'divid_mhad_copy', 'divid_mhad_depth32_ablation',
    'divid_mhad_depth64', 'divid_mhad_pixels')


@pytest.fixture(params=[
    pytest.param(path, marks=pytest.mark.slow if path.stem in _ALIKE else ())
    for path in CONFIGS], ids=lambda path: path.stem)
def config(request, monkeypatch, tmp_path) -> ml_collections.ConfigDict:
  """The config of one file, as the command line gets it.

  Where it needs a first stage, the published one stands there, without weights.
  """
  monkeypatch.syspath_prepend(ROOT)
  spec = importlib.util.spec_from_file_location(
      f'config_{request.param.stem}', request.param)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = module.get_config()
  if 'first_stage' in config:
    stage = {
        'voxceleb': autoencoder_voxceleb, 'celebv_hq': autoencoder_voxceleb,
        'mhad': autoencoder_mhad, 'mead': autoencoder_mead}.get(
            config.data.name, autoencoder_puppets)
    config.first_stage.workdir = str(tmp_path)
    (tmp_path / 'config.json').write_text(
        json.dumps(stage.get_config().to_dict()))
  return config.lock()


def test_there_are_configs():
  assert 'quickstart' in {path.stem for path in CONFIGS}


def test_method_fits_the_data(config):
  config = ml_collections.ConfigDict(config)
  if 'num_blocks' in config.method.get('denoiser', {}):
    config.method.denoiser.num_blocks = 1  # More fit too, and take longer.
  method = build.method(config)
  clips, read = (2, config.data.num_frames), {}
  if 'variables' in config.method:
    clips += (config.method.variables,)
  else:
    size = config.data.size
    if 'first_stage' in config:  # What the method sees are latents.
      if config.first_stage.frames:  # But what it encodes are clips.
        read['frames'] = jnp.zeros((*clips, size, size, 3))
      size //= 2 ** (len(method.first_stage.net.multipliers) - 1)
      assert method.first_stage.net.embed_dim == config.method.image_channels
      method = method.method
    clips += (size, size, config.method.image_channels)
  batch = {'x': jnp.zeros(clips), 'mask': jnp.ones(clips[:2], bool),
           'index': jnp.arange(2), **read}
  has_factors = config.method.name != 'autoencoder'

  def use(key):
    params = method.init(key, batch)
    loss, parts = method.loss(params, batch, key, step=jnp.int32(0), train=True)
    factors = method.encode(
        params, read.get('frames', batch['x']), batch['mask'])
    both = base.swap(factors, factors) if has_factors else factors
    x = method.decode(params, both, batch['x'])
    return params, loss, parts, factors, x

  with jax.debug_key_reuse(False):  # `key` stands for two keys.
    params, loss, parts, factors, x = jax.eval_shape(use, jax.random.key(0))
  assert {a.dtype for a in jax.tree.leaves(params)} == {np.dtype('float32')}
  assert x.shape == clips
  assert loss.shape == (2,)
  assert {a.shape for a in parts.values()} == {(2,)}
  if not has_factors:
    return
  per_clip = 'shared_static' not in config.method or (
      config.method.shared_static)
  static_shape = (2,) if per_clip else clips[:2]
  assert factors.static.shape == static_shape + (config.method.static_dim,)
  assert factors.dynamic.shape == clips[:2] + (config.method.dynamic_dim,)


@pytest.mark.parametrize('row', quickstart_speed.ROWS)
def test_options_of_speed_change_themselves_only(row):
  plain = quickstart.get_config().to_dict()
  other = quickstart_speed.get_config(row)
  values = quickstart_speed.ROWS[row]
  assert all(config_path.get_value(key, other) == value
             for key, value in values.items())
  sections = {key.partition('.')[0] for key in values}
  assert {k for k in plain if other.to_dict()[k] != plain[k]} == sections
  build.method(other)


@pytest.mark.parametrize('row', divid_mhad_depth32_ablation.ROWS)
def test_each_row_but_full_makes_another_divid(row):
  plain = build.method(divid_mhad_depth32.get_config())
  method = build.method(divid_mhad_depth32_ablation.get_config(row))
  assert (method == plain) == (row == 'full')


def test_defaults_are_divid_at_its_published_size():
  method = build.method(divid.get_config())
  clips = jnp.zeros((1, 10, 32, 32, 3))  # Latents of 128 x 128 pixels.
  batch = {'x': clips, 'mask': jnp.ones((1, 10), bool),
           'index': jnp.arange(1)}
  params = jax.eval_shape(method.init, jax.random.key(0), batch)
  count = lambda tree: sum(np.prod(a.shape) for a in jax.tree.leaves(tree))
  assert count(params['denoiser']) == 151_907_203
  assert count(params['encoder']) == 4_458_752 + 4_011_520
  assert method.solver == divid_lib.Solver('ddim', 200)


def _sizes(config):
  """Parameters of both nets of a DiViD, and its loss, at the paper's size."""
  sees_frames = config.first_stage.frames
  with config.unlocked():
    del config.first_stage
  method, mask = build.method(config), jnp.ones((1, 10), bool)
  batch = {'x': jnp.zeros((1, 10, 32, 32, 3)), 'mask': mask,
           'index': jnp.arange(1)}
  if sees_frames:
    batch['frames'] = jnp.zeros((1, 10, 128, 128, 3))

  def use(key):
    params = method.init(key, batch)
    return params, method.loss(
        params, batch, key, step=jnp.int32(0), train=True)[0]

  with jax.debug_key_reuse(False):  # `key` stands for two keys.
    params, loss = jax.eval_shape(use, jax.random.key(0))
  count = lambda tree: sum(np.prod(a.shape) for a in jax.tree.leaves(tree))
  assert loss.shape == (1,)
  return count(params['denoiser']), count(params['encoder'])


_OTHER_NETS = ('adagn', 'lstm')


@pytest.mark.parametrize('row', [
    pytest.param(row, marks=() if row in _OTHER_NETS else pytest.mark.slow)
    for row in divid.ABLATIONS])
def test_rows_of_table_2_at_the_published_size(row):
  # AdaGN has no cross-attention, the LSTM two layers of 256 in each direction.
  denoiser = 128_063_235 if row == 'adagn' else 151_907_203
  dynamic = 3_547_648 if row == 'lstm' else 4_011_520
  assert _sizes(divid_mhad_ablation.get_config(row)) == (
      denoiser, 4_458_752 + dynamic)


def test_trainable_copy_has_the_parameters_of_the_first_stage_s_encoder():
  copy = _sizes(divid_mhad_copy.get_config())
  assert copy == (151_907_203, 4_458_752 + 4_011_520 + 22_337_411)


@pytest.mark.parametrize('given', [
    divid_mhad.get_config, divid_mhad_copy.get_config,
    divid_mhad_pixels.get_config, *(
        functools.partial(rows.get_config, row) for row in divid.ABLATIONS
        for rows in (divid_mhad_ablation, divid_mhad_depth32_ablation))])
def test_swaps_of_mhad_are_a_thousand_in_both_orders(given):
  settings = given().eval
  assert 'swap' in settings.protocols and settings.both_orders
  assert settings.num_pairs >= 1000


@pytest.mark.parametrize('row', ['full', 'normalised'])
def test_orthogonality_weighs_little_beside_the_loss_at_first(row):
  method = build.method(divid.ablate(divid.get_config(), row))
  latents = np.random.default_rng(0).normal(size=(4, 10, 32, 32, 3))
  (static, dynamic), _ = jax.jit(method.encoder.init_with_output)(
      jax.random.key(0), latents.astype(np.float32), np.ones((4, 10), bool))
  products = jnp.sum(orthogonality.squared_products(
      static, dynamic, normalised=method.normalised), axis=1)
  # The L1 error of the zeros with which a denoiser starts is 0.8.
  assert 1e-3 < method.orthogonality * jnp.mean(products) < 0.05 * 0.8


def test_codes_of_two_sizes_cannot_be_orthogonal():
  config = divid.get_config()
  config.method.dynamic_dim = 8
  with pytest.raises(ValueError, match='expected equal sizes, or orthogon'):
    build.method(config)


def test_misspelt_option_is_named_with_the_known_ones(config):
  net = next(n for n in ('denoiser', 'decoder', 'net') if n in config.method)
  option = next(iter(config.method[net]))
  with config.unlocked():
    config.method[net][f'{option}x'] = 3
  message = f"option config.method.{net} '{option}x'. Did you mean '{option}'"
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


# Live parameters in millions (DiffSDA, Tables 6-7 and released code).
@pytest.mark.parametrize('given, millions', [
    (diffsda_mug.get_config(), 26.34), (diffsda_mug.get_config('small'), 31.02),
    (diffsda_taichi.get_config(), 68.17),
    (diffsda_voxceleb.get_config(), 217.19),
    (diffsda_celebv_hq.get_config(), 218.64)],
    ids=['mug', 'mug_small', 'taichi', 'voxceleb', 'celebv_hq'])
def test_configs_have_the_published_networks(given, millions):
  size = given.data.size
  if 'first_stage' in given:
    size //= 8
    with given.unlocked():
      del given.first_stage
  method, frames = build.method(given), given.data.num_frames
  clips = jnp.zeros((1, frames, size, size, given.method.image_channels))
  params = jax.eval_shape(method.init, jax.random.key(0), {
      'x': clips, 'mask': jnp.ones((1, frames), bool), 'index': jnp.arange(1)})
  count = sum(np.prod(a.shape) for a in jax.tree.leaves(params))
  assert count / 1e6 == pytest.approx(millions, abs=0.005)


# Size of z, live parameters in millions and epochs of prior and model (DiffSDA,
# Tables 6 and 8, and released code).
@pytest.mark.parametrize('row, module, size, millions, epochs', [
    ('mug', diffsda_mug, 1216, 305, (500, 1600)),
    ('taichi', diffsda_taichi, 1152, 274, (500, 40)),
    ('voxceleb', diffsda_voxceleb, 632, 82, (200, 100)),
    ('celebv_hq', diffsda_celebv_hq, 1184, 289, (1000, 450))])
def test_rows_of_the_prior_are_the_published_ones(
    row, module, size, millions, epochs):
  config, model = prior.get_config(row), module.get_config()
  assert config.model.workdir == f'runs/{module.__name__.split(".")[1]}'
  sizes = dict(static_dim=model.method.static_dim,
               dynamic_dim=model.method.dynamic_dim,
               num_frames=model.data.num_frames)
  made = build.prior(config, **sizes)
  batch = {'x': jnp.zeros((2, 1, size)), 'index': jnp.arange(2)}

  def use(key):
    params = made.init(key, batch)
    loss, _ = made.loss(params, batch, key, step=jnp.int32(0), train=True)
    return params, loss, made.sample(params, key, batch['index'])

  with jax.debug_key_reuse(False):  # `key` stands for three keys.
    params, loss, factors = jax.eval_shape(use, jax.random.key(0))
  assert (made.size, loss.shape) == (size, (2,))
  assert factors.dynamic.shape == (
      2, model.data.num_frames, model.method.dynamic_dim)
  count = sum(np.prod(a.shape) for a in jax.tree.leaves(params))
  assert count / 1e6 == pytest.approx(millions, abs=1.0)
  seen = lambda c: c.train.num_steps * c.data.batch_size
  assert seen(config) / seen(model) == pytest.approx(
      epochs[0] / epochs[1], rel=1e-3)
  apart = build.prior(prior.get_config(f'{row}_independent'), **sizes)
  assert apart == dataclasses.replace(made, independent=True)


@pytest.mark.parametrize('ablation, sizes', [
    (diffsda_voxceleb_ablation, (16, 128)), (diffsda_mug_ablation, (64, 256))])
def test_rows_of_tables_10_and_11(ablation, sizes):
  for size in sizes:
    for name in ('', '_unshared'):
      method = ablation.get_config(f'd{size}{name}').method
      assert (method.dynamic_dim, method.shared_static) == (size, not name)
  with pytest.raises(ValueError, match='Unknown row'):
    ablation.get_config('d7')


@pytest.mark.parametrize('row, size, shared', [
    ('unshared', 8, False), ('d32', 32, True), ('d32_unshared', 32, False)])
def test_small_rows_of_tables_10_and_11(row, size, shared):
  config, beside = map(quickstart_ablation.get_config, (row, 'static_frames'))
  beside.method.update(dynamic_dim=size, shared_static=shared)
  assert config == beside
  method, x = build.method(config), jnp.zeros((2, 12, 16, 16, 3))
  batch = {'x': x, 'mask': jnp.ones((2, 12), bool), 'index': jnp.arange(2)}
  codes = jax.eval_shape(lambda: method.encode(
      method.init(jax.random.key(0), batch), x, batch['mask']))
  assert codes.dynamic.shape == (2, 12, size)
  assert codes.static.shape == ((2, 32) if shared else (2, 12, 32))


@pytest.mark.slow
@pytest.mark.parametrize('row', ['unshared', 'd32', 'd32_unshared'])
def test_small_rows_of_tables_10_and_11_take_a_step(row):
  config = quickstart_ablation.get_config(row)
  config.data.update(size=8, num_train=8, batch_size=8)
  config.method.hidden = 8
  config.method.encoder.update(channels=4, features=8)
  config.method.denoiser.update(channels=4, multipliers=(1,), groups=2)
  method, dataset = build.method(config), build.dataset(config)
  batch = next(loader.train_batches(
      dataset.splits['train'], batch_size=8, seed=0, **run.cut(config)))
  tx = run.optimizer(config)

  @jax.jit
  def step():
    state = train_state.create(method, tx, batch, seed=0, ema=True)
    return train_step.train_step(
        state, batch, method=method, tx=tx, ema_decay=0.9)

  state, metrics = step()
  assert state.step == 1 and np.isfinite(metrics['loss'])


@pytest.mark.parametrize(
    'module', [quickstart_ablation, diffsda_sprites32_ablation],
    ids=['puppets', 'sprites'])
@pytest.mark.parametrize('lever', levers.LEVERS)
def test_levers_get_the_time_of_none_by_their_measured_speed(module, lever):
  row = f'{module.__name__.rpartition(".")[2]}-{lever}'
  path = ROOT / 'configs/results' / row / 'benchmark.json'
  speed, spread = 1.0, 0.0  # Those not measured change numbers only.
  if path.exists():
    metrics = json.loads(path.read_text())['metrics']
    speed, spread = (metrics[f'train_step/ratio_beside{end}']
                     for end in ('', '_std'))
  num_steps = lambda name: module.get_config(name).train.num_steps
  given = num_steps(lever) / num_steps('none')
  assert given == pytest.approx(speed, abs=0.01) or (
      given == 1.0 and abs(speed - 1.0) < spread)
