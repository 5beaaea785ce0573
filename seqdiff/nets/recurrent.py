"""Recurrent layers over masked sequences.

The projection of all inputs is one matrix product outside the scan, and so is
the gradient of the state kernel, which autodiff would add up frame by frame at
several times the cost (`_scan`; so there are no forward-mode derivatives).
Frames with mask 0 leave the state as it is, so that padding has no influence
and the last state is the one after the last real frame. Two biases per layer,
as the published parameter counts have them; names and shapes:

  input_kernel (D, G h), input_bias (G h,), state_kernel (h, G h),
  state_bias (G h,), with G = 4 gates [i, f, g, o] for LSTM and 1 for RNN.

Initialisation of DiffSDA's released code: the forward LSTM has Xavier-uniform
kernels and a zero input bias; all else is U(-1/sqrt(h), 1/sqrt(h)).
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp

from seqdiff.nets import blocks


def _uniform(hidden):
  """U(-1/sqrt(h), 1/sqrt(h))."""
  bound = hidden**-0.5
  return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
      key, shape, dtype, -bound, bound)


class Recurrence(nn.Module):
  """One layer in one direction: an LSTM, or a tanh RNN.

  Attributes:
    hidden: size h of the state.
    cell: 'lstm' or 'rnn'.
    reverse: whether the sequence is read from its end.
    xavier: whether kernels are Xavier-uniform and the input bias is zero.
  """

  hidden: int
  cell: str = 'lstm'
  reverse: bool = False
  xavier: bool = False

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(B, T, D), mask (B, T) -> outputs (B, T, h), last state (B, h)."""
    gates = 4 if self.cell == 'lstm' else 1
    default = _uniform(self.hidden)
    kernel = blocks.XAVIER if self.xavier else default
    bias = nn.initializers.zeros if self.xavier else default
    width = gates * self.hidden
    w_x = self.param('input_kernel', kernel, (x.shape[-1], width))
    b_x = self.param('input_bias', bias, (width,))
    w_h = self.param('state_kernel', kernel, (self.hidden, width))
    b_h = self.param('state_bias', default, (width,))
    z = x.swapaxes(0, 1) @ w_x + (b_x + b_h)[None, None]
    outputs, last = _scan(
        z, w_h, mask.astype(bool).T[..., None], self.cell, self.reverse)
    return outputs.swapaxes(0, 1), last


class Bidirectional(nn.Module):
  """A bidirectional LSTM layer."""

  hidden: int

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(B, T, D) -> outputs (B, T, 2h), last states of both (B, 2h)."""
    forward = Recurrence(self.hidden, xavier=True, name='forward')(x, mask)
    backward = Recurrence(self.hidden, reverse=True, name='backward')(x, mask)
    outputs, last = (
        jnp.concatenate(pair, axis=-1) for pair in zip(forward, backward))
    return outputs, last


@functools.partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _scan(z, w_h, keep, cell, reverse):
  """The recurrence itself.

  Args:
    z: (T, B, G h) projected inputs.
    w_h: (h, G h) state kernel.
    keep: (T, B, 1) bool mask.
    cell: 'lstm' or 'rnn'.
    reverse: whether the sequence is read from its end.

  Returns:
    Outputs (T, B, h) and the last state (B, h).
  """
  return _scan_forward(z, w_h, keep, cell, reverse)[0]


def _scan_forward(z, w_h, keep, cell, reverse):
  """The results of `_scan`, and what its gradient needs."""

  def step(carry, inputs):
    c, h = carry
    z, keep = inputs
    z = z + h @ w_h
    if cell == 'lstm':
      i, f, g, o = jnp.split(z, 4, axis=-1)
      i, f, g, o = nn.sigmoid(i), nn.sigmoid(f), jnp.tanh(g), nn.sigmoid(o)
      c_new = f * c + i * g
      saved, h_new = (i, f, g, o, c), o * jnp.tanh(c_new)
    else:
      saved, c_new, h_new = None, c, jnp.tanh(z)
    carry = jnp.where(keep, c_new, c), jnp.where(keep, h_new, h)
    return carry, (carry[1], saved)

  zeros = jnp.zeros((z.shape[1], w_h.shape[0]), z.dtype)
  (_, last), (outputs, saved) = jax.lax.scan(
      step, (zeros, zeros), (z, keep), reverse=reverse)
  return (outputs, last), (w_h, keep, outputs, saved)


def _scan_backward(cell, reverse, residuals, cotangents):
  """Gradients for z and, in one product of all frames, for w_h."""
  w_h, keep, outputs, saved = residuals
  d_outputs, d_last = cotangents
  # Once: on a CPU a product that transposes takes twice the time.
  w_t = w_h.T

  def step(carry, inputs):
    dc, dh = carry
    d_output, keep, output, saved = inputs
    dh = dh + d_output
    dh_new, dh = jnp.where(keep, dh, 0.0), jnp.where(keep, 0.0, dh)
    if cell == 'lstm':
      i, f, g, o, c = saved
      tanh_c = jnp.tanh(f * c + i * g)
      dc_new = jnp.where(keep, dc, 0.0) + dh_new * o * (1.0 - tanh_c**2)
      dz = jnp.concatenate([
          dc_new * g * i * (1.0 - i), dc_new * c * f * (1.0 - f),
          dc_new * i * (1.0 - g**2), dh_new * tanh_c * o * (1.0 - o)], axis=-1)
      dc = jnp.where(keep, dc_new * f, dc)
    else:
      dz = dh_new * (1.0 - output**2)
    return (dc, dh + dz @ w_t), dz

  _, dz = jax.lax.scan(
      step, (jnp.zeros_like(d_last), d_last),
      (d_outputs, keep, outputs, saved), reverse=not reverse)
  first = jnp.zeros_like(outputs[:1])
  before = jnp.concatenate(
      [outputs[1:], first] if reverse else [first, outputs[:-1]])
  return dz, jnp.einsum('tbh,tbg->hg', before, dz), None


_scan.defvjp(_scan_forward, _scan_backward)
