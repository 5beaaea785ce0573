"""What judges say of clips, compared with the labels of two source clips."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from seqdiff.core import types
from seqdiff.data import batch as data_batch
from seqdiff.methods import judge as judge_lib

# (B, T) correctness of each factor by name, stacked over batches: (N, T).
Verdict = dict[str, np.ndarray]


class Jury:
  """Judges with their parameters; all share one architecture.

  `verdict` says frame by frame which factors of generated clips agree with
  given labels, once per judge.
  """

  def __init__(
      self, judge: judge_lib.Judge, params: Sequence[types.Params]
  ):
    self.judge, self.params = judge, tuple(params)
    self._predict = jax.jit(judge.predict)

  def verdicts(
      self, x: types.Array, mask: types.Array, labels: types.Batch
  ) -> list[Verdict]:
    """Agreement of clips (B, T, ...) with labels: one verdict per judge."""
    return [
        {f.name: np.asarray(judge_lib.correct(
            f, outputs[f.name], labels[f.key], mask.shape[1]))
         for f in self.judge.factors}
        for outputs in self.outputs(x, mask)]

  def outputs(
      self, x: types.Array, mask: types.Array
  ) -> list[Mapping[str, jax.Array]]:
    """What each judge says of clips, see `methods.judge.Judge.predict`."""
    return [self._predict(params, x, mask) for params in self.params]


def all_right(
    verdict: Verdict, factors: Sequence[data_batch.Factor]
) -> np.ndarray:
  """Frames on which every one of `factors` agrees: (N, T)."""
  return np.prod([verdict[f.name] for f in factors], axis=0)


def swap_metrics(
    factors: Sequence[data_batch.Factor],
    of_a: Verdict,
    of_b: Verdict,
    mask: np.ndarray,
) -> dict[str, float]:
  """The metrics of a swap: static factors of a, dynamic factors of b.

  Args:
    factors: the labelled factors.
    of_a: agreement with the labels of the static donor a, (N, T) per factor.
    of_b: agreement with the labels of the driving clip b.
    mask: (N, T) real frames.

  Returns:
    static_accuracy, dynamic_accuracy and joint_accuracy, each the share of
    frames on which all factors of the kind (or both kinds) agree; the same
    for each factor as static/<name> and dynamic/<name>; and the complement,
    what must not be: static factors of b and dynamic factors of a.
  """
  static = [f for f in factors if f.kind == 'static']
  dynamic = [f for f in factors if f.kind == 'dynamic']
  mean = lambda right: float(np.sum(right * mask) / np.sum(mask))
  metrics = {
      'static_accuracy': mean(all_right(of_a, static)),
      'dynamic_accuracy': mean(all_right(of_b, dynamic)),
      'joint_accuracy': mean(
          all_right(of_a, static) * all_right(of_b, dynamic)),
      'complement/static_accuracy': mean(all_right(of_b, static)),
      'complement/dynamic_accuracy': mean(all_right(of_a, dynamic)),
  }
  for kind, group, verdict in (
      ('static', static, of_a), ('dynamic', dynamic, of_b)):
    metrics.update(
        {f'{kind}/{f.name}_accuracy': mean(verdict[f.name]) for f in group})
  return metrics


def mean_and_spread(
    runs: Sequence[Mapping[str, float]]
) -> dict[str, float]:
  """Mean over judges or seeds, with `<metric>_std` if there are several."""
  metrics = {}
  for name in runs[0]:
    values = [run[name] for run in runs]
    metrics[name] = float(np.mean(values))
    if len(runs) > 1:
      metrics[f'{name}_std'] = float(np.std(values, ddof=1))
  return metrics


def join(batches: Sequence[Sequence[Verdict]]) -> list[Verdict]:
  """Verdicts per batch and judge -> one verdict over all clips per judge."""
  return [{name: np.concatenate([verdict[name] for verdict in judge])
           for name in judge[0]} for judge in zip(*batches)]
