"""From a csv file of own series to swaps, with the commands of the README."""

import pathlib
import types

import numpy as np
from PIL import Image
import pytest

import seqdiff
from seqdiff import explore
from seqdiff import prior
from seqdiff.data import batch as data_batch
from seqdiff.data import prepare
from seqdiff.evaluation import results
from seqdiff.evaluation.protocols import discrimination
from seqdiff.sampling import explore as explore_sampler

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(scope='module')
def flags(tmp_path_factory) -> tuple[str, ...]:
  """Twelve pumps: two variables in units far from 0, some of them missing."""
  root = tmp_path_factory.mktemp('pumps')
  rng = np.random.default_rng(0)
  lines = ['machine,heat,flow']
  for machine in range(12):
    course = np.sin(np.arange(32) / 4 + rng.uniform(0, 6))
    heat = 300 + 5 * machine + 10 * course + rng.normal(size=32)
    flow = 0.02 - 0.01 * course
    for row, values in enumerate(zip(heat, flow)):
      cells = ['' if rng.uniform() < 0.1 else f'{v:.6f}' for v in values]
      lines.append(f'm{machine},{",".join(cells)}')
  (root / 'raw').mkdir()
  (root / 'raw' / 'pumps.csv').write_text('\n'.join(lines))
  prepare.prepare(
      'csv', manual_dir=str(root / 'raw'), data_dir=str(root / 'data'),
      columns='heat,flow', id='machine', window=16)
  return tuple(f'--config{change}' for change in (
      '=configs/diffsda_csv.py', f'.data.data_dir={root / "data"}',
      '.data.window=16', '.data.num_frames=16', '.data.batch_size=8',
      '.data.eval_batch_size=8', '.method.variables=2', '.method.hidden=4',
      '.method.static_dim=3', '.method.dynamic_dim=2',
      '.method.encoder.width=8', '.method.encoder.layers=2',
      '.method.denoiser.width=8', '.method.denoiser.layers=2',
      '.optim.warmup_steps=1', '.train.num_steps=4', '.train.log_every=2',
      '.train.save_every=4', '.sampler.num_steps=16', '.eval.num_shown=3'))


@pytest.fixture(scope='module')
def workdir(tmp_path_factory, flags, command) -> pathlib.Path:
  workdir = tmp_path_factory.mktemp('runs') / 'pumps'
  with pytest.MonkeyPatch.context() as patch:
    patch.chdir(ROOT)
    ended = command(None, *flags, f'--workdir={workdir}')
  assert ended.code == 0
  return workdir


@pytest.fixture(scope='module')
def model(workdir):
  return seqdiff.load(workdir)


@pytest.fixture(scope='module')
def items(model) -> dict[str, np.ndarray]:
  """The test samples, normalised."""
  return model.dataset.splits['test'].arrays


@pytest.fixture(scope='module')
def series(model, items) -> np.ndarray:
  """The same in units, worked out here."""
  heat, flow = model.dataset.variables
  assert 300 < heat.mean < 360 and 0.015 < flow.mean < 0.025
  x = items['x'].astype(np.float64)
  values = np.stack([x[..., 0] * heat.std + heat.mean,
                     x[..., 1] * flow.std + flow.mean], axis=-1)
  return np.where(items['observed'], values, np.nan)


def _picture(path) -> np.ndarray:
  with Image.open(path) as image:
    return np.asarray(image.convert('RGB'), float)


def test_training_ends_with_plots_and_results(workdir):
  for name in 'reconstruction', 'swap', 'curves':
    assert _picture(workdir / 'figures' / f'{name}.png').std() > 10.0
  assert not (workdir / 'figures' / 'swap.gif').exists()
  found = {name: results.read(results.path_of(workdir, name)).metrics
           for name in ('reconstruction', 'imputation')}
  rebuilt, filled = found['reconstruction'], found['imputation']
  assert 0.3 < rebuilt['reference/constant/mse'] < 3.0  # Of unit variance.
  assert rebuilt['mae/heat'] > 1.0 and rebuilt['mae/flow'] < 1.0  # In units.
  assert rebuilt['encoded_x_T/mse'] != rebuilt['mse'] > 0.0
  assert filled['all_variables_mse'] > 0.0
  assert 0.0 < filled['reference/linear/one_variable_mae'] < 3.0


