"""What the command line can do with a run: one function per mode."""

import pathlib

from etils import epath
import jax
import ml_collections
import numpy as np

from seqdiff import build
from seqdiff import explore as explore_lib
from seqdiff import jury
from seqdiff import model as model_lib
from seqdiff import prior
from seqdiff import run
from seqdiff.core import preemption
from seqdiff.core import storage
from seqdiff.data import films as film_lib
from seqdiff.data import loader
from seqdiff.data import transforms
from seqdiff.data import units
from seqdiff.evaluation import results
from seqdiff.evaluation import runner
from seqdiff.figures import curves
from seqdiff.figures import grids
from seqdiff.figures import series
from seqdiff.figures import video
from seqdiff.sampling import explore as explore_sampler
from seqdiff.sampling import swap as swap_sampler


def train(config: ml_collections.ConfigDict, workdir: epath.Path) -> None:
  """Trains or continues, draws all figures, runs the protocols."""
  if config.method.name == 'prior':
    _train_prior(config, workdir)
    return
  # What is needed after training fails now.
  dataset, method = build.dataset(config), build.method(config)
  runner.check(config.eval.protocols, dataset)
  jury.check(config, config.eval.protocols)
  _check_protocols(config, config.eval)
  if _has_factors(config):
    swap_sampler.make_swap(method, x_T=config.sampler.x_T)
  if _is_complete(run.train(method, config, dataset, workdir), workdir):
    model = model_lib.restore(config, workdir, dataset=dataset)
    _draw_reconstruction(model)
    if _has_factors(config):
      _draw_swap(model)
    _evaluate(model, resume=True)


def evaluate(
    config: ml_collections.ConfigDict,
    workdir: epath.Path,
    data: ml_collections.ConfigDict | None = None,
) -> None:
  """Runs the protocols of `config.eval.protocols` on the newest checkpoint.

  With `data`, another config, those of that one on its data (zero-shot); so
  with the modes below.
  """
  if config.method.name == 'prior':
    _print(prior.evaluate(config, workdir), workdir)
    return
  _check_protocols(config, config.eval if data is None else data.eval)
  _evaluate(_restore(config, workdir, data))


def reconstruct(
    config: ml_collections.ConfigDict,
    workdir: epath.Path,
    data: ml_collections.ConfigDict | None = None,
) -> None:
  """Draws clips of the evaluation split beside their reconstructions."""
  _draw_reconstruction(_restore(config, workdir, data))


def swap(
    config: ml_collections.ConfigDict,
    workdir: epath.Path,
    data: ml_collections.ConfigDict | None = None,
) -> None:
  """Draws identities down, motions across, and the swapped clips between.

  Of series: pairs, each with the static code of one and the dynamic codes of
  the other.
  """
  _check_factors(config, '--mode=swap')
  _draw_swap(_restore(config, workdir, data))


def generate(config: ml_collections.ConfigDict, workdir: epath.Path) -> None:
  """Draws clips that a prior samples, and clips that it completes.

  As many as `config.eval.num_shown`, by the seed `config.eval.seed`.
  """
  _draw_samples(prior.restore(config, workdir), config.eval, workdir)


def explore(config: ml_collections.ConfigDict, workdir: epath.Path) -> None:
  """Draws clips with codes moved along components; probes what these tell."""
  options, plain = config.explore, run.to_plain(config)
  results.check_owner(workdir, 'exploration', plain)
  alphas = explore_sampler.alphas(options.kappa, options.num_alphas)
  sampler = prior.restore(config, workdir)
  explorer = explore_lib.find(sampler, workdir, num_codes=options.num_codes)
  result = explore_lib.evaluate(
      explorer, sampler.context(config, workdir), plain)
  for path in explore_lib.draw(
      explorer, _clips(explorer.model, options.num_clips), workdir / 'figures',
      alphas=alphas, num_components=options.num_components, x_T=options.x_T,
      metrics=result.metrics):
    print(f'{path.stem}: {path}')
  numbers = ', '.join(f'{k.partition("components/")[2]} {v:.4g}'
                      for k, v in sorted(result.metrics.items())
                      if k.startswith(('components/', 'dynamic_components/')))
  print(f'exploration: {numbers} ({results.path_of(workdir, "exploration")})')


