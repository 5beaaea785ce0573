"""What the TFDS builders of this library share.

Besides what TFDS asks for, a builder has

  OPTIONS      a frozen dataclass of its `option`s and of the property
               `config_name`, the folder of this form of the set; it refuses
               impossible values
  configure    checks the publisher's files before anything is written
  factors_in   the labelled factors of a prepared set
  reading_in   how other films are read like its clips
  names_in     which clip is which
  lengths_in   how many frames each has
  variables_in what the numbers of a series are
  differences  what an earlier preparation in the same folder did otherwise
  summary      what to tell the user at the end

and its feature `x` is the clip; each feature that is none of `batch.ARRAYS` is
a label. The options that say which `form` of a set is meant are also those of
`config.data`; the other ones only say how to prepare it.
"""

import abc
from collections.abc import Mapping
import dataclasses
import json
import pathlib
from typing import Any

import tensorflow_datasets as tfds

from seqdiff.core import errors
from seqdiff.data import batch
from seqdiff.data.builders import shuffling


class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
  """A builder; needs no TensorFlow (file_format='array_record')."""

  OPTIONS: type
  # No downloads, so no list of checksums; TFDS 4.9.10 would look for one with
  # a package (importlib_resources) that it does not install.
  url_infos = None

  @classmethod
  @abc.abstractmethod
  def configure(
      cls, options: Any, manual_dir: str
  ) -> str | tfds.core.BuilderConfig:
    """Returns the TFDS config, or its name.

    Raises:
      ValueError: unless the files in `manual_dir` are as they should be.
    """

  @classmethod
  @abc.abstractmethod
  def factors_in(cls, path: pathlib.Path) -> tuple[batch.Factor, ...]:
    """The labelled factors of the set that was prepared in `path`."""

  @classmethod
  def reading_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """How a film is read like the clips in `path`; see `data.films.clips`."""
    del path
    return {}

  @classmethod
  def names_in(cls, path: pathlib.Path) -> dict[str, tuple[str, ...]]:
    """Names of the clips of each split in `path`, in their order.

    Empty if they have none.
    """
    del path
    return {}

  @classmethod
  def lengths_in(cls, path: pathlib.Path) -> dict[str, tuple[int, ...]]:
    """Frames of the clips of each split in `path`, in their order.

    Empty if they were not noted.
    """
    del path
    return {}

  @classmethod
  def options_in(cls, path: pathlib.Path) -> dict[str, Any]:
    """What the set in `path` was prepared with; empty if it was not noted."""
    del path
    return {}

  @classmethod
  def variables_in(cls, path: pathlib.Path) -> tuple[batch.Variable, ...]:
    """The variables of the series in `path`; none of videos."""
    del path
    return ()

  @classmethod
  def differences(
      cls, path: pathlib.Path, options: Any, manual_dir: str
  ) -> list[str]:
    """What is not as in the preparation that wrote `path`."""
    del path, options, manual_dir
    return []

  def summary(self) -> str:
    """Sentences about what was left out; empty if nothing was."""
    return ''

  def _generate_splits(self, dl_manager, download_config):
    with shuffling.in_a_file():
      return super()._generate_splits(dl_manager, download_config)


def option(default: Any, help_text: str, *, form: bool = False) -> Any:
  """A field of `OPTIONS`.

  Args:
    default: its value if it is not given.
    help_text: what it means, for the command line.
    form: whether it is also an option of `config.data`.
  """
  return dataclasses.field(
      default=default, metadata={'help': help_text, 'form': form})


def make_options(
    builder: type[Builder], values: Mapping[str, Any], *, form: bool = False
) -> Any:
  """`builder.OPTIONS` with these values; only those of its form, if asked.

  Raises:
    ValueError: for an option that does not exist or a value out of range.
  """
  known = [field.name for field in dataclasses.fields(builder.OPTIONS)
           if field.metadata['form'] or not form]
  for name in values:
    if name not in known:
      raise errors.unknown_name(f'option of {builder.name}', name, known)
  return builder.OPTIONS(**values)


def form_of(options: Any) -> dict[str, Any]:
  """The options that say which form of the set is meant."""
  return {field.name: getattr(options, field.name)
          for field in dataclasses.fields(options) if field.metadata['form']}


def absolute(path: str) -> str:
  """A folder as it is kept in a manifest."""
  return str(pathlib.Path(path).expanduser().resolve())


def changes(
    manifest: Mapping[str, Any], options: Any, manual_dir: str
) -> list[str]:
  """Options, and the folder, that are not those of the manifest."""
  there = {**manifest['options'], 'manual_dir': manifest['manual_dir']}
  here = {**dataclasses.asdict(options), 'manual_dir': absolute(manual_dir)}
  return [f'{name}: {there.get(name)} there, {value} here'
          for name, value in here.items() if there.get(name) != value]


def read_beside(path: pathlib.Path, name: str) -> Any:
  """A json file beside the clips of a prepared set.

  Raises:
    ValueError: if it is not whole.
  """
  try:
    return json.loads((pathlib.Path(path) / name).read_text())
  except (OSError, ValueError) as error:
    raise ValueError(
        f'{path} has no readable {name} ({error}); expected the folder as it '
        'was prepared. Delete it and prepare it again.') from error
