"""The difference between computed and expected numbers: one scale for every export and every proof."""

from __future__ import annotations

import numpy as np

from rekur._tensors import Array


def differences(actual: Array, expected: Array) -> Array:
    """Return the difference of each number from the expected one.

    A difference is absolute; in a row with numbers above 1 in size it is divided by the largest of them: the scores of
    a row are sums of similar terms, so the smallest are off by as much as the largest. It is infinite if only one of
    the two numbers is finite, or if one is NaN.

    Args:
        actual: numbers (…, K), rows of K.
        expected: numbers of the same shape.

    Example:
        >>> differences(np.array([[0.5, 1.0], [11.0, -np.inf]]), np.array([[0.25, 1.0], [10.0, -np.inf]])).tolist()
        [[0.25, 0.0], [0.1, 0.0]]
    """
    left, right = actual.astype(np.float64), expected.astype(np.float64)
    largest = np.max(np.abs(right), axis=-1, keepdims=True, initial=1, where=np.isfinite(right))
    with np.errstate(invalid="ignore"):
        apart = np.where(left == right, 0, np.abs(left - right) / largest)
    return np.nan_to_num(apart, copy=False, nan=np.inf, posinf=np.inf)
