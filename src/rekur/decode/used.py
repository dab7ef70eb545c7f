"""The tokens that samples have used, updated at a cost that does not grow with their length.

Axes: B samples in the batch, V vocabulary, W window.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rekur.decode.steps import Ids


class Used:
    """The tokens that each sample has used, at any time or among its last W.

    Args:
        history: earlier tokens (T,) of all samples, the oldest first.
        rows: samples B.
        size: vocabulary V.
        window: W; 0 for all tokens.

    Example:
        >>> used = Used(np.array([1, 2]), rows=1, size=4, window=2)
        >>> used.add(np.array([3]))
        >>> used.mask().tolist()
        [[False, False, True, True]]
    """

    def __init__(self, history: Ids, rows: int, size: int, window: int) -> None:
        self._rows = np.arange(rows)
        self._counts = np.zeros((rows, size), np.int32)
        self._ring: Ids | None = None
        self._next = 0
        if not window:
            self._counts[:, history] = 1
            return
        recent = history[-window:]
        self._counts[:] = np.bincount(recent, minlength=size)
        # -1 marks an empty slot
        self._ring = np.full((rows, window), -1, np.int64)
        self._ring[:, : len(recent)] = recent
        self._next = len(recent) % window

    def mask(self) -> NDArray[np.bool_]:
        """Return a mask of the used tokens, (B, V)."""
        return self._counts > 0

    def add(self, ids: Ids) -> None:
        """Add one more token of each sample, (B,)."""
        if self._ring is None:
            self._counts[self._rows, ids] = 1
            return
        gone = self._ring[:, self._next]
        if gone[0] >= 0:  # all rows have the same length
            self._counts[self._rows, gone] -= 1
        self._counts[self._rows, ids] += 1
        self._ring[:, self._next] = ids
        self._next = (self._next + 1) % self._ring.shape[1]

    def select(self, rows: Ids) -> None:
        """Continue with some rows only."""
        self._rows = np.arange(len(rows))
        self._counts = self._counts[rows]
        if self._ring is not None:
            self._ring = self._ring[rows]
