"""Lengths of ragged batches: the check that every layer makes, the mask of real steps, the last real step.

Axes: B batch, T time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from rekur.errors import InputError, ShapeError, describe

Lengths = Tensor | Sequence[int]


def check_lengths(lengths: Lengths | None, batch_size: int, steps: int) -> Tensor | None:
    """Return lengths as int64 (B,), or None where every row has all the steps.

    Args:
        lengths: whole numbers in [0, T], one a row; None means T for all.
        batch_size: B.
        steps: T.

    Raises:
        ShapeError: not one length a row.
        InputError: not whole numbers, or outside [0, T].

    Example:
        >>> check_lengths([3, 1], 2, 3)
        tensor([3, 1])
        >>> check_lengths([3, 3], 2, 3) is None
        True
    """
    if lengths is None:
        return None
    given = torch.as_tensor(lengths)
    if given.numel() == 0:
        given = given.to(torch.int64)
    if given.is_floating_point() or given.is_complex() or given.dtype == torch.bool:
        raise InputError(describe("dtype of lengths", given.dtype, "torch.int64"))
    if given.dim() != 1 or given.shape[0] != batch_size:
        raise ShapeError(
            describe(
                "shape of lengths", tuple(given.shape), f"({batch_size},), one for each row of the batch"
            )
        )
    given = given.to(torch.int64)
    if batch_size == 0:
        return None
    shortest, longest = (int(value) for value in torch.aminmax(given))
    if shortest < 0 or longest > steps:
        wrong = shortest if shortest < 0 else longest
        raise InputError(
            describe(
                "lengths",
                wrong,
                f"whole numbers in [0, {steps}]",
                "A row cannot have more real steps than the batch has steps.",
            )
        )
    return None if shortest == steps else given


def real_steps(lengths: Tensor, steps: int, device: torch.device | None = None) -> Tensor:
    """Return the mask (B, T) that is True at each row's real steps.

    Example:
        >>> real_steps(torch.tensor([2, 0]), 3).tolist()
        [[True, True, False], [False, False, False]]
    """
    device = lengths.device if device is None else device
    return torch.arange(steps, device=device) < lengths.to(device)[:, None]


def clear_padding(x: Tensor, lengths: Tensor | None) -> Tensor:
    """Return x (B, T, …) with zeros beyond each row's length, so that not even a NaN there can leak."""
    if lengths is None:
        return x
    mask = real_steps(lengths, x.shape[1], x.device)
    return x.masked_fill(~mask.view(*mask.shape, *([1] * (x.dim() - 2))), 0)


def last_real(output: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the output (B, O) at each row's last real step; zeros for a row that has none."""
    if output.shape[1] == 0:
        return output.new_zeros(output.shape[0], output.shape[2])
    if lengths is None:
        return output[:, -1]
    lengths = lengths.to(output.device)
    rows = torch.arange(output.shape[0], device=output.device)
    picked = output[rows, (lengths - 1).clamp(min=0)]
    return picked.masked_fill((lengths == 0)[:, None], 0)


def first_real(output: Tensor, lengths: Tensor | None) -> Tensor:
    """Return the output (B, O) at each row's first step; zeros for a row that has none."""
    if output.shape[1] == 0:
        return output.new_zeros(output.shape[0], output.shape[2])
    first = output[:, 0]
    return first if lengths is None else first.masked_fill((lengths.to(output.device) == 0)[:, None], 0)
