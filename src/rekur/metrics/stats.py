"""How sure a score is: intervals by resampling the items that were scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def bootstrap_interval(
    score: Callable[[NDArray[np.intp]], float],
    count: int,
    *,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval in which a score would fall on other samples of the same size.

    The percentile bootstrap (Efron 1979): items are drawn anew with replacement, and the score is taken again.

    Args:
        score: gives the score of the items with these numbers.
        count: number of items N; at least 1.
        level: share of resamples inside the interval, in (0, 1).
        resamples: times that items are drawn.
        seed: of the draws.

    Returns:
        the lower and the upper end.

    Example:
        >>> right = np.array([1, 1, 0, 1] * 50)
        >>> low, high = bootstrap_interval(lambda i: float(right[i].mean()), len(right))
        >>> low < 0.75 < high
        True
    """
    random = np.random.default_rng(seed)
    scores = [score(random.integers(0, count, count)) for _ in range(resamples)]
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
