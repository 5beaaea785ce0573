"""Codes over time: a Gaussian process as prior, correlated posteriors.

Source: Fortuin et al. 2020 (GP-VAE, arXiv:1907.04155), and GLR (Tonekaboni et
al. 2022, arXiv:2202.02262) with its released code. The codes z_1..z_L of the
windows of a series have, in each dimension on its own, the prior N(0, K) with
K_ij = k(i - j), and the posterior N(m, (B B^T)^-1) with a bidiagonal B.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.core import errors
from seqdiff.core import types

_CAUCHY_SCALE = 0.5  # Its k(0), as released.
_CAUCHY_NUGGET = 1e-3
_JITTER = 1e-5


def rbf(num_windows: int, length_scale: float) -> np.ndarray:
  """exp(-(i - j)^2 / (2 l^2)): (L, L)."""
  return np.exp(-_squares(num_windows) / (2.0 * length_scale**2))


def cauchy(num_windows: int, length_scale: float) -> np.ndarray:
  """0.5 / (1 + (i - j)^2 / l^2), plus 0.001 where i = j: (L, L)."""
  matrix = _CAUCHY_SCALE / (1.0 + _squares(num_windows) / length_scale**2)
  return matrix + _CAUCHY_NUGGET * np.eye(num_windows)


KERNELS = {'cauchy': cauchy, 'rbf': rbf}


def prior(
    num_windows: int,
    dim: int,
    *,
    kernels: Sequence[str] = ('cauchy', 'rbf'),
    num_scales: int = 4,
    length_scale: float = 2.0,
) -> np.ndarray:
  """Covariances K of the dimensions of a code.

  The dimensions are divided among the kernels, and those of a kernel among its
  length scales l, l/2, l/4, ...; what remains is for the last one.

  Args:
    num_windows: L.
    dim: size D of a code.
    kernels: names of kernels.
    num_scales: length scales of each kernel.
    length_scale: the largest l, in windows.

  Returns:
    (D, L, L) float64.

  Raises:
    ValueError: for an unknown kernel, or fewer dimensions than are needed.
  """
  for name in kernels:
    if name not in KERNELS:
      raise errors.unknown_name('kernel', name, KERNELS)
  if dim < len(kernels) * num_scales or num_scales < 1:
    raise ValueError(
        f'method.dynamic_dim={dim} with {len(kernels)} kernels of method.num_'
        f'scales={num_scales}; expected a dimension or more for each of 1 or '
        'more scales of each kernel. Raise dynamic_dim, or choose fewer.')
  matrices = [
      KERNELS[name](num_windows, length_scale / 2.0**i)
      for name, size in zip(kernels, _parts(dim, len(kernels)))
      for i, count in enumerate(_parts(size, num_scales))
      for _ in range(count)]
  return np.stack(matrices) + _JITTER * np.eye(num_windows)


def bidiagonal_factor(
    diagonal: types.Array, above: types.Array
) -> jax.Array:
  """The lower-triangular S with S S^T = (B B^T)^-1: the inverse of B^T.

  A sample is m + S eps. The first rows and columns of S belong to the first
  windows alone, whatever follows.

  Args:
    diagonal: (..., L) of B, positive.
    above: (..., L): how each z depends on the next; the last is not used.

  Returns:
    (..., L, L)
  """
  def one(diagonal, above):
    transposed = jnp.diag(diagonal) + jnp.diag(above[:-1], -1)
    return jax.scipy.linalg.solve_triangular(
        transposed, jnp.eye(len(diagonal)), lower=True)

  return jnp.vectorize(one, signature='(n),(n)->(n,n)')(diagonal, above)


def kl_to_prior(
    mean: types.Array, factor: types.Array, covariance: np.ndarray
) -> jax.Array:
  """KL(N(mean, S S^T) | N(0, K)) in nats, window by window.

  Term i is that of z_i given those before it: the sum of the first n terms is
  the divergence of the first n windows.

  Args:
    mean: (B, L, D).
    factor: (B, D, L, L) lower-triangular S.
    covariance: (D, L, L) K.

  Returns:
    (B, L, D)
  """
  # K^-1 = W^T W. In float64, for K may be almost singular.
  whiten = np.linalg.inv(np.linalg.cholesky(covariance)).astype(np.float32)
  scale = lambda a: jnp.diagonal(a, axis1=-2, axis2=-1)
  spread = jnp.sum(jnp.square(whiten[None] @ factor), axis=-1)  # (B, D, L)
  centre = jnp.einsum('dij,bjd->bdi', whiten, mean)
  logs = jnp.log(scale(factor)) + jnp.log(scale(whiten))[None]
  terms = 0.5 * (spread + jnp.square(centre) - 1.0) - logs
  return terms.swapaxes(1, 2)


def _squares(num_windows):
  """(i - j)^2."""
  at = np.arange(num_windows, dtype=np.float64)
  return np.square(at[:, None] - at[None])


def _parts(total, count):
  """Sizes of equal parts; the last one has the remainder too."""
  return [total // count] * (count - 1) + [total - total // count * (count - 1)]
