"""The command line.

  python -m seqdiff.main --config=configs/quickstart.py --workdir=runs/first
      --mode=train|evaluate|reconstruct|swap [--config.optim.learning_rate=1e-4]
  ... --mode=swap --a=one.mp4 --b=other.mp4
  ... --mode=swap|evaluate|reconstruct --data=configs/diffsda_mug.py
  python -m seqdiff.main --config=configs/prior.py ...
      --mode=train|generate|explore

Several processes, as on a TPU pod, train one model, and share out what it
samples: each gets the same command with --distributed, and --workdir is a
folder that all of them see. It may be in a bucket:
--workdir=gs://<bucket>/<folder>.

`train` continues a run that was stopped, draws its figures and ends with the
protocols of `config.eval.protocols`. The other modes read its checkpoint.
"""

import contextlib

from absl import flags
import jax
from ml_collections import config_flags

import seqdiff
from seqdiff import cli
from seqdiff import distributed
from seqdiff import modes
from seqdiff import run
from seqdiff.core import errors
from seqdiff.core import memory
from seqdiff.core import preemption
from seqdiff.core import storage

_WORKDIR = flags.DEFINE_string(
    'workdir', None, 'Run directory, a folder or gs://<bucket>/<folder>; '
    'default runs/<config>, or runs/<config>-<variant>.')
_MODE = flags.DEFINE_string(
    'mode', 'train', f'One of {", ".join(modes.MODES)}.')
_A = flags.DEFINE_string(
    'a', None, 'With --mode=swap and --b: a film or a folder of pictures.')
_B = flags.DEFINE_string('b', None, 'The other one; each gets its motion.')
_DATA = config_flags.DEFINE_config_file(
    'data', None, 'Config file whose data and protocols are taken in place of '
    'those of the model; its values are --data.<section>.<key>=<value>.',
    lock_config=True)
_PLATFORM = flags.DEFINE_enum(
    'platform', None, ['cpu', 'gpu', 'tpu'],
    'Fail unless JAX finds this platform; default: the best that it finds.')
_DISTRIBUTED = flags.DEFINE_string(
    'distributed', 'off',
    'auto (TPU pods, Slurm, Open MPI), or <host:port>,<n>,<i>: address of '
    'process 0, number of processes, this one.')


def main() -> None:
  """Runs one mode."""
  if _MODE.value not in modes.MODES:
    raise errors.unknown_name('mode', _MODE.value, modes.MODES)
  config = cli.require_config()
  if _DISTRIBUTED.value == 'off':
    cli.use_all_cores(config)
  workdir = storage.locate(_WORKDIR.value or f'runs/{cli.config_name()}')
  storage.check_access('--workdir', workdir)
  if config.eval.judge.workdir is not None:
    storage.check_access(
        'config.eval.judge.workdir', config.eval.judge.workdir)
  distributed.connect(_DISTRIBUTED.value)
  _require_platform(_PLATFORM.value)
  memory.keep_freed()
  if _DISTRIBUTED.value != 'off':
    distributed.check_same({
        'config': run.to_plain(config), 'workdir': str(workdir),
        'data': _DATA.value and run.to_plain(_DATA.value),
        'mode': [_MODE.value, _A.value, _B.value],
        'versions': [seqdiff.__version__, jax.__version__]})
  first = jax.process_index() == 0
  with contextlib.nullcontext() if first else contextlib.redirect_stdout(None):
    try:
      with preemption.watched():
        modes.run_mode(_MODE.value, config, workdir, a=_A.value, b=_B.value,
                       data=_DATA.value)
    except preemption.Stopped as stopped:
      print(stopped)


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


if __name__ == '__main__':
  cli.run(main)
