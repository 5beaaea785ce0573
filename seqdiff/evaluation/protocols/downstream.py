r"""Downstream protocols of series: what the frozen codes are good for.

Version 1; of icu_type, month and station as published 2, of oil_temperature as
published 3. Small predictors (`nets.predictors`) are fitted to the codes of the
training split, chosen by the validation split and scored on the test split,
several times with other seeds: means, and the spread as `<metric>_std`.

  mortality           both codes; AUPRC (average precision) and AUROC
  icu_type, month,    the static code; accuracy
  station
  rain                both codes; MAE of the sum of each day, mm
  oil_temperature     both codes; MAE of the mean of each day, degrees Celsius

Source: Tonekaboni et al. 2022 (arXiv:2202.02262), DiffSDA (arXiv:2510.05717,
App. B) and the released codes. A name with `_as_published` does what these do:

  mortality           reads the state of the LSTM after a quarter of the series
  icu_type, month,    two repeats, the second of which goes on from the first,
  station             with the step size of the autoencoder
  rain                outputs hardly below 0, and the last epoch (our choice)
  oil_temperature     as rain, means over 10 hours (the last of them over 2),
                      smaller last batches, and training clips that are paired
                      with the targets of others, anew in each epoch

and the default what is right: the state after the last step, a fresh predictor
in each repeat with a step size of 1e-3, standardised codes, the best epoch,
days, linear outputs, each clip with its own targets. All predictors have
gradients clipped to a norm of 1, but the published ones of static codes and of
oil. Departures of the published forms: what fills no batch waits for the next
pass, but of oil; codes are standardised for values, in place of a batch norm in
the predictor. Version 1 of the published static codes and versions 1 and 2 of
oil clipped gradients; these also left out what filled no batch or window.

Rain is a task of GLR alone, and `rain_as_published` is not its protocol: it has
the predictor of oil. Released: 101 epochs with a step size of 1e-4, rectifiers
and dropout of .3, ten times the weight for days with rain, and a 0 for hours
that were not measured. Numbers of the two do not compare.

Reference rows, on the same splits: `constant` (shares of the classes, or the
mean), `seasonal` (mean of the month of the year), `median` and
`seasonal_median` (the best of both kinds under MAE), `mean_std_logistic`,
`mean_std_ridge` and `random_forest` (of mean and standard deviation of each
variable), `supervised` (the same predictor on the series in place of codes),
and `untrained` (on codes of an encoder without training). Patients are
independent, so that any other division of them is as good: `other_divisions` is
`mean_std_logistic` on 20 random ones, whose spread is what the choice of a test
split of this size amounts to.
"""

from collections.abc import Mapping
import dataclasses

from flax import linen as nn
import jax.numpy as jnp
import numpy as np
import optax
from sklearn import metrics as sk_metrics

from seqdiff.data import batch as data_batch
from seqdiff.evaluation import codes as code_lib
from seqdiff.evaluation import context
from seqdiff.evaluation import fitting
from seqdiff.evaluation import judging
from seqdiff.evaluation import trivial
from seqdiff.nets import predictors

_NEEDED = ('train', 'validation')
_NUM_DIVISIONS = 20


@dataclasses.dataclass(frozen=True)
class Downstream:
  """One protocol.

  Attributes:
    factor: name of the label.
    schedule: how predictors are trained.
    as_published: see the top of this file.
    window: steps of a window, of values per step.
    rest: whether steps that fill no window make a shorter one.
    scale: what the mean of a window is multiplied by.
    own_targets: whether training clips keep their targets, see
      `fitting.Fitter`.
    independent: whether the series of all splits are, as patients are and the
      months of one station are not.
    VERSION: of the protocol.
  """

  factor: str
  schedule: fitting.Schedule
  as_published: bool = False
  window: int = 24
  rest: bool = False
  scale: float = 1.0
  own_targets: bool = True
  independent: bool = False
  VERSION: int = 1

  def check(self, dataset: data_batch.Dataset) -> None:
    """Raises ValueError for a data set without the label or the splits."""
    names = [factor.name for factor in dataset.factors]
    missing = [s for s in _NEEDED if s not in dataset.splits]
    if self.factor not in names or missing:
      raise ValueError(
          f'Protocol {self.factor}: {dataset.name} has the labels '
          f'{", ".join(names) or "none"} and the splits '
          f'{", ".join(dataset.splits)}; expected the label {self.factor} and '
          f'the splits {", ".join(_NEEDED)}. Leave it out of '
          'config.eval.protocols.')

  def run(
      self, ctx: context.Context
  ) -> tuple[dict[str, float], dict[str, int]]:
    """Returns the metrics and counts of the protocol.

    Raises:
      ValueError: if the evaluated split is one of those that predictors are
        fitted to.
    """
    if ctx.split in _NEEDED:
      raise ValueError(
          f'Protocol {self.factor} with config.eval.split={ctx.split}, which '
          'predictors are fitted to; expected another split. Choose test.')
    task = _Task(self, next(
        f for f in ctx.dataset.factors if f.name == self.factor))
    splits = (*_NEEDED, ctx.split)
    found = {split: code_lib.of_split(ctx, split) for split in splits}
    series = {split: code_lib.series(ctx, split) for split in splits}
    untrained = {split: code_lib.of_split(ctx, split, trained=False)
                 for split in splits}
    rows = {'': task.predict(found, ctx.split, ctx.seed),
            'reference/supervised/': task.predict(
                series, ctx.split, ctx.seed),
            'reference/untrained/': task.predict(
                untrained, ctx.split, ctx.seed),
            **task.references(series, ctx.split, ctx.seed)}
    metrics = {}
    for row, runs in rows.items():
      merged = judging.mean_and_spread(runs)
      metrics.update({f'{row}{name}': v for name, v in merged.items()})
    return metrics, {
        **{split: len(found[split].mask) for split in splits},
        'repeats': task.repeats}


