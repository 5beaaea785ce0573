"""Published arrays become parameters, each once, and a run directory."""

import json
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from seqdiff import build
from seqdiff.training import checkpoint as checkpoints
from third_party.ldm_autoencoder import checkpoint
from third_party.ldm_autoencoder import convert
from third_party.ldm_autoencoder import nets

ROOT = pathlib.Path(__file__).resolve().parents[2]
NET = nets.Autoencoder(
    channels=4, multipliers=(1, 2), num_blocks=1, attention_levels=(1,),
    codebook_size=5, groups=2)

BLOCK = {'norm_1': 'norm1', 'conv_1': 'conv1', 'norm_2': 'norm2',
         'conv_2': 'conv2', 'shortcut': 'nin_shortcut'}
ATTENTION = {'norm': 'norm', 'q': 'q', 'k': 'k', 'v': 'v', 'out': 'proj_out'}


@pytest.fixture
def arrays():
  """Arrays as a published checkpoint of NET has them, and others."""
  rng = np.random.default_rng(0)
  found = {name: rng.normal(size=shape).astype(np.float32)
           for name, shape in convert.published_shapes(NET).items()}
  found['loss.perceptual_loss.lin0.model.1.weight'] = np.ones(3, np.float32)
  found['model_ema.encoderconv_inweight'] = np.ones(3, np.float32)
  return found


def _convert(torch_file, tmp_path, arrays):
  path = torch_file.write_arrays(tmp_path / 'model.ckpt', arrays)
  return convert.to_params(NET, checkpoint.load_state_dict(path))


def test_names_are_those_of_the_publication():
  names = set(convert.published_shapes(NET))
  for name in (
      'encoder.conv_in.weight', 'encoder.down.0.block.0.norm1.weight',
      'encoder.down.1.block.0.nin_shortcut.bias',
      'encoder.down.0.downsample.conv.weight', 'encoder.down.1.attn.0.q.bias',
      'encoder.mid.block_1.conv2.weight', 'encoder.mid.attn_1.proj_out.weight',
      'encoder.mid.block_2.norm2.bias', 'encoder.norm_out.weight',
      'encoder.conv_out.weight', 'quant_conv.weight',
      'quantize.embedding.weight', 'post_quant_conv.bias',
      'decoder.conv_in.weight', 'decoder.up.1.block.1.conv1.weight',
      'decoder.up.1.upsample.conv.bias', 'decoder.up.1.attn.1.norm.weight',
      'decoder.conv_out.bias'):
    assert name in names
    names.remove(name)
  assert not [name for name in names if '_' in name and not name.split(
      '.')[1].startswith(('conv_', 'norm_', 'mid')) and 'nin_' not in name
      and 'quant' not in name and 'proj_' not in name]


def test_each_array_is_used_once(torch_file, tmp_path, arrays):
  params = _convert(torch_file, tmp_path, arrays)['params']
  used = [a for name, a in arrays.items()
          if not name.startswith(('loss', 'model_ema'))]
  leaves = jax.tree.leaves(params)
  assert len(leaves) == len(used)
  abstract = jax.eval_shape(
      NET.init, jax.random.key(0), jnp.zeros((1, 2, 2, 3)))['params']
  jax.tree.map(lambda a, b: np.testing.assert_equal(a.shape, b.shape),
               params, abstract)
  np.testing.assert_array_equal(
      params['encoder']['head']['kernel'][2, 0, 1, 3],
      arrays['encoder.conv_in.weight'][3, 1, 2, 0])
  np.testing.assert_array_equal(
      params['codebook'], arrays['quantize.embedding.weight'])


