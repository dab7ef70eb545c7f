"""Documents inside a chunk: each segment between two borders becomes a row of a ragged batch, so nothing runs twice.

Axes: B batch, T time, S segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]


class Segments(NamedTuple):
    """The segments of a batch.

    Attributes:
        number: the segment of each step, (B, T).
        position: the index of each step in its segment, (B, T).
        lengths: steps of each segment, (S,).
        row: the row of each segment, (S,).
        fresh: whether a segment starts from the initial state, (S,).
        last: the last segment of each row, (B,).
    """

    number: Tensor
    position: Tensor
    lengths: Tensor
    row: Tensor
    fresh: Tensor
    last: Tensor

    @classmethod
    def of(cls, resets: Tensor) -> Segments:
        """Return the segments of a batch whose state is reset before each step that is True, (B, T).

        Example:
            >>> Segments.of(torch.tensor([[False, False, True]])).lengths.tolist()
            [2, 1]
        """
        begins = resets.clone()
        begins[:, 0] = True
        number = begins.flatten().cumsum(0).view(resets.shape) - 1
        row, step = begins.nonzero(as_tuple=True)
        position = torch.arange(resets.shape[1], device=resets.device) - step[number]
        lengths = torch.bincount(number.flatten(), minlength=len(row))
        return cls(number, position, lengths, row, resets[row, step], number[:, -1])

    def split(self, x: Tensor) -> Tensor:
        """Return the segments (S, longest, …) of steps (B, T, …), padded with zeros."""
        out = x.new_zeros(len(self.lengths), int(self.lengths.max()), *x.shape[2:])
        return out.index_put((self.number, self.position), x)

    def join(self, y: Tensor) -> Tensor:
        """Return the steps (B, T, …) of segments (S, longest, …)."""
        return y[self.number, self.position]

    def begin(self, state: State, initial: State) -> State:
        """Return the state before each segment: that of its row, or the initial one."""
        picked: list[Tensor] = []
        for carried, new in zip(state, initial, strict=True):
            fresh = self.fresh.view(-1, *([1] * (carried.dim() - 1)))
            picked.append(torch.where(fresh, new, carried[self.row]))
        return tuple(picked)

    def end(self, state: Sequence[Tensor]) -> State:
        """Return each row's state after its last segment."""
        return tuple(tensor[self.last] for tensor in state)
