"""The leakage protocol: what probes can read from each code.

Version 2. The encoder is frozen. For each labelled factor, probes predict it
from the static code and from the dynamic codes: logistic regression and a
perceptron of one hidden layer of 256, on standardised inputs, 5-fold over
clips, with as many of each class in each fold; clips that were cut from one
film stay together. A clip's dynamic codes are pooled by concatenation and by
their mean. Continuous factors are read frame by frame, by ridge regression and
a perceptron, scored by R^2 (clipped at 0). What is padding or was not measured
is left out.

Names: `s_to_s/<factor>` and `d_to_d/<factor>` (should be high, the codes are
informative), `s_to_d/<factor>` and `d_to_s/<factor>` (leakage, should be at
chance). A score is that of the probe and the pooling which are best within the
clips that they are fitted to; `probe/<pooling>_<probe>/...` are those of each.
`leakage` is the mean over the cross scores of (score - chance) / (1 - chance),
in which chance is the share of the largest class (0 for R^2). A factor of which
all classes but one are rarer than the folds are many is left out. `average` is
the plain mean of the cross scores, as DiViD (arXiv:2507.13934, Sec. 4.2)
reports it, and `in_sample/average` that of probes which are scored on the clips
that they were fitted to.

Probes are fitted to, and scored on, folds of `config.eval.split` alone: the
paper names no split for its classifiers, and the codes of clips that an encoder
was trained on may differ from those of new ones. The price is that few clips
are left to fit to.

Version 1 took the best score of all probes, and folds without regard to classes
or films.
"""

import numpy as np

from seqdiff.evaluation import codes
from seqdiff.evaluation import context
from seqdiff.evaluation import probes

VERSION = 2


def run(ctx: context.Context) -> tuple[dict[str, float], dict[str, int]]:
  """Returns the metrics and counts of the protocol.

  Raises:
    ValueError: for fewer clips than folds.
  """
  available = len(ctx.dataset.splits[ctx.split])
  indices = np.arange(min(ctx.num_clips, available))
  films = _films(ctx, indices)
  found = codes.read(ctx, ctx.split, indices=indices)
  if len(np.unique(films)) < probes.FOLDS:
    raise ValueError(
        f'Protocol leakage: {len(indices)} clips of {len(np.unique(films))} '
        f'films; expected at least {probes.FOLDS}, one for each fold. Raise '
        'config.eval.num_clips.')
  metrics, cross = {}, []  # Of cross scores: held out, in sample, leakage.
  for factor in ctx.dataset.factors:
    y = found.labels[factor.key]
    chance = 0.0
    if factor.num_classes is not None:
      counts = np.sort(np.bincount(y, minlength=2))
      if counts[-2] < probes.FOLDS:
        continue
      chance = float(counts[-1] / len(y))
    for source in 's', 'd':
      name = f'{source}_to_{factor.kind[0]}/{factor.name}'
      scores = (_frame_by_frame if factor.num_classes is None else _per_clip)(
          source, found, y, films)
      metrics[name] = scores.held_out
      metrics[f'reference/chance/{name}'] = chance
      metrics.update(
          {f'probe/{k}/{name}': v for k, v in scores.each.items()})
      if source != factor.kind[0]:
        cross.append((scores.held_out, scores.in_sample,
                      (scores.held_out - chance) / (1.0 - chance)))
  if cross:
    for name, value in zip(
        ('average', 'in_sample/average', 'leakage'), np.mean(cross, axis=0)):
      metrics[name] = float(value)
  return metrics, {'clips': len(indices), 'folds': probes.FOLDS}


def _films(ctx, indices) -> np.ndarray:
  """The film of each clip, as a number; each is its own if that is unknown."""
  names = ctx.dataset.names.get(ctx.split)
  if not names:
    return indices
  films = [names[i].rpartition('#')[0] or names[i] for i in indices]
  return np.unique(films, return_inverse=True)[1]


def _per_clip(source, found, y, films) -> probes.Scores:
  """Probes of a class."""
  if source == 's':
    return probes.score({'': found.static}, y, films, classes=True)
  real = found.mask[..., None]
  dynamic = np.where(real, found.dynamic, 0.0)
  return probes.score({
      'concatenated': dynamic.reshape(len(y), -1),
      'mean': dynamic.sum(axis=1) / np.maximum(real.sum(axis=1), 1),
  }, y, films, classes=True)


def _frame_by_frame(source, found, y, films) -> probes.Scores:
  """Probes of continuous values, of frames where they were measured."""
  known = found.mask & np.isfinite(y).all(axis=-1)
  frames = found.dynamic if source == 'd' else np.repeat(
      found.static[:, None], y.shape[1], axis=1)
  of_frames = np.repeat(films[:, None], y.shape[1], axis=1)
  values = y[known]
  if values.shape[1] == 1:
    values = values[:, 0]  # As sklearn wants it.
  return probes.score(
      {'': frames[known]}, values, of_frames[known], classes=False)
