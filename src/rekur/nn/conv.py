"""A causal convolution over time, over whole sequences or one step at a time.

Axes: B batch, T time, D input features, O outputs, K steps in the window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from rekur import _check
from rekur.errors import ShapeError, describe

State = tuple[Tensor]


class CausalConv(nn.Module):
    r"""A convolution over the current step and the K - 1 previous ones.

    .. math:: y_t = b + \sum_{k=0}^{K-1} W_k\, x_{t-k}, \qquad x_t = 0 \text{ for } t < 0

    Padding comes after the real steps of a row, so it does not affect them.

    Args:
        input_size: features D of a step, at least 1.
        output_size: outputs O of a step, at least 1.
        kernel_size: steps K in the window, at least 1.

    Example:
        >>> conv = CausalConv(4, 8, kernel_size=3)
        >>> x = torch.randn(2, 6, 4)
        >>> state, steps = conv.initial_state(2), []
        >>> for t in range(6):
        ...     y, state = conv.step(x[:, t], state)
        ...     steps.append(y)
        >>> torch.allclose(conv(x), torch.stack(steps, dim=1), atol=1e-6)
        True
    """

    def __init__(self, input_size: int, output_size: int, kernel_size: int) -> None:
        super().__init__()
        self.input_size = _check.size("input_size", input_size)
        self.output_size = _check.size("output_size", output_size)
        self.kernel_size = _check.steps_seen("kernel_size", kernel_size)
        self.weight = nn.Parameter(torch.empty(output_size, input_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(output_size))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """Return the outputs (B, T, O) for x (B, T, D); ``state`` has the K - 1 previous steps, by default zeros.

        Raises:
            ShapeError: x is not (B, T, D).
        """
        if x.dim() != 3 or x.shape[2] != self.input_size:
            raise ShapeError(describe("shape of x", tuple(x.shape), f"(B, T, {self.input_size})"))
        if x.shape[1] == 0:
            return x.new_zeros(x.shape[0], 0, self.output_size)
        (window,) = self.initial_state(x.shape[0], x) if state is None else state
        seen = torch.cat([window, x], dim=1).transpose(1, 2)
        return functional.conv1d(seen, self.weight, self.bias).transpose(1, 2)

    def initial_state(self, batch_size: int, like: Tensor | None = None) -> State:
        """Return K - 1 steps of zeros (B, K - 1, D), in the dtype of ``like``."""
        source = self.weight if like is None else like
        return (source.new_zeros(batch_size, self.kernel_size - 1, self.input_size),)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output (B, O) and the next state for one input (B, D)."""
        seen = torch.cat([state[0], x.unsqueeze(1)], dim=1)
        y = torch.einsum("bkd,odk->bo", seen, self.weight) + self.bias
        return y, (seen[:, 1:],)

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.output_size}, kernel_size={self.kernel_size}"
