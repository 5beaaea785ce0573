"""Writes a data set to disk in the form in which it is trained on.

  python -m seqdiff.data.prepare --dataset=sprites \
      --manual_dir=<the publisher's files> --data_dir=<where to write>

The data set appears under its name only when it is complete; a run that was
interrupted leaves nothing that a later one would take for data.
"""

from collections.abc import Sequence
import sys

from absl import app
from absl import flags
from absl import logging
import tensorflow_datasets as tfds

from seqdiff.data import builders
from seqdiff.data import disk

_DATASET = flags.DEFINE_string('dataset', None, 'Name of the data set.')
_MANUAL_DIR = flags.DEFINE_string(
    'manual_dir', None, "Folder with the publisher's files.")
_DATA_DIR = flags.DEFINE_string(
    'data_dir', None, 'Folder of all data sets; is made if it is not there.')
_SIZE = flags.DEFINE_integer(
    'size', None, 'Height and width of the clips in pixels, for a video set.')


def prepare(
    name: str, *, manual_dir: str, data_dir: str, **options: int
) -> str:
  """Builds a data set unless it is there already.

  Args:
    name: name of the data set.
    manual_dir: folder with the publisher's files.
    data_dir: folder of all data sets; this one goes to a folder in it.
    **options: which form of the set, as in `config.data`.

  Returns:
    What was done, in one sentence.

  Raises:
    ValueError: for an unknown set or option and for files that are missing
      or damaged; nothing has been written then.
  """
  builder_cls, config = disk.find_builder(name, **options)
  path = disk.folder(name, data_dir=data_dir, **options)
  if disk.is_prepared(path):
    return f'{name} is already prepared in {path}; delete it to build it anew.'
  if path.exists():
    raise ValueError(
        f'{path} exists but holds no complete data set; expected an empty '
        'place. Look at what it is, delete it and run this command again.')
  builder_cls.check_manual(manual_dir)
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
      for left in sorted(path.parent.glob('incomplete*')))
  return f'{name} is prepared in {path}: {counts} clips.{leftovers}'


def main(argv: Sequence[str]) -> None:
  """Prints what was done, or in one paragraph why nothing was."""
  logging.set_verbosity(logging.WARNING)  # TFDS logs each shard.
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
            "the publisher's files, and --data_dir, where to write.")
    options = {} if _SIZE.value is None else {'size': _SIZE.value}
    print(prepare(_DATASET.value, manual_dir=_MANUAL_DIR.value,
                  data_dir=_DATA_DIR.value, **options))
  except ValueError as error:
    print(error, file=sys.stderr)
    sys.exit(2)
  except OSError as error:
    print(f'{error}; expected that --manual_dir can be read, and --data_dir '
          'written and not full.', file=sys.stderr)
    sys.exit(2)


if __name__ == '__main__':
  app.run(main)
