r"""Speed, floating point operations and memory of a config.

  python -m seqdiff.benchmark --config=configs/quickstart.py --out=speed.json
  python -m seqdiff.benchmark --config=configs/quickstart_ablation.py:centre \
      --beside=configs/quickstart_ablation.py:none --jobs=train_step --out=...
  ... --variants=none --jobs=train_step,loader,save,restore
  ... --jobs= --sweep=data.batch_size=8,16,32 --devices=1,2,4
  ... --jobs= --choices=group_norm,lstm,frames,product

Training and swapping are measured beside another side, in turns on the same
device: so many steps here, as many there, and again. A ratio is the median over
the rounds of the speed of --config over that of the other side; its spread is
the standard deviation. Both start from the same uint8 clips or float series on
the host (random ones, no data set is needed) and end when the numbers are
there. The other side is an independent PyTorch peer, the same model in a
process of `tests/peers` (extra `peers`): `ratio_eager`; it has no first stage,
so that of a latent method it only trains. It keeps memory as this process does
(`core.memory`). Or the other side is the config --beside, in this process:
`ratio_beside`; its own numbers are the reference row of its name, and with
--variants also how fast it is over the peer of --config.

The other jobs are measured alone; they are listed in `workload.py`. Of train
step and swap the `flops` are counted, those of all devices together, and `mfu`
is the share of what the devices could do in bfloat16, left out where this is
not known. `flops_per_byte` of the train step tells what bounds it: below the
peak over the bandwidth of the memory it is the memory. It is left out where the
step has a loop, as that of series has: XLA counts the bytes of one turn.
`temp_bytes` and `argument_bytes` are those that the compiled train step needs
on each device.

--sweep measures the train step with one value after the other, as metrics
`sweep/<key>=<value>/train_step/...`; a value that does not fit into memory is
left out. --devices measures it on the first 1, 2, 4 devices, `scaling/4/...`:
data.batch_size is that of the largest number, each device always has the same
share, and `efficiency` is speed per device over that of the first number.
JAX_NUM_CPU_DEVICES=4 makes devices on a CPU; these share the cores, so that
there it shows no more than that it runs.

--choices measures what was chosen without a switch, of sizes of its own,
whatever the config: `choice/<name>/ratio`, see `choices.py`.
"""

import os
import time

from absl import flags
from ml_collections import config_flags

from seqdiff import cli
from seqdiff import run
from seqdiff.benchmark import choices
from seqdiff.benchmark import measure
from seqdiff.benchmark import sweeps
from seqdiff.core import errors
from seqdiff.core import memory
from seqdiff.core import storage
from seqdiff.evaluation import results

_OUT = flags.DEFINE_string('out', None, 'The result file to write (JSON).')
_ROUNDS = flags.DEFINE_integer('rounds', 7, 'Paired rounds of each job.')
_SECONDS = flags.DEFINE_float('seconds', 2.0, 'Aimed length of one turn.')
_JOBS = flags.DEFINE_list(
    'jobs', ['train_step', 'swap'], 'Of train_step, swap, loader, save, '
    'restore; may be empty.')
_VARIANTS = flags.DEFINE_list(
    'variants', None, 'Of the peer: eager, compile (torch.compile), or none. '
    'Default: eager, with --beside none.')
_BESIDE = config_flags.DEFINE_config_file(
    'beside', None, 'Config file of another model to take turns with; its '
    'values are --beside.<section>.<key>=<value>.', lock_config=True)
_SWEEP = flags.DEFINE_multi_string(
    'sweep', [], '<section>.<key>=<value>,<value>,...; may be repeated.')
_DEVICES = flags.DEFINE_list('devices', [], 'Numbers of devices, as 1,2,4.')
_CHOICES = flags.DEFINE_list(
    'choices', [], f'Of {", ".join(choices.CHOICES)}.')


def main() -> None:
  """Measures and writes one result file."""
  config = cli.require_config()
  if _OUT.value is None:
    raise ValueError(
        '--out is missing; expected the path of the result file, such as '
        f'--out=configs/results/{cli.config_name()}/benchmark.json.')
  variants = _variants()
  for job in _JOBS.value:
    if job not in measure.JOBS:
      raise errors.unknown_name('job', job, measure.JOBS)
  for choice in _CHOICES.value:
    if choice not in choices.CHOICES:
      raise errors.unknown_name('choice', choice, choices.CHOICES)
  if storage.local(_OUT.value, '--out').exists():
    results.read(_OUT.value)  # Only an older result is replaced.
  if not _DEVICES.value:  # Else their number is the user's.
    cli.use_all_cores(config)
  memory.keep_freed()
  # The other side shares the device.
  os.environ.setdefault('XLA_PYTHON_CLIENT_PREALLOCATE', 'false')
  settings = dict(rounds=_ROUNDS.value, seconds=_SECONDS.value)
  swept = {}
  for text in _SWEEP.value:
    swept |= sweeps.read_sweep(config, text)
  shares = sweeps.read_devices(config, _DEVICES.value)
  start = time.perf_counter()
  other = None
  if _BESIDE.value is not None:
    other = cli.config_name('beside'), _BESIDE.value
  metrics = {}
  if _JOBS.value:
    metrics |= measure.measure(config, jobs=_JOBS.value, variants=variants,
                       beside=other, **settings)
  metrics |= sweeps.sweep(swept, **settings)
  metrics |= sweeps.scale(shares, **settings)
  metrics |= choices.measure(_CHOICES.value, **settings)
  results.write_file(_OUT.value, results.Result(
      protocol='benchmark', version=1, config=run.to_plain(config),
      seed=config.seed, step=0, metrics=metrics,
      counts={'rounds': _ROUNDS.value, 'train_clips': config.data.batch_size,
              'swap_clips': config.data.eval_batch_size},
      wall_seconds=time.perf_counter() - start))
  for name, value in metrics.items():
    print(f'{name}: {value:.4g}')


def _variants() -> list[str]:
  """What is measured of the peer."""
  variants = _VARIANTS.value
  if variants is None:
    return [] if _BESIDE.value is not None else ['eager']
  if variants == ['none']:
    return []
  for variant in variants:
    if variant not in ('eager', 'compile'):
      raise ValueError(
          f'--variants={variant}, expected eager, compile or both, or none.')
  return variants


if __name__ == '__main__':
  cli.run(main)
