"""Judges: frozen classifiers that say which factors a clip shows.

A judge is trained on real labelled clips like any method and then frozen. It
has one head per labelled factor: classes of the whole clip by cross-entropy,
continuous values per frame by squared error in units of the tolerance.
Training clips are shifted and brightened at random, so that a judge does not
know characters by single pixels.
"""

from collections.abc import Mapping, Sequence
import dataclasses

import jax
import jax.numpy as jnp
import optax

from seqdiff.core import keys
from seqdiff.core import shapes
from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.nets import classifiers


@dataclasses.dataclass(frozen=True)
class Judge:
  """A classifier of clips; see `methods.base.Trainable`.

  Attributes:
    factors: the labelled factors of the data set.
    network, channels, hidden: of the network, see `nets.classifiers`.
    max_shift: training clips are moved by up to this many pixels.
    max_brightness: training clips are scaled by 1 +- up to this.
  """

  factors: Sequence[data_batch.Factor]
  network: str = 'lstm'
  channels: int = 64
  hidden: int = 256
  max_shift: int = 2
  max_brightness: float = 0.1

  @property
  def net(self) -> classifiers.ClipClassifier:
    """The network, with one head per factor."""
    sizes = lambda clips: {f.name: f.size for f in self.factors
                           if (f.num_classes is not None) == clips}
    return classifiers.ClipClassifier(
        sizes(True), sizes(False), self.network, self.channels,
        hidden=self.hidden)

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`."""
    return self.net.init(key, batch['x'], batch['mask'])

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """Sum over the factors, (B,); parts are the accuracies."""
    del step
    x = batch['x']
    if train:
      x = self._augment(x, keys.per_example(key, batch['index']))
    outputs = self.net.apply(params, x, batch['mask'])
    total, parts = 0.0, {}
    for factor in self.factors:
      output, label = outputs[factor.name], batch[factor.key]
      if factor.num_classes is None:
        error = jnp.square((output - label) / factor.tolerance)
        total += shapes.masked_mean(jnp.mean(error, axis=-1), batch['mask'])
      else:
        total += optax.softmax_cross_entropy_with_integer_labels(output, label)
      parts[f'accuracy/{factor.name}'] = shapes.masked_mean(
          correct(factor, output, label, x.shape[1]), batch['mask'])
    return total, parts

  def predict(
      self, params: types.Params, x: types.Array, mask: types.Array
  ) -> Mapping[str, jax.Array]:
    """Logits (B, K), or values per frame (B, T, K), of each factor."""
    return self.net.apply(params, x, mask)

  def _augment(self, x, example_keys):
    """Shifts with edge padding, and scales brightness; one draw per clip."""

    def one(clip, key):
      shift_key, light_key = jax.random.split(key)
      m = self.max_shift
      start = jax.random.randint(shift_key, (2,), 0, 2 * m + 1)
      wide = jnp.pad(clip, ((0, 0), (m, m), (m, m), (0, 0)), mode='edge')
      clip = jax.lax.dynamic_slice(wide, (0, start[0], start[1], 0), clip.shape)
      light = 1.0 + self.max_brightness * jax.random.uniform(
          light_key, minval=-1.0)
      return jnp.clip((clip + 1.0) * light - 1.0, -1.0, 1.0)

    return jax.vmap(one)(x, example_keys)


def correct(
    factor: data_batch.Factor,
    output: types.Array,
    label: types.Array,
    num_frames: int,
) -> jax.Array:
  """Whether a judge's output agrees with the label: (B, T) float32.

  A class holds for all frames of a clip; continuous values agree if each
  component differs by less than the tolerance.
  """
  if factor.num_classes is None:
    right = jnp.all(jnp.abs(output - label) < factor.tolerance, axis=-1)
  else:
    right = jnp.argmax(output, axis=-1) == label
    right = jnp.broadcast_to(right[:, None], (right.shape[0], num_frames))
  return right.astype(jnp.float32)
