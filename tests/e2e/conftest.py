"""The command line, called in this process, and the smallest quickstart."""

import dataclasses
import sys

from absl import flags
import jax
import pytest

from seqdiff import cli as cli_lib
from seqdiff import main

# The quickstart, except that all is small.
SMALL = tuple(f'--config.{change}' for change in (
    'data.size=8', 'data.num_frames=4', 'data.num_train=64',
    'data.num_test=12', 'data.batch_size=8', 'data.eval_batch_size=8',
    'method.static_dim=4', 'method.dynamic_dim=2', 'method.hidden=8',
    'method.encoder.channels=4', 'method.encoder.features=8',
    'method.denoiser.channels=8', 'method.denoiser.multipliers=(1,)',
    'method.denoiser.num_blocks=0', 'method.denoiser.groups=4',
    'method.denoiser.patch_size=2',
    'optim.warmup_steps=1', 'train.num_steps=6', 'train.log_every=2',
    'train.save_every=3', 'sampler.num_steps=4', 'sampler.sigma_min=0.4',
    'eval.num_pairs=10', 'eval.num_clips=12', 'eval.num_shown=2',
    'eval.judge.num_steps=3', 'eval.judge.batch_size=8',
    'eval.judge.channels=4', 'eval.judge.hidden=4'))


@dataclasses.dataclass(frozen=True)
class Ended:
  """How a command ended."""

  code: int
  out: str
  err: str


def call(
    capture: pytest.CaptureFixture | None, *args: str, program=main.main
) -> Ended:
  """Runs `python -m seqdiff.main *args`, as far as that is possible here."""
  read = capture.readouterr if capture is not None else lambda: ('', '')
  flags.FLAGS.unparse_flags()
  flags.FLAGS['data'].value = None
  for name in [n for n in flags.FLAGS if n.startswith(('config.', 'data.'))]:
    delattr(flags.FLAGS, name)  # Overrides of the last call.
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(sys, 'argv', ['seqdiff.main', *args])
    read()
    try:
      cli_lib.run(program)
      code = 0
    except SystemExit as end:
      code = end.code or 0
  return Ended(code, *read())


@pytest.fixture(scope='session')
def command():
  """The function above, for fixtures that outlive a test."""
  return call


@pytest.fixture
def cli(capsys):
  """Calls the command line with flags; returns code, stdout and stderr."""
  return lambda *args, **kwargs: call(capsys, *args, **kwargs)


@pytest.fixture(scope='session')
def small():
  """Flags of the smallest quickstart."""
  return ('--config=configs/quickstart.py',) + SMALL


@pytest.fixture(scope='module', autouse=True)
def without_key_checks():
  """Orbax slices a great many arrays, each of which would be checked."""
  with jax.debug_key_reuse(False):
    yield


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch, request):
  """Paths of configs are relative to the root."""
  monkeypatch.chdir(request.config.rootpath)
