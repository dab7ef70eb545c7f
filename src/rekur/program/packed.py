"""Ragged batches without padding: all rows of the first step, then all of the second, the longest rows first.

Axes: B sequences, R sequences that have a step, T time, N steps of all sequences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rekur._tensors import Array


class Packed:
    """Where each step of each sequence stands.

    Args:
        lengths: steps of each sequence (B,), 0 or more; one of them at least 1.

    Attributes:
        order: the sequences that have a step, the longest first (R,).
        first: where the rows of each step begin (T,).
        active: rows of each step (T,).
        last: where the last step of each row stands (R,).
        by_time: where each packed step stands when the rows, in ``order``, lie behind one another (N,).
        starts: where each row begins when they do (R,).

    Example:
        >>> packed = Packed([2, 0, 3])
        >>> packed.order.tolist(), packed.active.tolist(), packed.by_time.tolist()
        ([2, 0], [2, 2, 1], [0, 3, 1, 4, 2])
    """

    def __init__(self, lengths: Sequence[int] | Array) -> None:
        sizes = np.asarray(lengths, np.int64)
        order = np.argsort(-sizes, kind="stable")
        self.order: Array = order[: int((sizes > 0).sum())]
        self.lengths: Array = sizes[self.order]
        self.rows, self.steps, self.total = len(self.order), int(self.lengths[0]), int(self.lengths.sum())
        falling = np.arange(self.steps)
        self.active: Array = self.rows - np.searchsorted(self.lengths[::-1], falling, side="right")
        self.first: Array = np.cumsum(self.active) - self.active
        self.last: Array = self.first[self.lengths - 1] + np.arange(self.rows)
        self.starts: Array = np.cumsum(self.lengths) - self.lengths
        self.times: Array = np.repeat(falling, self.active)
        self.row: Array = np.arange(self.total) - np.repeat(self.first, self.active)
        self.by_time: Array = self.starts[self.row] + self.times

    @property
    def by_row(self) -> Array:
        """Where each step stands in the packed batch when the rows lie behind one another (N,)."""
        places = np.empty(self.total, np.int64)
        places[self.by_time] = np.arange(self.total)
        return places

    @property
    def mirrored(self) -> Array:
        """Where the step stands that is as far from its row's end as this one is from its beginning (N,)."""
        return np.asarray(self.first[self.lengths[self.row] - 1 - self.times] + self.row)

    def back(self, steps: int) -> tuple[Array, Array]:
        """Return where the step stands that is so many steps before each (N,), and whether there is one (N,)."""
        there = self.times >= steps
        places = self.first[np.where(there, self.times - steps, 0)] + self.row
        return places, there
