"""What the builders of time series share: splits, normalisation, the writing.

A subclass collects its samples from the publisher's files; here they are
normalised and written. Beside the clips of a prepared set lie

  split.json          the seed, and the names of the samples of each split in
                      the order in which they are read
  normalisation.json  name, unit, mean and standard deviation of each variable
  manifest.json       the options, the factors, and what was left out

Mean and standard deviation are those of what was measured in the training
split. A variable that never changes there keeps its unit.
"""

import abc
from collections.abc import Mapping, Sequence
import dataclasses
import json
import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
import tqdm

from seqdiff.data import batch
from seqdiff.data import units
from seqdiff.data.builders import base

SPLIT, NORMALISATION, MANIFEST = (
    'split.json', 'normalisation.json', 'manifest.json')
SPLITS = ('train', 'validation', 'test')
MONTHS = ('January', 'February', 'March', 'April', 'May', 'June', 'July',
          'August', 'September', 'October', 'November', 'December')
MONTH = batch.Factor('month', 'static', len(MONTHS), MONTHS)


@dataclasses.dataclass(frozen=True)
class Sample:
  """One series.

  Attributes:
    name: as in the list of the split.
    values: (T, D), in the units of the variables; NaN = not measured.
    labels: number of the class, or (T, K) values, by factor.
  """

  name: str
  values: np.ndarray
  labels: Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Collection:
  """All samples of a set.

  Attributes:
    variables: unit of each variable, by name.
    factors: the labelled factors.
    splits: the samples of each of `SPLITS`, in the order to be kept.
    report: one sentence for each rule that left something out or changed it.
    length: hours that all samples are filled up to; None if they are of one
      length, and then they have no mask.
  """

  variables: Mapping[str, str]
  factors: Sequence[batch.Factor]
  splits: Mapping[str, Sequence[Sample]]
  report: Sequence[str] = ()
  length: int | None = None


@dataclasses.dataclass(eq=False, repr=False)
class SeriesConfig(tfds.core.BuilderConfig):
  """One form of a set, read and divided."""

  options: Any = None
  manual_dir: str = ''
  collection: Collection | None = None
  mean: np.ndarray | None = None
  std: np.ndarray | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
  """How the samples of a set are divided that has one form only."""

  seed: int = base.option(0, 'which samples are for validation')

  def __post_init__(self):
    check_options(self)

  @property
  def config_name(self) -> str:
    """Folder of this form of the set."""
    return 'hourly'


