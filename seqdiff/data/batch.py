"""What a data set is and what a batch holds.

A *source* is any object with `__len__` and `__getitem__(i)`; an item is a dict

  x                (T, H, W, C) uint8 for video, (T, D) float32 for series
  labels/<factor>  () int32 for a class of the clip, (T, K) float32 for
                   per-frame continuous values, NaN where not measured; never
                   seen by a method's loss
  mask             (T,) bool, optional: True = real frame
  observed         (T, D) bool, optional, for series: True = measured; x is 0
                   where it was not, and padding is not observed
  frames           (T, H, W, C) uint8, optional: the clip, if x is its latents

A *batch* stacks items along axis 0 and adds

  index            (B,) int32 position of the example in its source
  mask             (B, T) bool: True = real frame
  example_mask     (B,) bool: False = padding of the last evaluation batch

Labels are used by judges, probes and protocols only.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np

from seqdiff.core import shapes
from seqdiff.core import types

ARRAYS = ('x', 'mask', 'observed', 'frames')  # What is no label in an item.


class Source(Protocol):
  """Random access to the clips of one split."""

  def __len__(self) -> int: ...

  def __getitem__(self, index: int) -> dict[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class Factor:
  """One labelled factor of variation.

  Attributes:
    name: the factor; its labels are `labels/<name>` in a batch.
    kind: 'static' (constant within a clip) or 'dynamic'.
    num_classes: number of classes, or None for continuous values per frame.
    values: names of the classes, or of the continuous components.
    tolerance: continuous only: two values agree if every component differs
      by less than this (in the unit of the values).
  """

  name: str
  kind: str
  num_classes: int | None
  values: tuple[str, ...] = ()
  tolerance: float | None = None

  @property
  def key(self) -> str:
    """Name of the labels in a batch."""
    return f'labels/{self.name}'

  @property
  def size(self) -> int:
    """Number of outputs that a judge needs for this factor."""
    return len(self.values) if self.num_classes is None else self.num_classes


@dataclasses.dataclass(frozen=True)
class Variable:
  """One of the variables of a series: value = x * std + mean, in its unit.

  Attributes:
    name: the variable.
    unit: its unit; empty if it has none that is known.
    mean: of what was measured in the training split.
    std: standard deviation of the same.
  """

  name: str
  unit: str
  mean: float
  std: float


@dataclasses.dataclass(frozen=True)
class Dataset:
  """A data set: its splits and what is known of them.

  Attributes:
    name: registered name.
    splits: source of each split, by name ('train', 'test').
    factors: the labelled factors; empty for a data set without labels.
    reading: how a film is read like these clips, see `data.films.clips`.
    variables: what x (T, D) of a series holds, D of them; empty for video.
    names: names of the clips of each split, in order; empty if they have none.
    lengths: frames of the clips of each split, in order, where they are known
      without reading them.
    options: what it was prepared with, see `seqdiff.data.prepare`; empty if
      it was not, or if that was not noted.
  """

  name: str
  splits: Mapping[str, Source]
  factors: Sequence[Factor] = ()
  reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)
  variables: Sequence[Variable] = ()
  names: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
  lengths: Mapping[str, Sequence[int]] = dataclasses.field(
      default_factory=dict)
  options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

  def factors_of(self, kind: str) -> tuple[Factor, ...]:
    """The factors of one kind, 'static' or 'dynamic'."""
    return tuple(f for f in self.factors if f.kind == kind)


def mapped(
    dataset: Dataset, function: Callable[[dict[str, Any]], dict[str, Any]]
) -> Dataset:
  """The data set with function(item) in place of each item."""
  return dataclasses.replace(dataset, splits={
      split: _Mapped(source, function)
      for split, source in dataset.splits.items()})


@dataclasses.dataclass(frozen=True)
class _Mapped:
  """A source whose items are made of those of another one."""

  source: Source
  function: Callable[[dict[str, Any]], dict[str, Any]]

  def __len__(self) -> int:
    return len(self.source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self.function(self.source[index])


def identity(dataset: Dataset) -> dict[str, Any]:
  """By what it is told from other data, as JSON has it; reads no clip."""
  found = {'clips': {
      split: len(source) for split, source in dataset.splits.items()}}
  if dataset.options:
    found['options'] = dict(dataset.options)
  for name, splits in ('names', dataset.names), ('lengths', dataset.lengths):
    if splits:
      found[f'hashes of {name}'] = {
          split: hashlib.sha256('\n'.join(
              map(str, values)).encode()).hexdigest()[:12]
          for split, values in splits.items()}
  return found


def is_padded(dataset: Dataset) -> bool:
  """Whether its samples are filled up to one length, and say so in a mask."""
  return any(len(source) and 'mask' in source[0]
             for source in dataset.splits.values())


def rolled(dataset: Dataset, steps: int) -> Dataset:
  """The data set with series that are shifted cyclically, and only they.

  They begin with what was step `steps` (released code of DiffSDA). Labels and
  `observed` stay where they were, and so are those of other steps; what is then
  not observed is 0 in a batch, as ever.

  Raises:
    ValueError: for clips with a mask, whose padding would move into them.
  """
  def roll(item):
    return {**item, 'x': np.roll(item['x'], -steps, axis=0)}

  if is_padded(dataset):
    raise ValueError(
        f'config.data.roll={steps} with {dataset.name}, whose samples are '
        'filled up to one length; expected 0. Set it back.')
  return mapped(dataset, roll)


def observed(batch: types.Batch) -> types.Array:
  """Which values of series were measured: (B, T, D) bool.

  In a batch that does not say, it is all values of real frames.
  """
  if 'observed' in batch:
    return batch['observed']
  return jnp.broadcast_to(batch['mask'][..., None], batch['x'].shape)


def measured(batch: types.Batch) -> types.Array:
  """x (B, T, ...) as float, and 0 where a series was not measured.

  A loader gives 0 there; so does this for batches that were made otherwise.
  """
  x = to_float(batch['x'])
  return jnp.where(batch['observed'], x, 0.0) if 'observed' in batch else x


def observed_share(batch: types.Batch) -> types.Array:
  """How much of the real frames of each series was measured: (B,), over 0.

  The mean error of what was measured is that of all values, with 0 for what was
  not, divided by this; of random frames too, on average.
  """
  if 'observed' not in batch:
    return jnp.ones(len(batch['mask']))
  measured = jnp.mean(batch['observed'], axis=2)
  return jnp.maximum(shapes.masked_mean(measured, batch['mask']), 1e-6)


def to_float(x: types.Array) -> types.Array:
  """uint8 images to float32 in [-1, 1]; anything else is returned as it is."""
  if x.dtype == jnp.uint8:
    return x.astype(jnp.float32) / 127.5 - 1.0
  return x


def in_range(x: types.Array) -> types.Array:
  """Clips of video (B, T, H, W, C) in [-1, 1]; series are returned as they are.
  """
  return jnp.clip(x, -1.0, 1.0) if x.ndim == 5 else x


def to_uint8(x: types.Array) -> types.Array:
  """float images in [-1, 1] (clipped) to uint8."""
  return jnp.clip(jnp.round((x + 1.0) * 127.5), 0, 255).astype(jnp.uint8)
