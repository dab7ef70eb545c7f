"""Lengths of ragged batches: the check of every layer, the mask of real steps, the last real step.

Axes: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rekur.scan.check import check_lengths as check_tensor
from rekur.scan.watch import readable

Lengths = Tensor | Sequence[int]


def check_lengths(lengths: Lengths | None, x: Tensor) -> Tensor | None:
    """Return lengths on the CPU as int64 (B,), or None if every row has all T steps.

    Args:
        lengths: whole numbers in [0, T], one for each row; None means T for all.
        x: the batch (B, T, …).

    Raises:
        ShapeError: the lengths are not (B,).
        InputError: the lengths are not whole numbers, or outside [0, T].

    Example:
        >>> check_lengths([3, 1], torch.zeros(2, 3))
        tensor([3, 1])
        >>> check_lengths([3, 3], torch.zeros(2, 3)) is None
        True
    """
    if lengths is None:
        return None
    tensor = lengths if isinstance(lengths, Tensor) else torch.as_tensor(lengths)
    if not readable(tensor):
        return tensor  # the values cannot be read here; the scan checks them when it runs
    checked = check_tensor(tensor if tensor.numel() else tensor.to(torch.int64), x)
    return None if bool((checked == x.shape[1]).all()) else checked


def real_steps(lengths: Tensor, steps: int, device: torch.device | None = None) -> Tensor:
    """Return the mask (B, T) that is True at each row's real steps.

    Example:
        >>> real_steps(torch.tensor([2, 0]), 3).tolist()
        [[True, True, False], [False, False, False]]
    """
    device = lengths.device if device is None else device
    return torch.arange(steps, device=device) < lengths.to(device)[:, None]


def clear_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return x (B, T, …) with zeros beyond each row's length, so that no NaN there can leak."""
    if lengths is None:
        return x
    mask = real_steps(lengths, x.shape[1], x.device)
    return x.masked_fill(~mask.view(*mask.shape, *([1] * (x.dim() - 2))), 0)


def last_real(output: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the output (B, O) at each row's last real step; zeros for an empty row."""
    if output.shape[1] == 0:
        return output.new_zeros(output.shape[0], output.shape[2])
    if lengths is None:
        return output[:, -1]
    lengths = lengths.to(output.device)
    rows = torch.arange(output.shape[0], device=output.device)
    picked = output[rows, (lengths - 1).clamp(min=0)]
    return picked.masked_fill((lengths == 0)[:, None], 0)


def first_real(output: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the output (B, O) at each row's first step; zeros for an empty row."""
    if output.shape[1] == 0:
        return output.new_zeros(output.shape[0], output.shape[2])
    first = output[:, 0]
    return first if lengths is None else first.masked_fill((lengths.to(output.device) == 0)[:, None], 0)
