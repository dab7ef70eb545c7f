"""Searches over a model that lists the likeliest tokens of each row: nobody looks through the whole vocabulary.

Axes: N searches, B live rows, V vocabulary, W tokens that are listed of a row.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur.decode.candidates import Candidates
from rekur.decode.rules import Ends, Masks
from rekur.decode.steps import Ids, Lister, Scores, StepFunction


class Listed(NamedTuple):
    """What may follow in each of B rows.

    Attributes:
        tokens: the likeliest tokens but the end (B, W), the likeliest first.
        scores: their log-probabilities (B, W), -inf where they may not follow.
        ends: how rows may end.
    """

    tokens: Ids
    scores: Scores
    ends: Ends


class ListedSteps:
    """The steps of a model that lists tokens, under the rules of a search; see :func:`listed_steps`.

    Args:
        model: the model.
        masks: the rules.
        count: W.
    """

    def __init__(self, model: Lister, masks: Masks, count: int) -> None:
        self._model, self._masks, self._count = model, masks, count
        self._apart = masks.apart(model.vocabulary)

    def step(self, ids: Ids, state: Any, numbers: Ids, length: int) -> tuple[Listed, Any]:
        """Return what may follow after one more token of each row, int64 (B,), and the state.

        Args:
            ids: one more token of each row.
            state: of the rows.
            numbers: of the search of each row, (B,).
            length: tokens of each row so far.

        Raises:
            InputError: a log-probability is NaN or above 0.
        """
        tokens, scores, apart, state = self._model.largest(ids, state, self._count, self._apart)
        end = apart[:, 0].astype(np.float64)
        ends = Ends.of(scores[:, 0], end, *self._masks.limits(numbers, length))
        scores[ends.must_end] = -np.inf
        return Listed(tokens, scores, ends), state


def listed_steps(model: StepFunction, masks: Masks, count: int) -> ListedSteps | None:
    """Return the steps of a model that can list this number of tokens of a row under these rules, else None."""
    if not isinstance(model, Lister) or masks.rules.no_repeat or count > model.most_listed:
        return None
    return ListedSteps(model, masks, count)


def best_listed(listed: Listed, totals: NDArray[np.float64], searches: Ids, width: int, *, end: int) -> Candidates:
    """Return the ``width`` likeliest continuations of each search, fewer where fewer are possible.

    Among equals the lower row goes first, then the end, then the lower token.

    Args:
        listed: what may follow in each row, ``width`` tokens or more.
        totals: log-probabilities of the rows so far, (B,).
        searches: of each row, (B,): 0, …, N - 1, rising, none left out.
        width: continuations of a search; no search has more rows than this.
        end: the token that ends a sequence.
    """
    starts = np.searchsorted(searches, np.arange(searches[-1] + 1))
    slots = np.arange(len(searches)) - starts[searches]
    size = listed.tokens.shape[1] + 1
    values = np.full((len(starts), int(slots.max()) + 1, size), -np.inf)
    values[searches, slots, 0] = listed.ends.scores + totals
    values[searches, slots, 1:] = listed.scores + totals[:, None]
    flat = values.reshape(len(starts), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :width]
    search, order = np.nonzero(np.take_along_axis(flat, best, axis=1) > -np.inf)
    chosen = best[search, order]
    slot, column = np.divmod(chosen, size)
    rows = starts[search] + slot
    tokens = np.where(column == 0, end, listed.tokens[rows, column - 1])
    return Candidates(rows, tokens, flat[search, chosen], order, listed.ends.is_cut[rows])


def likeliest_listed(listed: Listed, *, end: int) -> tuple[Ids, NDArray[np.float64]]:
    """Return the likeliest token of each row, the lowest number among equals, and its log-probability, (B,)."""
    first, score = listed.tokens[:, 0], listed.scores[:, 0].astype(np.float64)
    ends = listed.ends.scores
    is_end = (ends > score) | ((ends == score) & (end < first))
    return np.where(is_end, end, first), np.where(is_end, ends, score)
