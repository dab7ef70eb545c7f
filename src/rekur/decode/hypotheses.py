"""Sequences that a search ends with, and the choice of its length normalization.

Axes: N searches, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rekur import _check
from rekur.errors import InputError, describe

#: exponents of the length that are tried on validation
ALPHAS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)

_IDS = np.dtype(np.int64)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    r"""A token sequence that a search or a sampler ended with.

    Attributes:
        ids: the tokens (T,), without the end.
        log_probability: natural logarithm of the probability of the tokens and the end.
        score: :math:`\log p / (T + 1)^\alpha`, which ranks the hypotheses of one search.
        is_cut: whether the end was forced, because the limit of the length was reached or nothing else was allowed.
    """

    ids: NDArray[np.int64] = field(compare=False)
    log_probability: float
    score: float
    is_cut: bool = False

    def at(self, alpha: float) -> Hypothesis:
        """Return the same sequence with the score of another exponent.

        Example:
            >>> Hypothesis(np.array([5, 6, 7]), -3.0, -3.0).at(1.0).score
            -0.75
        """
        score = self.log_probability / (len(self.ids) + 1) ** alpha
        return Hypothesis(self.ids, self.log_probability, score, self.is_cut)


def choose_alpha(
    pools: Sequence[Sequence[Hypothesis]],
    score: Callable[[list[Hypothesis]], float],
    alphas: Sequence[float] = ALPHAS,
) -> tuple[float, dict[float, float]]:
    """Return the exponent whose best hypotheses score highest, the smallest among equals, and all scores.

    A beam does not depend on the exponent before its hypotheses are ranked: one search with ``stop_early=False`` and
    ``n_best`` equal to the beam serves all exponents. Exponents with the same best hypotheses are scored once.

    Args:
        pools: all hypotheses of each search, N lists.
        score: scores N hypotheses, one of each search; larger is better.
        alphas: exponents to try, 0 or more each.

    Raises:
        InputError: there is no exponent or no search, an exponent is negative, or a search has no hypothesis.

    Example:
        >>> pool = [Hypothesis(np.array([5]), -2.0, 0), Hypothesis(np.array([5, 6, 7]), -3.0, 0)]
        >>> choose_alpha([pool], lambda best: len(best[0].ids), alphas=(0, 1))
        (1.0, {0.0: 1.0, 1.0: 3.0})
    """
    exponents = [_check.number("alphas", alpha, 0) for alpha in alphas]
    if not exponents:
        raise InputError(describe("alphas", "none", "one exponent or more"))
    if not pools or not all(pools):
        raise InputError(describe("pools", "a search without hypotheses", "one hypothesis or more of each search"))
    scores: dict[float, float] = {}
    scored: dict[bytes, float] = {}
    for alpha in exponents:
        order = [max(range(len(pool)), key=lambda n: pool[n].at(alpha).score) for pool in pools]
        key = np.array(order, _IDS).tobytes()
        if key not in scored:
            best = [pool[number].at(alpha) for pool, number in zip(pools, order, strict=True)]
            scored[key] = float(score(best))
        scores[alpha] = scored[key]
    return min(exponents, key=lambda alpha: (-scores[alpha], alpha)), scores
