"""Each value of a config reaches its place; what does not fit is named."""

import inspect
import json
import pathlib
import re

import jax.numpy as jnp
import ml_collections
import pytest

from configs import autoencoder_voxceleb
from configs import diffsda_voxceleb
from configs import divid_mhad
from configs import divid_mhad_pixels
from configs import quickstart
from configs.common import video
from seqdiff import build
from seqdiff.data import disk
from seqdiff.diffusion import edm
from seqdiff.training import optim


def _config(get_config=video.get_config, **changes):
  """A config with some values, given as section__key=value."""
  config = get_config()
  for key, value in changes.items():
    *path, last = key.split('__')
    section = config
    for part in path:
      section = section[part]
    with config.unlocked(), section.unlocked():
      section[last] = value
  return config


def _leaves(section, prefix):
  for key, value in section.items():
    if isinstance(value, ml_collections.ConfigDict):
      yield from _leaves(value, f'{prefix}__{key}')
    else:
      yield f'{prefix}__{key}', value


def _divid():
  """A config of DiViD with a backbone; the sizes of its codes may differ."""
  config = divid_mhad_pixels.get_config()
  config.method.orthogonality = 0.0
  return config


NAMES = {'float32': 'bfloat16', 'bfloat16': 'float32', 'lstm': 'pool',
         'transformer': 'lstm', 'heun': 'euler', 'ddim': 'heun',
         'cross': 'self', 'block': 'conv', 'cosine': 'linear', 'eps': 'v',
         'l1': 'l2', 'fan_in': 'xavier'}
OPTIONS = [
    (get_config, key, value) for get_config in (video.get_config, _divid)
    for section in ('method', 'sampler')
    for key, value in _leaves(get_config()[section], section)
    if not key.endswith(('method__name', '__kind', 'sampler__x_T'))]


@pytest.mark.parametrize('get_config, key, value', OPTIONS)
def test_every_option_makes_another_method(get_config, key, value):
  if isinstance(value, str):
    other = NAMES[value]
  elif isinstance(value, bool):
    other = not value
  elif isinstance(value, tuple):
    other = value + (1,)
  else:
    other = 2 if value is None else value + 1
  method = build.method(get_config())
  assert build.method(get_config()) == method
  assert build.method(_config(get_config, **{key: other})) != method


def _encoder(m):
  return m.encoder.backbone


def _denoiser(m):
  return m.denoiser.backbone


PLACES = [
    ('method__static_dim', 9, lambda m: m.encoder.head.static_dim),
    ('method__dynamic_dim', 9, lambda m: m.encoder.head.dynamic_dim),
    ('method__static_kl', 0.5, lambda m: m.static_kl),
    ('method__dynamic_kl', 0.5, lambda m: m.dynamic_kl),
    ('method__static_frames', 3, lambda m: m.static_frames),
    ('method__recolour', True, lambda m: m.recolour),
    ('method__centre', True, lambda m: m.centre),
    ('method__dynamic_dropout', 0.5, lambda m: m.dynamic_dropout),
    ('method__frames_per_step', 3, lambda m: m.frames_per_step),
    ('method__as_published', True, lambda m: _denoiser(m).as_published),
    ('method__remat', True, lambda m: _denoiser(m).remat),
    ('method__remat', True, lambda m: _encoder(m).remat),
    ('method__image_channels', 1, lambda m: _denoiser(m).out_channels),
    ('method__encoder__channels', 9, lambda m: _encoder(m).channels),
    ('method__denoiser__channels', 9, lambda m: _denoiser(m).channels),
    ('method__denoiser__dropout', 0.5, lambda m: _denoiser(m).dropout),
    ('method__diffusion__sigma_data', 2.0, lambda m: m.diffusion.sigma_data),
    ('method__diffusion__p_mean', 2.0, lambda m: m.diffusion.P_mean),
    ('method__diffusion__p_std', 2.0, lambda m: m.diffusion.P_std),
    ('method__diffusion__p_mean_start', 2.0,
     lambda m: m.diffusion.P_mean_start),
    ('method__diffusion__p_mean_steps', 7,
     lambda m: m.diffusion.P_mean_steps),
    ('sampler__name', 'dpmpp_2m', lambda m: m.solver.name),
    ('sampler__num_steps', 7, lambda m: m.solver.num_steps),
    ('sampler__rho', 3.0, lambda m: m.solver.rho),
]


