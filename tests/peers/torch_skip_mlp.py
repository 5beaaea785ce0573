"""The perceptrons of DiffSDA on series in PyTorch, written from the paper.

Source: arXiv:2510.05717, App. A, and the description of its released code.
Nothing here knows of JAX; `weights` maps the parameters.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


class SkipMLP(nn.Module):
  """Linear layers on the values of one step; all but the first on [h, x].

  After each layer but the last: an affine map of the channels by each
  embedding in turn, LayerNorm, SiLU, dropout.

  Args:
    in_features: number of values of a step.
    out_features: size of the result; None: `width`, and a LayerNorm at the end.
    embeddings: sizes of the embeddings.
    width: of the hidden layers.
    layers: number of linear layers.
    dropout: dropout rate.
  """

  def __init__(
      self,
      in_features: int,
      out_features: int | None,
      *,
      width: int,
      layers: int,
      dropout: float,
      embeddings: Sequence[int] = (),
  ):
    super().__init__()
    hidden = range(layers - 1)
    self.layers = nn.ModuleList(
        nn.Linear(in_features + (width if i else 0), width) for i in hidden)
    self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in hidden)
    self.affines = nn.ModuleList(
        nn.ModuleList(nn.Linear(size, 2 * width) for size in embeddings)
        for _ in hidden)
    self.dropout = nn.Dropout(dropout)
    is_encoder = out_features is None
    self.last = nn.Linear(
        width + in_features, width if is_encoder else out_features)
    self.last_norm = nn.LayerNorm(width) if is_encoder else nn.Identity()

  def forward(
      self, x: torch.Tensor, embeddings: Sequence[torch.Tensor] = ()
  ) -> torch.Tensor:
    """(N, F), embeddings (N, E) -> (N, out_features)."""
    embeddings = [F.silu(e) for e in embeddings]
    h = x
    for layer, norm, affines in zip(self.layers, self.norms, self.affines):
      h = layer(h)
      for affine, embedding in zip(affines, embeddings, strict=True):
        scale, shift = affine(embedding).chunk(2, dim=-1)
        h = h * (1.0 + scale) + shift
      h = self.dropout(F.silu(norm(h)))
      h = torch.cat([h, x], dim=-1)
    return self.last_norm(self.last(h))

  def reset_parameters(self) -> None:
    """As released: He-normal before an activation; the last as PyTorch has it.
    """
    for layer in self.layers:
      layer.reset_parameters()  # The bias.
      nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')
    self.last.reset_parameters()
