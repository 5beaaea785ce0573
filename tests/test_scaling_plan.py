"""The numbers of launch/README.md, "What to expect of more chips"."""

import json
import pathlib
import re

import jax
import numpy as np
import pytest

from configs import autoencoder_voxceleb
from configs import diffsda_mug
from configs import diffsda_voxceleb
from seqdiff.benchmark import workload
from seqdiff.core import flops

README = pathlib.Path(__file__).resolve().parents[1] / 'launch' / 'README.md'
# Half of the interconnect each way, bytes per second; and chips.
SLICES = {'v5e-32': ('TPU v5 lite', 100e9, 32),
          'v5e-256': ('TPU v5 lite', 100e9, 256),
          'v5p-256': ('TPU v5p', 300e9, 128)}


def _table() -> list[list[str]]:
  lines = README.read_text().split('## What to expect of more chips')[1]
  return [[cell.strip() for cell in line.strip('|').split('|')]
          for line in lines.splitlines() if line.startswith('|')]


def _numbers(cell: str) -> list[float]:
  return [float(number) for number in re.findall(r'[\d.]+', cell)]


def _agrees(cell: str, *expected: float) -> bool:
  """Whether a cell has these numbers, up to what rounding twice may change."""
  shown = re.findall(r'[\d.]+', cell)
  return all(abs(value - float(text)) < 0.6 * 10.0**-len(text.partition('.')[2])
             for value, text in zip(expected, shown, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize('column, module', [
    (1, diffsda_voxceleb), (2, diffsda_mug)])
def test_parameters_and_operations_are_those_of_a_step(
    column, module, tmp_path):
  rows = {row[0]: row[column] for row in _table()}
  config = module.get_config()
  if 'first_stage' in config:
    config.first_stage.workdir = str(tmp_path)
    (tmp_path / 'config.json').write_text(
        json.dumps(autoencoder_voxceleb.get_config().to_dict()))
  work = workload.Workload(config)
  state = jax.eval_shape(work._create)
  size = sum(np.prod(a.shape) for a in jax.tree.leaves(state.params))
  assert _agrees(rows['parameters'], size / 1e6)
  per_clip = work._flops('train_step') / config.data.batch_size
  assert _agrees(rows['FLOPs per clip'], per_clip / 1e12)


@pytest.mark.parametrize('column', [1, 2])
def test_the_rest_follows_from_them(column):
  table = _table()
  rows = {row[0]: row[column] for row in table}
  (millions,), (tera,) = (
      _numbers(rows[name]) for name in ('parameters', 'FLOPs per clip'))
  gradients = 4e6 * millions
  assert _agrees(rows['gradients per step, V'], gradients / 1e6)
  copied, split = re.findall(
      r'([\d.]+) (\wB)', rows['state on a chip: copied, split over 32 chips'])
  unit = {'MB': 1e6, 'GB': 1e9}
  for (text, name), bytes_ in ((copied, 3 * gradients),
                               (split, 3 * gradients / 32)):
    assert _agrees(text, bytes_ / unit[name])
  places = [i for i, row in enumerate(table) if 'all-reduce' in row[0]]
  assert [table[i][0].split(' ')[0] for i in places] == list(SLICES)
  for place, (kind, bandwidth, chips) in zip(places, SLICES.values()):
    seconds = 2 * gradients * (chips - 1) / chips / bandwidth
    assert _agrees(table[place][column], 1e3 * seconds)
    compute = np.array([1, 4, 8]) * tera * 1e12 / (0.4 * flops.PEAK[kind])
    assert 'efficiency' in table[place + 1][0]
    assert _agrees(table[place + 1][column],
                   *100 * compute / (compute + seconds))
