"""The two cells of xLSTM: exponential gates, kept in range by a running maximum m of their logarithms.

Axes: B batch, T time, D input features, H hidden, K heads, E = H/K units of a head.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rekur import _check
from rekur.cells import _init
from rekur.cells.base import Cell, State, Stepped
from rekur.cells.forms import GatedCell, Read, Weighted, as_it_is
from rekur.errors import InputError, describe


class SLSTM(GatedCell):
    r"""LSTM with an exponential input gate: the memory is a weighted mean whose weights may be of any size.

    .. math::
        z &= \tanh(W_z x_t + U_z h_{t-1} + b_z), \quad o = \sigma(W_o x_t + U_o h_{t-1} + b_o) \\
        i &= \exp(W_i x_t + U_i h_{t-1} + b_i), \quad f = \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
        m_t &= \max(\log f + m_{t-1}, \log i) \\
        c_t &= f e^{m_{t-1} - m_t} \odot c_{t-1} + i e^{-m_t} \odot z \\
        n_t &= f e^{m_{t-1} - m_t} \odot n_{t-1} + i e^{-m_t} \\
        h_t &= o \odot c_t / n_t, \quad y_t = h_t

    The memory proper is :math:`c\,e^m`: m cancels in h, and keeps every exponential at most 1. It begins
    near minus infinity (an empty memory), so that n is 1 or more after every step. Rows of the weights: i,
    f, z, o. With K heads a unit sees the h of its own head only: ``weight_hh`` is (4·H, E).
    State: h, c, n, m, each (B, H). Parameters: 4·H·(D + E) + 8·H.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        num_heads: number of heads K, a divisor of H.
        bias: whether to add the two biases.
        init: "rekur" (orthogonal recurrent blocks, Xavier input blocks, zero biases) or "torch" (uniform in
            ±1/√H).
        forget_bias: where the bias of the forget gate begins with init="rekur".

    Raises:
        InputError: a size out of range, heads that do not divide H, an unknown init, or a forget_bias that
            could take no effect.

    Reference:
        M. Beck et al., "xLSTM: extended long short-term memory", 2024, arXiv:2405.04517

    Example:
        >>> cell = SLSTM(3, 6, num_heads=2)
        >>> y, (h, c, n, m) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 6]), 192)
    """

    kind = "slstm"
    num_gates = 4
    forget_gate = 1  # the blocks stand as i, f, z, o
    state_names = ("h", "c", "n", "m")
    equations = (
        "i = exp(W x + U h' + b)\nf, o = σ(W x + U h' + b)\nz = tanh(W x + U h' + b)\n"
        "m = max(log f + m', log i)\n"
        "c = f e^(m'-m) ⊙ c' + i e^(-m) ⊙ z\nn = f e^(m'-m) ⊙ n' + i e^(-m)\nh = o ⊙ c / n\ny = h"
    )
    reference = "Beck et al. 2024, arXiv:2405.04517"

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_heads: int = 1,
        bias: bool = True,
        init: str = "rekur",
        forget_bias: float = 1.0,
    ) -> None:
        head_size = _head_size(hidden_size, num_heads)
        super().__init__(
            input_size,
            hidden_size,
            bias=bias,
            init=init,
            recurrent_size=head_size,
            forget_bias=_init.check_forget_bias(forget_bias, 1.0, init=init, bias=bias),
        )
        self.num_heads = num_heads

    def reset_rekur(self) -> None:
        super().reset_rekur()
        _init.orthogonal_blocks(self.weight_hh, self.weight_hh.shape[1])

    def initial_state(self, batch_size: int, **where: Any) -> State:
        h, c, n, m = super().initial_state(batch_size, **where)
        return h, c, n, m.fill_(torch.finfo(m.dtype).min / 2)

    def product(self, state: State) -> Tensor:
        """Return the product of every head's own block with its h, (B, 4·H)."""
        h = torch.unflatten(state[0], -1, (self.num_heads, -1))
        weight = self.weight_hh.view(self.num_gates, self.num_heads, h.shape[-1], h.shape[-1])
        v = torch.einsum("gkij,bkj->bgki", weight, h).flatten(-3)
        return v if self.bias_hh is None else v + self.bias_hh

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        log_i, keep, new, show = (from_input + from_state).chunk(4, dim=-1)
        _, c_before, n_before, m_before = state
        log_f, z, o = F.logsigmoid(keep), torch.tanh(new), torch.sigmoid(show)
        m = torch.maximum(log_f + m_before, log_i)
        i, f = torch.exp(log_i - m), torch.exp(log_f + m_before - m)
        c = f * c_before + i * z
        n = f * n_before + i
        h = o * (c / n)
        return h, (h, c, n, m)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.num_heads == 1 else f", num_heads={self.num_heads}")


