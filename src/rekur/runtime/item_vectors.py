"""Items as vectors of numbers, which a linear rival reads: TF-IDF of tokens, summaries and shares of series.

Axes: N items, T steps, D channels, F numbers of an item, M rows of weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur._shares import Shares, in_blocks
from rekur._tensors import Array

Floats = NDArray[np.float64]


class Vectors(Protocol):
    """What makes numbers of items."""

    def weighted(self, items: Sequence[Array], weights: Floats) -> Floats:
        """Return the numbers of items, steps (T, D) or tokens, times weights (M, F): (N, M)."""
        ...

    def to_saved(self) -> dict[str, Array]:
        """Return everything learnt, as arrays."""
        ...


class GramVectors:
    r"""TF-IDF of runs of one to three tokens: :math:`(1 + \log n_g) \cdot \mathrm{idf}_g`, of length 1.

    Args:
        grams: the known runs in their order, padded with -1, (F, 3).
        idf: inverse document frequency of each, (F,).
    """

    def __init__(self, grams: NDArray[np.int32], idf: Floats) -> None:
        self._grams, self._idf = grams, idf
        rows = grams.tolist()
        self._columns = {tuple(token for token in row if token >= 0): column for column, row in enumerate(rows)}

    def weighted(self, items: Sequence[Array], weights: Floats) -> Floats:
        """Return the TF-IDF of the tokens of items times weights (M, F): (N, M)."""
        return np.reshape([self._weighted(steps, weights) for steps in items], (len(items), len(weights)))

    def _weighted(self, steps: Array, weights: Floats) -> Floats:
        counts = Counter(column for gram in grams_of(steps) if (column := self._columns.get(gram)) is not None)
        columns = np.fromiter(counts, np.int64, len(counts))
        values = (np.log(np.fromiter(counts.values(), np.float64, len(counts))) + 1.0) * self._idf[columns]
        length = float(np.sqrt((values**2).sum()))
        return np.asarray(weights[:, columns] @ (values / length if length else values))

    def to_saved(self) -> dict[str, Array]:
        """Return the runs and their inverse document frequencies."""
        return {"grams": self._grams, "idf": self._idf}


class SummaryVectors:
    """Mean, spread, extremes, ends and length of a series, standardized.

    Args:
        mean: of each number, (F,).
        scale: the standard deviation of each, (F,).
    """

    def __init__(self, mean: Floats, scale: Floats) -> None:
        self._mean, self._scale = mean, scale

    def weighted(self, items: Sequence[Array], weights: Floats) -> Floats:
        """Return the summaries of series times weights (M, F): (N, M)."""
        rows = [weights @ ((summary_of(steps) - self._mean) / self._scale) for steps in items]
        return np.reshape(rows, (len(items), len(weights)))

    def to_saved(self) -> dict[str, Array]:
        """Return mean and scale."""
        return {"mean": self._mean, "scale": self._scale}


class ShareVectors:
    """Shares of fixed convolutions of a series, long ones in means of blocks.

    Args:
        shares: the convolutions with their biases.
        stride: steps of a block.
    """

    def __init__(self, shares: Shares, stride: int) -> None:
        self._shares, self._stride = shares, stride

    def weighted(self, items: Sequence[Array], weights: Floats) -> Floats:
        """Return the shares of series times weights (M, F): (N, M)."""
        if not len(items):
            return np.empty((0, len(weights)))
        table = self._shares.of([in_blocks(steps, self._stride) for steps in items])
        return np.asarray(table.astype(np.float64) @ weights.T)

    def to_saved(self) -> dict[str, Array]:
        """Return the convolutions with their biases, and the steps of a block."""
        return {**self._shares.to_arrays(), "stride": np.array([self._stride])}


def grams_of(steps: Array) -> Iterator[tuple[int, ...]]:
    """Yield the runs of one, two and three token numbers.

    Example:
        >>> list(grams_of(np.array([4, 5])))
        [(4,), (5,), (4, 5)]
    """
    tokens = (steps if steps.ndim == 1 else steps[:, 0]).tolist()
    for size in (1, 2, 3):
        for start in range(len(tokens) - size + 1):
            yield tuple(tokens[start : start + size])


def summary_of(rows: Array) -> Floats:
    """Return mean, spread, extremes, ends and length of a series (T, D) as one vector."""
    if len(rows) == 0:
        rows = np.zeros((1, rows.shape[1]))
    numbers: NDArray[Any] = rows
    parts = [numbers.mean(0), numbers.std(0), numbers.min(0), numbers.max(0), numbers[0], numbers[-1], [len(numbers)]]
    return np.concatenate([np.asarray(part, dtype=np.float64) for part in parts])