MODES = {
    'train': train,
    'evaluate': evaluate,
    'reconstruct': reconstruct,
    'swap': swap,
    'generate': generate,
    'explore': explore,
}
_OF_PRIORS_ONLY = ('generate', 'explore')
_OF_PRIORS = ('train', 'evaluate', *_OF_PRIORS_ONLY)
_ANIMATED = 4  # Clips that are played side by side, at most.
_ON_OTHER_DATA = ('evaluate', 'reconstruct', 'swap')


def run_mode(
    mode: str,
    config: ml_collections.ConfigDict,
    workdir: epath.Path,
    *,
    a: str | None = None,
    b: str | None = None,
    data: ml_collections.ConfigDict | None = None,
) -> None:
  """Runs one of `MODES`.

  Args:
    mode: its name.
    config: the config.
    workdir: the run directory.
    a: with `b` and mode 'swap': a film or a folder of pictures, whose identity
      takes on the motion of `b` and the other way round.
    b: see `a`.
    data: a config whose data are taken in place of those that the model was
      trained on; of modes 'evaluate', 'reconstruct' and 'swap'.

  Raises:
    ValueError: for `a`, `b` or `data` with another mode, `a` or `b` alone, a
      mode that the method does not have, and what the mode itself refuses.
  """
  for given in (config,) if data is None else (config, data):
    for section, name in ('eval', 'num_shown'), ('data', 'eval_batch_size'):
      if given[section][name] < 1:
        raise ValueError(f'config.{section}.{name}={given[section][name]}; '
                         'expected 1 or more clips. Raise it.')
  if (mode not in _OF_PRIORS if config.method.name == 'prior'
      else mode in _OF_PRIORS_ONLY):
    raise ValueError(
        f'--mode={mode} with method.name={config.method.name}; expected '
        f'--mode={" or ".join(_OF_PRIORS)} of a prior (configs/prior.py), and '
        'the other modes of a model. Change the config or the mode.')
  if data is not None:
    if mode not in _ON_OTHER_DATA or a is not None or b is not None:
      raise ValueError(
          f'--data with --mode={mode}, --a={a} and --b={b}; expected --mode='
          f'{" or ".join(_ON_OTHER_DATA)}, without --a and --b. Change the '
          'mode or leave the others out.')
    MODES[mode](config, workdir, data)
  elif a is None and b is None:
    MODES[mode](config, workdir)
  elif mode == 'swap' and a is not None and b is not None:
    _swap_files(config, workdir, a, b)
  else:
    raise ValueError(
        f'--mode={mode} with --a={a} and --b={b}; expected --mode=swap with '
        'both: two films or folders of pictures. Add what is missing, or leave '
        'both out.')


def _restore(config, workdir, data) -> model_lib.Model:
  """The model of a run, for its own data or for those of another config."""
  if data is None:
    return model_lib.restore(config, workdir)
  return model_lib.restore_for(config, workdir, data)


def _swap_files(config, workdir, a, b) -> None:
  """Writes figures/swap_<a>_<b>.gif and .mp4 of two films or folders."""
  _check_factors(config, '--mode=swap')
  for flag, path in (('a', a), ('b', b)):
    if not pathlib.Path(path).exists():
      raise ValueError(
          f'--{flag}={path} does not exist; expected a film or a folder of '
          'pictures. Check the path.')
  dataset = build.dataset(config)
  if dataset.variables:
    raise ValueError(
        f'--a={a} and --b={b} with {dataset.name}, which holds series; '
        'expected a model of video. Leave both out, or read the series in '
        'Python and give them to seqdiff.load(workdir).swap(a, b).')
  clips = np.stack([
      _read_clip(flag, path, config, dataset)
      for flag, path in (('a', a), ('b', b))])
  model = model_lib.restore(config, workdir, dataset=dataset)
  frames = grids.pair_animation(*clips, *model.swap(clips, clips[::-1]))
  names = [p.stem if p.is_file() else p.name
           for p in (pathlib.Path(path).resolve() for path in (a, b))]
  path = _unused(_figure(workdir, f'swap_{"_".join(names)}.gif'))
  video.write_gif(path, frames)
  print(f'swap: {path}')
  try:
    video.write_mp4(path.with_suffix('.mp4'), frames)
    print(f'swap: {path.with_suffix(".mp4")}')
  except ImportError as error:
    print(error)


