"""Exploring a trained model through its prior: moves along components, walks.

  explorer = explore.load('runs/prior')
  moved = explorer.traverse(clips, 'static', 1, alphas=(-1, 0, 1))
  walk = explorer.interpolate(clips_a, clips_b, shares=(0, 0.5, 1))

See `sampling.explore` for what components and alphas are. They are found once,
by sampling many codes, and kept in `<workdir>/directions.npz`.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import hashlib
import io
import os
import time
from typing import Any

from etils import epath
import jax
import numpy as np

from seqdiff import model as model_lib
from seqdiff import prior
from seqdiff.core import errors
from seqdiff.core import preemption
from seqdiff.core import storage
from seqdiff.evaluation import context
from seqdiff.evaluation import results
from seqdiff.evaluation.protocols import exploration
from seqdiff.figures import grids
from seqdiff.figures import series
from seqdiff.figures import video
from seqdiff.methods import base
from seqdiff.methods import prior as prior_lib
from seqdiff.sampling import explore
from seqdiff.sampling import noise

DIRECTIONS = 'directions.npz'
NUM_CODES = 2**15  # DiffSDA.


def load(
    workdir: str | os.PathLike[str], *, num_codes: int | None = None
) -> 'Explorer':
  """Restores the prior of a run directory and finds the components.

  Args:
    workdir: the run directory.
    num_codes: as in `find`.

  Raises:
    ValueError: as `prior.load`.
  """
  return find(prior.load(workdir), storage.locate(workdir), num_codes=num_codes)


def find(
    sampler: prior.Sampler,
    workdir: epath.Path,
    *,
    num_codes: int | None = None,
) -> 'Explorer':
  """Reads the components of `workdir`, or finds them and keeps them there.

  Args:
    sampler: a prior.
    workdir: its run directory.
    num_codes: clips whose codes are sampled; None: as many as were, or else
      `NUM_CODES`.
  """
  path = workdir / DIRECTIONS
  names = [f.name for f in dataclasses.fields(explore.Directions)]
  if storage.exists(path):
    with np.load(io.BytesIO(path.read_bytes())) as file:
      if num_codes is None:
        num_codes = int(file['static_num_codes'])
      if str(file['identity']) == _identity(sampler, num_codes):
        return Explorer(sampler, {
            kind: explore.Directions(**{
                n: file[f'{kind}_{n}'][()] for n in names})
            for kind in prior_lib.KINDS})
  num_codes = NUM_CODES if num_codes is None else num_codes
  codes = sampler.sample(num_codes)
  found = {kind: explore.principal(getattr(codes, kind))
           for kind in prior_lib.KINDS}
  with storage.writing(path) as file:
    np.savez(file, identity=_identity(sampler, num_codes), **{
        f'{kind}_{n}': getattr(of_kind, n)
        for kind, of_kind in found.items() for n in names})
  return Explorer(sampler, found)


@dataclasses.dataclass(frozen=True)
class Explorer:
  """A model and the ways its codes vary.

  Attributes:
    sampler: its prior.
    directions: of 'static' and of 'dynamic' codes.
  """

  sampler: prior.Sampler
  directions: Mapping[str, explore.Directions]

  @property
  def model(self) -> model_lib.Model:
    """The model."""
    return self.sampler.model

  def traverse(
      self,
      clips: np.ndarray,
      kind: str,
      component: int,
      alphas: Sequence[float],
      *,
      x_T: str | None = None,
      seed: int = 0,
  ) -> np.ndarray:
    """Clips with one kind of code moved along a component, the other kept.

    Args:
      clips: (B, T, ...), as the model takes them.
      kind: 'static', or 'dynamic': the codes of all frames are moved alike.
      component: which one, from 1.
      alphas: A moves, see `sampling.explore`; 0 gives the reconstruction.
      x_T: start of the sampler, see `sampling.reconstruct`; None: 'encoded' if
        swaps of the model start from the x_T of a clip, else as they start.
      seed: seed of the noise.

    Returns:
      (A, B, T, ...).

    Raises:
      ValueError: for an unknown kind or component, or clips of another form.
    """
    if kind not in self.directions:
      raise errors.unknown_name('kind of code', kind, self.directions)
    factors = self.model.encode(clips)
    moved = explore.traverse(
        getattr(factors, kind), self.directions[kind], component, alphas)
    x_init = self.model.start(clips, x_T=self._start(x_T), seed=seed)
    return np.stack([
        self.model.decode(factors.replace(**{kind: codes}), x_init=x_init)
        for codes in moved])

  def interpolate(
      self,
      a: np.ndarray,
      b: np.ndarray,
      shares: Sequence[float],
      *,
      kind: str | None = None,
      x_T: str | None = None,
      seed: int = 0,
  ) -> np.ndarray:
    """Clips on the way from each of `a` to the one of `b`.

    The noise goes with the dynamic codes, as in swaps: with kind='static' it
    stays that of a.

    Args:
      a: (B, T, ...), as the model takes them.
      b: (B, T, ...).
      shares: S numbers; 0 gives the reconstruction of a and 1 that of b.
      kind: 'static' or 'dynamic': the code that goes from a to b; None: both.
      x_T: as of `traverse`.
      seed: seed of the noise.

    Returns:
      (S, B, T, ...).

    Raises:
      ValueError: for an unknown kind, or clips of two shapes.
    """
    if np.shape(a) != np.shape(b):
      raise ValueError(
          f'interpolate: clips of shapes {np.shape(a)} and {np.shape(b)}; '
          'expected equal shapes. Cut or repeat one of them.')
    between = explore.interpolate(
        self.model.encode(a), self.model.encode(b), shares, kind=kind)
    starts = [self.model.start(x, x_T=self._start(x_T), seed=seed)
              for x in (a, b)]
    x_init = explore.interpolate_noise(
        *starts, np.multiply(shares, kind != 'static'))
    return np.stack([
        self.model.decode(base.Factors(static, dynamic), x_init=x)
        for static, dynamic, x in zip(
            between.static, between.dynamic, x_init)])

  def _start(self, x_T):
    """The start of the sampler where `x_T` leaves it to the model."""
    if x_T is not None:
      return x_T
    own = self.model.config.sampler.x_T
    return own if own in noise.FRESH else 'encoded'


def draw(
    explorer: Explorer,
    clips: np.ndarray,
    folder: epath.Path,
    *,
    alphas: Sequence[float],
    num_components: int = 4,
    x_T: str | None = None,
    metrics: Mapping[str, float] | None = None,
) -> Iterator[epath.Path]:
  """Draws moves along components, and walks from each clip to the next.

  Args:
    explorer: what is explored.
    clips: (N, T, ...), as the model takes them; one alone goes nowhere.
    folder: where `explore_<kind>_<component>.png` and `interpolation.png` are
      written, and of video a GIF of each for the first clip.
    alphas: the moves, and the number of steps of a walk.
    num_components: of each kind, at most; a small code has fewer.
    x_T: as of `Explorer.traverse`.
    metrics: those of `evaluate`; titles then say which factor a component
      tells best.

  Yields:
    The path of each picture.
  """
  for kind, found in explorer.directions.items():
    for k in range(1, 1 + min(num_components, len(found.shares))):
      preemption.check()
      moved = explorer.traverse(clips, kind, k, alphas, x_T=x_T)
      yield _save(explorer.model, {
          f'{alpha:+.2f}': x for alpha, x in zip(alphas, moved)
      }, folder / f'explore_{kind}_{k}.png', _title(metrics or {}, kind, k))
  if len(clips) > 1:
    shares = np.linspace(0.0, 1.0, len(alphas))
    walk = explorer.interpolate(clips[:-1], clips[1:], shares, x_T=x_T)
    yield _save(explorer.model, {
        f'{share:.2f}': x for share, x in zip(shares, walk)
    }, folder / 'interpolation.png')


def evaluate(
    explorer: Explorer, ctx: context.Context, config: Mapping[str, Any]
) -> results.Result:
  """Runs the protocol; writes `<workdir>/results/exploration.json`.

  Args:
    explorer: the components.
    ctx: of the prior, see `prior.Sampler.context`.
    config: of the prior, as JSON can hold it; its section `explore` counts.

  Raises:
    ValueError: if the result of other settings is there.
  """
  start, options = time.time(), config['explore']
  metrics, counts = exploration.run(
      ctx, explorer.directions, num_components=options['num_components'],
      num_labelled=options['num_labelled'])
  sampler = explorer.sampler
  result = results.Result(
      protocol='exploration', version=exploration.VERSION, config=config,
      seed=ctx.seed, step=sampler.step, metrics=metrics,
      counts={**counts, 'sampler_steps': sampler.codes.prior.num_steps},
      wall_seconds=time.time() - start)
  results.write(ctx.workdir, result)
  return result


def _title(metrics, kind, component) -> str:
  """Which component it is, and what it tells best."""
  title, best = f'{kind} component {component}', exploration.best(
      metrics, kind, component)
  if best is None:
    return title
  return '{}: {} {:.2f} (chance {:.2f})'.format(title, *best)


def _save(model, clips, path, title='') -> epath.Path:
  """Draws clips or series by name, those of no move set off by their colour."""
  if model.dataset.variables:
    with storage.writing(path) as file:
      series.lines(clips, model.dataset.variables, graded=True,
                   title=title).savefig(file)
    return path
  with storage.writing(path) as file:
    grids.strips(clips, marked='+0.00', title=title).save(file, 'PNG')
  video.write_gif(path.with_suffix('.gif'), grids.animation(
      {name: x[0] for name, x in clips.items()}), fps=6.0)
  return path


def _identity(sampler, num_codes) -> str:
  """Of components: what they depend on, as a sha256."""
  codes = sampler.codes
  found = hashlib.sha256(f'{codes.prior} {num_codes}'.encode())
  for leaf in jax.tree.leaves((sampler.params, codes.mean, codes.std)):
    found.update(np.asarray(leaf).tobytes())
  return found.hexdigest()
