"""The notebook runs from top to bottom and shows a swap."""

import base64
import io
import pathlib
import shlex

import nbclient
import nbformat
import numpy as np
from PIL import Image
import pytest

import seqdiff

PATH = pathlib.Path(__file__).parents[2] / 'launch/colab/quickstart.ipynb'


@pytest.fixture
def notebook(tmp_path, monkeypatch):
  """The notebook, and surroundings in which it runs."""
  root = PATH.parents[2]
  for name, value in {
      'WORKDIR': tmp_path / 'run', 'PYTHONPATH': root, 'JAX_PLATFORMS': 'cpu',
      'JAX_DISABLE_MOST_OPTIMIZATIONS': '1',
      'JAX_COMPILATION_CACHE_DIR': root / '.jax_cache',
      'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
      'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1'}.items():
    monkeypatch.setenv(name, str(value))
  return nbformat.read(PATH, as_version=4)


def _execute(notebook):
  nbclient.NotebookClient(
      notebook, timeout=300, kernel_name='python3',
      resources={'metadata': {'path': str(PATH.parent)}}).execute()


def _pictures(notebook, kind):
  return [np.asarray(Image.open(io.BytesIO(base64.b64decode(
              output['data'][kind]))).convert('RGB'), float)
          for cell in notebook.cells if cell.cell_type == 'code'
          for output in cell.outputs if kind in output.get('data', {})]


def test_outputs_are_stripped(notebook):
  for cell in notebook.cells:
    if cell.cell_type == 'code':
      assert cell.outputs == [] and cell.execution_count is None


def test_first_cell_pins_this_version(notebook):
  first = next(c for c in notebook.cells if c.cell_type == 'code')
  assert f"VERSION = '{seqdiff.__version__}'" in first.source
  assert '--branch=v{VERSION}' in first.source and 'pip install' in first.source


@pytest.mark.slow
def test_it_trains_swaps_and_shows(notebook, small, tmp_path, monkeypatch):
  shrink = [flag for flag in small[1:] if 'num_steps' not in flag]
  monkeypatch.setenv('STEPS', '2')
  monkeypatch.setenv('FLAGS', shlex.join(
      [*shrink, '--config.sampler.num_steps=2']))
  _execute(notebook)
  grid, = _pictures(notebook, 'image/png')
  assert grid.std() > 10.0 and len(np.unique(grid)) > 30
  animation, = _pictures(notebook, 'image/gif')
  assert animation.std() > 10.0
  last = notebook.cells[-1].outputs[0]['data']['text/plain']
  assert last == '((1, 4), (1, 4, 2))'
  assert (tmp_path / 'run' / 'checkpoints' / '2').is_dir()


@pytest.mark.slow
def test_failure_of_the_training_stops_it(notebook, monkeypatch):
  monkeypatch.setenv('FLAGS', '--config.optim.lerning_rate=1')
  with pytest.raises(nbclient.exceptions.CellExecutionError,
                     match='Training failed'):
    _execute(notebook)
