"""The log-probability of given targets under a network of pairs, whatever computes its steps.

Axes: N pairs, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._ids import BEGIN
from rekur.runtime.search import PairSteps

#: pairs that are scored side by side
_ROWS = 256


def pair_scores(
    model: PairSteps, steps: Any, targets: Sequence[NDArray[Any]], most: int | None = None
) -> list[NDArray[np.float64] | None]:
    """Return log p(target | source) of each pair by tokens, (T,); None for a source without tokens, which says nothing.

    The sum is the log-probability of the target: log p(y | x) = Σ_t log p(y_t | y_<t, x).

    Args:
        model: gives the log-probabilities of the next token.
        steps: token numbers of each of N sources.
        targets: token numbers (T,) of each target, the last of them the end.
        most: tokens after which a source is cut; None for no limit.
    """
    scores: list[NDArray[np.float64] | None] = [None] * len(targets)
    lengths = np.array([len(target) if len(steps[row]) else 0 for row, target in enumerate(targets)], np.int64)
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    for start in range(0, len(order), _ROWS):
        rows = order[start : start + _ROWS]
        sources = model.encode([np.asarray(steps[int(row)])[:most] for row in rows])
        state = model.begin(len(rows), sources)
        ids, each = np.full(len(rows), BEGIN, np.int64), np.zeros((len(rows), int(lengths[rows[0]])))
        for step in range(each.shape[1]):
            live = int((lengths[rows] > step).sum())  # the longest targets stand first
            if live < len(ids):
                ids, state = ids[:live], model.select(state, np.arange(live))
            outputs, state = model.step(ids, state)
            ids = np.array([targets[int(row)][step] for row in rows[:live]], np.int64)
            each[:live, step] = outputs[np.arange(live), ids]
        for row, values in zip(rows.tolist(), each, strict=True):
            scores[row] = values[: lengths[row]]
    return scores
