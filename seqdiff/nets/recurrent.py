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
kernels and a zero input bias; all else is U(-1/sqrt(h), 1/sqrt(h)). With
`keras` that of TensorFlow's layers, for methods that were published with them:
without an open forget gate an LSTM soon forgets the begin of a long sequence.
"""

import functools

from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqdiff.nets import blocks


def _uniform(hidden):
  """U(-1/sqrt(h), 1/sqrt(h))."""
  bound = hidden**-0.5
  return lambda key, shape, dtype=jnp.float32: jax.random.uniform(
      key, shape, dtype, -bound, bound)


def _open_forget_gate(key, shape, dtype=jnp.float32):
  """Biases of [i, f, g, o]: 1 for f, else 0."""
  del key
  return jnp.repeat(jnp.array([0.0, 1.0, 0.0, 0.0], dtype), shape[0] // 4)


# Name -> the function, and its derivative at a place where it is a.
ACTIVATIONS = {'tanh': (jnp.tanh, lambda a: 1.0 - a**2),
               'sigmoid': (nn.sigmoid, lambda a: a * (1.0 - a))}


class Recurrence(nn.Module):
  """One layer in one direction: an LSTM, or an RNN.

  Attributes:
    hidden: size h of the state.
    cell: 'lstm' or 'rnn'.
    reverse: whether the sequence is read from its end.
    xavier: whether kernels are Xavier-uniform and the input bias is zero.
    keras: whether an LSTM starts as one of Keras: Xavier-uniform and orthogonal
      kernels, biases of 1 for the forget gate and else 0.
    activation: of what a state takes in, and of the state of an LSTM: 'tanh' or
      'sigmoid'.
  """

  hidden: int
  cell: str = 'lstm'
  reverse: bool = False
  xavier: bool = False
  keras: bool = False
  activation: str = 'tanh'

  @nn.compact
  def __call__(
      self,
      x: jax.Array,
      mask: jax.Array,
      start: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Reads sequences.

    Args:
      x: (B, T, D).
      mask: (B, T).
      start: None for zeros, or (B, h), the first values of state and cell.

    Returns:
      Outputs (B, T, h) and the last state (B, h).
    """
    gates = 4 if self.cell == 'lstm' else 1
    w_x, b_x, w_h, b_h = self._initial_values()
    width = gates * self.hidden
    w_x = self.param('input_kernel', w_x, (x.shape[-1], width))
    b_x = self.param('input_bias', b_x, (width,))
    w_h = self.param('state_kernel', w_h, (self.hidden, width))
    b_h = self.param('state_bias', b_h, (width,))
    z = blocks.product(x.swapaxes(0, 1), w_x) + (b_x + b_h)[None, None]
    if start is None:
      start = jnp.zeros((x.shape[0], self.hidden), z.dtype)
    outputs, last = _scan(
        z, w_h, start, mask.astype(bool).T[..., None], self.cell,
        self.activation, self.reverse)
    return outputs.swapaxes(0, 1), last

  def _initial_values(self):
    """Initialisers of the four parameters, in their order."""
    default, zeros = _uniform(self.hidden), nn.initializers.zeros
    if self.keras:
      return (blocks.XAVIER, _open_forget_gate, nn.initializers.orthogonal(),
              zeros)
    kernel = blocks.XAVIER if self.xavier else default
    return kernel, zeros if self.xavier else default, kernel, default


