"""The command line.

  python -m seqdiff.main --config=configs/quickstart.py --workdir=runs/first
      --mode=train|evaluate|reconstruct|swap [--config.optim.learning_rate=1e-4]
  ... --mode=swap --a=one.mp4 --b=other.mp4

`train` continues a run that was stopped, draws its figures and ends with the
protocols of `config.eval.protocols`. The other modes read its checkpoint.
"""

from collections.abc import Sequence
import pathlib
import re
import runpy
import sys

from absl import app
from absl import flags
from absl import logging
import jax
import ml_collections
from ml_collections import config_flags
from ml_collections.config_flags import config_path

from seqdiff import modes
from seqdiff.core import errors

_CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file, such as configs/quickstart.py.',
    lock_config=True)
_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Run directory; default runs/<name of the config file>.')
_MODE = flags.DEFINE_string(
    'mode', 'train', f'One of {", ".join(modes.MODES)}.')
_A = flags.DEFINE_string(
    'a', None, 'With --mode=swap and --b: a film or a folder of pictures.')
_B = flags.DEFINE_string('b', None, 'The other one; each gets its motion.')
_PLATFORM = flags.DEFINE_enum(
    'platform', None, ['cpu', 'gpu', 'tpu'],
    'Fail unless JAX finds this platform; default: the best that it finds.')

_NO_CONFIG = ('No --config was given; expected a config file. For a first run: '
              '--config=configs/quickstart.py.')


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
      raise ValueError(_NO_CONFIG)
    _require_platform(_PLATFORM.value)
    name = pathlib.Path(config_flags.get_config_filename(
        flags.FLAGS['config'])).stem
    workdir = pathlib.Path(_WORKDIR.value or f'runs/{name}')
    modes.run_mode(
        _MODE.value, _CONFIG.value, workdir, a=_A.value, b=_B.value)
  except (ValueError, OSError) as error:
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
  # Without the plugin of a platform it is an AssertionError.
  except (RuntimeError, AssertionError) as error:
    raise ValueError(
        f'--platform={platform} was given, but JAX finds no {platform} here. '
        f'Install its support (pip install -e ".[{platform}]") on a machine '
        'that has one, or leave the flag out.') from error


def run() -> None:
  """Entry point; errors in flags end like other errors of a user."""
  logging.set_verbosity(logging.WARNING)  # Orbax tells much at INFO.
  app.run(main, flags_parser=_parse_flags)


def _parse_flags(argv: Sequence[str]) -> list[str]:
  """Parses flags; a wrong one ends in one paragraph and exit code 2."""
  keys = [arg.removeprefix('--config.').partition('=') for arg in argv
          if arg.startswith('--config.')]
  try:
    _check_keys(argv, [key for key, _, _ in keys])
    # The parsers of ml_collections know no None, which means off.
    rest = flags.FLAGS([arg for arg in argv if not (
        arg.startswith('--config.') and arg.endswith('=None'))])
    for key, _, value in keys:
      if value == 'None':
        config_path.set_value(key, _CONFIG.value, None)
    return rest
  except (ValueError, flags.Error) as error:
    text = ' '.join(str(error).split()).removesuffix('.')
    if isinstance(error, flags.Error):
      text += ('. Expected --flag=value with the flags of `python -m '
               'seqdiff.main --help`, and --config.<section>.<key>=<value> '
               'with a value of the type that it has in the config file')
    print(f'error: {text}.', file=sys.stderr)
    sys.exit(2)


def _check_keys(argv: Sequence[str], keys: Sequence[str]) -> None:
  """Raises ValueError for a missing config file or a key it does not have."""
  paths = re.findall('^--?config[=\n](.*)$', '\n'.join(argv), re.MULTILINE)
  if not paths and keys:
    raise ValueError(_NO_CONFIG)
  if not paths:
    return
  path = paths[-1].partition(':')[0]
  if not pathlib.Path(path).is_file():
    raise errors.unknown_name(
        'config file', path, [str(p) for p in pathlib.Path().glob(
            'configs/[!_]*.py')])
  config = runpy.run_path(path)['get_config'](*paths[-1].split(':', 1)[1:])
  for key in keys:
    section, name = config, 'config'
    for part in key.split('.'):
      known = section if isinstance(section, ml_collections.ConfigDict) else ()
      if part not in known:
        raise errors.unknown_name(f'key of {name}', part, known)
      section, name = section[part], f'{name}.{part}'


if __name__ == '__main__':
  run()