class MLSTM(Weighted, Cell):
    r"""LSTM with a matrix for a memory: values are stored along keys and found by a query.

    .. math::
        q &= W_q x_t + b_q, \quad k = (W_k x_t + b_k) / \sqrt{E}, \quad v = W_v x_t + b_v \\
        o &= \sigma(W_o x_t + b_o), \quad i = \exp(w_i x_t + b_i), \quad f = \sigma(w_f x_t + b_f) \\
        m_t &= \max(\log f + m_{t-1}, \log i, 0) \\
        C_t &= f e^{m_{t-1} - m_t} C_{t-1} + i e^{-m_t}\, v k^\top \\
        n_t &= f e^{m_{t-1} - m_t} n_{t-1} + i e^{-m_t}\, k \\
        y_t &= o \odot C_t q / \max(|n_t^\top q|, e^{-m_t})

    for each of K heads of E = H/K units, with one i and one f a head. The memory proper is :math:`C\,e^m`: m
    cancels in y. It is kept at 0 or more, which the paper leaves open, so that :math:`e^{-m}` cannot
    overflow either. No gate sees the state. Rows of ``weight_ih`` (4·H + 2·K, D): q, k, v, o, i, f.
    State: C (B, K, E, E), n (B, K, E), m (B, K). Parameters: (4·H + 2·K)·(D + 1).

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        num_heads: number of heads K, a divisor of H.
        bias: whether to add the bias.
        init: "rekur" (Xavier blocks, zero biases but for the forget gate's) or "torch" (uniform in ±1/√H).
        forget_bias: where the bias of the forget gates begins with init="rekur"; at 3 a memory halves in 14
            steps.

    Raises:
        InputError: a size out of range, heads that do not divide H, an unknown init, or a forget_bias that
            could take no effect.

    Reference:
        M. Beck et al., "xLSTM: extended long short-term memory", 2024, arXiv:2405.04517

    Example:
        >>> cell = MLSTM(3, 6, num_heads=2)
        >>> y, (C, n, m) = cell(torch.zeros(5, 3))
        >>> y.shape, C.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([5, 6]), torch.Size([5, 2, 3, 3]), 112)
    """

    keeps_precision = True  # y divides by nᵀq, which comes near 0
    state_names = ("C", "n", "m")
    equations = (
        "q, k, v = W x + b\ni = exp(w x + b)\nf, o = σ(W x + b)\nm = max(log f + m', log i, 0)\n"
        "C = f e^(m'-m) C' + i e^(-m) v kᵀ/√E\nn = f e^(m'-m) n' + i e^(-m) k/√E\n"
        "y = o ⊙ C q / max(|nᵀq|, e^(-m))"
    )
    reference = "Beck et al. 2024, arXiv:2405.04517"

    weight_ih: nn.Parameter
    bias_ih: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        num_heads: int = 1,
        bias: bool = True,
        init: str = "rekur",
        forget_bias: float = 3.0,
    ) -> None:
        head_size = _head_size(hidden_size, num_heads)
        super().__init__(input_size, hidden_size)
        self.num_heads, self.head_size = num_heads, head_size
        self.forget_bias = _init.check_forget_bias(forget_bias, 3.0, init=init, bias=bias)
        rows = 4 * self.hidden_size + 2 * num_heads
        shapes = {"weight_ih": (rows, self.input_size), "bias_ih": (rows,) if bias else None}
        self.make_weights(shapes, bias=bias, init=init)

    def reset_rekur(self) -> None:
        split = 4 * self.hidden_size
        _init.xavier_blocks(self.weight_ih[:split], self.hidden_size)
        _init.xavier_blocks(self.weight_ih[split:], self.num_heads)
        _init.zeros(self.bias_ih)
        if self.bias_ih is not None:
            _init.fill_block(self.bias_ih[split:], 1, self.num_heads, self.forget_bias)

    def state_sizes(self) -> tuple[tuple[int, ...], ...]:
        heads, size = self.num_heads, self.head_size
        return (heads, size, size), (heads, size), (heads,)

    def project(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_ih, self.bias_ih)

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, heads = self.hidden_size, self.num_heads
        of_units, of_heads = projected[..., : 4 * hidden], projected[..., 4 * hidden :]
        q, key, v, show = torch.unflatten(of_units, -1, (4, heads, self.head_size)).unbind(-3)
        log_i, keep = of_heads.chunk(2, dim=-1)
        C_before, n_before, m_before = state
        k = key / math.sqrt(self.head_size)
        log_f, o = F.logsigmoid(keep), torch.sigmoid(show)
        m = torch.maximum(log_f + m_before, log_i).clamp_min(0.0)
        i, f = torch.exp(log_i - m).unsqueeze(-1), torch.exp(log_f + m_before - m).unsqueeze(-1)
        C = f.unsqueeze(-1) * C_before + v.unsqueeze(-1) * (i * k).unsqueeze(-2)
        n = f * n_before + i * k
        found = (C @ q.unsqueeze(-1)).squeeze(-1)
        weight = torch.maximum((n * q).sum(-1).abs(), torch.exp(-m)).unsqueeze(-1)
        y = (o * found / weight).flatten(-2)
        return y, (C, n, m)

    def step_cost(self) -> int:
        """Return the multiply-adds of one step of one sequence: the input product, and C written and read."""
        memory = self.num_heads * self.head_size**2
        return self.weight_ih.numel() + 3 * memory

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.num_heads == 1 else f", num_heads={self.num_heads}")


def _head_size(hidden_size: int, num_heads: int) -> int:
    hidden = _check.size("hidden_size", hidden_size)
    heads = _check.size("num_heads", num_heads)
    if hidden % heads:
        raise InputError(describe("num_heads", num_heads, f"a divisor of hidden_size ({hidden})"))
    return hidden // heads
