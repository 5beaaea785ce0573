"""Clips whose pixels are their labels, methods that copy, and an oracle.

A clip has 2x2 pixels: [0, 0] tells who (4 classes, static), [0, 1] which act
(3 classes, dynamic), [1, 0] the pose of the frame (continuous, dynamic); [1, 1]
is noise.
"""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import context
from seqdiff.evaluation import judging
from seqdiff.methods import base

WHO = data_batch.Factor('who', 'static', 4)
ACT = data_batch.Factor('act', 'dynamic', 3)
POSE = data_batch.Factor('pose', 'dynamic', None, ('height',), 0.25)
STEP = 60  # Of uint8, from one class to the next.


def make_dataset(
    num_clips=24, num_frames=4, *, seed=0, factors=(WHO, ACT, POSE)):
  """A data set of such clips with one split, 'test'."""
  rng = np.random.default_rng(seed)
  shape = (num_clips, num_frames)
  who, act = rng.integers(4, size=num_clips), rng.integers(3, size=num_clips)
  x = rng.integers(256, size=shape + (2, 2, 3)).astype(np.uint8)
  x[:, :, 0, 0] = STEP * who[:, None, None]
  x[:, :, 0, 1] = STEP * act[:, None, None]
  x[:, :, 1, 0] = x[:, :, 1, 0, :1]
  labels = {'labels/who': who.astype(np.int32),
            'labels/act': act.astype(np.int32),
            'labels/pose': data_batch.to_float(x[:, :, 1, 0, :1])}
  arrays = {'x': x, **{f.key: labels[f.key] for f in factors}}
  return data_batch.Dataset(
      'coded', {'test': loader.ArraySource(arrays)}, factors)


@dataclasses.dataclass(frozen=True)
class Codes:
  """A method whose codes are pixels.

  Attributes:
    kind: 'right': the static code is who, the dynamic one act and pose;
      'copy_a' ('copy_b'): the static (dynamic) code is the whole clip.
    noise: how much x_T changes the pose.
  """

  kind: str = 'right'
  noise: float = 0.0

  def encode(self, params, x, mask):
    del params, mask
    if self.kind == 'copy_a':
      return base.Factors(static=x.reshape(len(x), -1), dynamic=x[..., 0, 0, :])
    if self.kind == 'copy_b':
      return base.Factors(
          static=x[:, 0, 0, 0], dynamic=x.reshape(x.shape[:2] + (-1,)))
    return base.Factors(
        static=x[:, 0, 0, 0, :1],
        dynamic=jnp.stack([x[..., 0, 1, 0], x[..., 1, 0, 0]], axis=-1))

  def decode(self, params, factors, x_init):
    del params
    if self.kind != 'right':
      code = factors.static if self.kind == 'copy_a' else factors.dynamic
      return code.reshape(x_init.shape)
    who = jnp.broadcast_to(factors.static, x_init.shape[:2])
    act, pose = factors.dynamic[..., 0], factors.dynamic[..., 1]
    pose = pose + self.noise * x_init[..., 1, 0, 0]
    pixels = jnp.stack([who, act, pose, x_init[..., 1, 1, 0]], axis=-1)
    pixels = pixels.reshape(x_init.shape[:-1] + (1,))
    return jnp.broadcast_to(pixels, x_init.shape)

  def invert(self, params, factors, x):
    del params, factors
    return x


@dataclasses.dataclass(frozen=True)
class Oracle:
  """A judge that reads the labels off the pixels, its params beside them."""

  factors: tuple = (WHO, ACT, POSE)

  def predict(self, params, x, mask):
    del mask
    number = lambda v: jnp.round((v + 1.0) * 127.5 / STEP) + params
    classes = lambda v, count: jax.nn.one_hot(
        (number(v) % count).astype(int), count)
    outputs = {'who': classes(x[..., 0, 0, 0].mean(axis=1), 4),
               'act': classes(x[..., 0, 1, 0].mean(axis=1), 3),
               'pose': x[..., 1, 0, :1] + params}
    return {f.name: outputs[f.name] for f in self.factors}


def make_context(workdir, dataset=None, *, method=Codes(), judges=(0.0,), **kw):
  """A context with oracles; each judge is right if it is 0."""
  dataset = make_dataset() if dataset is None else dataset
  return context.Context(**{
      'method': method, 'params': None, 'dataset': dataset,
      'workdir': workdir, 'num_frames': 4, 'batch_size': 8, 'num_pairs': 12,
      'jury': judging.Jury(Oracle(tuple(dataset.factors)), judges), **kw})


@pytest.fixture
def toy():
  """The names above, for the tests of this directory."""
  return types.SimpleNamespace(
      WHO=WHO, ACT=ACT, POSE=POSE, Codes=Codes, Oracle=Oracle,
      make_dataset=make_dataset, make_context=make_context)
