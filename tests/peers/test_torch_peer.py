"""The PyTorch peer itself: its size, its weights, its updates, its swaps."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import diffsda_air_quality
from configs import diffsda_etth1
from configs import diffsda_physionet
from configs import divid_puppets
from configs import quickstart
from configs.common import divid
from configs.common import video
from seqdiff import build
from seqdiff.training import optim
from seqdiff.training import state as train_state
from seqdiff.training import step as train_step

torch = pytest.importorskip('torch')

from tests.peers import cases  # noqa: E402
from tests.peers import torch_build  # noqa: E402
from tests.peers import torch_conditional  # noqa: E402
from tests.peers import torch_train  # noqa: E402
from tests.peers import weights  # noqa: E402


def _count(*modules):
  return sum(p.numel() for m in modules for p in m.parameters())


def test_parameter_counts_are_those_of_the_release():
  # DiffSDA on MUG: sizes worked out by hand from the released layer shapes.
  with torch.device('meta'):
    model = torch_build.from_config(video.get_config(), image_size=64)
  head = model.encoder.head
  assert _count(model.denoiser) == 13_657_219
  assert _count(model.encoder.frames) == 8_227_009
  assert _count(head.lstm, head.dynamic_rnn) == 4_376_832
  assert _count(head.static_head, head.dynamic_head) == 74_048


@pytest.mark.parametrize('make_config, counts', [
    (diffsda_physionet, (7_509_358, 614_784, 398_016, 4_826)),
    (diffsda_air_quality, (7_507_822, 1_081_856, 4_989_952, 18_452)),
    (diffsda_etth1, (3_001_130, 4_240_384, 7_087_104, 18_452)),
])
def test_parameter_counts_on_series_are_those_of_the_release(
    make_config, counts):
  with torch.device('meta'):
    model = torch_build.from_config(make_config.get_config())
  head = model.encoder.head
  assert counts == (
      _count(model.denoiser), _count(model.encoder.frames),
      _count(head.lstm, head.dynamic_rnn),
      _count(head.static_head, head.dynamic_head))


@pytest.mark.parametrize('changes, counts', [
    ({}, (151_907_203, 4_458_752, 4_011_520)),
    ({'denoiser.attention': 'self'}, (128_063_235, 4_458_752, 4_011_520)),
    ({'encoder.aggregator': 'lstm', 'encoder.layers': 2,
      'encoder.static_layers': 1}, (151_907_203, 3_409_152, 3_547_648)),
])
def test_parameter_counts_are_those_of_the_paper(changes, counts):
  # DiViD on latents of 32 x 32 x 3: worked out by hand from the layer shapes.
  config = divid.get_config()
  config.method.update_from_flattened_dict(changes)
  with torch.device('meta'):
    model = torch_build.from_config(config, image_size=32)
  encoder = model.encoder
  static = _count(encoder.static_layers, encoder.static_head)
  assert counts == (_count(model.denoiser), static, _count(encoder) - static)
  x = jnp.zeros((1, 2, 32, 32, 3))
  batch = {'x': x, 'mask': jnp.ones((1, 2), bool), 'index': jnp.arange(1)}
  ours = jax.eval_shape(build.method(config).init, jax.random.key(0), batch)
  assert sum(a.size for a in jax.tree.leaves(ours)) == _count(model)


def _small(config):
  """A shrunk config, our parameters, the peer."""
  config.method.denoiser.update(channels=8, groups=4, num_blocks=0)
  config.method.update(static_dim=4, dynamic_dim=3, frames_per_step=2)
  if config.method.name == 'divid':
    config.method.update(dynamic_dim=4)
    config.method.backbone.update(channels=8, features=7)
    config.method.encoder.update(width=8, heads=2, hidden=5)
    config.method.denoiser.update(heads=2, multipliers=(1, 1))
  else:
    config.method.update(hidden=5)
    config.method.encoder.update(channels=8, features=7)
    config.method.denoiser.multipliers = (1,)
  config.data.size = 8
  batch = {'x': np.zeros((1, 4, 8, 8, 3), np.float32),
           'mask': np.ones((1, 4), bool)}
  params = cases.random_params(jax.eval_shape(
      build.method(config).init, jax.random.key(0), batch))
  return config, params, torch_build.from_config(config)


@pytest.fixture(scope='module', autouse=True)
def one_thread():
  threads = torch.get_num_threads()
  torch.set_num_threads(1)
  yield
  torch.set_num_threads(threads)


@pytest.fixture(scope='module')
def small():
  """A shrunk quickstart on both sides."""
  return _small(quickstart.get_config())


@pytest.fixture(scope='module')
def small_divid():
  """A shrunk DiViD on both sides."""
  return _small(divid_puppets.get_config())


@pytest.fixture(params=['small', 'small_divid'])
def either(request):
  """One of the two."""
  return request.getfixturevalue(request.param)


def test_weights_are_all_copied_and_none_is_left_as_it_was(either):
  _, params, model = either
  state = weights.convert(model, params)
  assert set(state) == {name for name, _ in model.named_parameters()}
  total = lambda tree: sum(np.sum(np.abs(a)) for a in jax.tree.leaves(tree))
  np.testing.assert_allclose(
      sum(float(v.abs().sum()) for v in state.values()), total(params),
      rtol=1e-5)


@pytest.mark.parametrize('change, message', [
    (lambda net: net.pop('head'), 'missing'),
    (lambda net: net.update(head_2=net['head']), 'Without a peer.*head_2'),
    (lambda net: net.update(head=net['tail']), 'shape'),
])
def test_weights_that_do_not_fit_are_refused(small, change, message):
  _, params, model = small
  params = jax.tree.map(lambda a: a, params)
  change(params['denoiser']['params']['backbone'])
  with pytest.raises(ValueError, match=message):
    weights.convert(model, params)


def test_updates_agree(small):
  # A loss whose gradient is given: a network's own may be zero but for
  # rounding, of which Adam sees the sign.
  config, params, model = small
  config = config.copy_and_resolve_references()
  with config.unlocked():
    config.optim.update(warmup_steps=1, learning_rate=0.1, weight_decay=0.1,
                        ema_decay=0.8, clip_norm=0.5)
    config.train.num_steps = 4
  rng = np.random.default_rng(1)
  signed = lambda a: rng.choice([-1, 1], a.shape) * rng.uniform(1, 2, a.shape)
  slopes = [jax.tree.map(
      lambda a: (s * signed(a)).astype(np.float32), params)
            for s in (0.001, 1.0, 0.01)]  # Below and above the clip norm.
  sums = lambda p, s: sum(jax.tree.leaves(jax.tree.map(
      lambda a, b: jnp.sum(a * b), p, s)))
  toy = types.SimpleNamespace(loss=lambda p, batch, key, *, step, train: (
      sums(p, batch['slope'])[None], {}))
  options = config.optim.to_dict()
  decay = options.pop('ema_decay')
  tx, _ = optim.make_optimizer(**options, num_steps=config.train.num_steps)
  state = train_state.TrainState(
      step=jnp.int32(0), seed=jnp.uint32(0), params=params, ema_params=params,
      opt_state=tx.init(params))
  update = jax.jit(lambda state, slope: train_step.train_step(
      state, {'x': jnp.zeros((1, 1)), 'example_mask': jnp.ones(1, bool),
              'slope': slope}, method=toy, tx=tx, ema_decay=decay))
  weights.load(model, params)
  trainer = torch_train.Trainer(model, config)
  for slope in slopes:
    state, metrics = update(state, slope)
    for name, grad in weights.convert(model, slope).items():
      model.get_parameter(name).grad = grad
    norm = trainer.update()
    np.testing.assert_allclose(float(norm), metrics['grad_norm'], rtol=1e-5)
  start = weights.convert(model, params)
  for theirs, ours in (model, state.params), (trainer.ema, state.ema_params):
    for name, value in weights.convert(model, ours).items():
      moved = value - start[name]
      assert moved.abs().max() > 1e-3, name
      torch.testing.assert_close(
          theirs.get_parameter(name) - start[name], moved, rtol=1e-4,
          atol=2e-6, msg=lambda text, name=name: f'{name}: {text}')


def test_training_with_its_own_noise_lowers_the_loss(either):
  config, _, _ = either
  torch.manual_seed(0)
  model = torch_build.from_config(config)
  trainer = torch_train.Trainer(model, config)
  x = torch_conditional.to_clips(np.random.default_rng(0).integers(
      0, 2, (4, 1, 2, 2, 3), np.uint8).repeat(4, 1).repeat(4, 2).repeat(4, 3)
                             * np.uint8(255))
  losses = [float(trainer.step(x)['denoising']) for _ in range(150)]
  assert np.mean(losses[-30:]) < 0.5 * np.mean(losses[:10])


def test_training_on_series_lowers_the_loss():
  # Of a series that is the same at all steps, the codes tell all.
  config, _, steps = cases.CASES['series']()
  config.optim.learning_rate = 0.01
  torch.manual_seed(0)
  trainer = torch_train.Trainer(torch_build.from_config(config), config)
  x = torch.randn(16, 1, 3).expand(-1, steps, -1)
  mask = torch.arange(steps) < torch.randint(4, steps + 1, (16, 1))
  observed = (torch.rand(x.shape) < 0.7) & mask[..., None]
  losses = [float(trainer.step(x, mask, observed)['denoising'])
            for _ in range(300)]
  assert np.mean(losses[-30:]) < 0.5 * np.mean(losses[:10])


def test_swap_decodes_the_static_code_of_a_with_the_motion_of_b(either):
  _, params, model = either
  weights.load(model, params)
  model.eval()
  torch.manual_seed(0)
  a, b, x_T = (torch.randn(2, 4, 3, 8, 8) for _ in range(3))
  (static, _), (_, dynamic) = model.encode(a), model.encode(b)
  with torch.no_grad():
    expected = model.decode(static, dynamic, x_T).clamp(-1, 1)
  torch.testing.assert_close(
      model.swap(a, b, x_T=x_T), expected, rtol=0.0, atol=1e-4)
  assert (model.swap(b, a, x_T=x_T) - expected).abs().max() > 0.1


def test_clips_come_back_from_their_inversion(small):
  _, params, model = small
  weights.load(model, params)
  model.eval()
  model.sampler.update(name='heun', num_steps=40, sigma_min=0.002)
  torch.manual_seed(0)
  x = 0.5 * torch.randn(1, 4, 3, 8, 8)
  with torch.no_grad():
    codes = model.encode(x)
    again = model.decode(*codes, model.invert(*codes, x))
  assert (again - x).square().mean() < 0.01 * x.square().mean()


def test_double_precision_and_memory_format_leave_the_loss(small):
  config, params, model = small
  weights.load(model, params)
  model.eval()
  twin = torch_build.from_config(config, channels_last=True)
  weights.load(twin, params)
  torch.manual_seed(0)
  x = torch.randn(2, 4, 3, 8, 8)
  noise = dict(level=torch.rand(2, 4) + 0.1, eps=torch.randn_like(x))
  loss, _ = model(x, noise=torch_conditional.Noise(**noise))
  twin.eval().double()
  same, _ = twin(x.double(), noise=torch_conditional.Noise(
      **{k: v.double() for k, v in noise.items()}))
  assert same.dtype == torch.float64
  assert twin.denoiser.net.head.weight.is_contiguous(
      memory_format=torch.channels_last)
  torch.testing.assert_close(same.float(), loss, rtol=1e-4, atol=0.0)
