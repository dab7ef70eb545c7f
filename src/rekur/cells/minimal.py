"""The minimal GRU and LSTM: gates that see the input alone, so that the recurrence is linear in h.

Axes: B batch, T time, D input features, G gates, H hidden.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rekur.cells import _init
from rekur.cells.forms import LinearCell, Weighted


class _MinimalCell(Weighted, LinearCell):
    """A linear cell with one input product for all gates: ``weight_ih`` (G·H, D) and ``bias_ih`` (G·H)."""

    num_gates: ClassVar[int]
    #: +1 where a large first gate keeps h, -1 where it replaces it
    keeping: ClassVar[float]

    weight_ih: nn.Parameter
    bias_ih: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        init: str = "rekur",
        forget_bias: float = 1.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.forget_bias = _init.check_forget_bias(forget_bias, 1.0, init=init, bias=bias)
        rows = self.num_gates * self.hidden_size
        shapes = {"weight_ih": (rows, self.input_size), "bias_ih": (rows,) if bias else None}
        self.make_weights(shapes, bias=bias, init=init)

    def reset_rekur(self) -> None:
        _init.xavier_blocks(self.weight_ih, self.hidden_size)
        _init.zeros(self.bias_ih)
        _init.fill_block(self.bias_ih, 0, self.hidden_size, self.keeping * self.forget_bias)

    def project(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih)


class MinGRU(_MinimalCell):
    r"""The minimal GRU: a running average of what the input proposes, whose speed the input sets.

    .. math::
        z &= \sigma(W_z x_t + b_z), \quad \tilde h = W_h x_t + b_h \\
        h_t &= (1 - z) \odot h_{t-1} + z \odot \tilde h, \quad y_t = h_t

    Rows of ``weight_ih``: z, h̃. State: h (B, H). Parameters: 2·H·D + 2·H.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether to add the bias.
        init: "rekur" (Xavier blocks, zero biases but for the gate's) or "torch" (uniform in ±1/√H).
        forget_bias: how far the gate begins towards keeping h, with init="rekur": the bias of z is its
            negative.

    Raises:
        InputError: a size below 1, an unknown init, or a forget_bias that could take no effect.

    Reference:
        L. Feng et al., "Were RNNs all we needed?", 2024, arXiv:2410.01201

    Example:
        >>> cell = MinGRU(3, 5)
        >>> y, (h,) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 40)
    """

    form = "mingru"
    num_gates = 2
    keeping = -1.0
    equations = "z = σ(W_z x + b_z)\nh̃ = W_h x + b_h\nh = (1 - z) ⊙ h' + z ⊙ h̃\ny = h"
    reference = "Feng et al. 2024, arXiv:2410.01201"

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        return self.pair(projected)

    @staticmethod
    def pair(gates: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b, each (…, H), from z and h̃ (…, 2·H)."""
        update, candidate = gates.chunk(2, dim=-1)
        z, keep = torch.sigmoid(update), torch.sigmoid(-update)
        return keep, z * candidate


class MinLSTM(_MinimalCell):
    r"""The minimal LSTM: forget and input gate from the input alone, normalised to sum to one.

    .. math::
        f &= \sigma(W_f x_t + b_f), \quad i = \sigma(W_i x_t + b_i), \quad \tilde h = W_h x_t + b_h \\
        h_t &= \frac{f}{f + i} \odot h_{t-1} + \frac{i}{f + i} \odot \tilde h, \quad y_t = h_t

    Rows of ``weight_ih``: f, i, h̃. State: h (B, H). Parameters: 3·H·D + 3·H.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether to add the bias.
        init: "rekur" (Xavier blocks, zero biases but for the forget gate's) or "torch" (uniform in ±1/√H).
        forget_bias: where the bias of the forget gate begins with init="rekur".

    Raises:
        InputError: a size below 1, an unknown init, or a forget_bias that could take no effect.

    Reference:
        L. Feng et al., "Were RNNs all we needed?", 2024, arXiv:2410.01201

    Example:
        >>> cell = MinLSTM(3, 5)
        >>> y, (h,) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 60)
    """

    form = "minlstm"
    num_gates = 3
    keeping = 1.0
    equations = "f = σ(W_f x + b_f), i = σ(W_i x + b_i)\nh̃ = W_h x + b_h\nh = f/(f+i) ⊙ h' + i/(f+i) ⊙ h̃\ny = h"
    reference = "Feng et al. 2024, arXiv:2410.01201"

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        return self.pair(projected)

    @staticmethod
    def pair(gates: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b, each (…, H), from f, i and h̃ (…, 3·H)."""
        forget, write, candidate = gates.chunk(3, dim=-1)
        # f/(f+i) = σ(log f - log i), which stays finite where both gates are closed
        log_ratio = F.logsigmoid(forget) - F.logsigmoid(write)
        f, i = torch.sigmoid(log_ratio), torch.sigmoid(-log_ratio)
        return f, i * candidate
