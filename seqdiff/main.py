"""The command line.

  python -m seqdiff.main --config=configs/quickstart.py --workdir=runs/first
      --mode=train|evaluate|reconstruct|swap [--config.optim.learning_rate=1e-4]

`train` continues a run that was stopped, draws its figures and ends with the
protocols of `config.eval.protocols`. The other modes read its checkpoint.
"""

from collections.abc import Sequence
import pathlib
import sys

from absl import app
from absl import flags
from absl import logging
import jax
from ml_collections import config_flags

from seqdiff import modes
from seqdiff.core import errors

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file, such as configs/quickstart.py.',
    lock_config=True)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Run directory; default runs/<name of the config file>.')
_MODE = flags.DEFINE_string(
    'mode', 'train', f'One of {", ".join(modes.MODES)}.')
_PLATFORM = flags.DEFINE_enum(
    'platform', None, ['cpu', 'gpu', 'tpu'],
    'Fail unless JAX finds this platform; default: the best that it finds.')


def main(argv: Sequence[str]) -> None:
  """Runs one mode; a user's error ends in one paragraph and exit code 2."""
  try:
    if len(argv) > 1:
      raise ValueError(
          f'Arguments {argv[1:]} are not flags; expected --flag=value only. '
          'Put two dashes and an equals sign.')
    if _MODE.value not in modes.MODES:
      raise errors.unknown_name('mode', _MODE.value, modes.MODES)
    if _CONFIG.value is None:
      raise ValueError(
          'No --config was given; expected a config file. For a first run: '
          '--config=configs/quickstart.py.')
    _require_platform(_PLATFORM.value)
    name = pathlib.Path(config_flags.get_config_filename(
        flags.FLAGS['config'])).stem
    workdir = pathlib.Path(_WORKDIR.value or f'runs/{name}')
    modes.MODES[_MODE.value](_CONFIG.value, workdir)
  except ValueError as error:
    logging.debug('Where it happened:', exc_info=True)  # With --verbosity=1.
    print(f'error: {error}', file=sys.stderr)
    sys.exit(2)


def _require_platform(platform: str | None) -> None:
  """Raises ValueError if JAX does not run on the platform asked for."""
  if platform is None:
    return
  jax.config.update('jax_platforms', {'gpu': 'cuda'}.get(platform, platform))
  try:
    jax.devices()
  except RuntimeError as error:
    raise ValueError(
        f'--platform={platform} was given, but JAX finds no {platform} here. '
        f'Install its support (pip install -e ".[{platform}]") on a machine '
        'that has one, or leave the flag out.') from error


def run() -> None:
  """Entry point; errors in flags end like other errors of a user."""
  logging.set_verbosity(logging.WARNING)  # Orbax tells much at INFO.
  app.run(main, flags_parser=_parse_flags)


def _parse_flags(argv: Sequence[str]) -> list[str]:
  """Parses flags; unknown config keys and wrong types are one paragraph."""
  try:
    return flags.FLAGS(list(argv))
  except (AttributeError, KeyError, TypeError, ValueError, FileNotFoundError,
          flags.Error) as error:
    print(f'error: {_explain(error)}', file=sys.stderr)
    sys.exit(2)


def _explain(error: Exception) -> str:
  """What was wrong with the flags, in one paragraph."""
  text = ' '.join(str(error).split()).strip('"\'')
  if isinstance(error, FileNotFoundError):
    return f'{text}. Expected a config file, such as configs/quickstart.py.'
  return (f'{text} Expected flags of `python -m seqdiff.main --help`, and '
          '--config.<section>.<key>=<value> for keys that the config file has, '
          'with values of the same type.')


if __name__ == '__main__':
  run()
