"""Reversal in time that respects lengths.

Axes: B batch, T time.
"""

from __future__ import annotations

import torch
from torch import Tensor


def reverse_rows(x: Tensor, lengths: Tensor | None) -> Tensor:
    r"""Reverse the real steps of each row and leave its padding in place.

    .. math:: r_{b,t} = x_{b,\,length_b - 1 - t} \text{ for } t < length_b, \quad r_{b,t} = x_{b,t} \text{ after it}

    Applied twice it gives x again.

    Args:
        x: (B, T, …).
        lengths: int64 (B,) in [0, T]; None if every row has T steps.

    Returns:
        (B, T, …), in new memory.

    Example:
        >>> reverse_rows(torch.tensor([[1, 2, 3, 0], [4, 5, 6, 7]]), torch.tensor([3, 4]))
        tensor([[3, 2, 1, 0],
                [7, 6, 5, 4]])
    """
    if lengths is None:
        return x.flip(1)
    time = torch.arange(x.shape[1], device=x.device)
    real = lengths.to(x.device)[:, None]
    source = torch.where(time < real, real - 1 - time, time)
    return x[torch.arange(x.shape[0], device=x.device)[:, None], source]
