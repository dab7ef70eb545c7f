"""The real-gated linear recurrent unit of Griffin.

Axes: B batch, T time, D input features, H hidden.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rekur.cells import _init
from rekur.cells.forms import LinearCell, Weighted

SHARPNESS = 8.0  # c in the paper
_SLOWEST, _FASTEST = 0.999, 0.9  # the range of σ(Λ)^c at the start


class RGLRU(Weighted, LinearCell):
    r"""Real-gated linear recurrent unit: a decay per unit, which the recurrence gate can only slow down.

    .. math::
        r &= \sigma(W_r v_t + b_r), \quad i = \sigma(W_i v_t + b_i) \\
        a &= \sigma(\Lambda)^{8 r} \\
        h_t &= a \odot h_{t-1} + \sqrt{1 - a^2} \odot (i \odot v_t), \quad y_t = h_t

    :math:`v_t` is the input itself, of H features as in the paper; where D ≠ H it is :math:`W_{in} x_t`
    (``weight_in``, (H, D)). Rows of ``weight_ih`` (2·H, H): r, i. The decay is ``decay`` (H,), the paper's Λ.
    State: h (B, H). Parameters: 2·H² + 3·H, and H·D for ``weight_in``.

    Args:
        input_size: number of input features D, at least 1.
        hidden_size: number of hidden units H, at least 1.
        bias: whether the gates have a bias.
        init: "rekur" (Xavier blocks, zero biases) or "torch" (uniform in ±1/√H); Λ begins either way so that
            a with an open gate (r = 1) is uniform in [0.9, 0.999].

    Raises:
        InputError: a size below 1, or an unknown init.

    Reference:
        S. De et al., "Griffin: mixing gated linear recurrences with local attention for efficient language
        models", 2024, arXiv:2402.19427

    Example:
        >>> cell = RGLRU(5, 5)
        >>> y, (h,) = cell(torch.zeros(2, 5))
        >>> y.shape, sum(p.numel() for p in cell.parameters())
        (torch.Size([2, 5]), 65)
    """

    form = "rglru"
    equations = (
        "r = σ(W_r v + b_r), i = σ(W_i v + b_i), v = x or W_in x\na = σ(Λ)^(8 r)\n"
        "h = a ⊙ h' + √(1 - a²) ⊙ (i ⊙ v)\ny = h"
    )
    reference = "De et al. 2024, arXiv:2402.19427"

    weight_in: nn.Parameter | None
    weight_ih: nn.Parameter
    bias_ih: nn.Parameter | None
    decay: nn.Parameter

    def __init__(self, input_size: int, hidden_size: int, *, bias: bool = True, init: str = "rekur") -> None:
        super().__init__(input_size, hidden_size)
        size = self.hidden_size
        widen = (size, self.input_size) if self.input_size != size else None
        biases = (2 * size,) if bias else None
        shapes = {"weight_in": widen, "weight_ih": (2 * size, size), "bias_ih": biases, "decay": (size,)}
        self.make_weights(shapes, bias=bias, init=init)

    def reset_rekur(self) -> None:
        _init.xavier_blocks(self.weight_ih, self.hidden_size)
        _init.zeros(self.bias_ih)
        if self.weight_in is not None:
            nn.init.xavier_uniform_(self.weight_in)

    def reset_parameters(self) -> None:
        super().reset_parameters()
        with torch.no_grad():
            # in float16 or bfloat16 the largest would be 1, and its logit infinite
            wide = torch.promote_types(self.decay.dtype, torch.float32)
            at_open_gate = torch.empty_like(self.decay, dtype=wide).uniform_(_FASTEST, _SLOWEST)
            self.decay.copy_(torch.logit(at_open_gate ** (1.0 / SHARPNESS)))

    def project(self, x: Tensor) -> Tensor:
        v = x if self.weight_in is None else F.linear(x, self.weight_in)
        return torch.cat([F.linear(v, self.weight_ih, self.bias_ih), v], dim=-1)

    def linear_form(self, projected: Tensor) -> tuple[Tensor, Tensor]:
        gates, v = projected[..., : 2 * self.hidden_size], projected[..., 2 * self.hidden_size :]
        return self.pair(gates, v, self.log_decay())

    def log_decay(self) -> Tensor:
        """Return log a at an open gate, (H,)."""
        return SHARPNESS * F.logsigmoid(self.decay)

    @staticmethod
    def pair(gates: Tensor, v: Tensor, log_decay: Tensor) -> tuple[Tensor, Tensor]:
        """Return a and b, each (…, H), from r and i (…, 2·H), v (…, H) and log a at an open gate (H,)."""
        recurrence, write = gates.chunk(2, dim=-1)
        r, i = torch.sigmoid(recurrence), torch.sigmoid(write)
        log_a = r * log_decay
        left = -torch.expm1(2.0 * log_a)  # 1 - a², without the loss of digits near a = 1
        # the slope of a square root at 0 is infinite; a gate that is shut to the last digit has none
        scale = torch.sqrt(left.clamp_min(torch.finfo(left.dtype).tiny))
        return torch.exp(log_a), scale * (i * v)
