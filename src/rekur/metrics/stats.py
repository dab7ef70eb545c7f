"""Confidence intervals of scores, by formula or by resampling the items."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def share_interval(right: float, count: float) -> tuple[float, float]:
    r"""Return the 95 % interval of a share; it is sound even for shares of 0 and 1.

    .. math:: \frac{p + z^2/2n \pm z \sqrt{p(1-p)/n + z^2/4n^2}}{1 + z^2/n}, \qquad z = 1.96

    Args:
        right: the number of hits.
        count: the total number; above 0.

    Reference: Wilson 1927, doi:10.1080/01621459.1927.10502953.

    Example:
        >>> [round(end, 3) for end in share_interval(60, 60)]
        [0.94, 1.0]
    """
    share, z2 = right / count, 1.96**2 / count
    middle = share + z2 / 2
    spread = math.sqrt(z2 * share * (1 - share) + z2**2 / 4)
    return max(0.0, (middle - spread) / (1 + z2)), min(1.0, (middle + spread) / (1 + z2))


def score_interval(
    score: Callable[[NDArray[np.intp]], float],
    count: int,
    *,
    units: int | None = None,
    resamples: int = 100,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the 95 % interval of a score in [0, 1] that is not a share, such as F1, by :func:`share_interval`.

    It is the interval of a share with the same variance, over as many units or fewer. The variance of the score comes
    from resampling the items. If the score is a share of items, the result is the interval of that share.

    Args:
        score: item indices -> score.
        count: number of items N; at least 1.
        units: number of what the score is a share of, such as all tokens of the items; N by default.
        resamples: number of resamples.
        seed: of the draws.

    Reference: Kott and Liu 2009, doi:10.1111/j.1751-5823.2009.00085.x (the effective number of items).

    Example:
        >>> score_interval(lambda i: 1.0, 60) == share_interval(60, 60)
        True
    """
    value, random = score(np.arange(count)), np.random.default_rng(seed)
    varies = float(np.var([score(random.integers(0, count, count)) for _ in range(resamples)]))
    as_good = min(units or count, max(1.0, value * (1 - value) / varies)) if varies else count
    return share_interval(value * as_good, as_good)


def bootstrap_interval(
    score: Callable[[NDArray[np.intp]], float],
    count: int,
    *,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the interval of a score over other samples of the same size.

    The percentile bootstrap (Efron 1979): the score of items drawn with replacement, many times.

    Args:
        score: item indices -> score.
        count: number of items N; at least 1.
        level: share of resamples inside the interval, in (0, 1).
        resamples: number of resamples.
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
