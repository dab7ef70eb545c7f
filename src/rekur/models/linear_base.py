"""A linear model of each channel's level and last values; the network of series learns the rest of the number.

Axes: B batch, T time, D numbers of a step, K outputs, M members, S last steps.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rekur.nn import make_pool

#: numbers of a channel: its mean, its maximum, its last value, and the maximum of its negative
LEVELS = 4
#: the largest size of a scaled number that is read: one wrong step of a sensor tells no more
LIMIT = 10.0


class LinearBase(nn.Module):
    r"""A linear model of the level and the last values of each channel, one for each member of a network.

    .. math:: b = W\,[\operatorname{mean} x,\ \max x,\ x_T,\ \max(-x),\ x_{T-S+1}, \ldots, x_T] + c

    with the scaled numbers :math:`x` of a channel, clipped to [-10, 10], and 0 before its begin. A ridge sets
    :math:`W` and :math:`c`; no gradient does.

    Args:
        input_size: numbers D of a step.
        output_size: K.
        members: matrices M, one for each member of a network.
        steps: last steps S that are read one by one; 0 for the levels alone.

    Example:
        >>> base = LinearBase(input_size=2, output_size=1, members=3)
        >>> base(torch.randn(4, 20, 2), torch.tensor([20, 5, 1, 9])).shape
        torch.Size([3, 4, 1])
    """

    matrices: Tensor
    offsets: Tensor

    def __init__(self, input_size: int, output_size: int, members: int, *, steps: int = 0) -> None:
        super().__init__()
        self.steps = steps
        self.pool, self.pool_of_negative = make_pool("mean+max+last", input_size), make_pool("max", input_size)
        self.register_buffer("matrices", torch.zeros(members, output_size, (LEVELS + steps) * input_size))
        self.register_buffer("offsets", torch.zeros(members, output_size))

    @torch.no_grad()
    def levels(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Return the numbers (B, (4 + S)D) that are read of series (B, T, D) of lengths (B,)."""
        steps = steps.clamp(-LIMIT, LIMIT)
        pooled = torch.cat([self.pool(steps, lengths), self.pool_of_negative(-steps, lengths)], dim=1)
        if not self.steps:
            return pooled
        padded = functional.pad(steps, (0, 0, self.steps, 0))
        places = lengths.to(steps.device)[:, None] + torch.arange(self.steps, device=steps.device)
        ends = padded.gather(1, places[..., None].expand(-1, -1, steps.shape[2]))
        return torch.cat([pooled, ends.flatten(1)], dim=1)

    @torch.no_grad()
    def forward(self, steps: Tensor, lengths: Tensor) -> Tensor:
        """Return the numbers of each member, (M, B, K), of series (B, T, D) of lengths (B,)."""
        return torch.einsum("bf,mkf->mbk", self.levels(steps, lengths), self.matrices) + self.offsets[:, None]

    def set(self, member: int, weights: NDArray[Any], bias: NDArray[Any]) -> None:
        """Take the weights (K, (4 + S)D) and the bias (K,) of a member."""
        for of, values in ((self.matrices, weights), (self.offsets, bias)):
            of[member].copy_(torch.from_numpy(values).to(of))
