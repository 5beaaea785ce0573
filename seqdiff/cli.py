"""What the command lines share: --config, and errors in one paragraph."""

from collections.abc import Callable, Sequence
import contextlib
import os
import pathlib
import re
import runpy
import sys
import traceback
from typing import Any

from absl import app
from absl import flags
from absl import logging
import jax
import ml_collections
from ml_collections import config_flags
from ml_collections.config_flags import config_path

from seqdiff import distributed
from seqdiff.core import cores
from seqdiff.core import errors
from seqdiff.core import memory
from seqdiff.evaluation import results

CONFIG = config_flags.DEFINE_config_file(
    'config', None, 'Config file, such as configs/quickstart.py.',
    lock_config=True)

# Flags of config files, if a program has them.
_FILES = ('config', 'data', 'beside')
_OURS = re.compile(r'=None$|\.remat=(?!true$|false$)[a-z]\w*$')
_NO_CONFIG = ('No --config was given; expected a config file. For a first run: '
              '--config=configs/quickstart.py.')


def config_name(flag: str = 'config') -> str:
  """The name of what a flag has given: 'a-b' of --config=configs/a.py:b."""
  return results.name_of(
      config_flags.get_config_filename(flags.FLAGS[flag]))


def run(main: Callable[[], None]) -> None:
  """Runs a program.

  A user's error ends in one paragraph and exit code 2, Ctrl-C in one line and
  130, and anything else in a traceback and 1.
  """

  def guarded(argv: Sequence[str]) -> None:
    try:
      if len(argv) > 1:
        raise ValueError(
            f'Arguments {argv[1:]} are not flags; expected --flag=value only. '
            'Put two dashes and an equals sign.')
      main()
    except (ValueError, OSError) as error:
      logging.debug('Where it happened:', exc_info=True)  # With --verbosity=1.
      print(f'error: {error}', file=sys.stderr)
      distributed.leave(2)
    except KeyboardInterrupt:
      logging.debug('Where it happened:', exc_info=True)
      print('Interrupted.', file=sys.stderr)
      distributed.leave(130)  # As shells say it: 128 + SIGINT.
    except Exception:  # A fault of ours, or of the machine.
      traceback.print_exc()
      distributed.leave(1)

  logging.set_verbosity(logging.WARNING)  # Orbax tells much at INFO.
  app.run(guarded, flags_parser=_parse_flags)


def require_config() -> ml_collections.ConfigDict:
  """The config that was given.

  Raises:
    ValueError: if none was.
  """
  if CONFIG.value is None:
    raise ValueError(_NO_CONFIG)
  return CONFIG.value


def set_value(
    config: ml_collections.ConfigDict, key: str, value: Any
) -> None:
  """Sets a value, which has the type of the one there or is None.

  That of `remat` may be True, False or a name, see `nets.unet`.

  Raises:
    TypeError: for a value of another type.
  """
  named = key.endswith('.remat') and isinstance(value, str)
  with config.ignore_type() if named else contextlib.nullcontext():
    config_path.set_value(key, config, value)


def use_all_cores(config: ml_collections.ConfigDict) -> None:
  """Makes one JAX device of each CPU core, if nothing has run yet.

  XLA computes a convolution on one core only, so that a machine without an
  accelerator is used better as several small devices. There are no more than
  divide the batches of training and of evaluation. Series, whose nets are
  products of matrices, have one, which takes all cores for each.
  With JAX_NUM_CPU_DEVICES there are as many as it says.
  """
  if 'JAX_NUM_CPU_DEVICES' in os.environ:
    return
  sizes = (config.data.batch_size, config.data.eval_batch_size,
           config.eval.judge.batch_size)
  most = 1 if 'variables' in config.method else cores.count()
  count = max(n for n in range(1, most + 1)
              if all(size % n == 0 for size in sizes))
  try:
    jax.config.update('jax_num_cpu_devices', count)
  except RuntimeError:
    return  # JAX is running already, as in a notebook.
  if count == 1:
    memory.share_heap()


def _parse_flags(argv: Sequence[str]) -> list[str]:
  """Parses flags; a wrong one ends in one paragraph and exit code 2."""
  given = {name: [arg.removeprefix(f'--{name}.').partition('=') for arg in argv
                  if arg.startswith(f'--{name}.')]
           for name in _FILES if name in flags.FLAGS}
  try:
    for name, pairs in given.items():
      _check_keys(argv, name, [key for key, _, _ in pairs])
    # The parsers of ml_collections know no None, which means off, nor a name
    # in place of True.
    is_ours = lambda arg: _OURS.search(arg) and arg.startswith(
        tuple(f'--{name}.' for name in given))
    rest = flags.FLAGS([arg for arg in argv if not is_ours(arg)])
    for name, pairs in given.items():
      for key, value in {key: value for key, _, value in pairs}.items():
        if _OURS.search(f'.{key}={value}'):  # The last one counts.
          set_value(flags.FLAGS[name].value, key,
                    None if value == 'None' else value)
    return rest
  except (ValueError, flags.Error) as error:
    text = ' '.join(str(error).split()).removesuffix('.')
    if isinstance(error, flags.Error):
      module = re.sub(
          r'.*/seqdiff/(\w+)(/__main__)?\.py$', r'seqdiff.\1', argv[0])
      text += ('. Expected --flag=value with the flags of `python -m '
               f'{module} --help`, and --config.<section>.<key>=<value> '
               'with a value of the type that it has in the config file')
    print(f'error: {text}.', file=sys.stderr)
    sys.exit(2)


def _check_keys(argv: Sequence[str], flag: str, keys: Sequence[str]) -> None:
  """Raises ValueError for a missing config file or a key it does not have."""
  paths = re.findall(
      f'^--?{flag}[=\n](.*)$', '\n'.join(argv), re.MULTILINE)
  if not paths and keys:
    raise ValueError(_NO_CONFIG.replace('config', flag, 1))
  if not paths:
    return
  path = paths[-1].partition(':')[0]
  if not pathlib.Path(path).is_file():
    raise errors.unknown_name(
        'config file', path, [str(p) for p in pathlib.Path().glob(
            'configs/[!_]*.py')])
  config = runpy.run_path(path)['get_config'](*paths[-1].split(':', 1)[1:])
  for key in keys:
    section, name = config, flag
    for part in key.split('.'):
      known = section if isinstance(section, ml_collections.ConfigDict) else ()
      if part not in known:
        raise errors.unknown_name(f'key of {name}', part, known)
      section, name = section[part], f'{name}.{part}'
