r"""The latent prior: a diffusion over the codes of whole clips.

Source: DiffSDA (arXiv:2510.05717, Sec. 4.1 and App. B) and its released code.
After a model is trained, its frozen encoder reads all training clips, and DDPM
learns z = [s, d^1, ..., d^T] as one vector, so that the codes may depend on
each other. Codes that are sampled from it are decoded by the model. With
`independent` (App. G.1) static and dynamic codes have networks of their own.

Samples are drawn by the ancestral sampler of the released code's default
(eta 1) or, here by default, by DDIM without noise (eta 0). Departure: textbook
DDIM, where the released code has its noise levels one step off and adds a
little noise (eta 0.01).
"""

import dataclasses

import jax
import jax.numpy as jnp

from seqdiff.core import errors
from seqdiff.core import keys
from seqdiff.core import types
from seqdiff.diffusion import ddpm
from seqdiff.methods import base
from seqdiff.nets import skip_mlp

KINDS = ('static', 'dynamic')


@dataclasses.dataclass(frozen=True)
class Prior:
  """The prior as an object without weights; see `methods.base.Trainable`.

  Its clips are codes: x (B, 1, D) is one vector z.

  Attributes:
    static_dim: size Ds of the static code; D = Ds + T Dd.
    dynamic_dim: size Dd of a dynamic code.
    num_frames: T.
    layers, expand, dropout: of the network, see `skip_mlp.CodeDenoiser`.
    independent: whether static and dynamic codes are sampled independently.
    diffusion: schedule and loss.
    num_steps: steps of the sampler.
    eta: share of the ancestral sampler's noise that its steps add, 0 to 1.
  """

  static_dim: int
  dynamic_dim: int
  num_frames: int
  layers: int = 10
  expand: int = 4
  dropout: float = 0.1
  independent: bool = False
  diffusion: ddpm.DDPM = ddpm.DDPM('half_line', norm='l2')
  num_steps: int = 1000
  eta: float = 0.0

  def __post_init__(self):
    self.diffusion.levels(self.num_steps)  # Fails now, not after training.
    if not 0.0 <= self.eta <= 1.0:
      raise ValueError(
          f'config.sampler.eta={self.eta}; expected 0 (DDIM) to 1 (ancestral). '
          'Change it.')

  @property
  def size(self) -> int:
    """D, the size of z."""
    return self.static_dim + self.num_frames * self.dynamic_dim

  @property
  def net(self) -> skip_mlp.CodeDenoiser:
    """The network."""
    parts = (self.static_dim, self.size - self.static_dim)
    return skip_mlp.CodeDenoiser(
        self.layers, self.expand, self.dropout,
        parts if self.independent else (self.size,))

  def init(self, key: types.Key, batch: types.Batch) -> types.Params:
    """Fresh parameters, see `methods.base.Trainable`."""
    z = batch['x'][:, 0]
    return self.net.init(key, z, jnp.zeros(len(z), jnp.int32))

  def loss(
      self,
      params: types.Params,
      batch: types.Batch,
      key: types.Key,
      *,
      step: types.Array,
      train: bool,
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The squared error of the noise in each code (B,)."""
    del step
    z, index = batch['x'], batch['index']
    t = self.diffusion.sample_t(keys.named(key, 't'), index, 1)
    eps = keys.normal(keys.named(key, 'eps'), index, z.shape[1:])
    net = self._net(params, key=keys.of_batch(
        key, 'dropout', index) if train else None)
    return self.diffusion.loss(net, z, eps, t)[:, 0], {}

  def sample(
      self,
      params: types.Params,
      key: types.Key,
      index: types.Array,
      *,
      known: base.Factors | None = None,
      keep: str | None = None,
  ) -> base.Factors:
    """Codes of new clips.

    Args:
      params: the parameters.
      key: of the noise.
      index: (B,) number of each clip, which with the key decides its noise.
      known: codes of clips, of which one kind is kept.
      keep: 'static' or 'dynamic': that kind of `known` is kept and the other
        is sampled to go with it, by replacement: at each step the part that is
        known is noised anew (Song et al. 2021, arXiv:2011.13456, App. I.2;
        steps are ancestral then). That is an approximation, which leans to
        what goes with any clip: on Gaussian codes the mean of the sampled part
        moves by six tenths of what it should. With `independent` it does not
        move at all.

    Returns:
      Factors of B clips.

    Raises:
      ValueError: for an unknown kind, or only one of `known` and `keep`.
    """
    if (known is None) != (keep is None):
      raise ValueError(
          f'Prior.sample: keep={keep} with{"out" if known is None else ""} '
          'known codes; expected both or neither. Give the other one.')
    if keep is not None and keep not in KINDS:
      raise errors.unknown_name('kind of code', keep, KINDS)
    noise = lambda number: keys.normal(
        jax.random.fold_in(key, number), index, (1, self.size))
    estimate, eta = self._estimate(self._net(params)), self.eta
    if keep is not None:
      is_static = jnp.arange(self.size)[None, None] < self.static_dim
      fixed = is_static if keep == 'static' else ~is_static
      again = lambda t: noise(self.diffusion.num_levels + 1 + t)
      estimate = self._replaced(estimate, fixed, self.join(known), again)
      eta = 1.0
    z = ddpm.ddim(estimate, noise(self.num_steps), self.diffusion,
                  self.num_steps, eta=eta, noise=noise)
    return self.split(z)

  def join(self, factors: base.Factors) -> jax.Array:
    """Factors -> z (B, 1, D)."""
    dynamic = factors.dynamic.reshape(len(factors.dynamic), -1)
    return jnp.concatenate([factors.static, dynamic], axis=-1)[:, None]

  def split(self, z: types.Array) -> base.Factors:
    """z (B, 1, D) -> factors."""
    static, dynamic = jnp.split(z[:, 0], [self.static_dim], axis=-1)
    return base.Factors(static=static, dynamic=dynamic.reshape(
        len(z), self.num_frames, self.dynamic_dim))

  def _net(self, params, key=None):
    """The network as (z_t (B, 1, D), t (B, 1)) -> noise."""
    rngs = {} if key is None else {'dropout': key}
    return lambda z, t: self.net.apply(
        params, z[:, 0], t[:, 0], train=key is not None, rngs=rngs)[:, None]

  def _estimate(self, net):
    """(z_t, t ()) -> estimates of z and of its noise."""

    def estimate(z_t, t):
      t = jnp.broadcast_to(t, z_t.shape[:2])
      return self.diffusion.estimate(net(z_t, t), z_t, t)

    return estimate

  def _replaced(self, estimate, fixed, z, noise):
    """`estimate` where the part `fixed` is known to be z; noise: t -> noise."""

    def replaced(z_t, t):
      eps = noise(t)
      noised = self.diffusion.noise(
          z, eps, jnp.broadcast_to(t, z_t.shape[:2]))
      z_0, eps_0 = estimate(jnp.where(fixed, noised, z_t), t)
      return jnp.where(fixed, z, z_0), jnp.where(fixed, eps, eps_0)

    return replaced
