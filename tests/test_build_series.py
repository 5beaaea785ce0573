"""Each value of the configs of series reaches its place; GLR and VAE."""

import ml_collections
import numpy as np
import pytest

from configs import diffsda_air_quality
from configs import diffsda_etth1
from configs import diffsda_physionet
from configs import glr_air_quality
from configs import glr_etth1
from configs import glr_physionet
from configs import glr_simulation
from configs import vae_air_quality
from configs import vae_etth1
from configs import vae_physionet
from seqdiff import build

CONFIGS = {'glr': glr_air_quality, 'vae': vae_air_quality}
NAMES = {'aggregator': 'pool', 'kernels': ('rbf',)}


def _leaves(section, prefix=''):
  for key, value in section.items():
    if isinstance(value, ml_collections.ConfigDict):
      yield from _leaves(value, f'{prefix}{key}.')
    elif key != 'name':
      yield prefix + key, value


OPTIONS = [(name, *option) for name, module in CONFIGS.items()
           for option in _leaves(module.get_config().method)]


@pytest.mark.parametrize('name, option, value', OPTIONS)
def test_every_option_makes_another_method(name, option, value):
  config = CONFIGS[name].get_config()
  plain = build.method(config)
  assert build.method(CONFIGS[name].get_config()) == plain
  other = NAMES.get(option)
  if other is None:
    other = not value if isinstance(value, bool) else (
        1 if value is None else
        value + (1,) if isinstance(value, tuple) else value + 1)
  config.update_from_flattened_dict({f'method.{option}': other})
  assert build.method(config) != plain


@pytest.mark.parametrize('module, read, decode, centre', [
    (diffsda_air_quality, 64, 16, True), (diffsda_physionet, 16, 8, False),
    (diffsda_etth1, 24, 16, True), (vae_air_quality, 64, 16, True),
    (vae_physionet, 16, 8, False), (vae_etth1, 24, 16, True)])
def test_pooled_rows_read_and_decode_a_few_hours_of_each_series(
    module, read, decode, centre):
  config = module.get_config('pool')
  method = build.method(config)
  assert method.encoder.frame_by_frame
  assert (method.static_frames, method.frames_per_step, method.centre) == (
      read, decode, centre)
  assert config.data == module.get_config().data
  assert config.eval == module.get_config().eval


def test_glr_has_its_codes_and_windows_where_they_belong():
  config = glr_physionet.get_config()
  config.method.update(static_dim=5, dynamic_dim=9, variables=7)
  method = build.method(config)
  assert (method.local_encoder.dim, method.global_encoder.dim) == (9, 5)
  assert (method.decoder.window, method.window) == (4, 4)
  assert method.decoder.out_features == 7


def test_glr_as_published_has_other_reductions_and_nothing_else():
  plain, published = (
      build.method(glr_air_quality.get_config(variant))
      for variant in ('default', 'as_published'))
  assert not plain.count_missing and not plain.sum_global_kl
  assert published.count_missing and published.sum_global_kl
  assert published.local_encoder == plain.local_encoder
  with pytest.raises(ValueError, match="Unknown variant 'published'"):
    glr_air_quality.get_config('published')


@pytest.mark.parametrize('module', CONFIGS.values(), ids=CONFIGS)
def test_rows_of_a_table_share_data_and_protocols(module):
  theirs, ours = diffsda_air_quality.get_config(), module.get_config()
  assert (ours.data, ours.eval) == (theirs.data, theirs.eval)
  assert theirs == diffsda_air_quality.get_config()  # Left as it was.


def test_vae_has_the_networks_of_diffsda():
  theirs = build.method(diffsda_air_quality.get_config())
  ours = build.method(vae_air_quality.get_config())
  assert ours.encoder.backbone == theirs.encoder.backbone
  assert ours.encoder.head.clone(static_dim=16, dynamic_dim=4) == (
      theirs.encoder.head)
  assert ours.decoder.backbone == theirs.denoiser.backbone
  assert ours.frames_per_step == theirs.frames_per_step


@pytest.mark.parametrize('module', [glr_etth1, vae_etth1])
def test_months_are_another_form_of_the_data(module):
  weeks, months = (module.get_config(v) for v in ('blocked', 'months'))
  assert (weeks.data.split, months.data.split) == ('blocked', 'as_published')
  assert weeks.train.num_steps > months.train.num_steps
  with pytest.raises(ValueError, match="Unknown variant 'as_published'"):
    module.get_config('as_published')


@pytest.mark.parametrize('module', [
    diffsda_air_quality, diffsda_etth1, diffsda_physionet])
def test_what_is_trained_as_published_is_judged_as_published(module):
  protocols = module.get_config('as_published').eval.protocols
  assert protocols and all(p.endswith('_as_published') for p in protocols)


def test_options_of_the_simulation_reach_the_set():
  config = glr_simulation.get_config()
  config.data.update(num_frames=30, num_test=3)
  config.data.seed = 2
  config.data.missing = 0.5
  dataset = build.dataset(config)
  assert len(dataset.splits['test']) == 3
  x = np.stack([item['x'] for item in dataset.splits['test']])
  assert x.shape == (3, 30, 1) and 0.3 < np.mean(x == 0) < 0.7
  config.data.mising = 0.5
  with pytest.raises(ValueError, match="option config.data 'mising'. Did you"):
    build.dataset(config)
