"""Recurrent layers over masked sequences.

The projection of all inputs is one matrix product outside the scan. Frames
with mask 0 leave the state as it is, so that padding has no influence and the
last state is the one after the last real frame. Two biases per layer, as the
published parameter counts have them; names and shapes:

  input_kernel (D, G h), input_bias (G h,), state_kernel (h, G h),
  state_bias (G h,), with G = 4 gates [i, f, g, o] for LSTM and 1 for RNN.

Initialisation of DiffSDA's released code: the forward LSTM has Xavier-uniform
kernels and a zero input bias; all else is U(-1/sqrt(h), 1/sqrt(h)).
"""

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
    projected = x @ w_x + (b_x + b_h)[None, None]

    def step(carry, inputs):
      c, h = carry
      z, keep = inputs
      z = z + h @ w_h
      if self.cell == 'lstm':
        i, f, g, o = jnp.split(z, 4, axis=-1)
        c_new = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
        h_new = nn.sigmoid(o) * jnp.tanh(c_new)
      else:
        c_new, h_new = c, jnp.tanh(z)
      keep = keep[:, None]
      carry = jnp.where(keep, c_new, c), jnp.where(keep, h_new, h)
      return carry, carry[1]

    zeros = jnp.zeros((x.shape[0], self.hidden), projected.dtype)
    (_, last), outputs = jax.lax.scan(
        step, (zeros, zeros),
        (projected.swapaxes(0, 1), mask.astype(bool).swapaxes(0, 1)),
        reverse=self.reverse)
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
