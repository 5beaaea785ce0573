"""Tests of `jury`: the accuracy of the judges that were asked for."""

import dataclasses
import types

from etils import epath
import jax.numpy as jnp
import pytest

from configs import quickstart
from seqdiff import build
from seqdiff import jury
from seqdiff import run
from seqdiff.data import batch
from seqdiff.evaluation import results


@dataclasses.dataclass(frozen=True)
class First:
  """A judge that always sees the first class, and zeros."""

  factors: tuple[batch.Factor, ...]

  def predict(self, params, x, mask):
    del params, mask
    return {f.name: jnp.zeros((len(x), f.num_classes) if f.num_classes else (
        *x.shape[:2], len(f.values))) for f in self.factors}


@pytest.fixture
def accuracy(tmp_path, monkeypatch):
  """Accuracy and counts that are left by settings of the judges."""
  config = quickstart.get_config()
  config.data.update(size=8, num_frames=3, num_train=4, num_test=8)
  dataset = build.dataset(config)

  result = types.SimpleNamespace(
      interrupted=False, step=1, state=types.SimpleNamespace(eval_params={}))
  monkeypatch.setattr(build, 'judge', lambda *args: First(dataset.factors))
  monkeypatch.setattr(run, 'train', lambda *args: result)

  def judge(num_judges, split):
    config.eval.judge.num_judges, config.eval.split = num_judges, split
    jury.jury(config, dataset, epath.Path(tmp_path))
    return results.read(results.path_of(tmp_path / 'judges', 'judge'))

  return judge


def test_accuracy_is_of_the_judges_and_the_split_that_were_asked_for(accuracy):
  first = accuracy(1, 'test')
  assert (first.counts['judges'], first.counts['clips']) == (1, 8)
  assert accuracy(1, 'test') == first  # With its time: it was not made again.
  assert accuracy(2, 'test').counts['judges'] == 2
  assert accuracy(2, 'train').counts['clips'] == 4