@pytest.mark.parametrize('key, value, place', PLACES)
def test_option_reaches_its_place(key, value, place):
  assert place(build.method(_config(**{key: value}))) == value


def test_one_channel_comes_out_of_the_encoder_whatever_the_image_has():
  method = build.method(_config(method__image_channels=1))
  assert _encoder(method).out_channels == 1
  assert _encoder(build.method(_config())).out_channels == 1


@pytest.mark.parametrize('net', [_encoder, _denoiser])
def test_dtype_is_that_of_the_computation(net):
  method = build.method(_config(method__dtype='bfloat16'))
  assert net(method).dtype == jnp.bfloat16


def test_gaussian_code_needs_mean_and_variance():
  head = build.method(_config(
      method__static_dim=5, method__dynamic_dim=3, method__static_kl=0.1)
  ).encoder.head
  assert (head.static_dim, head.dynamic_dim) == (10, 3)


def test_defaults_are_the_paper_s():
  assert build.method(_config()).diffusion == edm.EDM(
      sigma_data=0.5, P_mean=-1.2, P_std=1.2)


@pytest.mark.parametrize('changes, message', [
    ({'method__name': 'difsda'}, "Unknown method 'difsda'. Did you mean 'diff"),
    ({'method__dtype': 'float16'}, "Unknown dtype 'float16'.*bfloat16, float3"),
    ({'method__encoder__kind': 'vit'}, "Unknown encoder 'vit'.*convnet, unet"),
    ({'sampler__name': 'huen'}, "Unknown sampler 'huen'. Did you mean 'heun'"),
    ({'sampler__steps': 3}, "option config.sampler 'steps'.*num_steps"),
    ({'method__unit_code': 3}, "config.method 'unit_code'. Did you mean 'unit"),
    ({'method__encoder__blocks': 3}, "config.method.encoder 'blocks'.*groups"),
    ({'method__denoiser__out_channels': 3},
     "config.method.denoiser 'out_channels'.*Known: as_published"),
    ({'method__diffusion__p_men': 3}, "config.method.diffusion 'P_men'.*P_m"),
    ({'method__static_frames': 0}, 'static_frames=0, expected 1 or more'),
    ({'method__frames_per_step': -1}, 'frames_per_step=-1, expected 1 or'),
])
def test_method_that_cannot_be_is_named(changes, message):
  with pytest.raises(ValueError, match=message):
    build.method(_config(**changes))


def test_data_options_reach_the_set():
  dataset = build.dataset(_config(
      quickstart.get_config, data__size=9, data__num_frames=3, data__stride=4,
      data__num_train=5, data__num_test=2, data__held_out=0.5, data__seed=1))
  item = dataset.splits['train'][0]
  assert item['x'].shape == (9, 9, 9, 3)  # 3 frames, every 4th: 9 frames.
  assert [len(dataset.splits[k]) for k in ('train', 'test')] == [5, 2]
  other = build.dataset(_config(
      quickstart.get_config, data__size=9, data__num_frames=3, data__stride=4))
  assert (item['x'] != other.splits['train'][0]['x']).any()


def test_data_on_disk_gets_what_the_loader_does_not(monkeypatch):
  given = {}

  def load(name, **options):
    given.update(options, name=name)
    return build.synthetic.puppets(size=8)

  monkeypatch.setattr(disk, 'load', load)
  build.dataset(_config(
      data__name='sprites', data__data_dir='D', data__size=32))
  assert given == {'name': 'sprites', 'data_dir': 'D', 'size': 32}