@dataclasses.dataclass(frozen=True)
class _Task:
  """A protocol and the label that it predicts."""

  protocol: Downstream
  factor: data_batch.Factor

  @property
  def repeats(self) -> int:
    """How many predictors are fitted."""
    return 2 if self.protocol.as_published and self._is_static else 3

  @property
  def _is_static(self):
    """Whether the static code alone is read."""
    return self.factor.num_classes is not None and not self._is_binary

  @property
  def _is_binary(self):
    return self.factor.num_classes == 2

  def predict(self, found, split, seed) -> list[dict[str, float]]:
    """The metrics of each repeat of the predictor on some codes."""
    if not self.protocol.as_published or self.factor.num_classes is None:
      found = _standardise(found)
    train, validation, test = (
        self._examples(found[name]) for name in (*_NEEDED, split))
    continued = self.protocol.as_published and self._is_static
    fitter = fitting.Fitter(
        self._net(), self._loss, self._score, self.protocol.schedule,
        self.protocol.own_targets)
    runs, last = [], None
    for repeat in range(self.repeats):
      kept, last = fitter.fit(train, validation, seed=seed + repeat,
                              start=last if continued else None)
      runs.append(self._metrics(
          self._guess(fitter.outputs(kept, test)), test.targets, test.weights))
    return runs

  def references(
      self, series, split, seed
  ) -> dict[str, list[dict[str, float]]]:
    """The metrics of the trivial rows, once per repeat."""
    rows = {}
    for repeat in range(self.repeats):
      guesses, targets, weights = (
          self._trivial_classes if self.factor.num_classes
          else self._trivial_values)(series, split, seed + repeat)
      for name, guess in guesses.items():
        rows.setdefault(f'reference/{name}/', []).append(
            self._metrics(guess, targets, weights))
    if self.protocol.independent:
      rows['reference/other_divisions/'] = self._other_divisions(
          [series[name] for name in (split, 'train', 'validation')], seed)
    return rows

  def _other_divisions(self, parts, seed) -> list[dict[str, float]]:
    """The linear row with other test and training splits of the same sizes."""
    features = np.concatenate([part.static for part in parts])
    labels = np.concatenate([part.labels[self.factor.key] for part in parts])
    num_test, num_train = len(parts[0].static), len(parts[1].static)
    rng, runs = np.random.default_rng(seed), []
    for _ in range(_NUM_DIVISIONS):
      test, train, _ = np.split(
          rng.permutation(len(labels)), [num_test, num_test + num_train])
      guess = trivial.probabilities(
          trivial.linear_classifier(), features[train], labels[train],
          features[test])
      runs.append(self._metrics(guess, labels[test], np.ones(num_test)))
    return runs

  def _trivial_classes(self, series, split, seed):
    """Probabilities of each row, classes and weights of the test split."""
    train, test = series['train'], series[split]
    labels = test.labels[self.factor.key]
    guesses = trivial.classify(
        train.static, train.labels[self.factor.key], test.static, seed=seed)
    return guesses, labels, np.ones(len(labels))

  def _trivial_values(self, series, split, seed):
    """Values of each row, targets and weights of all windows (N,)."""
    windows = {name: self._windows(series[name]) for name in ('train', split)}
    x, y, known, month = windows['train']
    x_test, y_test, known_test, month_test = windows[split]
    guesses = trivial.regress(x[known], y[known], x_test, seed=seed)
    if month is not None:
      for name, reduce in ('seasonal', np.mean), ('seasonal_median', np.median):
        guesses[name] = trivial.by_class(
            month[known], y[known], month_test, reduce=reduce)
    return guesses, y_test, known_test

  def _windows(self, series):
    """Features (N W, F), targets, whether they are known, and the month."""
    size, (_, steps, width) = self.protocol.window, series.dynamic.shape
    # What is filled up, if the rest counts, was not seen.
    missing = -steps % size if self.protocol.rest else 0
    dynamic = np.pad(series.dynamic, [(0, 0), (0, missing), (0, 0)])
    per_clip = dynamic.shape[1] // size
    windows = dynamic[:, :per_clip * size].reshape(-1, size, width)
    values, seen = np.split(windows, 2, axis=-1)
    targets, known = self._targets(series)
    month = series.labels.get('labels/month')
    return (code_lib.statistics(values, seen.astype(bool)), targets.ravel(),
            known.ravel().astype(bool),
            None if month is None else np.repeat(month, per_clip))

  def _examples(self, found) -> fitting.Examples:
    """What a predictor gets of a split."""
    targets, weights = self._targets(found)
    return fitting.Examples(
        (found.static.astype(np.float32), found.dynamic.astype(np.float32),
         found.mask), targets, weights)

  def _targets(self, found) -> tuple[np.ndarray, np.ndarray]:
    """Classes (N,) or values (N, W), and where they are known."""
    labels = found.labels[self.factor.key]
    if self.factor.num_classes is not None:
      return labels, np.ones(len(labels), np.float32)
    known = ~np.isnan(labels[..., 0]) & found.mask
    means = lambda a: np.asarray(predictors.window_means(
        a, self.protocol.window, rest=self.protocol.rest), np.float32)
    values = means(np.where(known, labels[..., 0], 0.0))
    # A window counts if all of it was measured.
    return values * self.protocol.scale, (
        means(known.astype(np.float32)) > 1 - 1e-6).astype(np.float32)

  def _net(self) -> nn.Module:
    """The predictor."""
    published = self.protocol.as_published
    if self._is_binary:
      return predictors.LastState(early=published)
    if self.factor.num_classes is not None:
      return predictors.StaticOnly(self.factor.num_classes)
    return predictors.WindowMean(
        self.protocol.window, linear=not published, rest=self.protocol.rest)

  def _guess(self, outputs):
    """Outputs in the form of `_metrics`; logits stand for probabilities."""
    return outputs if self.factor.num_classes else self.protocol.scale * outputs

  def _loss(self, outputs, targets, weights):
    """Mean loss of a batch."""
    if self._is_binary:
      loss = optax.sigmoid_binary_cross_entropy(outputs[:, 0], targets)
    elif self.factor.num_classes is not None:
      loss = optax.softmax_cross_entropy_with_integer_labels(outputs, targets)
    else:
      loss = jnp.abs(self._guess(outputs) - targets)
    return jnp.sum(loss * weights) / jnp.maximum(jnp.sum(weights), 1.0)

  def _score(self, outputs, targets, weights) -> float:
    """Of an epoch: AUPRC, or minus the loss."""
    if self._is_binary:
      return sk_metrics.average_precision_score(targets, outputs[:, 0])
    return -float(self._loss(outputs, targets, weights))

  def _metrics(self, guesses, targets, weights) -> Mapping[str, float]:
    """The metrics of scores of classes (N, K), or of values like targets."""
    if self._is_binary:
      died = guesses[:, -1]
      return {'auprc': sk_metrics.average_precision_score(targets, died),
              'auroc': sk_metrics.roc_auc_score(targets, died)}
    if self.factor.num_classes is not None:
      return {'accuracy': float(np.mean(np.argmax(guesses, 1) == targets))}
    return {'mae': float(np.sum(np.abs(guesses - targets) * weights)
                         / np.sum(weights))}


