"""The loop over time that defines what every other scan must compute.

Axes: B batch, T time, D input features, P projected input, O output.
"""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from rekur.scan.precision import full_precision, project

State = tuple[Tensor, ...]


class ScannableCell(Protocol):
    """What a scan asks of a cell; ``rekur.cells.Cell`` is one."""

    output_size: int

    def project(self, x: Tensor) -> Tensor: ...

    def recur(self, projected: Tensor, state: State) -> tuple[Tensor, State]: ...


def loop(cell: ScannableCell, x: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    r"""Run a cell through time, one step after another.

    For t = 1 … T:  y_t, s_t = step(x_t, s_{t-1})  while t ≤ length;  y_t = 0, s_t = s_{t-1}  after it.

    Args:
        cell: the cell.
        x: inputs (B, T, D), in the order in which they are to be read.
        state: the state before the first step, each tensor (B, …).
        lengths: int64 (B,), the real steps of each row, in [0, T]; None where every row has T.

    Returns:
        outputs (B, T, O), zero beyond each row's length, and the state after each row's last real step.
    """
    batch_size, steps = x.shape[0], x.shape[1]
    if steps == 0:
        return x.new_zeros(batch_size, 0, cell.output_size), state
    if lengths is not None:
        lengths = lengths.to(x.device)
        real = torch.arange(steps, device=x.device) < lengths[:, None]
        x = torch.where(_like(real, x), x, torch.zeros_like(x))  # so that no NaN of the padding meets a gradient
    projected = project(cell, x)
    with full_precision(x):
        return _steps(cell, projected, state, lengths)


def _steps(cell: ScannableCell, projected: Tensor, state: State, lengths: Tensor | None) -> tuple[Tensor, State]:
    outputs = []
    for t, step in enumerate(projected.unbind(1)):  # a trace of it refuses other numbers of steps
        y, after = cell.recur(step, state)
        if lengths is not None:
            alive = t < lengths
            y = torch.where(_like(alive, y), y, torch.zeros_like(y))
            after = tuple(torch.where(_like(alive, new), new, old) for new, old in zip(after, state, strict=True))
        outputs.append(y)
        state = after
    return torch.stack(outputs, dim=1), state


def _like(mask: Tensor, tensor: Tensor) -> Tensor:
    """Return ``mask`` with the axes that ``tensor`` has behind it."""
    return mask.view(*mask.shape, *([1] * (tensor.dim() - mask.dim())))