class Series(base.Builder):
  """TFDS builder of series that fit into memory."""

  VERSION = tfds.core.Version('1.0.0')

  @classmethod
  @abc.abstractmethod
  def collect(cls, options: Any, root: pathlib.Path) -> Collection:
    """Reads the samples from the publisher's files.

    Raises:
      ValueError: for files that are missing or not as they should be.
    """

  @classmethod
  def configure(cls, options: Any, manual_dir: str) -> SeriesConfig:
    """Reads everything; nothing is written yet."""
    root = pathlib.Path(manual_dir).expanduser()
    if not root.is_dir():
      raise ValueError(
          f'{cls.name}: {root} is no folder; expected that '
          f'{cls.MANUAL_DOWNLOAD_INSTRUCTIONS}')
    collection = cls.collect(options, root)
    for split in SPLITS:
      if not collection.splits[split]:
        raise ValueError(
            f'{cls.name}: the split {split} holds no samples; expected at '
            'least one in each. Add files, or choose shorter windows. '
            f'{" ".join(collection.report)}')
      for sample in collection.splits[split]:
        if np.isnan(sample.values).all():
          raise ValueError(
              f'{cls.name}: {sample.name} has no value at all; expected some '
              'measurement of some variable. Get its file again, or leave it '
              'out.')
    mean, std = statistics(
        collection.splits['train'], list(collection.variables))
    return SeriesConfig(
        name=options.config_name, options=options, collection=collection,
        manual_dir=base.absolute(manual_dir), mean=mean, std=std)

  @classmethod
  def factors_in(cls, path: pathlib.Path) -> tuple[batch.Factor, ...]:
    """As kept in the manifest."""
    return tuple(batch.Factor(**{**f, 'values': tuple(f['values'])})
                 for f in base.read_beside(path, MANIFEST)['factors'])

  @classmethod
  def variables_in(cls, path: pathlib.Path) -> tuple[batch.Variable, ...]:
    """As kept beside the clips."""
    return tuple(batch.Variable(**v)
                 for v in base.read_beside(path, NORMALISATION))

  @classmethod
  def options_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """As kept in the manifest."""
    return base.read_beside(path, MANIFEST)['options']

  @classmethod
  def differences(
      cls, path: pathlib.Path, options: Any, manual_dir: str
  ) -> list[str]:
    """Options and folder that are not those of the manifest."""
    return base.changes(
        base.read_beside(path, MANIFEST), options, manual_dir)

  def summary(self) -> str:
    """What the rules of the set left out or changed."""
    return ''.join(f'\n{line}' for line in base.read_beside(
        self.data_path, MANIFEST)['report'])

  def _info(self) -> tfds.core.DatasetInfo:
    found = self.builder_config.collection
    shape = found.splits['train'][0].values.shape
    length = found.length or shape[0]
    array = lambda dtype, *shape: tfds.features.Tensor(
        shape=shape, dtype=dtype, encoding='bytes')
    features = {'x': array(np.float32, length, shape[1]),
                'observed': array(np.bool_, length, shape[1])}
    if found.length is not None:
      features['mask'] = array(np.bool_, length)
    for factor in found.factors:
      features[factor.name] = np.int32 if factor.num_classes else array(
          np.float32, length, factor.size)
    # Not shuffled: the list of the split says which sample is which.
    return tfds.core.DatasetInfo(
        builder=self, description=type(self).__doc__, disable_shuffling=True,
        features=tfds.features.FeaturesDict(features))

  def _split_generators(self, dl_manager):
    del dl_manager
    return {split: self._generate_examples(split) for split in SPLITS}

  def _generate_examples(self, split):
    found = self.builder_config.collection
    for number, sample in enumerate(tqdm.tqdm(found.splits[split], desc=split)):
      yield number, self._example(sample)

  def _example(self, sample):
    config = self.builder_config
    x, observed = units.normalise(sample.values, config.mean, config.std)
    item = {'x': x, 'observed': observed}
    if config.collection.length is not None:
      item['mask'] = np.ones(len(x), bool)
      missing = config.collection.length - len(x)
      item = {key: np.pad(value, [(0, missing)] + [(0, 0)] * (value.ndim - 1))
              for key, value in item.items()}
    return {**item, **sample.labels}

  def _download_and_prepare(self, dl_manager, download_config):
    super()._download_and_prepare(dl_manager, download_config)
    config = self.builder_config
    options, found = dataclasses.asdict(config.options), config.collection
    files = {
        SPLIT: {'seed': options.get('seed'), **{
            split: [sample.name for sample in samples]
            for split, samples in found.splits.items()}},
        NORMALISATION: [
            dict(name=name, unit=unit, mean=mean, std=std)
            for (name, unit), mean, std in zip(
                found.variables.items(), config.mean.tolist(),
                config.std.tolist())],
        MANIFEST: dict(
            manual_dir=config.manual_dir, options=options,
            report=list(found.report),
            factors=[dataclasses.asdict(f) for f in found.factors])}
    for name, content in files.items():
      # TFDS gives the folder its name only after this.
      (self.data_path / name).write_text(json.dumps(content, indent=1))


def statistics(
    samples: Sequence[Sample], names: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation of what was measured, each (D,) float64.

  Raises:
    ValueError: for a variable that was measured in none of the samples.
  """
  values = np.concatenate([sample.values for sample in samples])
  absent = ~np.isfinite(values).any(0)
  if absent.any():
    raise ValueError(
        f'The variable {names[int(np.argmax(absent))]} is missing in every row '
        f'of the {len(samples)} samples of the training split; expected some '
        'values, or it cannot be normalised. Fill the column or leave it out.')
  mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
  return mean, np.where(std > 0, std, 1.0)


def divide(
    samples: Sequence[Sample], *, share: float, seed: int
) -> tuple[list[Sample], list[Sample]]:
  """Draws the given share of the samples, rounded down; then the others.

  Both parts keep the order of the samples.
  """
  # NumPy never changes the stream of its legacy generator.
  order = np.random.RandomState(seed).permutation(len(samples))
  count = int(share * len(samples))
  return ([samples[i] for i in sorted(order[:count])],
          [samples[i] for i in sorted(order[count:])])


def months(times: np.ndarray) -> dict[str, slice]:
  """Where each month stands in hours (N,) datetime64, by names as 2013-03."""
  names, first = np.unique(
      times.astype('datetime64[M]').astype(str), return_index=True)
  bounds = [*first.tolist(), len(times)]
  return {str(name): slice(start, stop)
          for name, start, stop in zip(names, bounds, bounds[1:])}


def month_class(name: str) -> int:
  """Number of the class of `MONTH` that the name of a month (2013-03) says."""
  return int(name[5:7]) - 1


def check_options(options: Any) -> None:
  """Raises ValueError for a number that is out of range."""
  for field in dataclasses.fields(options):
    value = getattr(options, field.name)
    if isinstance(value, int):
      least = 0 if field.name == 'seed' else 1
      if value < least:
        raise ValueError(
            f'{field.name}={value}, expected {least} or more. Change '
            f'--{field.name}.')
