"""Sequences that an engine is given: their checks, and the blocks in which they run.

Axes: T time, C columns of ids, D numbers of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rekur._tensors import Array
from rekur.errors import InputError, ShapeError, describe
from rekur.program.parts import Input

#: steps of all sequences that run at once, so that memory does not grow with the number of sequences
_STEPS_AT_ONCE = 1 << 15


def check_steps(thing: str, x: Any, source: Input) -> Array:
    """Return the steps of a sequence: token numbers (T,), ids (T, C) or rows (T, D).

    Args:
        thing: the name of the sequence, for messages.
        x: the steps.
        source: the form of a step.

    Raises:
        ShapeError: it has another shape.
        InputError: a token is not in the vocabulary, or a number is not finite.
    """
    try:
        array = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise ShapeError(f"{thing}: got {error}; expected rows of one length.") from error
    if source.kind == "tokens":
        if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
            got = f"{array.dtype} {array.shape}"
            raise ShapeError(describe(thing, got, "whole numbers (T,), one token a step"))
        if array.size and not (array.min() >= 0 and array.max() < source.size):
            wrong = array[(array < 0) | (array >= source.size)][0]
            raise InputError(describe(f"a token of {thing}", wrong, f"a whole number in [0, {source.size})"))
        return array.astype(np.int64)
    if source.kind == "ids":
        return _checked_ids(thing, array, source.columns)
    if array.ndim != 2 or array.shape[1] != source.size or array.dtype.kind not in "fiu":
        got = f"{array.dtype} {array.shape}"
        raise ShapeError(describe(thing, got, f"numbers (T, {source.size}), a row a step"))
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(array).all():
        wrong = array[~np.isfinite(array)][0]
        raise InputError(describe(f"a number of {thing}", wrong, "finite numbers"))
    return array


def _checked_ids(thing: str, ids: Array, columns: tuple[int, ...]) -> Array:
    if ids.ndim != 2 or ids.shape[1] != len(columns) or (ids.size and ids.dtype.kind not in "iu"):
        got = f"{ids.dtype} {ids.shape}"
        raise ShapeError(describe(thing, got, f"whole numbers (T, {len(columns)}), one of each column a step"))
    outside = (ids < 0) | (ids >= columns)
    if outside.any():
        column = int(outside.any(axis=0).argmax())
        expected = f"a whole number in [0, {columns[column]})"
        value = ids[outside[:, column], column][0]
        raise InputError(describe(f"an id of {thing} in column {column}", value, expected))
    return np.ascontiguousarray(ids, np.int64)


def blocks_of(lengths: Array, most: int = _STEPS_AT_ONCE) -> Iterator[Array]:
    """Yield blocks of sequences that run together, the longest first; empty sequences are left out.

    Args:
        lengths: steps of each sequence.
        most: steps of a block, if it has more than one sequence.
    """
    rows = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    while len(rows):
        fit = int(np.searchsorted(np.cumsum(lengths[rows]), most, side="right"))
        yield rows[: max(fit, 1)]
        rows = rows[max(fit, 1) :]
