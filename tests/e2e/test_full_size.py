"""The largest configs at their full size: one step, one swap; many minutes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import autoencoder_voxceleb
from configs import diffsda_celebv_hq
from configs import diffsda_voxceleb
from seqdiff import build
from seqdiff import run
from seqdiff.diffusion import samplers
from seqdiff.sampling import swap
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step


@pytest.mark.slow
@pytest.mark.parametrize('module', [diffsda_voxceleb, diffsda_celebv_hq],
                         ids=['voxceleb', 'celebv_hq'])
def test_one_step_and_one_swap_of_256_pixels(module, tmp_path, monkeypatch):
  config = module.get_config()
  config.first_stage.workdir = str(tmp_path)
  (tmp_path / 'config.json').write_text(
      json.dumps(autoencoder_voxceleb.get_config().to_dict()))
  method, rng = build.method(config), np.random.default_rng(0)
  mask, index = jnp.ones((1, 10), bool), jnp.arange(1)
  z = 0.5 * rng.normal(size=(1, 10, 32, 32, 4)).astype(np.float32)
  batch = {'x': jnp.asarray(z), 'mask': mask, 'index': index,
           'example_mask': jnp.ones(1, bool)}
  tx = run.optimizer(config)
  state = jax.jit(lambda: train_state.create(
      method, tx, batch, seed=0, ema=False))()
  before = np.array(state.params['denoiser']['params']['backbone']['tail'][
      'kernel'])
  state, metrics = jax.jit(
      lambda s, b: train_step.train_step(
          s, b, method=method, tx=tx, ema_decay=None))(state, batch)
  assert np.isfinite(float(metrics['loss']))
  params = state.params
  del state
  after = params['denoiser']['params']['backbone']['tail']['kernel']
  assert np.abs(after - before).max() > 1e-6

  clips = [{**batch, 'x': rng.integers(
      256, size=(1, 10, 256, 256, 3)).astype(np.uint8)} for _ in range(2)]
  stage = jax.jit(lambda: method.first_stage.init(
      jax.random.key(1), {'x': jnp.zeros((1, 1, 256, 256, 3))}))()
  bundle = {'method': params, 'first_stage': stage,
            'mean': jnp.zeros(4), 'std': jnp.ones(4)}
  levels, heun = [], samplers.heun

  def counted(denoise, x, sigmas):

    def call(x, sigma):
      jax.debug.callback(lambda s: levels.append(float(s)), sigma)
      return denoise(x, sigma)

    return heun(call, x, sigmas)

  monkeypatch.setitem(samplers.SOLVERS, 'heun', counted)
  # On one device: each of eight would hold a copy of the model.
  on_one_device = swap.make_swap(method, x_T='fresh_shared').__wrapped__
  x = on_one_device(bundle, *clips, jax.random.key(2))
  assert x.shape == (1, 10, 256, 256, 3)
  jax.effects_barrier()
  assert len(levels) == 63
  assert np.isfinite(np.asarray(x)).all() and np.std(x) > 0.0
