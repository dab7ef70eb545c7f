"""The likeliest continuations of each search, over all its rows at once.

Axes: N searches, k rows of a search at most, B rows, V vocabulary, W tokens of a block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rekur.decode.rules import Allowed
from rekur.decode.steps import Ids, Scores

#: tokens of a block: one pass finds the largest of each block, and only the best blocks are looked into
_WIDTH = 600
#: by how much single precision may round a threshold, as a share
_MARGIN = 1e-6


class Candidates(NamedTuple):
    """Continuations (C,), sorted by search and within it the likeliest first.

    Attributes:
        rows: of the batch.
        tokens: the next token; the end too.
        totals: log-probabilities of the sequences.
        order: 0 for the best of its search, then 1, …
        is_cut: whether an end comes too early.
    """

    rows: Ids
    tokens: Ids
    totals: NDArray[np.float64]
    order: Ids
    is_cut: NDArray[np.bool_]


def best_candidates(
    allowed: Allowed, totals: NDArray[np.float64], searches: Ids, width: int, *, end: int
) -> Candidates:
    """Return the ``width`` likeliest continuations of each search, fewer where fewer are possible.

    Among equals the lower row goes first, then the lower token.

    Args:
        allowed: what may follow in each row.
        totals: log-probabilities of the rows so far, (B,).
        searches: of each row, (B,): 0, …, N - 1, rising, none left out.
        width: continuations of a search; no search has more rows than this.
        end: the token that ends a sequence.

    Raises:
        InputError: a log-probability is NaN or above 0.
    """
    scores = allowed.scores
    maxima = block_maxima(scores)
    ends = allowed.ends(maxima.max(axis=1))
    maxima[ends.must_end] = -np.inf
    # the first block of a row is its end
    best = np.concatenate([ends.scores[:, None], maxima], axis=1) + totals[:, None]
    starts = np.searchsorted(searches, np.arange(searches[-1] + 2))
    slots = np.arange(len(searches)) - starts[searches]
    padded = np.full((len(starts) - 1, slots.max() + 1, best.shape[1]), -np.inf)
    padded[searches, slots] = best
    flat = padded.reshape(len(padded), -1)
    threshold = _kth(flat, width)
    row, block = np.nonzero(_first(flat, threshold[:, None], width).reshape(padded.shape)[searches, slots])
    ended, row, start = row[block == 0], row[block > 0], (block[block > 0] - 1) * _WIDTH
    lowest = threshold[searches[row]] - totals[row]
    lowest -= _MARGIN * (1 + np.abs(lowest))
    inside, token = _above(scores, row, start, lowest.astype(scores.dtype))
    row = row[inside]
    rows, tokens = np.concatenate([ended, row]), np.concatenate([np.full(len(ended), end), token])
    values = np.concatenate([best[ended, 0], totals[row] + scores[row, token]])
    by_search = np.lexsort([tokens, rows, -values, searches[rows]])
    rows, tokens, values = rows[by_search], tokens[by_search], values[by_search]
    firsts = np.searchsorted(searches[rows], np.arange(len(starts) - 1))
    order = np.arange(len(rows)) - firsts[searches[rows]]
    chosen = (order < width) & (values > -np.inf)
    return Candidates(rows[chosen], tokens[chosen], values[chosen], order[chosen], ends.is_cut[rows[chosen]])


def block_maxima(scores: Scores) -> Scores:
    """Return the largest of each block of 600 neighbours of a row, (B, ⌈V / 600⌉); NaN where a block has one."""
    rows, size = scores.shape
    full = size // _WIDTH
    maxima = np.empty((rows, -(-size // _WIDTH)), scores.dtype)
    np.maximum.reduce(scores[:, : full * _WIDTH].reshape(rows, full, _WIDTH), axis=2, out=maxima[:, :full])
    if full < maxima.shape[1]:
        np.maximum.reduce(scores[:, full * _WIDTH :], axis=1, out=maxima[:, full])
    return maxima


def _kth(values: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Return the k-th largest of each row, -inf where a row is shorter."""
    rows, size = values.shape
    if k > size:
        return np.full(rows, -np.inf)
    kth: NDArray[np.float64] = np.partition(values, size - k, axis=1)[:, size - k]
    return kth


def _first(values: NDArray[np.float64], lowest: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    """Return a mask of the k largest of each row, ``lowest`` (N, 1) the k-th; of many equals the first, never -inf."""
    mask = (values >= lowest) & (values > -np.inf)
    if np.count_nonzero(mask) > k * len(mask):
        equal = values == lowest
        room = k - (mask & ~equal).sum(axis=1, keepdims=True)
        mask &= ~equal | (equal.cumsum(axis=1) <= room)
    return mask


def _above(scores: Scores, rows: Ids, starts: Ids, lowest: NDArray[Any]) -> tuple[Ids, Ids]:
    """Return the numbers of the blocks and the tokens (R,) whose score is at least ``lowest`` of their block."""
    size = scores.shape[1]
    if size <= _WIDTH:
        return np.divmod(np.flatnonzero(scores[rows] >= lowest[:, None]), size)
    # the last block of a row is shorter: it is read from further left, and what it shares with the one before is left
    begin = np.minimum(starts, size - _WIDTH)
    windows = sliding_window_view(scores.reshape(-1), _WIDTH)[rows * size + begin]
    block, column = np.divmod(np.flatnonzero(windows >= lowest[:, None]), _WIDTH)
    token = begin[block] + column
    keep = token >= starts[block]
    return block[keep], token[keep]
