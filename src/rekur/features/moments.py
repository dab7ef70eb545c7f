"""Mean, deviation and range of channels, in one pass, however the values arrive."""

from __future__ import annotations

import numpy as np

from rekur.features.rows import Rows


class Moments:
    """Running moments of D channels, missing values left out.

    Two sets of n and m values with means a and b and sums of squares P and Q merge to
    ``P + Q + (b - a)² n m / (n + m)``.

    Args:
        count: D.

    Reference:
        Chan, Golub and LeVeque 1983, Algorithms for computing the sample variance.
    """

    def __init__(self, count: int) -> None:
        self.steps = 0
        self.seen = np.zeros(count, np.int64)
        self.mean = np.zeros(count)
        self.squares = np.zeros(count)
        self.low = np.full(count, np.inf)
        self.high = np.full(count, -np.inf)

    def add(self, rows: Rows) -> None:
        """Take in rows (T, D); NaN is missing."""
        present = ~np.isnan(rows)
        new = present.sum(axis=0)
        self.steps += len(rows)
        with np.errstate(over="ignore", invalid="ignore"):  # the caller asks whether the result is finite
            part = np.maximum(new, 1)
            mean = np.where(present, rows, 0.0).sum(axis=0) / part
            squares = np.square(np.where(present, rows - mean, 0.0)).sum(axis=0)
            total = np.maximum(self.seen + new, 1)
            apart = np.where(new > 0, mean - self.mean, 0.0)
            self.squares = self.squares + squares + np.square(apart) * (self.seen * (new / total))
            self.mean = self.mean + apart * (new / total)
        self.seen = self.seen + new
        self.low = np.minimum(self.low, np.where(present, rows, np.inf).min(axis=0, initial=np.inf))
        self.high = np.maximum(self.high, np.where(present, rows, -np.inf).max(axis=0, initial=-np.inf))

    def centre(self) -> Rows:
        """Return the mean of each channel (D,); exactly the value of a constant one, 0 of an unseen one."""
        return np.where(self.is_constant() & (self.seen > 0), self.low, self.mean)

    def deviation(self) -> Rows:
        """Return the standard deviation of each channel (D,), 1 where a channel does not vary."""
        deviation = np.sqrt(self.squares / np.maximum(self.seen, 1))
        return np.where(self.is_constant() | (deviation == 0), 1.0, deviation)

    def is_constant(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return which channels never had two different values (D,)."""
        constant: np.ndarray[tuple[int], np.dtype[np.bool_]] = self.low >= self.high
        return constant
