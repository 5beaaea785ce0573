r"""Exploration: which ways codes vary, moves along them, walks between clips.

Source: DiffSDA (arXiv:2510.05717), exploration of the static and the dynamic
code; there is no released code. Many codes s are drawn from the prior, with
mean mu and standard deviation sigma of each of their h dimensions. With v_i of
length 1, the i-th principal component of the standardised codes,

  s_bar = ((s - mu) / sigma + alpha v_i sqrt(h)) sigma + mu.

So alpha counts standard deviations of a dimension, on average over them. Along
v_i itself, which has a share p of the variance, alpha = 1 is 1 / sqrt(p)
standard deviations: 2 if p is a quarter, 3 if it is a ninth.
"""

from collections.abc import Sequence
import dataclasses

import numpy as np

from seqdiff.core import errors
from seqdiff.core import types
from seqdiff.methods import base
from seqdiff.methods import prior


@dataclasses.dataclass(frozen=True)
class Directions:
  """The principal components of codes of size h.

  Attributes:
    mean: (h,) of the codes.
    std: (h,) of the codes, 0 where they are constant.
    components: (h, h), v_i in row i - 1, orthonormal, by falling share.
    shares: (h,) of the variance of the standardised codes.
    num_codes: how many codes they were found from.
  """

  mean: np.ndarray
  std: np.ndarray
  components: np.ndarray
  shares: np.ndarray
  num_codes: int

  def project(self, codes: types.Array) -> np.ndarray:
    """The coordinates (..., h) of standardised codes (..., h)."""
    centred = np.asarray(codes, np.float64) - self.mean
    return _standardise(centred, self.std) @ self.components.T


def principal(codes: types.Array) -> Directions:
  """The principal components of standardised codes.

  The sign of a component is such that its largest entry is positive. Constant
  dimensions take no part: the components that they make have a share of 0, and
  no move changes them.

  Args:
    codes: (N, ..., h) codes, of which all axes but the last are examples.

  Raises:
    ValueError: for fewer than two codes, or codes that do not vary at all.
  """
  codes = np.asarray(codes, np.float64)
  codes = codes.reshape(-1, codes.shape[-1])
  if len(codes) < 2 or np.all(codes == codes[0]):
    raise ValueError(
        f'principal: {len(codes)} codes of size {codes.shape[1]}, all equal; '
        'expected codes that vary. Draw more, or train the model for longer.')
  mean, std = codes.mean(axis=0), codes.std(axis=0)
  # What is left of a constant after rounding to float32 is no variation.
  std = np.where(std > 1e-6 * np.abs(mean), std, 0.0)
  x = _standardise(codes - mean, std)
  _, variances, components = np.linalg.svd(x.T @ x / len(x), hermitian=True)
  largest = np.argmax(np.abs(components), axis=1)
  signs = np.sign(components[np.arange(len(components)), largest])
  return Directions(
      mean, std, components * signs[:, None], variances / variances.sum(),
      len(codes))


def traverse(
    code: types.Array,
    directions: Directions,
    component: int,
    alphas: Sequence[float],
) -> np.ndarray:
  """Codes moved along a component, s + alpha sigma v_i sqrt(h).

  Args:
    code: (..., h); all are moved alike, such as the codes of all frames.
    directions: those of codes of this kind.
    component: i, from 1 to h.
    alphas: A numbers; at 0 the code is as it was.

  Returns:
    (A, ..., h) float32.

  Raises:
    ValueError: for codes of another size, or a component that is not there.
  """
  code, size = np.asarray(code, np.float32), len(directions.std)
  if code.shape[-1] != size:
    raise ValueError(
        f'traverse: codes of size {code.shape[-1]} and directions of codes of '
        f'size {size}; expected one size. Give directions of the same kind of '
        'code and of the same model.')
  if not 1 <= component <= size:
    raise ValueError(
        f'traverse: component {component}; expected 1 to {size}, the size of '
        'the code. Components are counted from 1.')
  step = directions.std * directions.components[component - 1] * np.sqrt(size)
  alphas = np.reshape(alphas, (-1,) + (1,) * code.ndim)
  return code + (alphas * step).astype(np.float32)


def interpolate(
    a: base.Factors,
    b: base.Factors,
    shares: Sequence[float],
    *,
    kind: str | None = None,
) -> base.Factors:
  """Factors on the straight way from `a` to `b`.

  Args:
    a: factors of B clips.
    b: of as many clips of the same length.
    shares: S numbers; 0 is a and 1 is b.
    kind: 'static' or 'dynamic': only this code goes to that of b; None: both.

  Returns:
    Factors with one more axis in front, (S, B, ...).

  Raises:
    ValueError: for an unknown kind.
  """
  if kind is not None and kind not in prior.KINDS:
    raise errors.unknown_name('kind of code', kind, prior.KINDS)

  def between(name):
    first, last = np.asarray(getattr(a, name)), np.asarray(getattr(b, name))
    share = np.multiply(shares, kind in (None, name), dtype=np.float32)
    share = share.reshape((-1,) + (1,) * first.ndim)
    return (1 - share) * first + share * last

  return base.Factors(static=between('static'), dynamic=between('dynamic'))


def interpolate_noise(
    a: types.Array, b: types.Array, shares: Sequence[float]
) -> np.ndarray:
  """Noise on the way from `a` to `b`, along the arc between them.

  The straight way would leave too little noise in its middle (Shoemake 1985;
  as DiffAE, arXiv:2111.15640, walks between its stochastic codes).

  Args:
    a: (B, ...) unit noise.
    b: (B, ...).
    shares: S numbers; 0 is a and 1 is b.

  Returns:
    (S, B, ...) float32.
  """
  a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
  share = np.reshape(shares, (-1,) + (1,) * a.ndim)
  dot = lambda x, y: np.sum(x * y, axis=tuple(range(1, a.ndim)), keepdims=True)
  length = np.sqrt(dot(a, a) * dot(b, b))
  cosine = dot(a, b) / np.where(length > 0, length, 1.0)
  angle = np.arccos(np.clip(cosine, -1.0, 1.0))[None]
  weight = lambda share: np.where(  # Of a vector and itself: straight.
      np.sin(angle) > 1e-6,
      np.sin(share * angle) / np.maximum(np.sin(angle), 1e-6), share)
  return (weight(1 - share) * a + weight(share) * b).astype(np.float32)


def alphas(kappa: float, count: int) -> np.ndarray:
  """`count` moves from -kappa to kappa, evenly, with 0 in their middle.

  Raises:
    ValueError: for an even number or fewer than 3, or kappa not above 0.
  """
  if count < 3 or count % 2 == 0 or not kappa > 0:
    raise ValueError(
        f'config.explore: num_alphas={count} and kappa={kappa}; expected an '
        'odd number from 3 on, so that one of them is 0, and kappa above 0. '
        'Change them.')
  half = count // 2
  return kappa * np.arange(-half, half + 1) / half


def _standardise(centred, std):
  """Centred codes over std, 0 where it is 0."""
  return centred * (std > 0) / np.where(std > 0, std, 1.0)