def _standardise(found):
  """Codes with mean 0 and variance 1 over the training split."""
  train = found['train']
  real = train.dynamic[train.mask]
  shift = lambda a, of: (a - of.mean(axis=0)) / (of.std(axis=0) + 1e-6)
  return {split: dataclasses.replace(
      part, static=shift(part.static, train.static),
      dynamic=np.where(part.mask[..., None], shift(part.dynamic, real), 0.0))
          for split, part in found.items()}


def _pair(factor: str, schedule, published, *, other=None, **kwargs):
  """A protocol and its published form; `other` is set in the latter only."""
  return {
      factor: Downstream(factor, schedule, **kwargs),
      f'{factor}_as_published': Downstream(
          factor, published, as_published=True, **kwargs, **(other or {}))}


def _static(factor, *, epochs, batch_size, learning_rate, **kwargs):
  plan = fitting.Schedule(epochs, batch_size, passes=5)
  return _pair(factor, plan, dataclasses.replace(
      plan, learning_rate=learning_rate, clip_norm=None),
               other={'VERSION': 2}, **kwargs)


_MORTALITY = fitting.Schedule(41, 30)
_RAIN = fitting.Schedule(61, 10)
_OIL = fitting.Schedule(301, 10)
_LAST = {'best': False}

PROTOCOLS: Mapping[str, Downstream] = {
    **_pair('mortality', _MORTALITY, _MORTALITY, independent=True),
    **_static('icu_type', epochs=41, batch_size=30, learning_rate=5e-5,
              independent=True),
    **_static('month', epochs=61, batch_size=10, learning_rate=1e-4),
    **_static('station', epochs=61, batch_size=10, learning_rate=1e-4),
    **_pair('rain', _RAIN, dataclasses.replace(_RAIN, **_LAST), scale=24.0),
    **_pair('oil_temperature', _OIL,
            dataclasses.replace(_OIL, rest=True, clip_norm=None, **_LAST),
            other={'window': 10, 'rest': True, 'own_targets': False,
                   'VERSION': 3}),
}
