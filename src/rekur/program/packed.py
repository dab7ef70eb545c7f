"""Ragged batches without padding: all rows of the first step, then all of the second, the longest rows first.

Axes: B sequences, R sequences with at least one step, T time, N steps of all sequences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rekur._tensors import Array


class Packed:
    """The layout of a packed batch: the index of each step of each sequence.

    Args:
        lengths: steps of each sequence (B,), 0 or more, at least one of them above 0.

    Attributes:
        order: the sequences with at least one step, the longest first (R,).
        first: index of the first row of each step (T,).
        active: number of rows at each step (T,).
        last: index of the last step of each row (R,).
        by_time: index of each packed step in the concatenation of the rows in ``order`` (N,).
        starts: index of the first step of each row in that concatenation (R,).

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
        """Index in the packed batch of each step of the concatenated rows (N,)."""
        places = np.empty(self.total, np.int64)
        places[self.by_time] = np.arange(self.total)
        return places

    @property
    def mirrored(self) -> Array:
        """For each packed step, the index of its mirror image (N,): step t is paired with step length - 1 - t."""
        return np.asarray(self.first[self.lengths[self.row] - 1 - self.times] + self.row)

    def back(self, steps: int) -> tuple[Array, Array]:
        """Return the index of the step that is ``steps`` earlier for each (N,), and whether it exists (N,)."""
        there = self.times >= steps
        places = self.first[np.where(there, self.times - steps, 0)] + self.row
        return places, there
