"""Components are those of the codes; moves and walks go where they should."""

import numpy as np
import pytest
from sklearn import decomposition
from sklearn import preprocessing

from seqdiff.methods import base
from seqdiff.sampling import explore


def _codes(*shape, seed=0):
  """Correlated codes with other means and scales in each dimension."""
  rng = np.random.default_rng(seed)
  size = shape[-1]
  mixed = rng.normal(size=shape) @ rng.normal(size=(size, size))
  return (mixed * 10.0 ** np.arange(-1, size - 1) + 3).astype(np.float32)


CODES = _codes(500, 5)
FOUND = explore.principal(CODES)


def _factors(seed):
  return base.Factors(
      static=_codes(2, 3, seed=seed), dynamic=_codes(2, 4, 2, seed=seed))


def test_components_are_those_of_the_standardised_codes():
  expected = decomposition.PCA().fit(
      preprocessing.StandardScaler().fit_transform(CODES.astype(np.float64)))
  cosines = FOUND.components @ expected.components_.T
  np.testing.assert_allclose(np.abs(cosines), np.eye(5), atol=1e-6)
  np.testing.assert_allclose(
      FOUND.shares, expected.explained_variance_ratio_, atol=1e-9)
  np.testing.assert_allclose(
      FOUND.components @ FOUND.components.T, np.eye(5), atol=1e-12)
  assert FOUND.num_codes == 500


def test_sign_of_a_component_does_not_hang_on_the_codes():
  turned = explore.principal(-CODES)
  np.testing.assert_allclose(turned.components, FOUND.components, atol=1e-9)
  assert all(row[np.argmax(np.abs(row))] > 0 for row in FOUND.components)


@pytest.mark.parametrize('component', [1, 2, 5])
def test_a_move_is_that_of_the_paper(component):
  alphas = (-1.5, 0.0, 0.7)
  moved = explore.traverse(CODES[:3], FOUND, component, alphas)
  np.testing.assert_array_equal(moved[1], CODES[:3])
  mu, sigma = CODES.astype(float).mean(0), CODES.astype(float).std(0)
  v = FOUND.components[component - 1]
  for alpha, found in zip(alphas, moved):
    np.testing.assert_allclose(
        found, ((CODES[:3] - mu) / sigma + alpha * v * np.sqrt(5)) * sigma + mu,
        rtol=1e-5, atol=1e-4)


def test_a_move_changes_one_coordinate_by_alpha_root_h():
  moved = explore.traverse(CODES[:4], FOUND, 2, (-1.0, 2.0))
  change = FOUND.project(moved) - FOUND.project(CODES[:4])
  expected = np.zeros((2, 4, 5))
  expected[..., 1] = np.sqrt(5) * np.array([[-1.0], [2.0]])
  np.testing.assert_allclose(change, expected, atol=1e-4)


def test_alpha_counts_standard_deviations_of_a_dimension():
  """On average: the mean square of a move by 1, in units of sigma, is 1."""
  steps = explore.traverse(np.zeros(5), FOUND, 1, (1.0,))[0] / FOUND.std
  assert np.mean(steps**2) == pytest.approx(1.0, rel=1e-5)
  along = np.sqrt(5) / FOUND.project(CODES).std(axis=0)
  np.testing.assert_allclose(along, FOUND.shares**-0.5, rtol=1e-9)