# Our names, but for the codebook, and the published ones.
PLACES = {
    **{f'{a}.{ours}': f'{a}.{theirs}' for a in ('encoder', 'decoder')
       for ours, theirs in {
           'head': 'conv_in', 'tail_norm': 'norm_out', 'tail': 'conv_out',
           **{f'middle_block_{i}.{ours}': f'mid.block_{i + 1}.{theirs}'
              for i in (0, 1) for ours, theirs in BLOCK.items()},
           **{f'middle_attention.{ours}': f'mid.attn_1.{theirs}'
              for ours, theirs in ATTENTION.items()}}.items()},
    **{f'encoder.down_{i}_block_0.{ours}': f'encoder.down.{i}.block.0.{theirs}'
       for i in (0, 1) for ours, theirs in BLOCK.items()},
    **{f'decoder.up_{i}_block_{j}.{ours}':
       f'decoder.up.{i}.block.{j}.{theirs}' for i in (0, 1) for j in (0, 1)
       for ours, theirs in BLOCK.items()},
    **{f'encoder.down_1_attention_0.{ours}': f'encoder.down.1.attn.0.{theirs}'
       for ours, theirs in ATTENTION.items()},
    **{f'decoder.up_1_attention_{j}.{ours}': f'decoder.up.1.attn.{j}.{theirs}'
       for j in (0, 1) for ours, theirs in ATTENTION.items()},
    'encoder.down_0_stride': 'encoder.down.0.downsample.conv',
    'decoder.up_1_conv': 'decoder.up.1.upsample.conv',
    'quant_conv': 'quant_conv', 'post_quant_conv': 'post_quant_conv'}


def test_each_parameter_is_the_array_of_its_own_place(
    torch_file, tmp_path, arrays):
  params = _convert(torch_file, tmp_path, arrays)['params']
  params.pop('codebook')
  for path, found in jax.tree_util.tree_leaves_with_path(params):
    *place, kind = jax.tree_util.keystr(
        path, simple=True, separator='.').split('.')
    theirs = PLACES['.'.join(place)]
    expected = arrays[f'{theirs}.{"bias" if kind == "bias" else "weight"}']
    if expected.ndim == 4:
      expected = expected.transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(found, expected, err_msg=f'{place} {kind}')


def test_arrays_that_do_not_fit_are_named(torch_file, tmp_path, arrays):
  name = 'decoder.up.0.block.1.conv2.weight'
  cases = (
      ({name: None}, f'lacks {name} .1 arrays.'),
      ({'decoder.extra.weight': np.ones(2)},
       'also has decoder.extra.weight .1 arrays.'),
      ({name: arrays[name][..., :1]},
       rf'{name} .* has the shape \(4, 4, 3, 1\); expected \(4, 4, 3, 3\)'),
  )
  for change, message in cases:
    changed = {k: np.float32(v) for k, v in {**arrays, **change}.items()
               if v is not None}
    with pytest.raises(ValueError, match=message):
      _convert(torch_file, tmp_path, changed)


def test_run_directory_is_written_once(
    torch_file, tmp_path, arrays, monkeypatch):
  monkeypatch.setitem(nets.PRESETS, 'tiny', NET)
  path, out = torch_file.write_arrays(tmp_path / 'm', arrays), tmp_path / 'run'
  convert.write_run('tiny', path, out)
  # As a run that was trained here is restored.
  config = ml_collections.ConfigDict(
      json.loads((out / 'config.json').read_text()))
  method = build.method(config)
  assert method.net == NET
  batch = {'x': jnp.zeros((1, 1, 4, 4, 3))}
  params, meta = checkpoints.restore_params(
      out / 'checkpoints',
      jax.eval_shape(method.init, jax.random.key(0), batch))
  assert (meta['step'], meta['config']) == (0, config.to_dict())
  jax.tree.map(np.testing.assert_array_equal, params,
               _convert(torch_file, tmp_path, arrays))
  before = (out / 'config.json').stat().st_mtime_ns
  with pytest.raises(ValueError, match='run exists and is not empty'):
    convert.write_run('tiny', path, out)
  assert (out / 'config.json').stat().st_mtime_ns == before


def test_nothing_is_written_for_a_checkpoint_that_does_not_fit(
    torch_file, tmp_path, arrays):
  path, out = torch_file.write_arrays(tmp_path / 'm', arrays), tmp_path / 'run'
  with pytest.raises(ValueError, match='The checkpoint lacks .*vq-f8-n256'):
    convert.write_run('vq-f4', path, out)
  assert not out.exists()
  with pytest.raises(ValueError, match="preset 'vq-f5'.*Known: kl-f8, vq-f4"):
    convert.write_run('vq-f5', path, out)


def test_command_ends_with_one_paragraph():
  done = subprocess.run(
      [sys.executable, '-m', 'third_party.ldm_autoencoder.convert',
       '--preset=vq-f4', '--checkpoint=no/model.ckpt', '--out=no/run'],
      cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 2
  assert done.stderr.startswith('error:') and 'no/model.ckpt' in done.stderr
  assert 'Traceback' not in done.stderr
