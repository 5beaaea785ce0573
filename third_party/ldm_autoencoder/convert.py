r"""Published autoencoders of latent diffusion -> a run directory of seqdiff.

  python -m third_party.ldm_autoencoder.convert --preset=vq-f4 \
      --checkpoint=model.ckpt --out=runs/vq-f4

The directory is like one that `seqdiff.main` trained, at step 0: a config.json,
whose data set is not named, and a checkpoint.
"""

from collections.abc import Mapping
import pathlib
import re

from absl import flags
import jax
import jax.numpy as jnp
import numpy as np

from configs.common import autoencoder as common
from seqdiff import build
from seqdiff import cli
from seqdiff import run
from seqdiff.core import errors
from seqdiff.core import types
from seqdiff.training import checkpoint as checkpoints
from seqdiff.training import state as train_state
from seqdiff.training import writer
from third_party.ldm_autoencoder import checkpoint as torch_checkpoint
from third_party.ldm_autoencoder import nets

# Of training: the discriminator and its perceptual network; averages.
IGNORED = ('loss.', 'model_ema.')

# Our names -> theirs, applied one after the other.
_NAMES = (
    (r'^codebook$', 'quantize.embedding.weight'),
    (r'\.(kernel|scale)$', '.weight'),
    (r'(up|down)_(\d)_block_(\d)', r'\1.\2.block.\3'),
    (r'(up|down)_(\d)_attention_(\d)', r'\1.\2.attn.\3'),
    (r'down_(\d)_stride', r'down.\1.downsample.conv'),
    (r'up_(\d)_conv', r'up.\1.upsample.conv'),
    (r'middle_block_0', 'mid.block_1'),
    (r'middle_block_1', 'mid.block_2'),
    (r'middle_attention', 'mid.attn_1'),
    (r'\.head\.', '.conv_in.'),
    (r'\.tail_norm\.', '.norm_out.'),
    (r'\.tail\.', '.conv_out.'),
    (r'(norm|conv)_([12])\.', r'\1\2.'),
    (r'\.shortcut\.', '.nin_shortcut.'),
    (r'\.out\.', '.proj_out.'),
)


def to_params(
    net: nets.Autoencoder, state: Mapping[str, torch_checkpoint.Tensor]
) -> types.Params:
  """The parameters of `net` from a published state dict.

  Every parameter takes one array, and every array is taken but those whose
  names begin as one of `IGNORED`.

  Raises:
    ValueError: missing arrays, arrays that are left over, or other shapes.
  """
  abstract = _abstract(net)
  expected = published_shapes(net)
  given = {name for name in state if not name.startswith(IGNORED)}
  for what, found in (('lacks', expected.keys() - given),
                      ('also has', given - expected.keys())):
    if found:
      shown = sorted(found)[:5] + ['...'] * (len(found) > 5)
      raise ValueError(
          f'The checkpoint {what} {", ".join(shown)} ({len(found)} arrays); '
          'expected the arrays of this network and no others. Choose the right '
          f'one of {", ".join(nets.PRESETS)}.')
  for name, shape in expected.items():
    if state[name].shape != shape:
      raise ValueError(
          f'{name} in the checkpoint has the shape {state[name].shape}; '
          f'expected {shape}. Choose the right one of '
          f'{", ".join(nets.PRESETS)}.')

  def convert(path, leaf):
    array = state[_published_name(path)].array()
    return np.ascontiguousarray(
        array.transpose(_axes(leaf.ndim)), np.float32)

  return jax.tree_util.tree_map_with_path(convert, abstract)


def published_shapes(net: nets.Autoencoder) -> dict[str, tuple[int, ...]]:
  """Names and shapes of the arrays of a published checkpoint."""
  shapes = {}
  for path, leaf in jax.tree_util.tree_leaves_with_path(_abstract(net)):
    back = np.argsort(_axes(leaf.ndim))
    shapes[_published_name(path)] = tuple(leaf.shape[i] for i in back)
  return shapes


def write_run(
    preset: str, checkpoint: str | pathlib.Path, out: str | pathlib.Path
) -> None:
  """Converts a checkpoint into a new run directory.

  Args:
    preset: which of `nets.PRESETS` the checkpoint holds.
    checkpoint: path of model.ckpt.
    out: the directory to make.

  Raises:
    ValueError: an unknown preset, a directory that holds something, or what
      reading and `to_params` raise.
  """
  if preset not in nets.PRESETS:
    raise errors.unknown_name('preset', preset, nets.PRESETS)
  out = pathlib.Path(out)
  if out.exists() and (not out.is_dir() or any(out.iterdir())):
    raise ValueError(
        f'--out={out} exists and is not empty; expected a directory to make. '
        'Name another, or remove it.')
  config = common.get_config()
  for name in config.method.net:
    config.method.net[name] = getattr(nets.PRESETS[preset], name)
  net = build.method(config).net
  params = to_params(net, torch_checkpoint.load_state_dict(checkpoint))
  plain = run.to_plain(config)
  writer.claim_workdir(out, plain)
  checkpointer = checkpoints.Checkpointer(out / 'checkpoints')
  try:
    checkpointer.save(
        train_state.TrainState(
            step=jnp.int32(0), seed=jnp.uint32(config.seed), params=params,
            ema_params=None, opt_state=run.optimizer(config).init(params)),
        config=plain, data={})
  finally:
    checkpointer.close()


def main() -> None:
  """Converts what the flags name."""
  missing = [f'--{flag.name}' for flag in (_CHECKPOINT, _OUT)
             if flag.value is None]
  if missing:
    raise ValueError(
        f'{" and ".join(missing)} not given; expected the path of model.ckpt '
        'and the directory to make. Add --checkpoint=... and --out=....')
  write_run(_PRESET.value, _CHECKPOINT.value, _OUT.value)
  print(f'{_PRESET.value}: {_OUT.value}')


def _abstract(net):
  """The parameters of `net` as shapes."""
  return jax.eval_shape(net.init, jax.random.key(0), jnp.zeros(
      (1, net.factor, net.factor, net.image_channels)))


def _axes(ndim):
  """Where the axes of ours are in theirs: convolutions are (out, in, h, w)."""
  return (2, 3, 1, 0) if ndim == 4 else tuple(range(ndim))


def _published_name(path):
  """The published name of one of our parameters."""
  name = jax.tree_util.keystr(path[1:], simple=True, separator='.')
  for ours, theirs in _NAMES:
    name = re.sub(ours, theirs, name)
  return name


if __name__ == '__main__':
  _PRESET = flags.DEFINE_string(
      'preset', 'vq-f4', f'One of {", ".join(nets.PRESETS)}.')
  _CHECKPOINT = flags.DEFINE_string(
      'checkpoint', None, 'Path of the published model.ckpt.')
  _OUT = flags.DEFINE_string('out', None, 'Run directory to make.')
  cli.run(main)
