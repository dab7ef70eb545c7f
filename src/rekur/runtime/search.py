"""Texts that a search finds with a network of pairs, whatever computes its steps.

Axes: N sources, T tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur._ids import BEGIN, END, PADDING, UNKNOWN
from rekur.decode import Hypothesis, Rules, StepFunction, beam_search, greedy_search, length_limits

#: rows that are searched side by side, about
_ROWS = 256

#: what may be written
RULES = Rules(end=END, begin=BEGIN, never=(PADDING, UNKNOWN, BEGIN))


class PairSteps(StepFunction, Protocol):
    """A step function of targets that reads sources."""

    def encode(self, sequences: Sequence[Any], /) -> Any:
        """Return sources of token numbers (T,) each as ``begin`` takes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """How texts are searched.

    Attributes:
        beam: sequences that are followed side by side; 1 takes the likeliest token at each step.
        n_best: best sequences of each source, in [1, beam].
        alpha: exponent of the length in the scores, 0 or more.
    """

    beam: int = 1
    n_best: int = 1
    alpha: float = 1.0

    def __post_init__(self) -> None:
        _check.whole("beam", self.beam, 1)
        _check.whole("n_best", self.n_best, 1, self.beam)
        _check.number("alpha", self.alpha, 0)


def search(
    model: PairSteps, steps: Any, how: Search | None = None, *, stop_early: bool = True
) -> list[list[Hypothesis]]:
    """Return the best token sequences of each source, the best first; of a source without tokens the empty one.

    Args:
        model: gives the log-probabilities of the next token.
        steps: token numbers (T,) of each of N sources.
        how: beam and length; by default the likeliest token at each step.
        stop_early: whether a search ends before its places are taken; see :func:`rekur.decode.beam_search`.
    """
    how = how or Search()
    lengths: NDArray[np.int64] = np.array([len(steps[row]) for row in range(len(steps))], np.int64)
    results = [[Hypothesis(np.zeros(0, np.int64), 0.0, 0.0)] for _ in range(len(steps))]
    order = np.argsort(-lengths, kind="stable")[: int((lengths > 0).sum())]
    together = max(1, _ROWS // how.beam)
    for start in range(0, len(order), together):
        rows = order[start : start + together]
        sources = model.encode([np.asarray(steps[int(row)]) for row in rows])
        least, most = length_limits(lengths[rows])
        limits: dict[str, Any] = {"rules": RULES, "least": least, "most": most, "alpha": how.alpha}
        if how.beam == 1:
            best = [[each] for each in greedy_search(model, len(rows), sources, **limits)]
        else:
            limits |= {"beam": how.beam, "n_best": how.n_best, "stop_early": stop_early}
            best = beam_search(model, len(rows), sources, **limits)
        for row, hypotheses in zip(rows.tolist(), best, strict=True):
            results[row] = hypotheses
    return results
