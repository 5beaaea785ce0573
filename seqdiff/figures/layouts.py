"""What each table of the README files shows: protocols, facts and columns."""

from collections.abc import Callable, Mapping, Sequence
import dataclasses

from seqdiff.evaluation import results
from seqdiff.figures import series_tables

# Config name -> protocol -> result.
Results = Mapping[str, Mapping[str, results.Result]]


@dataclasses.dataclass(frozen=True)
class Column:
  """One column.

  Attributes:
    title: its heading.
    metric: name of the metric it shows. With a `*`, all metrics of that
      pattern are listed in the one cell, by name.
    unit: '%' for shares in [0, 1], '' for plain numbers; see `cells`.
  """

  title: str
  metric: str
  unit: str = '%'


@dataclasses.dataclass(frozen=True)
class Table:
  """One table: a row per config that has numbers of it.

  Metrics called `reference/<row>/<metric>` make further rows below it. Results
  in `<config name>-<argument>/`, of a config file that takes an argument, are
  its variants; a table of nothing else has no reference rows.

  Attributes:
    protocol: name of the result file that it is made of.
    facts: names in `FACTS`, the columns that say what was run.
    columns: the columns with numbers.
    variants: whether it shows the variants of configs, and only these; None:
      both.
    configs: patterns of the config names that it shows.
    per: None, or the title of a column for what the `*` of the metrics stands
      for: each such name is then a row. No reference rows.
  """

  protocol: str
  facts: Sequence[str]
  columns: Sequence[Column]
  variants: bool | None = False
  configs: Sequence[str] = ('*',)
  per: str | None = None


_SCORED = ('config', 'data set', 'step', 'seeds')
_RUN = (*_SCORED, 'hardware')

_SWAP = (
    Column('static', 'static_accuracy'),
    Column('dynamic', 'dynamic_accuracy'),
    Column('joint', 'joint_accuracy'),
)

