"""A method with real nets, so small that it compiles in a moment."""

import jax
import numpy as np
import pytest

from seqdiff.methods import diffsda
from seqdiff.nets import convnet
from seqdiff.nets import decoders
from seqdiff.nets import encoders
from seqdiff.nets import unet


@pytest.fixture(scope='package')
def real():
  """A method with Gaussian codes, parameters that all matter, and a batch."""
  method = diffsda.DiffSDA(
      encoder=encoders.SequenceEncoder(
          convnet.FrameEncoder(features=6, channels=8),
          encoders.SequenceHead(8, 4, hidden=5, aggregator='pool')),
      denoiser=decoders.AdaGNDenoiser(unet.UNet(
          out_channels=3, channels=8, multipliers=(1,), num_blocks=0,
          attention_levels=(), groups=4, dropout=0.0)),
      static_kl=0.1, dynamic_kl=0.1)
  rng = np.random.default_rng(0)
  x = rng.uniform(-1, 1, size=(3, 4, 8, 8, 3)).astype(np.float32)
  batch = {'x': x, 'mask': np.arange(4)[None] < np.array([[2], [4], [1]]),
           'index': np.arange(3, dtype=np.int32)}
  abstract = jax.eval_shape(method.init, jax.random.key(0), batch)
  assert set(abstract) == {'encoder', 'denoiser'}
  draw = lambda a: (0.3 * rng.normal(size=a.shape)).astype(np.float32)
  return method, jax.tree.map(draw, abstract), batch
