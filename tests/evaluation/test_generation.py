"""The generation protocol, with clips whose pixels are their labels."""

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.evaluation import runner
from seqdiff.evaluation.protocols import generation


def _context(toy, tmp_path, generate, **kw):
  return toy.make_context(
      tmp_path, toy.make_dataset(24, 4), generate=generate, num_clips=22, **kw)


def _perfect(batch, keep):
  """New clips are those of the batch; kept is what is asked for."""
  x = np.array(data_batch.to_float(batch['x']))
  if keep == 'static':
    x[:, :, 0, 1:] = np.roll(x[:, :, 0, 1:], 1, axis=0)  # Another act,
    x[:, :, 1, 0] = 1.0 - x[:, :, 1, 0]  # and pose.
  if keep == 'dynamic':
    x[:, :, 0, 0] = np.roll(x[:, :, 0, 0], 1, axis=0)
  return x


def test_entropies_by_hand():
  found = generation.entropies(np.array([[1.0, 0.0], [0.5, 0.5]]))
  ln = np.log
  assert found['conditional_entropy'] == pytest.approx(ln(2) / 2)
  marginal = -0.75 * ln(0.75) - 0.25 * ln(0.25)
  assert found['marginal_entropy'] == pytest.approx(marginal)
  assert found['inception_score'] == pytest.approx(
      np.exp(marginal - ln(2) / 2))


def test_inception_score_is_the_mean_divergence_from_the_mean():
  p = np.random.default_rng(0).dirichlet(np.ones(5), size=40)
  mean = p.mean(axis=0)
  divergence = np.mean(np.sum(p * (np.log(p) - np.log(mean)), axis=1))
  assert generation.entropies(p)['inception_score'] == pytest.approx(
      np.exp(divergence))


def test_consistency_by_hand():
  classes = np.array([[1, 1, 1, 1], [0, 2, 0, 1]])
  assert generation.consistency(classes) == pytest.approx((1.0 + 0.5) / 2)


def test_samples_like_the_data_score_like_the_data(toy, tmp_path):
  metrics, counts = generation.run(_context(toy, tmp_path, _perfect))
  for name in ('who/marginal_entropy', 'act/conditional_entropy',
               'act/inception_score', 'static_consistency',
               'temporal_difference'):
    assert metrics[name] == pytest.approx(
        metrics[f'reference/real/{name}'], abs=1e-6), name
  assert metrics['static_consistency'] == 1.0
  assert metrics['reference/shuffled/static_consistency'] < 0.9
  assert metrics['reference/uniform/who/marginal_entropy'] == (
      pytest.approx(np.log(4)))
  assert metrics['static_kept/static_accuracy'] == 1.0
  assert metrics['static_kept/dynamic_accuracy'] < 0.4
  assert metrics['dynamic_kept/dynamic_accuracy'] == 1.0
  assert metrics['dynamic_kept/static_accuracy'] < 0.6
  assert counts == {'clips': 22, 'judges': 1}


def test_frames_of_a_shuffled_clip_are_of_as_many_clips_in_their_order(
    toy, tmp_path):
  ctx = _context(toy, tmp_path, None)
  x = ctx.dataset.splits['test'].arrays['x'][:22]
  clips = np.concatenate([b['x'] for b in generation._shuffled(ctx, 22)])[:22]
  # A frame is known by the noise of its last pixel.
  sources = np.stack([
      [np.flatnonzero((x[:, t, 1, 1] == frame).all(axis=1))[0]
       for frame in clips[:, t, 1, 1]] for t in range(4)], axis=1)
  assert all(len(set(row)) == 4 for row in sources)
  assert (np.sort(sources, axis=0) == np.arange(22)[:, None]).all()


def test_collapsed_and_flickering_samples_are_exposed(toy, tmp_path):
  black = lambda batch, keep: np.full(batch['x'].shape, -1.0, np.float32)
  found = generation.run(_context(toy, tmp_path, black))[0]
  assert found['who/inception_score'] == pytest.approx(1.0, abs=1e-5)
  assert found['temporal_difference'] == 0.0

  def flicker(batch, keep):
    x = np.array(data_batch.to_float(batch['x']))
    x[:, ::2] = -1.0
    return x

  found = generation.run(_context(toy, tmp_path, flicker))[0]
  assert found['static_consistency'] < 0.9
  assert found['temporal_difference'] > (
      1.2 * found['reference/real/temporal_difference'])


def test_batch_size_changes_nothing(toy, tmp_path):
  first, second = (
      generation.run(_context(toy, tmp_path, lambda batch, keep: jnp.asarray(
          data_batch.to_float(batch['x'])), batch_size=size))[0]
      for size in (5, 24))
  assert first == pytest.approx(second, abs=1e-5)


@pytest.mark.parametrize('names, of_prior, message', [
    (['generation'], False, 'run of a model; expected one of a prior'),
    (['swap'], True, 'run of a prior; expected one of a model')])
def test_protocols_of_priors_are_not_of_models(toy, names, of_prior, message):
  with pytest.raises(ValueError, match=message):
    runner.check(names, toy.make_dataset(), of_prior=of_prior)
