"""Items as vectors of numbers, which a linear rival reads: TF-IDF of runs of tokens, and summaries of series.

Axes: T steps, D channels, F numbers of an item, M rows of weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur._tensors import Array

Floats = NDArray[np.float64]


class Vectors(Protocol):
    """What makes numbers of an item."""

    def weighted(self, steps: Array, weights: Floats) -> Floats:
        """Return the numbers of an item times weights (M, F): (M,)."""
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

    def weighted(self, steps: Array, weights: Floats) -> Floats:
        """Return the TF-IDF of the tokens times weights (M, F): (M,)."""
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

    def weighted(self, steps: Array, weights: Floats) -> Floats:
        """Return the summary of the series times weights (M, F): (M,)."""
        return np.asarray(weights @ ((summary_of(steps) - self._mean) / self._scale))

    def to_saved(self) -> dict[str, Array]:
        """Return mean and scale."""
        return {"mean": self._mean, "scale": self._scale}


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