class Bidirectional(nn.Module):
  """A bidirectional LSTM layer.

  Attributes:
    hidden: size h of the state of either direction.
    xavier: whether the forward direction, and it alone, starts as Xavier's: the
      released code of DiffSDA does not reach the other one.
  """

  hidden: int
  xavier: bool = True

  @nn.compact
  def __call__(
      self, x: jax.Array, mask: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """(B, T, D) -> outputs (B, T, 2h), last states of both (B, 2h)."""
    forward = Recurrence(
        self.hidden, xavier=self.xavier, name='forward')(x, mask)
    backward = Recurrence(self.hidden, reverse=True, name='backward')(x, mask)
    outputs, last = (
        jnp.concatenate(pair, axis=-1) for pair in zip(forward, backward))
    return outputs, last


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5, 6))
def _scan(z, w_h, start, keep, cell, activation, reverse):
  """The recurrence itself.

  Args:
    z: (T, B, G h) projected inputs.
    w_h: (h, G h) state kernel.
    start: (B, h) first values of state and cell.
    keep: (T, B, 1) bool mask.
    cell: 'lstm' or 'rnn'.
    activation: a name in `ACTIVATIONS`.
    reverse: whether the sequence is read from its end.

  Returns:
    Outputs (T, B, h) and the last state (B, h).
  """
  return _scan_forward(z, w_h, start, keep, cell, activation, reverse)[0]


def _scan_forward(z, w_h, start, keep, cell, activation, reverse):
  """The results of `_scan`, and what its gradient needs."""
  act, _ = ACTIVATIONS[activation]
  # sigmoid(z) = tanh(z / 2) / 2 + 1 / 2, so that all gates are one tanh: faster
  # on a CPU than functions of parts of z, above all without a gradient.
  half = np.ones(z.shape[-1:], z.dtype)
  takes_in = np.arange(z.shape[-1]) // w_h.shape[0] == 2
  half[~takes_in | (activation == 'sigmoid')] = 0.5

  def step(carry, inputs):
    c, h = carry
    z, keep = inputs
    z = z + h @ w_h
    if cell == 'lstm':
      z = jnp.tanh(z * half[None]) * half[None] + (1.0 - half)[None]
      gates = i, f, g, o = tuple(jnp.split(z, 4, axis=-1))
      c_new = f * c + i * g
      saved, h_new = (gates, c), o * act(c_new)
    else:
      saved, c_new, h_new = None, c, act(z)
    carry = jnp.where(keep, c_new, c), jnp.where(keep, h_new, h)
    return carry, (carry[1], saved)

  (_, last), (outputs, saved) = jax.lax.scan(
      step, (start, start), (z, keep), reverse=reverse)
  return (outputs, last), (w_h, start, keep, outputs, saved)


def _scan_backward(cell, activation, reverse, residuals, cotangents):
  """Gradients for z, start and, in one product of all frames, for w_h."""
  act, slope = ACTIVATIONS[activation]
  w_h, start, keep, outputs, saved = residuals
  d_outputs, d_last = cotangents
  # A product with the transposed kernel is slow on a CPU: transposed once.
  w_t = w_h.T

  def step(carry, inputs):
    dc, dh = carry
    d_output, keep, output, saved = inputs
    dh = dh + d_output
    dh_new, dh = jnp.where(keep, dh, 0.0), jnp.where(keep, 0.0, dh)
    if cell == 'lstm':
      (i, f, g, o), c = saved
      act_c = act(f * c + i * g)
      dc_new = jnp.where(keep, dc, 0.0) + dh_new * o * slope(act_c)
      dz = jnp.concatenate([
          dc_new * g * i * (1.0 - i), dc_new * c * f * (1.0 - f),
          dc_new * i * slope(g), dh_new * act_c * o * (1.0 - o)], axis=-1)
      dc = jnp.where(keep, dc_new * f, dc)
    else:
      dz = dh_new * slope(output)
    return (dc, dh + dz @ w_t), dz

  (dc, dh), dz = jax.lax.scan(
      step, (jnp.zeros_like(d_last), d_last),
      (d_outputs, keep, outputs, saved), reverse=not reverse)
  before = jnp.concatenate(
      [outputs[1:], start[None]] if reverse else [start[None], outputs[:-1]])
  return dz, blocks.kernel_gradient(before, dz), dc + dh, None


_scan.defvjp(_scan_forward, _scan_backward)