def _read_clip(flag, path, config, dataset) -> np.ndarray:
  """A clip of a film, (T, H, W, C), cut as those of the evaluation."""
  _, num_frames, size, _, channels = run.first_batch(
      config, dataset)['x'].shape
  cut, stride = run.cut(config), config.data.stride
  span = transforms.span(num_frames, stride)
  # The frames that are read at most (None: all), and at least.
  most, least = {'shrinking': (num_frames * stride, num_frames),
                 'stratified': (None, num_frames)}.get(
                     cut.get('take'), (span, span))
  try:
    clip = next(film_lib.clips(
        path, size=size, channels=channels, take='first', num_frames=most,
        min_frames=least, **dataset.reading))
  except film_lib.Unreadable as error:
    raise ValueError(
        f'--{flag}={path} {error}; expected a film or a folder of pictures '
        'that is whole and long enough for the model. Give another, or use a '
        'model for shorter clips (config.data.num_frames).') from error
  return next(loader.eval_batches([{'x': clip}], batch_size=1, **cut))['x'][0]


def _is_complete(result, workdir) -> bool:
  """Says that training was interrupted, or draws its curves."""
  if result.interrupted:
    print(f'Stopped after step {result.step}, which was saved; '
          f'{preemption.CONTINUES}.')
    return False
  if jax.process_index() == 0:  # The others may not see all lines yet.
    curves.training_curves(
        workdir / 'metrics.jsonl', _figure(workdir, 'curves.png'))
  return True


def _train_prior(config, workdir) -> None:
  """Trains a latent prior or continues, draws its samples, runs protocols."""
  prior.check(config)
  if _is_complete(prior.train(config, workdir), workdir):
    sampler = prior.restore(config, workdir)
    _draw_samples(sampler, config.eval, workdir)
    _print(prior.evaluate(config, workdir), workdir)


def _draw_samples(sampler, settings, workdir) -> None:
  """Writes figures/generated and figures/completed_<kind that is kept>.

  Each as .png, as .npz with the clips themselves and, of video, as .gif.
  """
  preemption.check()
  model, count, seed = sampler.model, settings.num_shown, settings.seed
  # Samples of series are as long as the longest that the prior has seen.
  clips = _clips(model, count)[:, :sampler.codes.prior.num_frames]
  drawn = {'generated': {'sample': sampler.generate(count, seed=seed)}}
  for keep, name in (
      ('static', 'new dynamic codes'), ('dynamic', 'new static code')):
    drawn[f'completed_{keep}'] = {
        'original': clips, name: sampler.complete(clips, keep=keep, seed=seed)}
  for name, arrays in drawn.items():
    path = _figure(workdir, f'{name}.png')
    _save(model, arrays, path)
    with storage.writing(path.with_suffix('.npz')) as file:
      np.savez(file, **{k.replace(' ', '_'): x for k, x in arrays.items()})
    if not model.dataset.variables:
      video.write_gif(path.with_suffix('.gif'), grids.animation({
          f'{k} {number + 1}': x[number]
          for number in range(min(count, _ANIMATED))
          for k, x in arrays.items()}), fps=6.0)
    print(f'{name}: {path}, and its clips in {path.with_suffix(".npz")}')


def _has_factors(config) -> bool:
  return config.method.name != 'autoencoder'


