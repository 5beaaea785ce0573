"""Tables of series: a row per method, a column per task, trivial rows first.

The layout is that of DiffSDA (arXiv:2510.05717, Tables 5, 14 and 15), whose
numbers stand below ours where the protocol is the same. Numbers of two versions
of a protocol do not compare, so that each row says of which it is.
"""

from collections.abc import Mapping
import dataclasses

from seqdiff.evaluation import results
from seqdiff.figures import cells


@dataclasses.dataclass(frozen=True)
class Task:
  """One column.

  Attributes:
    title: its heading.
    data: what configs of this data are called, see `METHODS`.
    protocol: its name in the corrected form.
    metric: which metric of it.
    unit: as in `cells.number`.
    published: what the paper says of some methods: mean and spread.
  """

  title: str
  data: str
  protocol: str
  metric: str
  unit: str = ''
  published: Mapping[str, tuple[float, ...]] = dataclasses.field(
      default_factory=dict)


TASKS = (
    Task('mortality, AUPRC', 'physionet', 'mortality', 'auprc', published={
        'VAE': (.157, .05), 'GP-VAE': (.282, .09), 'C-DSVAE': (.158, .01),
        'GLR': (.365, .09), 'SPYL': (.367, .02), 'DBSE': (.473, .02),
        'random forest': (.446, .04), 'DiffSDA': (.50, .006)}),
    Task('mortality, AUROC', 'physionet', 'mortality', 'auroc', published={
        'VAE': (.564, .04), 'GP-VAE': (.699, .02), 'C-DSVAE': (.565, .01),
        'GLR': (.752, .01), 'SPYL': (.764, .04), 'DBSE': (.858, .01),
        'random forest': (.802, .04), 'DiffSDA': (.87, .004)}),
    Task('ICU type (%)', 'physionet', 'icu_type', 'accuracy', '%', {
        'VAE': (.3471, .0023), 'GP-VAE': (.4247, .0202), 'C-DSVAE': (.3254,),
        'GLR': (.3893, .0248), 'SPYL': (.4698, .0304), 'DBSE': (.5687, .0034),
        'random forest': (.6200, .0210), 'DiffSDA': (.646, .0035)}),
    Task('month (%)', 'air_quality', 'month', 'accuracy', '%', {
        'VAE': (.2717, .0003), 'GP-VAE': (.3673, .0140),
        'C-DSVAE': (.4707, .0120), 'GLR': (.5032, .0387),
        'SPYL': (.5793, .0353), 'DBSE': (.6587, .0001),
        'random forest': (.6243, .0054), 'DiffSDA': (.692, .0150)}),
    Task('station (%)', 'air_quality', 'station', 'accuracy', '%'),
    Task('rain, MAE (mm)', 'air_quality', 'rain', 'mae'),
    Task('oil, MAE (°C)', 'etth1', 'oil_temperature', 'mae', published={
        'VAE': (13.66, .20), 'GP-VAE': (14.98, .41), 'C-DSVAE': (12.53, .88),
        'GLR': (12.27, .03), 'SPYL': (12.22, .03), 'DBSE': (11.21, .01),
        'random forest': (10.19, .20), 'DiffSDA': (9.89, .28)}),
)
# What configs are called, on some data.
METHODS = {
    'VAE': 'vae_{}', 'VAE, pooled': 'vae_{}-pool', 'GLR': 'glr_{}',
    'GLR, short': 'glr_{}-short', 'DiffSDA': 'diffsda_{}',
    'DiffSDA, short': 'diffsda_{}-short', 'DiffSDA, pooled': 'diffsda_{}-pool'}
_TRIVIAL = {
    'constant': ('constant',),
    'median': ('median',),
    'mean of the month': ('seasonal',),
    'median of the month': ('seasonal_median',),
    'mean and deviation, linear': ('mean_std_logistic', 'mean_std_ridge'),
    'the same on 20 other divisions': ('other_divisions',),
    'mean and deviation, random forest': ('random_forest',),
    'supervised predictor': ('supervised',),
}
_MAIN = ('DiffSDA', 'DiffSDA, short')
_UNTRAINED = {
    'encoder without training': _MAIN,
    'pooled encoder without training': ('DiffSDA, pooled',)}


def corrected(found: Mapping[str, Mapping[str, results.Result]]) -> str:
  """The table of the corrected protocols."""
  return _render(found, '')


def as_published(found: Mapping[str, Mapping[str, results.Result]]) -> str:
  """The table of the published protocols, and what was published."""
  return _render(found, '_as_published')


def _render(found, form) -> str:
  """A table of all tasks in one form of their protocols."""
  lines = [cells.line(['', *(task.title for task in TASKS)]),
           cells.line([':--', *['--:'] * len(TASKS)])]

  def add(label, cell):
    row = [cell(task) for task in TASKS]
    if set(row) != {cells.MISSING}:
      lines.append(cells.line([label, *row]))

  for label, names in _TRIVIAL.items():
    add(label, lambda task, names=names: _reference(
        found, task, names, form, (*_MAIN, *METHODS)))
  for label, methods in _UNTRAINED.items():
    add(label, lambda task, methods=methods: _reference(
        found, task, ('untrained',), form, methods))
  for method in METHODS:
    of = lambda task, method=method: _find(found, task, method, form)
    add(f'{method}, ours', lambda task, of=of: cells.number(
        _metrics(of(task)), task.metric, task.unit))
    add(f'{method}, steps × seeds (version)',
        lambda task, of=of: _extent(of(task)))
  if form:
    for method in TASKS[0].published:
      add(f'{method}, published', lambda task, method=method: cells.number(
          _published(task, method), 'value', task.unit))
  return '\n'.join(lines) + '\n'


def _extent(result) -> str:
  """Steps, seeds and version of a result."""
  if result is None:
    return cells.MISSING
  seeds = result.counts.get('seeds', 1)
  return f'{result.step:,} × {seeds} ({result.version})'


def _find(found, task, method, form) -> results.Result | None:
  """The result of a config, or else of one of its variants, `<name>-<row>`.

  Some data are cut otherwise in the published form, as months of ETTh1. The
  variant `as_published` comes first in that form and is never in the other;
  `short` and `pool` have rows of their own.
  """
  name, protocol = METHODS[method].format(task.data), task.protocol + form
  apart = [f'{name}-{variant}' for variant in ('as_published', 'short', 'pool')]
  of = [name, *sorted(
      n for n in found if n.startswith(f'{name}-') and n not in apart)]
  if form:
    of.insert(0, apart[0])
  return next((found[n][protocol] for n in of if protocol in found.get(n, {})),
              None)


def _published(task, method) -> dict[str, float]:
  """Mean and spread in the paper, if it has them."""
  return dict(zip(('value', 'value_std'), task.published.get(method, ())))


def _metrics(result) -> Mapping[str, float]:
  """The metrics of a result, none if it is not there."""
  return {} if result is None else result.metrics


def _reference(found, task, names, form, methods) -> str:
  """The cell of a reference row, of the first of these methods that has it.

  Some results are older than some rows.
  """
  for method in methods:
    cell = _first(_metrics(_find(found, task, method, form)), names, task)
    if cell != cells.MISSING:
      return cell
  return cells.MISSING


def _first(metrics, names, task) -> str:
  """The cell of the first reference row that there is."""
  for name in names:
    metric = f'reference/{name}/{task.metric}'
    if metric in metrics:
      return cells.number(metrics, metric, task.unit)
  return cells.MISSING
