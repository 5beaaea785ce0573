"""Protocols give the numbers that follow from what a method does."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from seqdiff.data import batch as data_batch
from seqdiff.data import loader
from seqdiff.evaluation import pairs as pair_lib
from seqdiff.evaluation.protocols import judge
from seqdiff.evaluation.protocols import reconstruction
from seqdiff.evaluation.protocols import swap
from seqdiff.methods import base

HEADLINE = ('static_accuracy', 'dynamic_accuracy', 'joint_accuracy')


def _headline(metrics, row=''):
  return [metrics[f'{row}{name}'] for name in HEADLINE]


def _agreement(ctx, first, second):
  """Per pair and frame: who, and act and pose, of two lists of clips agree."""
  labels = ctx.dataset.splits['test'].arrays
  same = lambda name: labels[name][first] == labels[name][second]
  near = np.abs(labels['labels/pose'][first]
                - labels['labels/pose'][second])[..., 0] < 0.25
  return same('labels/who')[:, None] & (near | True), (
      same('labels/act')[:, None] & near)


class TestSwap:

  def test_right_method_is_right(self, toy, tmp_path):
    metrics, counts = swap.run(toy.make_context(tmp_path))
    assert _headline(metrics) == [1.0, 1.0, 1.0]
    for name in 'static/who', 'dynamic/act', 'dynamic/pose':
      assert metrics[f'{name}_accuracy'] == 1.0
    assert metrics['complement/static_accuracy'] == 0.0
    assert metrics['complement/dynamic_accuracy'] == 0.0
    assert counts == {'pairs': 12, 'frames': 48, 'judges': 1}

  def test_method_that_copies_a_is_exposed(self, toy, tmp_path):
    dataset = toy.make_dataset(factors=(toy.WHO, toy.POSE))
    ctx = toy.make_context(tmp_path, dataset, method=toy.Codes('copy_a'))
    metrics, _ = swap.run(ctx)
    pairs = pair_lib.draw(dataset, 'test', num_pairs=12, seed=0)
    pose = dataset.splits['test'].arrays['labels/pose']
    near = np.abs(pose[pairs.a] - pose[pairs.b]) < 0.25
    chance = near.mean()
    assert 0.05 < chance < 0.5
    assert _headline(metrics) == pytest.approx([1.0, chance, chance])
    assert metrics['complement/dynamic_accuracy'] == 1.0
    assert _headline(metrics, 'reference/copy_a/') == _headline(metrics)

  @pytest.mark.parametrize('kind, expected, complement', [
      ('copy_a', [1.0, 0.0, 0.0], [0.0, 1.0]),
      ('copy_b', [0.0, 1.0, 0.0], [1.0, 0.0])])
  def test_method_that_copies_has_no_joint_accuracy(
      self, toy, tmp_path, kind, expected, complement):
    metrics, _ = swap.run(toy.make_context(tmp_path, method=toy.Codes(kind)))
    assert _headline(metrics) == expected
    assert [metrics['complement/static_accuracy'],
            metrics['complement/dynamic_accuracy']] == complement
    assert _headline(metrics, f'reference/{kind}/') == expected

  def test_reference_rows(self, toy, tmp_path):
    ctx = toy.make_context(tmp_path, method=toy.Codes(noise=0.3))
    metrics, _ = swap.run(ctx)
    assert _headline(metrics, 'reference/real/') == [1.0, 1.0, 1.0]
    assert metrics['reference/copy_a/joint_accuracy'] == 0.0
    assert metrics['reference/copy_b/joint_accuracy'] == 0.0
    # The pose is lost in a reconstruction, who it is is not.
    own = _headline(metrics, 'reference/self_reconstruction/')
    assert own[0] == 1.0 and 0.2 < own[1] < 0.9 and own[2] == own[1]
    pairs = pair_lib.draw(ctx.dataset, 'test', num_pairs=12, seed=0)
    third = np.roll(pairs.a, 6)
    static, dynamic = (
        _agreement(ctx, third, pairs.a)[0], _agreement(ctx, third, pairs.b)[1])
    assert _headline(metrics, 'reference/random_pair/') == pytest.approx(
        [static.mean(), dynamic.mean(), (static & dynamic).mean()])
    # The mean of who is a class like any other.
    x = ctx.dataset.splits['test'].arrays['x']
    who = np.round(x[..., 0, 0, 0].mean() / 60)
    labels = ctx.dataset.splits['test'].arrays['labels/who'][pairs.a]
    assert metrics['reference/constant/static_accuracy'] == pytest.approx(
        np.mean(labels == who))
    assert metrics['reference/chance/static_accuracy'] == 0.25
    assert 'reference/chance/dynamic_accuracy' not in metrics

  def test_first_stage_bounds_what_a_method_of_latents_can_show(
      self, toy, tmp_path):
    traced = []

    class Stage(toy.Codes):
      """Decodes what is to be; its first stage loses who it is."""

      def through_first_stage(self, params, x):
        del params
        traced.append(x.shape)
        return jnp.asarray(x).at[..., 0, 0, :].set(-1.0)

    ctx = toy.make_context(tmp_path, method=Stage())
    metrics, _ = swap.run(ctx)
    assert _headline(metrics) == [1.0, 1.0, 1.0]
    pairs = pair_lib.draw(ctx.dataset, 'test', num_pairs=12, seed=0)
    who = ctx.dataset.splits['test'].arrays['labels/who'][pairs.a]
    share = np.mean(who == 0)  # All are of the first class now.
    assert 0 < share < 1
    assert _headline(metrics, 'reference/first_stage/') == pytest.approx(
        [share, 1.0, share])
    assert len(traced) == 1  # It is compiled once for both batches.

  def test_what_x_T_tells_alone_is_a_row(self, toy, tmp_path):

    class Carried(toy.Codes):
      """Decodes the motion of its x_T, whatever its dynamic codes are."""

      def decode(self, params, factors, x_init):
        x = super().decode(params, factors, x_init)
        return x_init.at[..., 0, 0, :].set(x[..., 0, 0, :])

    run = lambda method, x_T: swap.run(toy.make_context(
        tmp_path, method=method, x_T=x_T))[0]
    row = 'reference/x_T_only/'
    metrics = run(Carried(), 'dynamics_clip')
    assert _headline(metrics) == _headline(metrics, row) == [1.0, 1.0, 1.0]
    # That of a tells of a, and codes of c in place of b's tell nothing of b.
    metrics = run(Carried(), 'static_clip')
    assert _headline(metrics, row) == [1.0, 0.0, 0.0]
    metrics = run(toy.Codes(), 'dynamics_clip')
    assert _headline(metrics, row) == [1.0] + 2 * [
        metrics['reference/random_pair/dynamic_accuracy']]
    assert not [name for name in run(Carried(), 'fresh') if 'x_T_only' in name]

  @pytest.mark.parametrize('num_pairs', [1, 3, 4])
  def test_clips_of_the_pair_itself_are_no_random_pair(
      self, toy, tmp_path, num_pairs):
    metrics, _ = swap.run(toy.make_context(
        tmp_path, num_pairs=num_pairs, both_orders=True))
    assert ('reference/random_pair/joint_accuracy' in metrics) == (
        num_pairs == 4)

  def test_chance_of_dynamic_classes(self, toy, tmp_path):
    dataset = toy.make_dataset(factors=(toy.WHO, toy.ACT))
    metrics, _ = swap.run(toy.make_context(tmp_path, dataset))
    assert metrics['reference/chance/dynamic_accuracy'] == pytest.approx(1 / 3)

  @pytest.mark.parametrize('batch_size', [1, 5, 12])
  def test_batch_size_and_padding_change_nothing(
      self, toy, tmp_path, batch_size):
    method = toy.Codes(noise=0.3)
    run = lambda size: swap.run(toy.make_context(
        tmp_path / str(size), method=method, x_T='fresh', batch_size=size))[0]
    metrics = run(batch_size)
    assert 0.2 < metrics['dynamic_accuracy'] < 0.9  # Noise and frames matter.
    assert metrics == pytest.approx(run(4))

  def test_seed_of_the_noise_counts(self, toy, tmp_path):
    run = lambda seed: swap.run(toy.make_context(
        tmp_path, method=toy.Codes(noise=0.3), x_T='fresh', seed=seed))[0]
    assert run(0) == run(0)
    assert run(0) != run(1)

  def test_judges_that_disagree_show_as_spread(self, toy, tmp_path):
    metrics, counts = swap.run(toy.make_context(tmp_path, judges=(0.0, 1.0)))
    assert counts['judges'] == 2
    assert metrics['static_accuracy'] == pytest.approx(0.5)
    assert metrics['static_accuracy_std'] == pytest.approx(0.5**0.5)

  def test_pairs_lie_in_the_results(self, toy, tmp_path):
    swap.run(toy.make_context(tmp_path))
    assert (tmp_path / 'pairs.json').is_file()
    with pytest.raises(ValueError, match='pairs.json holds pairs for'):
      swap.run(toy.make_context(tmp_path, pair_seed=1))

  def test_published_pairs_take_the_place_of_drawn_ones(self, toy, tmp_path):
    dataset = toy.make_dataset()
    dataset = dataclasses.replace(dataset, names={
        'test': [f'v{k}#0' for k in range(24)]})
    who = dataset.splits['test'].arrays['labels/who']
    others = [k for k in range(24) if who[k] != who[3]]
    path = tmp_path / 'pairs.csv'
    path.write_text('path_A,path_B\n' + ''.join(
        f'v3,v{k}.mp4\n' for k in [3, 3, *others[:3]]))
    metrics, counts = swap.run(toy.make_context(
        tmp_path, dataset, pairs_file=str(path)))
    assert counts['pairs'] == 5 and not (tmp_path / 'pairs.json').exists()
    # The real clip b shows who a is in the two pairs of equal clips only.
    assert metrics['reference/copy_b/static_accuracy'] == pytest.approx(0.4)
    _, counts = swap.run(toy.make_context(
        tmp_path, dataset, pairs_file=str(path), both_orders=True))
    assert counts['pairs'] == 10


@dataclasses.dataclass(frozen=True)
class Constant:
  """Decodes 0.2 from fresh noise, and the clip itself from its own x_T."""

  def encode(self, params, x, mask):
    del params, mask
    return base.Factors(static=x[:, 0, 0, 0], dynamic=x[:, :, 0, 0])

  def decode(self, params, factors, x_init):
    del params, factors
    return jnp.where(x_init > 50.0, x_init - 100.0, 0.2)

  def invert(self, params, factors, x):
    del params, factors
    return x + 100.0


class Drifting(Constant):
  """Decodes the clip, .1 brighter from frame to frame."""

  def decode(self, params, factors, x_init):
    clip = factors.dynamic[:, :, None, None]
    drift = 0.1 * jnp.arange(clip.shape[1])
    return clip + drift[None, :, None, None, None]


def _plain_dataset(values, mask):
  """Clips of one white, grey or black pixel per frame."""
  x = np.asarray(values, np.uint8)[..., None, None, None]
  arrays = {'x': x, 'mask': np.asarray(mask, bool)}
  return data_batch.Dataset('plain', {'test': loader.ArraySource(arrays)})


class TestReconstruction:

  def _run(self, toy, tmp_path, **kw):
    # In [-1, 1]: (-1, 1), (1, 1), (1, masked).
    dataset = _plain_dataset(
        [[0, 255], [255, 255], [255, 0]], [[1, 1], [1, 1], [1, 0]])
    return reconstruction.run(toy.make_context(
        tmp_path, dataset, method=Constant(), num_frames=2, **kw))

  def test_by_hand(self, toy, tmp_path):
    metrics, counts = self._run(toy, tmp_path)
    # ((0.2 - 1) / 2)^2 = 0.16 four times, ((0.2 + 1) / 2)^2 = 0.36 once.
    assert metrics['mse'] == pytest.approx(0.2)
    assert metrics['psnr'] == pytest.approx(6.9897, abs=1e-4)  # 10 log10 5.
    assert metrics['flicker'] == pytest.approx(1.0)  # It stands still.
    assert metrics['encoded_x_T/flicker'] < 1e-5
    assert metrics['encoded_x_T/mse'] < 1e-10
    assert metrics['encoded_x_T/psnr'] > 100.0
    # Clips 3, 1, 2 instead of 1, 2, 3: errors (1, 1), (1, 0), (0, masked).
    assert metrics['reference/random_pair/mse'] == pytest.approx(0.6)
    # Mean of -1, 1, 1, 1, 1 is 0.6, variance 0.64; a quarter in [0, 1] units.
    assert metrics['reference/constant/mse'] == pytest.approx(0.16)
    assert counts == {'clips': 3, 'frames': 5}

  def test_flicker_is_the_error_of_the_change(self, toy, tmp_path):
    # Changes of .8, 0, .4, .4, each with an error of .1; then masked ones.
    dataset = _plain_dataset(
        [[51, 153, 153, 0], [102, 51, 102, 0]], [[1, 1, 1, 0]] * 2)
    ctx = toy.make_context(tmp_path, dataset, method=Drifting(), num_frames=4)
    assert reconstruction.run(ctx)[0]['flicker'] == pytest.approx(0.4 / 1.6)

  @pytest.mark.parametrize('batch_size', [1, 2, 3])
  def test_batch_size_and_padding_change_nothing(
      self, toy, tmp_path, batch_size):
    expected = self._run(toy, tmp_path)[0]
    found = self._run(toy, tmp_path, batch_size=batch_size)[0]
    assert found == pytest.approx(expected)

  def test_the_other_clip_is_a_random_one_and_never_the_clip_itself(
      self, toy, tmp_path):
    row = 'reference/random_pair/mse'
    run = lambda clips, seed: reconstruction.run(toy.make_context(
        tmp_path, _plain_dataset(clips, np.ones(np.shape(clips))),
        method=Constant(), num_frames=2, seed=seed))[0]
    for seed in range(4):
      assert run([[0, 0], [255, 255]], seed)[row] == pytest.approx(1.0)
    # Of one scene are 15 clips on end: the one before is nearly always alike.
    scenes = [[0, 0]] * 15 + [[255, 255]] * 15
    assert 0.3 < run(scenes, 0)[row] < 0.7
    assert run(scenes, 0)[row] != run(scenes, 2)[row]

  def test_number_of_clips_is_limited(self, toy, tmp_path):
    metrics, counts = self._run(toy, tmp_path, num_clips=1)
    assert counts == {'clips': 1, 'frames': 2}
    assert metrics['mse'] == pytest.approx((0.16 + 0.36) / 2)
    assert 'reference/random_pair/mse' not in metrics  # There is no other.


@pytest.mark.filterwarnings('error')
class TestJudge:

  def test_accuracy_on_real_clips(self, toy, tmp_path):
    dataset = toy.make_dataset(11)
    labels = dataset.splits['test'].arrays['labels/who']
    labels[:3] = (labels[:3] + 1) % 4  # Three wrong labels.
    metrics, counts = judge.run(toy.make_context(tmp_path, dataset))
    assert metrics['who_accuracy'] == pytest.approx(8 / 11)
    assert metrics['act_accuracy'] == metrics['pose_accuracy'] == 1.0
    assert metrics['reference/chance/who_accuracy'] == pytest.approx(
        np.bincount(labels).max() / 11)
    assert 'reference/chance/pose_accuracy' not in metrics
    assert counts == {'clips': 11, 'frames': 44, 'judges': 1}

  def test_several_judges_have_a_spread(self, toy, tmp_path):
    metrics, _ = judge.run(toy.make_context(tmp_path, judges=(0.0, 1.0)))
    assert metrics['act_accuracy'] == pytest.approx(0.5)
    assert metrics['act_accuracy_std'] == pytest.approx(0.5**0.5)
