"""Names for what is passed around.

Shape letters used in all docstrings: B examples, T frames, H W C an image,
D features. Video is (B, T, H, W, C); vectors per frame are (B, T, D).
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

Array = jax.Array | np.ndarray
Key = jax.Array  # A typed PRNG key (jax.random.key).
Params = Any  # A tree of arrays as made by Linen's `init`.
Batch = Mapping[str, Array]  # See `seqdiff.data.batch`.
Denoiser = Callable[[Array, Array], Array]  # D(x, sigma) -> estimate of x0.
