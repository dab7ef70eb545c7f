"""Tests of few paired values: Student's t distribution, sign flips, Holm's correction, probability of improvement."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

#: sign flips of up to this many differences are all counted; of more, this many are drawn, block by block
_EXACT, _DRAWS, _BLOCKS = 20, 100_000, 100


def t_p_value(t: float, freedom: float) -> float:
    r"""Return the probability that Student's t lies at least as far from 0.

    .. math:: p = I_x(\nu/2, 1/2), \qquad x = \nu / (\nu + t^2)

    with the regularized incomplete beta function I.

    Args:
        t: the statistic.
        freedom: degrees of freedom :math:`\nu`, not necessarily whole; above 0.

    Reference: Student 1908, doi:10.1093/biomet/6.1.1.

    Example:
        >>> round(t_p_value(2.571, 5), 3)
        0.05
    """
    ratio = t * (t / freedom)
    if ratio == 0:
        return 1.0
    if math.isinf(ratio):
        return 0.0
    a, b, x = freedom / 2, 0.5, 1 / (1 + ratio)
    logarithm = -a * math.log1p(ratio) + b * math.log(ratio / (1 + ratio))
    factor = math.exp(logarithm + _log_gamma_ratio(a) - math.log(math.pi) / 2)
    if x < (a + 1) / (a + b + 2):
        return factor * _beta_fraction(a, b, x) / a
    return 1 - factor * _beta_fraction(b, a, ratio / (1 + ratio)) / b


def _log_gamma_ratio(a: float) -> float:
    """Return log Γ(a + 1/2) - log Γ(a); for large a from its series, since the difference would lose digits."""
    if a < 50:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return math.log(a) / 2 - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """Return the continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22)."""
    tiny = 1e-300
    value, c, d = 1.0, 1.0, 1 - (a + b) * x / (a + 1)
    d = 1 / (d or tiny)
    value = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return value


@functools.lru_cache(maxsize=1024)
def t_quantile(freedom: float, p: float = 0.05) -> float:
    """Return the t whose two-sided p is ``p``, such as 2.571 for 5 degrees of freedom and p .05.

    Args:
        freedom: degrees of freedom, not necessarily whole; at least 1.
        p: two-sided probability, in (0, 0.5].

    Example:
        >>> round(t_quantile(5), 3)
        2.571
    """
    a = freedom / 2
    constant = _log_gamma_ratio(a) - math.log(math.pi * freedom) / 2
    t = 0.0
    for _ in range(200):  # p falls and is convex for t > 0, so that Newton's steps from the left never go too far
        density = math.exp(constant - (a + 0.5) * math.log1p(t * (t / freedom)))
        step = (t_p_value(t, freedom) - p) / (2 * density)
        t += step
        if step <= 1e-15 * t:
            break
    return t


def sign_flip(differences: Sequence[float], *, tolerance: float = 0.0, seed: int = 0) -> float:
    """Return the two-sided p of paired differences if either sign of each is equally likely.

    It is the share of all choices of signs whose mean lies at least as far from 0. All are counted for up to 20
    differences; for more, 100,000 are drawn and the observed choice is counted with them.

    Args:
        differences: one a pair; at least one.
        tolerance: means that differ by no more count as equal; at least 0.
        seed: of the draws.

    Reference: Fisher 1935, The Design of Experiments, section 21.

    Example:
        >>> sign_flip([0.01, 0.02, 0.01, 0.03, 0.02, 0.01])
        0.03125
    """
    limit = abs(math.fsum(differences)) - tolerance * len(differences)
    if len(differences) <= _EXACT:
        sums = np.array(differences[:1])  # the first sign may stay: opposite choices lie equally far from 0
        for difference in differences[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        return float(np.mean(np.abs(sums) >= limit))
    random, values, hits = np.random.default_rng(seed), np.array(differences), 0
    for _ in range(_BLOCKS):
        signs = 2.0 * random.integers(0, 2, (_DRAWS // _BLOCKS, len(values))) - 1
        hits += int(np.count_nonzero(np.abs((signs * values).sum(axis=1)) >= limit))
    return (hits + 1) / (_DRAWS + 1)


def holm(p: Sequence[float]) -> list[float]:
    r"""Return the p values of several tests, corrected for their number K.

    .. math:: \tilde p_{(k)} = \max_{j \le k} \min(1, (K - j + 1)\, p_{(j)})

    Args:
        p: one a test, in [0, 1].

    Reference: Holm 1979, https://www.jstor.org/stable/4615733.

    Example:
        >>> [round(each, 2) for each in holm([0.01, 0.04, 0.03, 0.005])]
        [0.03, 0.06, 0.06, 0.02]
    """
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = largest
    return adjusted


def probability_of_improvement(first: Sequence[float], second: Sequence[float], *, tolerance: float = 0.0) -> float:
    r"""Return the share of all pairs of runs, one of each variant, in which the first has the larger score.

    .. math:: \frac{1}{nm} \sum_{i,j} \big([x_i > y_j] + \tfrac12 [x_i = y_j]\big)

    Args:
        first: scores x of n runs; at least one.
        second: scores y of m runs; at least one.
        tolerance: scores that differ by no more count as equal; at least 0.

    Reference: Agarwal et al. 2021, arXiv:2108.13264.

    Example:
        >>> probability_of_improvement([0.8, 0.9], [0.7, 0.8])
        0.875
    """
    differences = np.subtract.outer(np.asarray(first, np.float64), np.asarray(second, np.float64))
    signs = np.where(np.abs(differences) <= tolerance, 0.0, np.sign(differences))
    return float((1 + signs.mean()) / 2)