TABLES: Mapping[str, Table | Callable[[Results], str]] = {
    'results': Table('swap', _RUN, _SWAP),
    'attributes': Table(
        'swap',
        _SCORED,
        (
            Column('of the donor', 'static/*_accuracy'),
            Column('of the driving clip', 'dynamic/*_accuracy'),
        ),
    ),
    'levers': Table(
        'swap', _RUN, _SWAP, variants=True,
        configs=('quickstart_*', 'diffsda_*'),
    ),
    'parts': Table('swap', _RUN, _SWAP, variants=True, configs=('divid_*',)),
    'reconstruction': Table(
        'reconstruction',
        (*_SCORED, 'version'),
        (
            Column('MSE', 'mse', ''),
            Column('PSNR (dB)', 'psnr', ''),
            Column('MSE, own x_T', 'encoded_x_T/mse', ''),
            Column('flicker', 'flicker', ''),
        ),
        variants=None,
    ),
    'imputation': Table(
        'imputation',
        (*_SCORED, 'version'),
        (
            Column('one variable, MSE', 'one_variable_mse', ''),
            Column('MAE', 'one_variable_mae', ''),
            Column('all variables, MSE', 'all_variables_mse', ''),
            Column('MAE', 'all_variables_mae', ''),
        ),
        variants=None,
    ),
    'leakage': Table(
        'leakage',
        (*_SCORED, 'version'),
        (
            Column('leakage', 'leakage'),
            Column('average', 'average'),
            Column('in sample', 'in_sample/average'),
            Column('S→D', 's_to_d/*'),
            Column('D→S', 'd_to_s/*'),
            Column('S→S', 's_to_s/*'),
            Column('D→D', 'd_to_d/*'),
        ),
    ),
    'lever_leakage': Table(
        'leakage',
        ('config', 'step', 'seeds', 'version'),
        (
            Column('leakage', 'leakage'),
            Column('average', 'average'),
            Column('in sample', 'in_sample/average'),
        ),
        variants=True,
    ),
    'orthogonality': Table(
        'orthogonality',
        ('config', 'data set', 'step', 'seeds'),
        (
            Column('denoising loss over that of 0', '*/denoising_ratio', ''),
            Column('cos² of s and d', '*/squared_cosine', ''),
            Column('length of s', '*/static_length', ''),
            Column('of d', '*/dynamic_length', ''),
        ),
        per='lambda',
    ),
    'generation': Table(
        'generation',
        ('config', 'step'),
        (
            Column('s kept: static', 'static_kept/static_accuracy'),
            Column('dynamic', 'static_kept/dynamic_accuracy'),
            Column('d kept: static', 'dynamic_kept/static_accuracy'),
            Column('dynamic', 'dynamic_kept/dynamic_accuracy'),
            Column('consistency', 'static_consistency'),
            Column('change', 'temporal_difference', ''),
            Column('H(y)', '*/marginal_entropy', ''),
            Column('H(y given x)', '*/conditional_entropy', ''),
        ),
        variants=None,
    ),
    'discrimination': Table(
        'discrimination',
        ('config', 'step'),
        (
            Column('AUROC', 'auroc', ''),
            Column('discriminative score', 'discriminative_score', ''),
            Column('AUROC beside reconstructions',
                   'beside_reconstruction/auroc', ''),
        ),
        variants=None,
    ),
    'exploration': Table(
        'exploration',
        ('config', 'step'),
        (
            Column('1', 'component_1/*'),
            Column('2', 'component_2/*'),
            Column('3', 'component_3/*'),
            Column('4', 'component_4/*'),
            Column('1 to 4', 'components/*'),
        ),
    ),
    'solvers': Table(
        'solvers',
        ('config', 'data set', 'step'),
        (Column('MSE over that of Heun, NFE 63', '*/mse_ratio', ''),),
        per='solver',
    ),
    'benchmark': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step, over eager', 'train_step/ratio_eager', ''),
            Column('over compiled', 'train_step/ratio_compile', ''),
            Column('swap, over eager', 'swap/ratio_eager', ''),
            Column('over compiled', 'swap/ratio_compile', ''),
            Column('train steps per second', 'train_step/per_second', ''),
            Column('compile (s)', 'train_step/first_seconds', ''),
        ),
    ),
    'lever_speed': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step, over that beside', 'train_step/ratio_beside',
                   ''),
            Column('train steps per second', 'train_step/per_second', ''),
        ),
        variants=True,
        configs=('*_ablation-*',),
    ),
    'options': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step, over that beside', 'train_step/ratio_beside',
                   ''),
            Column('swap, over that beside', 'swap/ratio_beside', ''),
            Column('swap, over eager', 'swap/ratio_eager', ''),
            Column('that beside, over eager',
                   'reference/quickstart/swap/ratio_eager', ''),
            Column('temporary (MiB)', 'train_step/temp_bytes', 'MiB'),
        ),
        variants=True,
        configs=('*_speed-*',),
    ),
    'cost': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train step (GFLOP)', 'train_step/flops', 'G'),
            Column('GFLOP/s', 'train_step/flops_per_second', 'G'),
            Column('MFU', 'train_step/mfu'),
            Column('FLOP per byte', 'train_step/flops_per_byte', ''),
            Column('swap (GFLOP)', 'swap/flops', 'G'),
            Column('temporary (MiB)', 'train_step/temp_bytes', 'MiB'),
            Column('arguments (MiB)', 'train_step/argument_bytes', 'MiB'),
        ),
    ),
    'loading': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('batches per second', 'loader/per_second', ''),
            Column('checkpoint (MiB)', 'save/bytes', 'MiB'),
            Column('saves per second', 'save/per_second', ''),
            Column('restores per second', 'restore/per_second', ''),
        ),
    ),
    'sweep': Table(
        'benchmark',
        ('config', 'hardware'),
        (
            Column('train steps per second', 'sweep/*/train_step/per_second',
                   ''),
            Column('temporary (MiB)', 'sweep/*/train_step/temp_bytes', 'MiB'),
            Column('clips per second on devices', 'scaling/*/clips_per_second',
                   ''),
            Column('efficiency', 'scaling/*/efficiency'),
        ),
        per='with',
    ),
    'choices': Table(
        'benchmark',
        ('config', 'hardware'),
        (Column('speed, over the plain way', 'choice/*/ratio', ''),),
        variants=True,
        per='choice',
    ),
    'judge': Table(
        'judge',
        ('config', 'data set', 'step'),
        (Column('accuracy per head', '*accuracy'),),
    ),
    'series': series_tables.corrected,
    'series_as_published': series_tables.as_published,
}
