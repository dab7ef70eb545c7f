"""The loop over time, the definition that every other scan must match, and reversal in time that respects lengths.

Axes: B batch, T time, D input features, P projected input, O output.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rekur.scan.precision import full_precision, project

State = tuple[Tensor, ...]


class ScannableCell(Protocol):
    """The interface of a cell for scans, such as ``rekur.cells.Cell``."""

    output_size: int

    def project(self, x: Tensor) -> Tensor: ...

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]: ...


def loop(cell: ScannableCell, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    r"""Run a cell through time, step by step.

    For t = 1 … T:  y_t, s_t = step(x_t, s_{t-1})  while t ≤ length;  y_t = 0, s_t = s_{t-1}  after it.

    Args:
        cell: the cell.
        x: inputs (B, T, D), in reading order.
        state: the initial state, each tensor (B, …).
        lengths: int64 (B,), the real steps of each row, in [0, T]; None if every row has T.

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last real step.
    """
    batch_size, steps = x.shape[0], x.shape[1]
    if steps == 0:
        return x.new_zeros(batch_size, 0, cell.output_size), state
    if lengths is not None:
        lengths = lengths.to(x.device)
        real = torch.arange(steps, device=x.device) < lengths[:, None]
        x = torch.where(_like(real, x), x, torch.zeros_like(x))  # so that no NaN in the padding affects gradients
    projected = project(cell, x)
    with full_precision(x):
        return _steps(cell, projected, state, lengths)


def _steps(cell: ScannableCell, projected: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    outputs = []
    for t, step in enumerate(projected.unbind(1)):  # a trace of this loop accepts only the same number of steps
        y, new_state = cell.recur(step, state)
        if lengths is not None:
            alive = t < lengths
            y = torch.where(_like(alive, y), y, torch.zeros_like(y))
            new_state = tuple(
                torch.where(_like(alive, new), new, old) for new, old in zip(new_state, state, strict=True)
            )
        outputs.append(y)
        state = new_state
    return torch.stack(outputs, dim=1), state


def _like(mask: Tensor, tensor: Tensor) -> Tensor:
    """Return ``mask`` with trailing axes of size 1 up to the axes of ``tensor``."""
    return mask.view(*mask.shape, *([1] * (tensor.dim() - mask.dim())))


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
