"""Tests of `seqdiff.benchmark.timing`."""

import numpy as np

from seqdiff.benchmark import timing


def test_sides_take_turns_of_equal_work():
  order, cost = [], {'here': 0.5, 'there': 2.0}

  def side(name):
    def work(repeats):
      order.append((name, repeats))
      return repeats * cost[name]
    return work

  here, there = timing.take_turns(
      side('here'), side('there'), rounds=3, seconds=10.0)
  # Once to compile, once to see how long it takes, then the rounds.
  assert order == [('here', 1), ('there', 1)] * 2 + [
      ('here', 5), ('there', 5)] * 3
  np.testing.assert_allclose(here.seconds, [0.5] * 3)
  np.testing.assert_allclose(there.seconds, [2.0] * 3)
  assert (here.first, there.first) == (0.5, 2.0)


def test_job_that_takes_twice_as_long_has_half_the_speed(monkeypatch):
  clock = [0.0]
  monkeypatch.setattr(timing.time, 'perf_counter', lambda: clock[0])

  def job(seconds):
    clock[0] += seconds

  turns = timing.take_turns(
      timing.timed(lambda: job(0.125)), timing.timed(lambda: job(0.25)),
      rounds=3, seconds=1.0)
  assert [timing.speed(turn, 'a/{}') for turn in turns] == [
      {'a/per_second': 8.0, 'a/per_second_std': 0.0, 'a/first_seconds': 0.125},
      {'a/per_second': 4.0, 'a/per_second_std': 0.0, 'a/first_seconds': 0.25}]


def test_one_slow_round_moves_the_spread_only():
  values = np.array([1.0, 1.0, 1.0, 1.0, 6.0])
  assert timing.metric('x', values) == {'x': 1.0, 'x_std': 2.0}
