"""How many seeds a comparison takes where nobody said: blocks are added while intervals are wide."""

from __future__ import annotations

import math

from rekur._numbers import counted, shown
from rekur.metrics import METRICS
from rekur.study.verdicts import Comparison, Pair

#: what stands in the place of a number of seeds
AUTO = "auto"
#: seeds of the first block, of each further one, and of all together at most
FIRST, BLOCK, MOST = 6, 3, 24
#: by how much p is multiplied after this rule. It looks at widths alone, and yet stops too soon where seeds happen to
#: agree: in 60,000 simulated comparisons for each of 12 sizes of the spread, at most 7.5 % of true null hypotheses were
#: rejected without it, and at most 4.96 % with it (``python benchmarks/compare_statistics.py``)
PENALTY = 1.5
#: of an interval's half, the part that is due to examples from which on more seeds are of no use
DUE_TO_EXAMPLES = 0.8


def enough(comparison: Comparison, metric: str, seeds: int) -> str:
    """Return why a comparison needs no more seeds, in a sentence; an empty text if it does.

    Half of each interval is to be half a margin at most: then it excludes 0 or lies inside the margin. Without a margin
    it is to be a hundredth of the range of the metric, such as one point of accuracy; of a metric without a largest
    value a hundredth of the larger mean. An interval that is due to the examples is as narrow as it gets. Neither looks
    at the differences themselves.

    Args:
        comparison: of the runs so far.
        metric: that the scores are of; empty if no run has finished.
        seeds: that all variants have run.

    Example:
        >>> from rekur.study.statistics import compare
        >>> enough(compare([[0.80, 0.81, 0.80, 0.82, 0.80, 0.81], [0.79, 0.80, 0.79, 0.81, 0.80, 0.80]]), "accuracy", 6)
        '6 seeds: half of every interval is 0.0100 at most, as wanted.'
    """
    pairs = [pair for pair in comparison.pairs if pair.interval is not None]
    if not pairs:
        return f"{counted(seeds, 'seed')}: their differences have no spread to go by."
    wide = [pair for pair in pairs if half(pair) > goal(comparison, metric, pair)]
    if not wide:
        widest = max(goal(comparison, metric, pair) for pair in pairs)
        return f"{counted(seeds, 'seed')}: half of every interval is {shown(widest)} at most, as wanted."
    if all(pair.floor >= DUE_TO_EXAMPLES * half(pair) for pair in wide):
        return f"{counted(seeds, 'seed')}: the rest of the intervals is due to the items; more seeds would not help."
    if seeds >= MOST:
        return f"{counted(seeds, 'seed')}, the most there are: intervals are wider than wanted."
    return ""


def told(reason: str) -> str:
    """Return why no more seeds were taken, and what became of p for it."""
    return (
        f"{reason} Since widths decided when to stop, p is multiplied by {PENALTY:g}, and intervals are wider; "
        "so at most 5 % of simulated comparisons of equals find a difference."
    )


def half(pair: Pair) -> float:
    """Return the half of a pair's interval; infinity without one."""
    return math.inf if pair.interval is None else (pair.interval[1] - pair.interval[0]) / 2


def goal(comparison: Comparison, metric: str, pair: Pair) -> float:
    """Return how wide the half of a pair's interval may be."""
    if comparison.margin is not None:
        return comparison.margin / 2
    limits = METRICS[metric].limits if metric else (0.0, 1.0)
    if all(map(math.isfinite, limits)):
        return (limits[1] - limits[0]) / 100
    means = [comparison.variants[number].mean or 0.0 for number in (pair.first, pair.second)]
    return max(map(abs, means)) / 100