@pytest.mark.parametrize('changes, message', [
    ({'data__name': 'pupets'}, "Unknown data set 'pupets'. Did you mean 'pu"),
    ({'data__name': None}, "data set 'None'.*Known: .*puppets.*sprites"),
    ({'data__sise': 8}, "option config.data 'sise'. Did you mean 'size'"),
    ({'data__size': 4}, 'puppets: size=4, expected at least 8'),
    ({'eval__split': 'tset'}, "Unknown split 'tset'. Did you mean 'test'"),
    ({'data__name': 'sprites'}, 'no data_dir.*sprites was prepared in'),
    ({'data__name': 'sprites', 'data__data_dir': '/none'},
     "option of sprites 'num_t.*Known: size"),
])
def test_data_that_does_not_exist_is_named(changes, message):
  with pytest.raises(ValueError, match=message):
    build.dataset(_config(quickstart.get_config, **changes))


def test_data_that_was_not_prepared_is_named(tmp_path):
  config = _config(data__name='sprites', data__data_dir=str(tmp_path))
  with pytest.raises(ValueError, match='holds no data set. Prepare it once wit'
                     'h `python -m seqdiff.data.prepare --dataset=sprites'):
    build.dataset(config)


@pytest.mark.parametrize('get_config, workdir, names', [
    (divid_mhad.get_config, None, ['vq-f4']),
    (divid_mhad.get_config, '{}/autoencoder', ['vq-f4']),
    # As its folder is called; another name: all with its four channels.
    (diffsda_voxceleb.get_config, '{}/vq-f8-n256', ['vq-f8-n256']),
    (diffsda_voxceleb.get_config, '{}/vq-f4', ['vq-f8', 'vq-f8-n256', 'kl-f8']),
])
def test_first_stage_that_is_not_there_is_named_with_all_ways_to_get_it(
    tmp_path, get_config, workdir, names):
  workdir = workdir and workdir.format(tmp_path)
  config = _config(get_config, first_stage__workdir=workdir)
  with pytest.raises(ValueError) as caught:
    build.method(config)
  message = str(caught.value)
  name = names[0] if len(names) == 1 else '<name>'
  for part in (f'workdir={workdir} holds no autoencoder', 'model.ckpt',
               f'{config.method.image_channels} channels ({", ".join(names)})',
               f'https://ommer-lab.com/files/latent-diffusion/{name}.zip',
               f'-m third_party.ldm_autoencoder.convert --preset={name} '
               '--checkpoint=model.ckpt --out=', 'config.json'):
    assert part in message
  root = pathlib.Path(__file__).resolve().parents[1]
  for path in re.findall(r'(?:configs|third_party)/[\w/*]+\.\w+', message):
    assert list(root.glob(path)), path


def test_first_stage_with_other_channels_is_refused(tmp_path):
  (tmp_path / 'config.json').write_text(
      json.dumps(autoencoder_voxceleb.get_config().to_dict()))
  config = _config(
      divid_mhad.get_config, first_stage__workdir=str(tmp_path))
  with pytest.raises(ValueError, match=(
      'image_channels=3 with config.first_stage.workdir=.*, whose latents have '
      '4 channels; expected 4. Set it')):
    build.method(config)
  config.method.image_channels, config.first_stage.chunk = 4, 0
  with pytest.raises(ValueError, match='chunk=0; expected 1 or more frames'):
    build.method(config)


def test_optimizer_takes_what_the_config_has():
  options = set(inspect.signature(optim.make_optimizer).parameters)
  assert set(video.get_config().optim) - {'ema_decay'} == (
      options - {'num_steps'})


def test_lists_of_a_saved_config_count_as_tuples():
  config = _config()
  saved = ml_collections.ConfigDict(json.loads(json.dumps(config.to_dict())))
  assert isinstance(saved.method.denoiser.multipliers, list)
  assert build.method(saved) == build.method(config)
  hash(build.method(saved))  # Lists have none.