@pytest.mark.parametrize('mode', ['swap', 'reconstruct'])
def test_plots_are_drawn_again(workdir, cli, flags, mode):
  name = {'swap': 'swap', 'reconstruct': 'reconstruction'}[mode]
  path = workdir / 'figures' / f'{name}.png'
  before = _picture(path)
  path.unlink()
  ended = cli(*flags, f'--workdir={workdir}', f'--mode={mode}')
  assert ended.code == 0, ended.err
  assert str(path) in ended.out
  np.testing.assert_array_equal(_picture(path), before)


def test_series_in_units_have_the_codes_of_normalised_ones(
    model, items, series):
  assert np.isnan(series).any()
  found = model.encode(series)
  expected = model.method.encode(
      model.params, items['x'], np.ones(items['x'].shape[:2], bool))
  np.testing.assert_allclose(found.static, expected.static, atol=1e-5)
  np.testing.assert_allclose(found.dynamic, expected.dynamic, atol=1e-5)
  assert np.ptp(found.static, axis=0).max() > 1e-3


def test_results_are_in_units(model, items, series):
  for found in (model.reconstruct(series), model.swap(series, series[::-1]),
                model.decode(model.encode(series))):
    assert found.dtype == np.float32 and found.shape == series.shape
    assert np.isfinite(found).all()  # Gaps are filled.
    # After four updates all is noise about the mean, in the right unit.
    for values, variable in zip(
        np.moveaxis(found, -1, 0), model.dataset.variables):
      distance = np.abs(values - variable.mean) / variable.std
      assert 0.05 < distance.mean() < 30.0
  # From its own x_T a series comes back, in units too.
  fine = model.reconstruct(series, x_T='encoded')
  coarse = model.reconstruct(series)
  error = lambda x: np.nanmean(np.abs((x - series) / np.nanstd(series, (0, 1))))
  assert error(fine) < 0.5 * error(coarse)


def test_padding_is_read_as_padding_and_comes_back(model, series):
  long = np.concatenate([series, np.full((len(series), 4, 2), np.nan)], axis=1)
  short, padded = model.encode(series), model.encode(long)
  np.testing.assert_allclose(padded.static, short.static, atol=1e-5)
  for found in model.reconstruct(long), model.swap(series, long):
    np.testing.assert_array_equal(
        np.isnan(found).all(2), [[False] * 16 + [True] * 4] * len(series))
    assert np.isfinite(found[:, :16]).all()


@pytest.mark.slow
def test_series_are_explored_in_units(model, series, tmp_path):
  codes = model.encode(series)
  explorer = explore.Explorer(
      types.SimpleNamespace(model=model), {
          kind: explore_sampler.principal(getattr(codes, kind))
          for kind in ('static', 'dynamic')})
  moved = explorer.traverse(series, 'static', 1, (0.0,), x_T='encoded')
  np.testing.assert_allclose(
      moved[0], model.reconstruct(series, x_T='encoded'), rtol=1e-4)
  found = list(explore.draw(
      explorer, series[:2], tmp_path, alphas=(-1.0, 0.0, 1.0),
      num_components=1))
  assert {path.name for path in tmp_path.iterdir()} == {
      'explore_static_1.png', 'explore_dynamic_1.png', 'interpolation.png'}
  assert all(_picture(path).std() > 10.0 for path in found)


def test_gaps_are_filled_and_all_else_is_left(model, series):
  found = model.impute(series)
  known = np.isfinite(series)
  np.testing.assert_array_equal(found[known], series[known].astype(np.float32))
  assert np.isfinite(found).all()
  assert np.ptp(found[~known]) > 0.0


