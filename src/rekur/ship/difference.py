"""How far numbers are from those that are wanted: one scale for every export and every proof."""

from __future__ import annotations

import numpy as np

from rekur._tensors import Array


def differences(found: Array, wanted: Array) -> Array:
    """Return how far each number is from the one that is wanted.

    A difference is absolute; in rows with numbers above 1 in size it is a share of the largest: the scores of a row are
    sums of like terms, and the smallest are off by as much as the largest. It is infinite where only one of the two
    numbers is finite, and where one is NaN.

    Args:
        found: numbers (…, K), rows of K.
        wanted: as many, of the same shape.

    Example:
        >>> differences(np.array([[0.5, 1.0], [11.0, -np.inf]]), np.array([[0.25, 1.0], [10.0, -np.inf]])).tolist()
        [[0.25, 0.0], [0.1, 0.0]]
    """
    left, right = found.astype(np.float64), wanted.astype(np.float64)
    largest = np.max(np.abs(right), axis=-1, keepdims=True, initial=1, where=np.isfinite(right))
    with np.errstate(invalid="ignore"):
        apart = np.where(left == right, 0, np.abs(left - right) / largest)
    return np.nan_to_num(apart, copy=False, nan=np.inf, posinf=np.inf)