def _check_protocols(config, settings) -> None:
  """Raises ValueError for protocols that an autoencoder has no factors for."""
  if others := set(settings.protocols) - {'reconstruction'}:
    _check_factors(config, f'eval.protocols={", ".join(sorted(others))}')


def _check_factors(config, what: str) -> None:
  """Raises ValueError if `what` needs factors and the method has none."""
  if not _has_factors(config):
    raise ValueError(
        f'{what} with method.name={config.method.name}, which has no static '
        'and dynamic factors; expected a method that has, or '
        "--mode=reconstruct and eval.protocols=('reconstruction',). Use the "
        'config of such a method, for which this may be the first stage.')


def _evaluate(model: model_lib.Model, *, resume: bool = False) -> None:
  """Runs the protocols."""
  names = model.config.eval.protocols
  _print(model.evaluate(names, resume=resume), model.workdir)


def _print(found, workdir) -> None:
  """The headline of each result."""
  for name, result in found.items():
    numbers = ', '.join(f'{k} {v:.4g}' for k, v in sorted(
        result.metrics.items()) if '/' not in k)
    print(f'{name}: {numbers} ({results.path_of(workdir, name)})')


def _draw_reconstruction(model: model_lib.Model) -> None:
  """Writes figures/reconstruction.png."""
  preemption.check()
  clips = _clips(model, model.config.eval.num_shown)
  path = _figure(model.workdir, 'reconstruction.png')
  _save(model, {
      'original': clips, 'reconstruction': model.reconstruct(clips)}, path)
  print(f'reconstruction: {path}')


def _save(model, clips, path) -> None:
  """Draws clips or series by name beside each other."""
  with storage.writing(path) as file:
    if model.dataset.variables:
      series.lines(clips, model.dataset.variables).savefig(file)
    else:
      grids.strips(clips).save(file, 'PNG')


def _draw_swap(model: model_lib.Model) -> None:
  """Writes figures/swap.png and, of video, figures/swap.gif."""
  preemption.check()
  count = model.config.eval.num_shown
  sources, drivers = np.split(_clips(model, 2 * count), 2)
  path = _figure(model.workdir, 'swap.png')
  if model.dataset.variables:
    drawn = series.swaps(
        sources, drivers, model.swap(sources, drivers),
        model.swap(drivers, sources), model.dataset.variables)
    with storage.writing(path) as file:
      drawn.savefig(file)
    print(f'swap: {path}')
    return
  swaps = model.swap(np.repeat(sources, count, axis=0),
                     np.concatenate([drivers] * count))
  swaps = swaps.reshape((count, count) + swaps.shape[1:])
  with storage.writing(path) as file:
    grids.swap_grid(sources, drivers, swaps).save(file, 'PNG')
  frames = grids.swap_animation(sources, drivers, swaps)
  video.write_gif(path.with_suffix('.gif'), frames, fps=6.0)
  print(f'swap: {path} and {path.with_suffix(".gif")}')


def _clips(model: model_lib.Model, count: int) -> np.ndarray:
  """Clips of the evaluation split, as `model` takes them.

  Of video the first ones, (count, T, H, W, C) uint8; of series some that are
  spread over the split, (count, T, D). They are repeated if it has fewer.
  """
  config, variables = model.config, model.dataset.variables
  source, numbers = model.dataset.splits[config.eval.split], np.arange(count)
  indices = numbers * len(source) // count if variables else (
      numbers % len(source))
  batch = next(loader.eval_batches(
      source, batch_size=count, indices=indices, **run.cut(config)))
  if variables:
    return units.to_series(batch['x'], variables, batch['observed'])
  return jax.device_get(batch['x'])


def _figure(workdir: epath.Path, name: str) -> epath.Path:
  return workdir / 'figures' / name


def _unused(path: epath.Path) -> epath.Path:
  """`path`, with a number if a GIF or MP4 of this name exists."""
  found, number = path, 1
  while found.exists() or found.with_suffix('.mp4').exists():
    number += 1
    found = path.with_stem(f'{path.stem}_{number}')
  return found