@pytest.mark.slow
def test_a_prior_samples_series_in_units(
    model, series, workdir, tmp_path, cli, monkeypatch):
  largest, features = [], discrimination.features
  monkeypatch.setattr(discrimination, '_TREES', 10)
  monkeypatch.setattr(discrimination, 'features', lambda x, observed: (
      largest.append(np.abs(x).max()), features(x, observed))[1])
  home = tmp_path / 'prior'
  ended = cli(
      '--config=configs/prior.py', f'--workdir={home}',
      f'--config.model.workdir={workdir}', '--config.method.layers=2',
      '--config.method.expand=1', '--config.data.batch_size=8',
      '--config.train.num_steps=2', '--config.sampler.num_steps=3',
      '--config.eval.num_shown=2', '--config.eval.split=train',
      "--config.eval.protocols=('discrimination',)")
  assert ended.code == 0, ended.err
  for name in 'generated', 'completed_static', 'completed_dynamic':
    assert _picture(home / f'figures/{name}.png').std() > 10.0
  sampler = prior.load(home)
  found = sampler.generate(3, seed=1)
  np.testing.assert_array_equal(
      found, model.decode(sampler.sample(3, seed=1), seed=1))
  for values, variable in zip(
      np.moveaxis(found, -1, 0), model.dataset.variables):
    distance = np.abs(values - variable.mean) / variable.std
    assert 0.05 < distance.mean() < 30.0  # Noise about the mean, in its unit.
  kept = sampler.model.encode(series[:3])
  drawn = sampler.sample(3, known=kept, keep='static')
  np.testing.assert_array_equal(drawn.static, kept.static)
  assert np.abs(drawn.dynamic - kept.dynamic).max() > 1e-3
  metrics = results.read(results.path_of(home, 'discrimination')).metrics
  assert metrics['auroc'] > 0.6  # Two updates teach nothing,
  assert max(largest) < 100  # and the forest sees normalised values: no 300 K.


@pytest.mark.parametrize('change, message', [
    (lambda x: x[..., :1], r'expected \(B, T, 2\).*heat, flow'),
    (lambda x: np.full_like(x, np.nan), 'Series 0 has no value in any row'),
    (lambda x: x + np.inf, 'is infinite in row 0, heat'),
])
def test_wrong_series_are_explained(model, series, change, message):
  good = np.nan_to_num(series, nan=1.0)
  for use in model.encode, model.reconstruct, model.impute:
    with pytest.raises(ValueError, match=message):
      use(change(good))
  with pytest.raises(ValueError, match=message):
    model.swap(good, change(good))


def test_films_are_not_for_a_model_of_series(workdir, cli, flags, tmp_path):
  for name in 'ab':
    Image.new('RGB', (8, 8)).save(tmp_path / f'{name}.png')
  ended = cli(*flags, f'--workdir={workdir}', '--mode=swap',
              f'--a={tmp_path / "a.png"}', f'--b={tmp_path / "b.png"}')
  assert ended.code == 2
  assert 'csv, which holds series; expected a model of video' in ended.err


@pytest.mark.parametrize('change, message', [
    ('method.variables=3', 'variables=3 .* 2 variables: heat, flow. Set it'),
    ("eval.protocols=('swap',)", 'Protocol swap: csv is series; expected vid'),
])
def test_settings_that_do_not_suit_the_series_are_explained(
    cli, flags, tmp_path, change, message):
  ended = cli(*flags, f'--config.{change}', f'--workdir={tmp_path / "run"}')
  assert ended.code == 2 and not (tmp_path / 'run').exists()
  with pytest.raises(ValueError, match=message):
    raise ValueError(ended.err)


def test_video_has_no_gaps():
  toy = data_batch.Dataset('toy', {})
  model = seqdiff.model.Model(None, None, toy, None, None, 0)
  with pytest.raises(ValueError, match='on toy, which is video; expected a mo'):
    model.impute(np.zeros((1, 2, 8, 8, 3)))
