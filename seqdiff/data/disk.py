"""Opens the data sets that `seqdiff.data.prepare` has written."""

import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from seqdiff.core import errors
from seqdiff.core import storage
from seqdiff.data import batch
from seqdiff.data import builders
from seqdiff.data import loader
from seqdiff.data.builders import base

IN_MEMORY_BYTES = 2 * 2**30  # A larger data set stays on disk by default.


def load(
    name: str,
    *,
    data_dir: str,
    in_memory: bool | None = None,
    **options: Any,
) -> batch.Dataset:
  """Returns a prepared data set.

  Args:
    name: name of the data set.
    data_dir: the folder that it was written to by `seqdiff.data.prepare`.
    in_memory: whether to read all clips now; None reads them if they take
      less than 2 GiB and are not compressed.
    **options: which form of the set, such as its size in pixels.

  Raises:
    ValueError: for an unknown set or option, and if the set is not there or
      is damaged.
  """
  path = folder(name, data_dir=data_dir, **options)
  if not is_prepared(path):
    flags = ''.join(f' --{key}={value}' for key, value in options.items())
    raise ValueError(
        f'{path} holds no data set. Prepare it once with `python -m '
        f'seqdiff.data.prepare --dataset={name}{flags} --data_dir={data_dir} '
        "--manual_dir=<folder with the publisher's files>`, or set "
        'config.data.data_dir to the folder where it is.')
  builder = tfds.builder_from_directory(path)
  splits = {split: _Clips(builder, split) for split in builder.info.splits}
  if in_memory is None:
    in_memory = not _compressed(builder) and (
        _num_bytes(builder) < IN_MEMORY_BYTES)
  found, length = find_builder(name), builder.info.features['x'].shape[0]
  if in_memory:
    read = _as_list if length is None else loader.ArraySource.of
    splits = {key: read(clips) for key, clips in splits.items()}
  if length is not None:
    lengths = {key: [length] * len(clips) for key, clips in splits.items()}
  elif in_memory:
    lengths = {key: [len(clip['x']) for clip in clips]
               for key, clips in splits.items()}
  else:
    lengths = found.lengths_in(path)
  return batch.Dataset(
      name=name, splits=splits, factors=found.factors_in(path),
      reading=found.reading_in(path), variables=found.variables_in(path),
      names=found.names_in(path), lengths=lengths,
      options=found.options_in(path))


def find_builder(name: str) -> type[base.Builder]:
  """Returns the builder of a data set."""
  if name not in builders.BUILDERS:
    raise errors.unknown_name('data set on disk', name, builders.BUILDERS)
  return builders.BUILDERS[name]


def folder(name: str, *, data_dir: str, **form: Any) -> pathlib.Path:
  """Where a data set lies: data_dir/<name>/<config>/<version>."""
  builder = find_builder(name)
  options = base.make_options(builder, form, form=True)
  if data_dir is None:
    raise ValueError(
        'data_dir is not set; expected the folder that was given to `python -m '
        f'seqdiff.data.prepare --dataset={name}`. Set config.data.data_dir.')
  root = storage.local(data_dir, 'data_dir').expanduser()
  return root / name / options.config_name / str(builder.VERSION)


def is_prepared(path: pathlib.Path) -> bool:
  """Whether a complete data set lies in `path`."""
  return (path / 'dataset_info.json').is_file()


def _compressed(builder) -> bool:
  """Whether frames are kept as JPEG, each by itself."""
  return isinstance(builder.info.features['x'], tfds.features.Sequence)


def _num_bytes(builder) -> int:
  """Size of all clips in memory, if they are written as they are."""
  return sum(split.num_bytes for split in builder.info.splits.values())


def _as_list(clips) -> list[dict[str, Any]]:
  """All clips, which may differ in length."""
  return [clips[index] for index in range(len(clips))]


class _Clips:
  """Clips of one split as items; see `seqdiff.data.batch`."""

  def __init__(self, builder, split):
    self._clips = builder.as_data_source(split)
    self._path = builder.data_path

  def __len__(self) -> int:
    return len(self._clips)

  def __getitem__(self, index: int) -> dict[str, Any]:
    try:
      features = self._clips[index]
    except RuntimeError as error:  # Array record finds a wrong checksum.
      raise ValueError(
          f'Clip {index} in {self._path} cannot be read ({error}); expected '
          'the data set as it was prepared. Delete that folder and prepare '
          'it again with `python -m seqdiff.data.prepare`.') from error
    # Frames that were kept one by one come as a list.
    return {k if k in batch.ARRAYS else f'labels/{k}': (
        np.stack(v) if isinstance(v, list) else v)
            for k, v in features.items()}