def test_frames_are_examples_and_move_alike():
  codes = _codes(50, 4, 3)
  found = explore.principal(codes)
  of_frames = explore.principal(codes.reshape(200, 3))
  np.testing.assert_array_equal(found.components, of_frames.components)
  assert found.num_codes == 200
  moved = explore.traverse(codes[:2], found, 1, (0.5, 1.0))
  assert moved.shape == (2, 2, 4, 3)
  change = moved[1] - codes[:2]
  np.testing.assert_allclose(
      change, np.broadcast_to(change[:1, :1], change.shape),
      rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('constant', [0.0, 0.1, -7e4])
def test_a_constant_dimension_takes_no_part(constant):
  codes = np.insert(CODES, 2, np.float32(constant), axis=1)
  found = explore.principal(codes)
  varying = np.delete(np.arange(6), 2)
  np.testing.assert_allclose(
      found.components[:5, varying], FOUND.components, atol=1e-9)
  np.testing.assert_allclose(found.shares, [*FOUND.shares, 0.0], atol=1e-12)
  moved = explore.traverse(codes[:1], found, 6, (1.0,))[0]
  np.testing.assert_allclose(moved, codes[:1], rtol=1e-6)
  assert np.isfinite(found.project(codes)).all()


@pytest.mark.parametrize('kind', [None, 'static', 'dynamic'])
def test_a_walk_goes_straight_from_one_to_the_other(kind):
  a, b = _factors(0), _factors(1)
  found = explore.interpolate(a, b, (0.0, 0.25, 1.0), kind=kind)
  for name in 'static', 'dynamic':
    walk, first, last = (getattr(f, name) for f in (found, a, b))
    np.testing.assert_array_equal(walk[0], first)
    if kind in (None, name):
      np.testing.assert_allclose(
          walk[1], 0.75 * first + 0.25 * last, rtol=1e-5, atol=1e-4)
      np.testing.assert_array_equal(walk[2], last)
    else:
      np.testing.assert_array_equal(walk[2], first)


def test_noise_on_a_walk_is_as_strong_as_at_its_ends():
  a, b = np.random.default_rng(0).normal(size=(2, 3, 4, 8, 8)).astype('f4')
  walk = explore.interpolate_noise(a, b, (0.0, 0.5, 1.0))
  np.testing.assert_allclose(walk[0], a, rtol=1e-6)
  np.testing.assert_allclose(walk[2], b, rtol=1e-6)
  norms = np.sqrt(np.sum(walk**2, axis=(2, 3, 4)))
  # On the straight way it would be 0.7 of it in the middle.
  np.testing.assert_allclose(norms[1] / norms[[0, 2]].mean(0), 1.0, atol=1e-2)
  zeros = np.zeros_like(a)
  np.testing.assert_allclose(
      explore.interpolate_noise(a, a, (0.3,))[0], a, rtol=1e-6)
  np.testing.assert_array_equal(
      explore.interpolate_noise(zeros, zeros, (0.3,))[0], zeros)


@pytest.mark.parametrize('count', [3, 7])
def test_alphas_have_an_exact_zero_in_their_middle(count):
  found = explore.alphas(1.3, count)
  assert found[count // 2] == 0.0
  np.testing.assert_allclose(found, np.linspace(-1.3, 1.3, count), atol=1e-12)


@pytest.mark.parametrize('kappa, count', [(1.0, 4), (1.0, 1), (0.0, 3)])
def test_alphas_without_a_zero_or_a_move_are_refused(kappa, count):
  with pytest.raises(ValueError, match=f'num_alphas={count} and kappa={kappa}'):
    explore.alphas(kappa, count)


@pytest.mark.parametrize('component', [0, 6])
def test_a_component_that_is_not_there_is_refused(component):
  with pytest.raises(ValueError, match=f'{component}; expected 1 to 5, the si'):
    explore.traverse(CODES, FOUND, component, (1.0,))


def test_codes_of_another_size_are_refused():
  with pytest.raises(ValueError, match='codes of size 4 and directions of cod'):
    explore.traverse(CODES[:, :4], FOUND, 1, (1.0,))


@pytest.mark.parametrize('codes', [CODES[:1], np.ones((9, 3))])
def test_codes_that_do_not_vary_are_refused(codes):
  with pytest.raises(ValueError, match='all equal; expected codes that vary'):
    explore.principal(codes)


def test_unknown_kind_is_refused():
  with pytest.raises(ValueError, match="kind of code 'both'"):
    explore.interpolate(_factors(0), _factors(1), (0.5,), kind='both')
