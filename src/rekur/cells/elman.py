"""The simple recurrent network.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor

from rekur._check import choice
from rekur.cells.base import State, Stepped
from rekur.cells.forms import GatedCell, Read, as_it_is

_NONLINEARITIES = {"tanh": torch.tanh, "relu": torch.relu}


class Elman(GatedCell):
    r"""The simple recurrent network: the next hidden state is a squashed sum of two products.

    .. math:: h_t = \phi(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh}), \quad y_t = h_t

    State: h (B, H). Parameters: H·D + H² + 2·H.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        nonlinearity: φ, "tanh" (bounded, the usual one) or "relu".
        bias: whether to add the two biases.
        init: "rekur" (orthogonal recurrent weight, Xavier input weight, zero biases) or "torch".

    Raises:
        InputError: a size below 1, or an unknown nonlinearity or init.

    Reference:
        J. L. Elman, "Finding structure in time", Cognitive Science 14, 1990. doi:10.1207/s15516709cog1402_1

    Example:
        >>> cell = Elman(3, 5)
        >>> y, (h,) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 50)
    """

    kind = "elman"
    num_gates = 1
    state_names = ("h",)
    equations = "h = φ(W_ih x + b_ih + W_hh h' + b_hh)\ny = h"
    reference = "Elman 1990, doi:10.1207/s15516709cog1402_1"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        nonlinearity: str = "tanh",
        bias: bool = True,
        init: str = "rekur",
    ) -> None:
        super().__init__(input_size, hidden_size, bias=bias, init=init)
        self.nonlinearity = choice("nonlinearity", nonlinearity, _NONLINEARITIES)
        self.squash = _NONLINEARITIES[self.nonlinearity]

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        h = self.squash(from_input + from_state)
        return h, (h,)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}")
