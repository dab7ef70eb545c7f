"""The inverse of the cumulative distribution of many rows at once.

Axes: B rows, K weights of a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: up to this size a row is summed directly; a longer one is summed in blocks, which is ten times faster
DIRECT = 512
_WIDTH = 128


def pick(
    weights: NDArray[np.floating[Any]], uniforms: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    r"""Return for each row the index selected by its uniform number, and the sum of its weights.

    .. math:: i = \min \{ k : \textstyle\sum_{j \le k} w_j > u \sum_j w_j \}

    Sums are in double precision. An index of weight 0 is never returned.

    Args:
        weights: (B, K), 0 or more, not all 0.
        uniforms: (B,), in [0, 1).

    Returns:
        indices (B,) and sums (B,).

    Example:
        >>> indices, sums = pick(np.array([[1.0, 0.0, 3.0], [1.0, 0.0, 3.0]]), np.array([0.2, 0.25]))
        >>> indices.tolist(), sums.tolist()
        ([0, 2], [4.0, 4.0])
    """
    if weights.shape[1] > DIRECT:
        return _by_blocks(weights, uniforms)
    ends = np.add.accumulate(weights, axis=1, dtype=np.float64)
    # u < 1, so the target is below the sum: the first end above it belongs to a positive weight.
    return _first_above(ends, uniforms * ends[:, -1]), ends[:, -1]


def _by_blocks(
    weights: NDArray[np.floating[Any]], uniforms: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rows, size = weights.shape
    full = size // _WIDTH
    sums = np.empty((rows, full + 1))
    cut = weights[:, : full * _WIDTH].reshape(rows, full, _WIDTH)
    np.add.reduce(cut, axis=2, dtype=np.float64, out=sums[:, :full])
    np.add.reduce(weights[:, full * _WIDTH :], axis=1, dtype=np.float64, out=sums[:, full])
    ends = np.add.accumulate(sums, axis=1)
    target = uniforms * ends[:, -1]
    block = _first_above(ends, target)
    every = np.arange(rows)
    columns = block[:, None] * _WIDTH + np.arange(_WIDTH)
    inside = np.where(columns < size, weights[every[:, None], np.minimum(columns, size - 1)], 0)
    inner = np.add.accumulate(inside, axis=1, dtype=np.float64)
    # Rounding may move the rest out of [0, the block's sum): then take the block's first or last weight.
    rest = np.maximum(target - (ends[every, block] - sums[every, block]), 0)
    last = np.add.reduce(inner < inner[:, -1:], axis=1, dtype=np.int64)
    return block * _WIDTH + np.minimum(_first_above(inner, rest), last), ends[:, -1]


def _first_above(ends: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.int64]:
    indices: NDArray[np.int64] = np.add.reduce(ends <= target[:, None], axis=1, dtype=np.int64)
    return indices
