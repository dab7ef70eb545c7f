"""Batches of rows of like length, in an order that a seed and the number of the epoch decide alone.

Axes: B batch, T time, D features of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rekur import _check
from rekur._check import flag, whole
from rekur.data.ragged import Ragged
from rekur.errors import InputError, describe

Indices = NDArray[np.int64]

#: steps of a padded batch at most; far more than what batches of usual rows have
MAX_STEPS = 200_000
#: by how much of its length a row is moved at most when rows are sorted, so that batches differ between epochs
_NOISE = 0.2


class LengthBuckets:
    """Cuts rows into batches of like length, so that little padding is computed, and still at random.

    Each epoch all rows are shuffled and cut into windows of ``window`` batches; inside a window rows are sorted
    by length and cut into batches; then the batches are shuffled. Without ``shuffle`` all rows are sorted by
    length, equal ones by their place, and the batches are the same each epoch.

    Rows so long that ``batch_size`` of them would pass ``max_steps`` go by themselves: sorted by length, in batches
    of as many as fit, so that one very long row does not pad a whole batch to its length. Each epoch has as many
    batches as the other.

    With ``batch_steps`` the batches of an epoch have about equal numbers of real steps, and weigh the same in a loss
    over steps: all rows are sorted by length, with some noise, and cut where the sum of lengths says.

    Args:
        lengths: steps in each row, 0 or more.
        batch_size: rows in a batch, 1 or more; one batch of an epoch may hold fewer, and those of very long rows.
        shuffle: whether the order is random.
        seed: 0 or more.
        window: batches sorted together; more means less padding and less randomness; 1 or more, default 50.
        max_steps: steps of a padded batch at most, rows times the longest, unless one row alone has more; 1 or more,
            default 200 000.
        batch_steps: real steps of a batch, about, in place of ``batch_size``; rows with more go by themselves; 1 or
            more, None to count rows.

    Example:
        >>> buckets = LengthBuckets([3, 9, 3, 9], batch_size=2, shuffle=False)
        >>> [batch.tolist() for batch in buckets.epoch(0)], buckets.padding_waste()
        ([[0, 2], [1, 3]], 0.0)
    """

    def __init__(
        self,
        lengths: ArrayLike,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        window: int = 50,
        max_steps: int = MAX_STEPS,
        batch_steps: int | None = None,
    ) -> None:
        self.lengths: Indices = np.asarray(lengths, dtype=np.int64)
        if self.lengths.ndim != 1 or (self.lengths < 0).any():
            raise InputError("lengths: got other values; expected one whole number of 0 or more for each row.")
        self.batch_size = whole("batch_size", batch_size, low=1)
        self.shuffle = flag("shuffle", shuffle)
        self.seed = _check.seed("seed", seed)
        self.window = whole("window", window, low=1)
        self.max_steps = whole("max_steps", max_steps, low=1)
        self.batch_steps = None if batch_steps is None else whole("batch_steps", batch_steps, low=1)
        if self.batch_steps is not None:
            self.max_steps = min(self.max_steps, self.batch_steps)
        longest = self.max_steps // self.batch_size if self.batch_steps is None else self.max_steps
        self._is_long = self.lengths > longest
        self._long_sizes = self._sizes(np.sort(self.lengths[self._is_long])[::-1])
        short = self.lengths[~self._is_long]
        # of rows no longer than the mean sum of a batch, every batch gets one
        self._n_short = (
            -(-len(short) // self.batch_size)
            if self.batch_steps is None
            else min(len(short), max(1, int(short.sum()) // self.max_steps))
        )

    def __len__(self) -> int:
        return self._n_short + len(self._long_sizes)

    @property
    def largest(self) -> tuple[int, int]:
        """The most rows of a batch that has the longest row, and the steps of that row."""
        longest = max(1, int(self.lengths.max(initial=1)))
        rows = max(1, self.max_steps // longest)
        return (rows if self.batch_steps is not None else min(self.batch_size, rows)), longest

    def epoch(self, number: int) -> Iterator[Indices]:
        """Yield the batches of an epoch: int64 (B,) row numbers; every row is in one batch.

        Nothing but the arguments decides them, so a run that was stopped goes on with
        ``itertools.islice(buckets.epoch(number), batches_done, None)``.

        Args:
            number: which epoch, 0 or more.
        """
        whole("epoch", number, low=0)
        if not self.shuffle:
            order = np.argsort(self.lengths, kind="stable")
            batches = self._cut_long(order[self._is_long[order]])[::-1]
            return iter(self._cut(order[~self._is_long[order]]) + batches)
        random = self._random(number)
        order = random.permutation(len(self.lengths))
        batches = self._cut_long(order[self._is_long[order]])
        order = order[~self._is_long[order]]
        if self.batch_steps is not None:
            keys = self.lengths[order] * (1 + _NOISE * random.random(len(order)))
            batches += self._cut(order[np.argsort(keys, kind="stable")])
            return (batches[i] for i in random.permutation(len(batches)))
        step = self.window * self.batch_size
        for start in range(0, len(order), step):
            rows = order[start : start + step]
            batches += self._cut(rows[np.argsort(self.lengths[rows], kind="stable")])
        return (batches[i] for i in random.permutation(len(batches)))

    def padding_waste(self, shuffled: bool = False) -> float:
        """Return which share of all steps in the padded batches of epoch 0 is padding, in [0, 1).

        Args:
            shuffled: count for batches in a plain random order instead, to compare with.
        """
        batches = self._cut(self._random(0).permutation(len(self.lengths))) if shuffled else list(self.epoch(0))
        padded = sum(len(rows) * int(self.lengths[rows].max()) for rows in batches)
        return 1 - int(self.lengths.sum()) / padded if padded else 0.0

    def _random(self, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, number])))

    def _sizes(self, lengths: Indices) -> list[int]:
        """Return how many of the rows go together, given their lengths from the longest on."""
        sizes: list[int] = []
        at = 0
        while at < len(lengths):
            sizes.append(min(max(1, self.max_steps // int(lengths[at])), len(lengths) - at))
            at += sizes[-1]
        return sizes

    def _cut_long(self, order: Indices) -> list[Indices]:
        """Return batches of long rows; which of them are equally long decides the order, how many fit does not."""
        order = order[np.argsort(-self.lengths[order], kind="stable")].astype(np.int64)
        return np.split(order, np.cumsum(self._long_sizes)[:-1]) if len(order) else []

    def _cut(self, order: Indices) -> list[Indices]:
        if self.batch_steps is not None:
            return self._cut_by_steps(order)
        size = self.batch_size
        return [order[start : start + size].astype(np.int64) for start in range(0, len(order), size)]

    def _cut_by_steps(self, order: Indices) -> list[Indices]:
        """Return batches with equal sums of steps: a row goes where its first step falls."""
        if not len(order):
            return []
        lengths = self.lengths[order]
        starts = np.cumsum(lengths) - lengths
        total, count = max(1, int(lengths.sum())), self._n_short
        batch_of_row = np.minimum(starts * count // total, count - 1)
        return [rows.astype(np.int64) for rows in np.split(order, np.flatnonzero(np.diff(batch_of_row)) + 1)]


def collate(ragged: Ragged, indices: ArrayLike) -> tuple[NDArray[Any], Indices]:
    """Return rows as one padded batch and their lengths.

    Args:
        ragged: rows (T_i,) of token numbers, or (T_i, D) of values.
        indices: int (B,), which rows.

    Returns:
        x, int64 (B, T) for token numbers or float32 (B, T, D) for values, 0 beyond each row's end, and
        lengths, int64 (B,). T is the longest row's length, 0 if all are empty.

    Example:
        >>> rows = Ragged.from_iter([np.array([5, 6]), np.array([7])])
        >>> x, lengths = collate(rows, [0, 1])
        >>> x.tolist(), lengths.tolist()
        ([[5, 6], [7, 0]], [2, 1])
    """
    chosen = np.asarray(indices, dtype=np.int64)
    if chosen.ndim != 1 or (len(chosen) and not 0 <= chosen.min() <= chosen.max() < len(ragged)):
        raise InputError(describe("indices", chosen, f"row numbers in [0, {len(ragged) - 1}]"))
    lengths = ragged.lengths[chosen]
    longest = int(lengths.max()) if len(chosen) else 0
    type_ = np.int64 if ragged.values.dtype.kind in "iub" else np.float32
    x = np.zeros((len(chosen), longest, *ragged.values.shape[1:]), dtype=type_)
    for i, (start, length) in enumerate(zip(ragged.starts[chosen], lengths, strict=True)):
        x[i, :length] = ragged.values[start : start + length]
    return x, lengths
