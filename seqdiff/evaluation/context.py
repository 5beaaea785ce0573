"""What every protocol is given."""

from collections.abc import Callable
import dataclasses
from typing import Any

from etils import epath

from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.evaluation import judging
from seqdiff.methods import base


@dataclasses.dataclass(frozen=True)
class Context:
  """A trained model, the data to judge it on, and the settings.

  Attributes:
    method: the method.
    params: its parameters to evaluate.
    dataset: the data set.
    workdir: the run directory; for `pairs.json` and `results/`.
    jury: judges, or None where no protocol needs them.
    split: the split to evaluate.
    num_frames: frames per clip.
    stride: distance between two frames.
    take: which frames of a clip are taken, see `data.loader`.
    first: where a stratified clip begins, see `data.loader`.
    batch_size: clips at once; results do not depend on it.
    num_pairs: pairs of the swap protocol.
    pair_seed: seed of the pairs.
    both_orders: whether each pair is followed by its reverse.
    pairs_file: published pairs instead, see `evaluation.pairs`.
    num_clips: clips of the other protocols, at most.
    x_T: start of the swap sampler, see `sampling.swap`.
    seed: seed of the sampling noise.
    generate: of a latent prior: (batch, keep) -> one new clip in [-1, 1], or
      normalised series, for each of the batch; of clips one kind of code,
      'static' or 'dynamic', is kept if `keep` is not None.
    known: codes of whole splits, which several protocols read (`codes`).
  """

  method: base.Method
  params: types.Params
  dataset: data_batch.Dataset
  workdir: epath.Path
  jury: judging.Jury | None = None
  split: str = 'test'
  num_frames: int = 8
  stride: int = 1
  take: str = 'window'
  first: str = 'sampled'
  batch_size: int = 64
  num_pairs: int = 256
  pair_seed: int = 0
  both_orders: bool = False
  pairs_file: str | None = None
  num_clips: int = 512
  x_T: str = 'dynamics_clip'
  seed: int = 0
  generate: Callable[[types.Batch, str | None], types.Array] | None = None
  known: dict[Any, Any] = dataclasses.field(
      default_factory=dict, init=False, compare=False, repr=False)

  @property
  def cut(self) -> dict[str, Any]:
    """How clips are cut, for `data.loader`."""
    return {'num_frames': self.num_frames, 'stride': self.stride,
            'take': self.take, 'first': self.first}
