"""Writes a data set to disk in the form in which it is trained on.

  python -m seqdiff.data.prepare --dataset=sprites \
      --manual_dir=<the publisher's files> --data_dir=<where to write>
  python -m seqdiff.data.prepare --dataset=frames \
      --manual_dir=<your videos> --data_dir=<where to write> --size=32

The data set appears under its name only when it is complete; a run that was
interrupted leaves nothing that a later one would take for data. `--help` lists
the options of each data set.
"""

from collections.abc import Sequence
import dataclasses
import sys
import typing
from typing import Any

from absl import app
from absl import flags
from absl import logging
import tensorflow_datasets as tfds

from seqdiff.data import builders
from seqdiff.data import disk
from seqdiff.data.builders import base
from seqdiff.data.builders import kept

_DATASET = flags.DEFINE_string(
    'dataset', None, f'One of {", ".join(builders.BUILDERS)}.')
_MANUAL_DIR = flags.DEFINE_string(
    'manual_dir', None,
    "Folder with the publisher's files, or your videos or tables.")
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of all data sets; is made if it is not there.')


def _define_options() -> dict[str, flags.FlagHolder]:
  """One flag for each option, which may be one of several builders."""
  define = {int: flags.DEFINE_integer, float: flags.DEFINE_float,
            str: flags.DEFINE_string}
  kinds, texts = {}, {}
  for name, builder in builders.BUILDERS.items():
    for field in dataclasses.fields(builder.OPTIONS):
      # The first of `float | None` is what can be given.
      kinds[field.name] = (typing.get_args(field.type) or (field.type,))[0]
      texts.setdefault(field.name, []).append(
          f'{name}: {field.metadata["help"]} (default {field.default!r}).')
  return {name: define[kind](name, None, ' '.join(texts[name]))
          for name, kind in kinds.items()}


_OPTIONS = _define_options()


def prepare(
    name: str, *, manual_dir: str, data_dir: str, **options: Any
) -> str:
  """Builds a data set unless it is there already.

  Args:
    name: name of the data set.
    manual_dir: folder with the publisher's files.
    data_dir: folder of all data sets; this one goes to a folder in it.
    **options: see `OPTIONS` of the builder.

  Returns:
    What was done, in one sentence, and what was left out.

  Raises:
    ValueError: for an unknown set or option, for files that are missing or
      damaged, and if the folder holds a set of other options; no set has been
      written then.
  """
  builder_cls = disk.find_builder(name)
  chosen = base.make_options(builder_cls, options)
  path = disk.folder(name, data_dir=data_dir, **base.form_of(chosen))
  if disk.is_prepared(path):
    changes = builder_cls.differences(path, chosen, manual_dir)
    if changes:
      raise ValueError(
          f'{path} was prepared otherwise: {"; ".join(changes)}. Expected the '
          'same, since nothing is overwritten. Delete that folder, or choose '
          'another --set or --data_dir.')
    return f'{name} is already prepared in {path}; delete it to build it anew.'
  if path.exists():
    raise ValueError(
        f'{path} exists but holds no complete data set; expected an empty '
        'place. Look at what it is, delete it and run this command again.')
  config = builder_cls.configure(chosen, manual_dir)
  # The builder shows its own progress with a total.
  tfds.disable_progress_bar()
  builder = builder_cls(
      config=config, data_dir=path.parents[2], file_format='array_record')
  builder.download_and_prepare(
      download_config=tfds.download.DownloadConfig(manual_dir=manual_dir))
  counts = ', '.join(
      f'{info.num_examples} {split}'
      for split, info in builder.info.splits.items())
  leftovers = ''.join(
      f' {left} is of an interrupted run and may be deleted.'
      for pattern in ('incomplete*', f'{kept.PREFIX}*')
      for left in sorted(path.parent.glob(pattern)))
  return (f'{name} is prepared in {path}: {counts} clips.{leftovers}'
          f'{builder.summary()}')


def main(argv: Sequence[str]) -> None:
  """Prints what was done, or in one paragraph why nothing was."""
  logging.set_verbosity(logging.ERROR)  # TFDS logs each shard and config.
  try:
    if len(argv) > 1:
      raise ValueError(
          f'Unexpected argument {argv[1]!r}; expected flags only, such as '
          '--dataset=sprites.')
    for flag in (_DATASET, _MANUAL_DIR, _DATA_DIR):
      if flag.value is None:
        raise ValueError(
            f'--{flag.name} is missing; expected --dataset (one of '
            f'{", ".join(builders.BUILDERS)}), --manual_dir, the folder with '
            "the publisher's files or your videos, and --data_dir, where to "
            'write.')
    options = {name: flag.value for name, flag in _OPTIONS.items()
               if flag.value is not None}
    print(prepare(_DATASET.value, manual_dir=_MANUAL_DIR.value,
                  data_dir=_DATA_DIR.value, **options))
  except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
  except OSError as error:
    print(f'{error}; expected that --manual_dir can be read, and --data_dir '
          'written and not full.', file=sys.stderr)
    sys.exit(2)


def _parse_flags(argv: Sequence[str]) -> list[str]:
  """Parses flags; a wrong one ends in one paragraph and exit code 2."""
  try:
    return flags.FLAGS(argv)
  except flags.Error as error:
    print(f'{" ".join(str(error).split())} Known: --dataset, --manual_dir, '
          f'--data_dir and, of the data sets, --{", --".join(_OPTIONS)}.',
          file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
  app.run(main, flags_parser=_parse_flags)
