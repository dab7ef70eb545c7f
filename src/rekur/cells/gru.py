"""The gated recurrent unit, with the reset gate after the matrix product or before it.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from rekur.cells.base import State, Stepped
from rekur.cells.forms import GatedCell, Read, as_it_is


class GRU(GatedCell):
    r"""Gated recurrent unit, reset after the product: one product with h a step, as in PyTorch and cuDNN.

    .. math::
        r &= \sigma(W_r x_t + b_r + U_r h_{t-1} + c_r) \\
        z &= \sigma(W_z x_t + b_z + U_z h_{t-1} + c_z) \\
        n &= \tanh(W_n x_t + b_n + r \odot (U_n h_{t-1} + c_n)) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}, \quad y_t = h_t

    State: h (B, H). Parameters: 3·H·(D + H) + 6·H.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether to add the two biases, b (``bias_ih``) and c (``bias_hh``).
        init: "rekur" (orthogonal recurrent blocks, Xavier input blocks, zero biases) or "torch".

    Raises:
        InputError: a size below 1, or an unknown init.

    Reference:
        K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation", EMNLP 2014, arXiv:1406.1078v1 (this form; :class:`GRUResetBefore` is that of v3).

    Example:
        >>> cell = GRU(3, 5)
        >>> y, (h,) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 150)
    """

    kind = "gru"
    num_gates = 3
    norm_groups = (2, 1)
    state_names = ("h",)
    equations = "r, z = σ(W x + b + U h' + c)\nn = tanh(W x + b + r ⊙ (U h' + c))\nh = (1 - z) ⊙ n + z ⊙ h'\ny = h"
    reference = "Cho et al. 2014, arXiv:1406.1078"

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        input_reset, input_update, input_new = from_input.chunk(3, dim=-1)
        state_reset, state_update, state_new = from_state.chunk(3, dim=-1)
        r = torch.sigmoid(input_reset + state_reset)
        z = torch.sigmoid(input_update + state_update)
        n = torch.tanh(input_new + r * state_new)
        h = (1 - z) * n + z * state[0]
        return h, (h,)


class GRUResetBefore(GatedCell):
    r"""Gated recurrent unit, reset before the product: a step has two products with h, one after the other.

    .. math::
        r &= \sigma(W_r x_t + b_r + U_r h_{t-1} + c_r) \\
        z &= \sigma(W_z x_t + b_z + U_z h_{t-1} + c_z) \\
        n &= \tanh(W_n x_t + b_n + U_n (r \odot h_{t-1}) + c_n) \\
        h_t &= (1 - z) \odot n + z \odot h_{t-1}, \quad y_t = h_t

    State: h (B, H). Parameters: 3·H·(D + H) + 6·H, laid out as in :class:`GRU`.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether to add the two biases, b (``bias_ih``) and c (``bias_hh``).
        init: "rekur" (orthogonal recurrent blocks, Xavier input blocks, zero biases) or "torch".

    Raises:
        InputError: a size below 1, or an unknown init.

    Reference:
        K. Cho et al., "Learning phrase representations using RNN encoder-decoder for statistical machine
        translation", EMNLP 2014, arXiv:1406.1078v3.

    Example:
        >>> cell = GRUResetBefore(3, 5)
        >>> y, (h,) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 150)
    """

    kind = "gru_reset_before"
    num_gates = 3
    state_names = ("h",)
    equations = "r, z = σ(W x + b + U h' + c)\nn = tanh(W x + b + U (r ⊙ h') + c)\nh = (1 - z) ⊙ n + z ⊙ h'\ny = h"
    reference = "Cho et al. 2014, arXiv:1406.1078"

    def product(self, state: State) -> Tensor:
        """Return the products of the two gates and, as third block, the h that the third product will see."""
        split = 2 * self.hidden_size
        gates_bias = None if self.bias_hh is None else self.bias_hh[:split]
        gates = F.linear(state[0], self.weight_hh[:split], gates_bias)
        return torch.cat([gates, state[0]], dim=-1)

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        input_reset, input_update, input_new = from_input.chunk(3, dim=-1)
        state_reset, state_update, seen = from_state.chunk(3, dim=-1)
        split = 2 * self.hidden_size
        new_bias = None if self.bias_hh is None else self.bias_hh[split:]
        r = torch.sigmoid(input_reset + state_reset)
        z = torch.sigmoid(input_update + state_update)
        n = torch.tanh(input_new + F.linear(r * seen, self.weight_hh[split:], new_bias))
        h = (1 - z) * n + z * state[0]
        return h, (h,)
