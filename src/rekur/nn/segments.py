"""Documents inside a chunk: each stretch between two borders becomes a row of a ragged batch, so nothing runs twice.

Axes: B batch, T time, S stretches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

State = tuple[Tensor, ...]


class Segments(NamedTuple):
    """Where the stretches of a batch stand.

    Attributes:
        number: the stretch that each step belongs to, (B, T).
        place: the number of the step in its stretch, (B, T).
        lengths: steps of each stretch, (S,).
        row: the row that each stretch is from, (S,).
        fresh: whether a stretch begins with the initial state, (S,).
        last: the last stretch of each row, (B,).
    """

    number: Tensor
    place: Tensor
    lengths: Tensor
    row: Tensor
    fresh: Tensor
    last: Tensor

    @classmethod
    def of(cls, resets: Tensor) -> Segments:
        """Return the stretches of a batch whose state begins anew before each step that is True, (B, T).

        Example:
            >>> Segments.of(torch.tensor([[False, False, True]])).lengths.tolist()
            [2, 1]
        """
        begins = resets.clone()
        begins[:, 0] = True
        number = begins.flatten().cumsum(0).view(resets.shape) - 1
        row, step = begins.nonzero(as_tuple=True)
        place = torch.arange(resets.shape[1], device=resets.device) - step[number]
        lengths = torch.bincount(number.flatten(), minlength=len(row))
        return cls(number, place, lengths, row, resets[row, step], number[:, -1])

    def split(self, x: Tensor) -> Tensor:
        """Return the stretches (S, longest, …) of steps (B, T, …), zeros behind their ends."""
        out = x.new_zeros(len(self.lengths), int(self.lengths.max()), *x.shape[2:])
        return out.index_put((self.number, self.place), x)

    def join(self, y: Tensor) -> Tensor:
        """Return the steps (B, T, …) of stretches (S, longest, …)."""
        return y[self.number, self.place]

    def begin(self, state: State, initial: State) -> State:
        """Return the state before each stretch: that of its row, or the initial one."""
        picked: list[Tensor] = []
        for carried, new in zip(state, initial, strict=True):
            fresh = self.fresh.view(-1, *([1] * (carried.dim() - 1)))
            picked.append(torch.where(fresh, new, carried[self.row]))
        return tuple(picked)

    def end(self, state: Sequence[Tensor]) -> State:
        """Return each row's state after its last stretch."""
        return tuple(tensor[self.last] for tensor in state)
