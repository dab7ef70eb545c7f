"""Long short-term memory: plain, with a projected output, and with peepholes.

Axes: B batch, T time, D input features, H hidden, O output (H, or P where projected).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rekur import _check
from rekur._check import whole
from rekur.cells import _init
from rekur.cells.base import State, Stepped
from rekur.cells.forms import GatedCell, Read, as_it_is
from rekur.errors import InputError, describe


class LSTM(GatedCell):
    r"""Long short-term memory: gates write to, keep and read a memory c that is only scaled and added to.

    .. math::
        i &= \sigma(W_i x_t + U_i h_{t-1} + b_i), \quad f = \sigma(W_f x_t + U_f h_{t-1} + b_f) \\
        g &= \tanh(W_g x_t + U_g h_{t-1} + b_g), \quad o = \sigma(W_o x_t + U_o h_{t-1} + b_o) \\
        c_t &= f \odot c_{t-1} + i \odot g \\
        h_t &= W_{hr}(o \odot \tanh c_t), \quad y_t = h_t

    :math:`W_{hr}` is there only with ``proj_size``. State: h (B, O), c (B, H).
    Parameters: 4·H·(D + O) + 8·H, and P·H for the projection.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        proj_size: number of outputs P, in [0, H-1]; 0 for no projection.
        bias: whether to add the two biases.
        init: "rekur" (orthogonal recurrent blocks, Xavier input blocks, zero biases) or "torch".
        forget_bias: where the bias of the forget gate begins with init="rekur".

    Raises:
        InputError: a size out of range, an unknown init, or a forget_bias that could take no effect.

    Reference:
        S. Hochreiter, J. Schmidhuber, "Long short-term memory", Neural Computation 9, 1997.
        doi:10.1162/neco.1997.9.8.1735. Forget gate: F. A. Gers et al. 2000, doi:10.1162/089976600300015015.
        Projection: H. Sak et al. 2014, arXiv:1402.1128.

    Example:
        >>> cell = LSTM(3, 5)
        >>> y, (h, c) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 200)
    """

    kind = "lstm"
    num_gates = 4
    forget_gate = 1  # the blocks stand in PyTorch's order: i, f, g, o
    state_names = ("h", "c")
    equations = "i, f, o = σ(W x + U h' + b)\ng = tanh(W x + U h' + b)\nc = f ⊙ c' + i ⊙ g\nh = o ⊙ tanh c\ny = h"
    reference = "Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735"

    weight_hr: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        proj_size: int = 0,
        bias: bool = True,
        init: str = "rekur",
        forget_bias: float = 1.0,
    ) -> None:
        checked_hidden = _check.size("hidden_size", hidden_size)
        proj_size = _check_proj_size(proj_size, checked_hidden)
        super().__init__(
            input_size,
            checked_hidden,
            bias=bias,
            init=init,
            output_size=proj_size or checked_hidden,
            forget_bias=_init.check_forget_bias(forget_bias, 1.0, init=init, bias=bias),
            more={"weight_hr": (proj_size, checked_hidden) if proj_size else None},
        )
        self.proj_size = proj_size

    def reset_rekur(self) -> None:
        super().reset_rekur()
        if self.weight_hr is not None:
            nn.init.xavier_uniform_(self.weight_hr)

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        write, keep, new, show = (from_input + from_state).chunk(4, dim=-1)
        i, f, g, o = torch.sigmoid(write), torch.sigmoid(keep), torch.tanh(new), torch.sigmoid(show)
        c = f * state[1] + i * g
        h = o * torch.tanh(read(c))
        if self.weight_hr is not None:
            h = F.linear(h, self.weight_hr)
        return h, (h, c)

    def extra_repr(self) -> str:
        return super().extra_repr() + (f", proj_size={self.proj_size}" if self.proj_size else "")


class PeepholeLSTM(GatedCell):
    r"""LSTM whose gates also see the memory: i and f the one before the step, o the one after it.

    .. math::
        i &= \sigma(W_i x_t + U_i h_{t-1} + p_i \odot c_{t-1} + b_i) \\
        f &= \sigma(W_f x_t + U_f h_{t-1} + p_f \odot c_{t-1} + b_f) \\
        c_t &= f \odot c_{t-1} + i \odot \tanh(W_g x_t + U_g h_{t-1} + b_g) \\
        o &= \sigma(W_o x_t + U_o h_{t-1} + p_o \odot c_t + b_o) \\
        h_t &= o \odot \tanh c_t, \quad y_t = h_t

    Peepholes are ``weight_ci``, ``weight_cf``, ``weight_co``, each (H,). State: h (B, H), c (B, H).
    Parameters: 4·H·(D + H) + 11·H.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether to add the two biases.
        init: "rekur" (as :class:`LSTM`, with peepholes of zero) or "torch" (everything uniform in ±1/√H).
        forget_bias: where the bias of the forget gate begins with init="rekur".

    Raises:
        InputError: a size below 1, an unknown init, or a forget_bias that could take no effect.

    Reference:
        F. A. Gers, N. N. Schraudolph, J. Schmidhuber, "Learning precise timing with LSTM recurrent networks",
        JMLR 3, 2002. doi:10.1162/153244303768966139

    Example:
        >>> cell = PeepholeLSTM(3, 5)
        >>> y, (h, c) = cell(torch.zeros(2, 3))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 215)
    """

    kind = "lstm_peephole"
    num_gates = 4
    forget_gate = 1  # the blocks stand in PyTorch's order: i, f, g, o
    state_names = ("h", "c")
    equations = (
        "i, f = σ(W x + U h' + p ⊙ c' + b)\ng = tanh(W x + U h' + b)\nc = f ⊙ c' + i ⊙ g\n"
        "o = σ(W x + U h' + p ⊙ c + b)\nh = o ⊙ tanh c\ny = h"
    )
    reference = "Gers et al. 2002, doi:10.1162/153244303768966139"

    weight_ci: nn.Parameter
    weight_cf: nn.Parameter
    weight_co: nn.Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        bias: bool = True,
        init: str = "rekur",
        forget_bias: float = 1.0,
    ) -> None:
        size = _check.size("hidden_size", hidden_size)
        super().__init__(
            input_size,
            size,
            bias=bias,
            init=init,
            forget_bias=_init.check_forget_bias(forget_bias, 1.0, init=init, bias=bias),
            more={"weight_ci": (size,), "weight_cf": (size,), "weight_co": (size,)},
        )

    def reset_rekur(self) -> None:
        super().reset_rekur()
        _init.zeros(self.weight_ci, self.weight_cf, self.weight_co)

    def combine(self, from_input: Tensor, from_state: Tensor, state: State, read: Read = as_it_is) -> Stepped:
        write, keep, new, show = (from_input + from_state).chunk(4, dim=-1)
        before = state[1]
        i = torch.sigmoid(write + self.weight_ci * before)
        f = torch.sigmoid(keep + self.weight_cf * before)
        c = f * before + i * torch.tanh(new)
        o = torch.sigmoid(show + self.weight_co * c)
        h = o * torch.tanh(read(c))
        return h, (h, c)


def _check_proj_size(value: int, hidden_size: int) -> int:
    size = whole("proj_size", value, low=0)
    if size >= hidden_size:
        raise InputError(describe("proj_size", value, f"a whole number smaller than hidden_size ({hidden_size})"))
    return size
