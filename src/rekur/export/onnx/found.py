"""The largest difference between an exported model and the engine, and its location."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rekur._tensors import Array
from rekur.errors import RekurError
from rekur.export.difference import differences


@dataclass(frozen=True)
class Found:
    """The largest difference between an exported model and the engine.

    Args:
        difference: absolute, or relative to the largest score of its row where that is above 1.
        where: the file, the batch and the row.
    """

    difference: float
    where: str


def compare(actual: Array, reference: Array, where: str) -> Found:
    """Return the largest difference of an array from another one.

    Args:
        actual: numbers (B, …), of the exported model.
        reference: numbers of the same shape and type, of the engine.
        where: the name of the array, for the result.

    Raises:
        RekurError: the shape or the type is another.

    Example:
        >>> compare(np.array([[1.0, 2.0]]), np.array([[1.0, 2.5]]), "scores")
        Found(difference=0.2, where='scores, row 0, number 1')
    """
    if actual.shape != reference.shape or actual.dtype != reference.dtype:
        got, expected = (f"{array.dtype} {array.shape}" for array in (actual, reference))
        raise RekurError(f"{where}: got {got}; expected {expected}.")
    if not actual.size:
        return Found(0.0, where)
    away = differences(actual.reshape(len(actual), -1), reference.reshape(len(actual), -1))
    row, column = np.unravel_index(int(away.argmax()), away.shape)
    return Found(float(away[row, column]), f"{where}, row {row}, number {column}")


def larger(first: Found, other: Found) -> Found:
    """Return the larger of two differences, the first among equals."""
    return other if other.difference > first.difference else first
