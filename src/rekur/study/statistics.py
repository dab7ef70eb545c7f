"""Comparison of variants by their scores over seeds, and over examples if there are records.

Seeds are paired: run s of every variant reads the same split in the same order. Axes: S numbers a record, G groups of
examples.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rekur import _check
from rekur._numbers import counted
from rekur.errors import InputError, describe
from rekur.metrics.significance import holm, probability_of_improvement, sign_flip, t_p_value, t_quantile
from rekur.study.influences import Array, Score, influences, read_scores
from rekur.study.verdicts import (
    ROUNDING,
    UNLIMITED,
    Comparison,
    Pair,
    Variant,
    check_limits,
    cut_intervals,
    edge_error,
)

#: largest p that decides, and 1 - the level of all intervals
ALPHA = 0.05
#: seeds from which the sign-flip test can reach ``ALPHA``: 2 / 2⁶ = .031
ENOUGH_SEEDS = 6


def compare(
    scores: Any,
    records: Any = None,
    *,
    score: Score | None = None,
    larger_is_better: bool = True,
    margin: float | None = None,
    limits: tuple[float, float] = UNLIMITED,
    penalty: float = 1.0,
    seed: int = 0,
) -> Comparison:
    r"""Return means, differences, intervals, p and verdicts of variants that ran with the same seeds.

    With the differences :math:`d_s` of n paired seeds, the interval and p come from a t statistic:

    .. math:: t = \bar d / \sqrt{v}, \qquad v = v_\text{seeds} = \tfrac{1}{n(n-1)} \sum_s (d_s - \bar d)^2

    with n - 1 degrees of freedom. Records add the variance over examples, :math:`v = \max(0, v_\text{seeds} -
    v_\text{both}) + v_\text{examples}`, with degrees of freedom after Satterthwaite. Examples are left out group by
    group, in up to 100 random groups, and every score is recomputed from the other records, so the metric need not be
    a mean. :math:`v_\text{examples}` is the jackknife variance of :math:`\bar d`; :math:`v_\text{both}` is that of the
    :math:`d_s` around :math:`\bar d`, which both other terms contain. With six seeds, 3 to 6 % of the 95 % intervals
    miss the true difference; with records and only three seeds up to 8 %, with two up to 14 %.

    If all seeds differ by the same amount and examples do not vary either, a variance of 0 is luck and not certainty:
    then p is 1 for identical runs, else the p of the sign-flip test. Results of a pair depend on no other variant,
    except for ``p_holm``.

    Intervals are cut where no score, or no difference of scores, can be: the truth lies inside, so they hold it as
    often as before. p and verdicts are of the whole ones. Where no example moves a score
    between two limits, :math:`v_\text{examples}` is :math:`(R / (N + 2))^2`, and twice that of a difference, with the
    range R and N items: items that are all answered alike do not show that all others would be.

    Args:
        scores: float64 (variants, seeds); NaN or None for a run that failed.
        records: (variants, seeds, items, S), the records of the same items in every run; those of failed runs are not
            read and may be None. At least 2 items.
        score: records (N, S) -> the score, or a dict of metrics; of these the one that equals ``scores`` counts.
            Needed with ``records``.
        larger_is_better: whether a larger score is better.
        margin: "same" is said of a pair whose interval lies inside (-margin, margin), and never without a margin;
            above 0.
        limits: the least and the largest value that a score can have, such as (0, 1).
        penalty: by how much p is multiplied, where the number of seeds was chosen by looking at scores; at least 1.
            Intervals are those of p so multiplied.
        seed: of the groups of examples, and of the sign flips where there are more than 20 seeds.

    Returns:
        the comparison; equal arguments give equal bits.

    Raises:
        InputError: a score is infinite or outside the limits, no margin above 0, a penalty below 1, or a score that
            differs from that of its records.
        ShapeError: scores are no table, or records do not fit it or each other.

    References: Student 1908, doi:10.1093/biomet/6.1.1; Satterthwaite 1946, doi:10.2307/3002019; Holm 1979,
    https://www.jstor.org/stable/4615733; Busing, Meijer and van der Leeden 1999, doi:10.1023/A:1008800423698 (the
    jackknife of unequal groups); Owen 2007, doi:10.1214/07-AOAS122 (the variance of two crossed factors).

    Example:
        >>> gru = [0.8404, 0.866, 0.852, 0.8327, 0.8492, 0.8384]
        >>> rnn = [0.8241, 0.8283, 0.8036, 0.8174, 0.8102, None]
        >>> comparison = compare([gru, rnn])
        >>> pair = comparison.pairs[0]
        >>> pair.verdict, round(pair.difference, 4), [round(end, 4) for end in pair.interval]
        ('better', 0.0313, [0.013, 0.0497])
        >>> pair.note
        'few seeds: 5; variant 1: 1 of 6 runs failed'
        >>> print(compare([[0.81], [0.84]]))
        variant 0: 0.8100, 1 run (one seed: no interval)
        variant 1: 0.8400, 1 run (one seed: no interval)
        0 - 1: -0.0300: no verdict (one seed: no interval, no p, no verdict)
        margin: none, so no pair is called the same

        Records of right and wrong answers; the score is accuracy:

        >>> right = np.random.default_rng(0).random((2, 6, 500, 1)) < np.reshape([0.9, 0.8], (2, 1, 1, 1))
        >>> compare(right.mean((2, 3)), right, score=np.mean).pairs[0].verdict
        'better'
    """
    larger_is_better = _check.flag("larger_is_better", larger_is_better)
    margin = None if margin is None else _check.positive("margin", margin)
    seed = _check.seed("seed", seed)
    table = read_scores(scores)
    check_limits(table, limits)
    moves = influences(table, records, score, seed)
    penalty = _check.number("penalty", penalty, 1)
    edge = 0.0 if moves is None else edge_error(limits, _items(records))
    variants = tuple(
        _summary(row, None if moves is None else moves[index], penalty, edge) for index, row in enumerate(table)
    )
    pairs = [
        _test(table, moves, *indices, seed, penalty, edge) for indices in itertools.combinations(range(len(table)), 2)
    ]
    adjusted = iter(holm([pair.p for pair in pairs if pair.p is not None]))
    decided = []
    for pair in pairs:
        p_holm = None if pair.p is None else next(adjusted)
        verdict = _verdict(pair, p_holm, larger_is_better, margin)
        notes = [pair.note]
        for index in (pair.first, pair.second):
            if failures := _failures(variants[index]):
                notes.append(f"variant {index}: {failures}")
        if verdict in ("better", "worse") and _is_inside(pair.interval, margin):
            notes.append("the interval lies inside the margin")
        improvement = pair.improvement if larger_is_better or pair.improvement is None else 1 - pair.improvement
        note = "; ".join(filter(None, notes))
        decided.append(dataclasses.replace(pair, p_holm=p_holm, improvement=improvement, verdict=verdict, note=note))
    return cut_intervals(Comparison(variants, tuple(decided), larger_is_better, margin), limits)


def compare_models(
    records: Sequence[Any],
    score: Callable[[Array], float],
    *,
    larger_is_better: bool = True,
    margin: float | None = None,
    limits: tuple[float, float] = UNLIMITED,
    seed: int = 0,
) -> Comparison:
    r"""Return scores, differences, intervals, p and verdicts of single models that were scored on the same items.

    The t statistic has the jackknife variance v over G groups of items alone, with G - 1 degrees of freedom. What would
    vary with the seed of a training is not in it: it speaks of these models, and not of how they were made.

    Between two limits, items that all answer alike do not make a score certain. The interval of a score is then
    Wilson's, with v in the place of a share's variance. A difference d of N items is tested with two more items:
    each model has one of them right and the other wrong; with the range R of the score:

    .. math:: t = \frac{N d}{(N + 2) \sqrt{w}}, \qquad
        w = \frac{1}{N + 2} \left( \frac{N (N - 1) v + N d^2 + 2 R^2}{N + 2} - \frac{N^2 d^2}{(N + 2)^2} \right)

    Args:
        records: of each model (N, S), of the same N >= 2 items in the same order.
        score: records (N, S) -> the score.
        larger_is_better: as for :func:`compare`.
        margin: as for :func:`compare`.
        limits: as for :func:`compare`.
        seed: of the groups of items.

    Returns:
        the comparison, with models as variants of a single run; equal arguments give equal bits.

    Raises:
        InputError: a score is not finite or outside the limits, or no margin above 0.
        ShapeError: models have records of different shapes, or of one item.

    References: Wilson 1927, doi:10.1080/01621459.1927.10502953; Bonett and Price 2012, doi:10.3102/1076998611411915
    (the two more items).

    Example:
        >>> draws = np.random.default_rng(0).random((500, 1))
        >>> pair = compare_models([draws < 0.9, draws < 0.8], lambda rows: float(rows.mean())).pairs[0]
        >>> pair.verdict, round(pair.difference, 3)
        ('better', 0.118)

        Two models that answer all of four items:

        >>> right = np.ones((4, 1))
        >>> comparison = compare_models([right, right], lambda rows: float(rows.mean()), limits=(0, 1))
        >>> [round(end, 3) for end in comparison.variants[0].interval + comparison.pairs[0].interval]
        [0.283, 1.0, -0.75, 0.75]
    """
    larger_is_better = _check.flag("larger_is_better", larger_is_better)
    margin = None if margin is None else _check.positive("margin", margin)
    values = [np.asarray(rows, np.float64) for rows in records]
    table = read_scores([[score(rows)] for rows in values])
    check_limits(table, limits)
    moves = influences(table, [[rows] for rows in values], score, _check.seed("seed", seed))
    if moves is None or np.isnan(table).any():
        raise InputError(describe("scores", table[:, 0].tolist(), "a finite number of each model"))
    changes, scores, items = moves[:, 0], table[:, 0].tolist(), len(values[0])
    variants = tuple(
        Variant(value, _model_interval(value, row, items, limits), n=1, failed=0)
        for value, row in zip(scores, changes, strict=True)
    )
    pairs = [
        _test_models(scores, changes, *both, items, limits) for both in itertools.combinations(range(len(scores)), 2)
    ]
    adjusted = holm([pair.p for pair in pairs if pair.p is not None])
    decided = tuple(
        dataclasses.replace(pair, p_holm=p, verdict=_verdict(pair, p, larger_is_better, margin))
        for pair, p in zip(pairs, adjusted, strict=True)
    )
    return cut_intervals(Comparison(variants, decided, larger_is_better, margin), limits)


def _model_interval(value: float, parts: Array, items: int, limits: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of one model's score; ``parts`` (G,) are how far each group of items moves it."""
    error, freedom, reach = math.hypot(*parts), len(parts) - 1.0, limits[1] - limits[0]
    if not math.isfinite(reach):
        return _Estimate(value, error, freedom).interval()
    quantile = t_quantile(freedom, ALPHA)
    more = quantile**2 / items
    middle = (value + more * (limits[0] + limits[1]) / 2) / (1 + more)
    half = quantile * math.hypot(error, quantile * reach / (2 * items)) / (1 + more)
    return min(value, middle - half), max(value, middle + half)  # a score at a limit lies inside despite rounding


def _test_models(
    scores: Sequence[float], changes: Array, first: int, second: int, items: int, limits: tuple[float, float]
) -> Pair:
    """Return the pair of two models, still without Holm's correction and a verdict."""
    difference, reach = scores[first] - scores[second], limits[1] - limits[0]
    parts = changes[first] - changes[second]
    error, rounding = math.hypot(*parts), ROUNDING * max(abs(scores[first]), abs(scores[second]))
    pair, has_limits = Pair(first, second, 1, difference=difference), math.isfinite(reach)
    if error <= rounding:
        is_equal = abs(difference) <= rounding
        note = (
            "identical scores in all groups of items" if is_equal else "all groups of items differ by the same amount"
        )
        pair = dataclasses.replace(pair, difference=0.0 if is_equal else difference, note=note)
        if not has_limits:
            return dataclasses.replace(pair, p=1.0 if is_equal else min(1.0, 2.0 ** (1 - len(parts))))
    middle = difference
    if has_limits:
        all_items, middle = items + 2, items * difference / (items + 2)
        squares = items * (items - 1) * error**2 + items * difference**2 + 2 * reach**2
        error = math.sqrt((squares / all_items - middle**2) / all_items)
    estimate = _Estimate(middle, error, len(parts) - 1.0)
    p = max(t_p_value(middle / error, estimate.freedom), sys.float_info.min)
    return dataclasses.replace(pair, interval=estimate.interval(), p=p)


# ── one variant, one pair ────────────────────────────────────────────────────────────────────────────────────────


class _Estimate(NamedTuple):
    """A mean over seeds with its standard error, that over examples alone, and degrees of freedom of both."""

    mean: float
    error: float
    freedom: float
    of_examples: float = 0.0
    groups: int = 0

    def interval(self, penalty: float = 1.0) -> tuple[float, float]:
        half = t_quantile(self.freedom, ALPHA / penalty) * self.error
        return self.mean - half, self.mean + half

    def floor(self, penalty: float) -> float:
        """Return the half of the interval that any number of seeds would leave."""
        return t_quantile(self.groups - 1, ALPHA / penalty) * self.of_examples if self.of_examples else 0.0


def _estimate(values: Array, moves: Array | None, edge: float = 0.0) -> _Estimate:
    """Return the mean of one value a seed, of at least two seeds.

    Args:
        values: (seeds,).
        moves: (seeds, G), from :func:`influences`, or None.
        edge: the standard error over examples where none of them moves the mean.
    """
    n = len(values)
    mean = min(max(math.fsum(values) / n, float(values.min())), float(values.max()))  # in spite of rounding
    error, freedom = math.hypot(*(values - mean)) / math.sqrt(n * (n - 1)), float(n - 1)
    if moves is None:
        return _Estimate(mean, error, freedom)
    shared = moves.mean(axis=0)
    examples = math.hypot(*shared)
    if examples <= ROUNDING * float(np.abs(values).max()):
        examples = edge
    both = math.hypot(*(moves - shared).ravel()) / math.sqrt(n * (n - 1))
    if error <= both:
        return _Estimate(mean, examples, len(shared) - 1, examples, len(shared))
    total = math.hypot(error * math.sqrt(1 - (both / error) ** 2), examples)
    inverse = min(1.0, error / total) ** 4 / (n - 1) + (examples / total) ** 4 / (len(shared) - 1)
    return _Estimate(mean, total, 1 / inverse, examples, len(shared))


def _summary(scores: Array, moves: Array | None, penalty: float, edge: float) -> Variant:
    """Return the summary of one variant's scores (seeds,)."""
    finished = ~np.isnan(scores)
    values = scores[finished]
    variant = Variant(None, None, n=len(values), failed=len(scores) - len(values))
    notes = [_failures(variant)]
    if len(values) == 1:
        variant = dataclasses.replace(variant, mean=float(values[0]))
        notes.append("one seed: no interval")
    elif len(values):
        estimate = _estimate(values, None if moves is None else moves[finished], edge)
        has_spread = estimate.error > ROUNDING * np.abs(values).max()
        interval = estimate.interval(penalty) if has_spread else (estimate.mean, estimate.mean)
        variant = dataclasses.replace(variant, mean=estimate.mean, interval=interval)
        notes.append("" if has_spread else "no spread: the interval has no width")
    return dataclasses.replace(variant, note="; ".join(filter(None, notes)))


def _failures(variant: Variant) -> str:
    """Return how many runs failed, in words; an empty text if none did."""
    return f"{variant.failed} of {counted(variant.n + variant.failed, 'run')} failed" if variant.failed else ""


def _test(table: Array, moves: Array | None, first: int, second: int, seed: int, penalty: float, edge: float) -> Pair:
    """Return the pair of two variants, still without Holm's correction and a verdict."""
    both = ~np.isnan(table[first]) & ~np.isnan(table[second])
    differences = table[first, both] - table[second, both]
    n = len(differences)
    if n == 0:
        return Pair(first, second, n, note="no seed that both finished")
    rounding = ROUNDING * float(np.abs(table[[first, second]][:, both]).max())
    improvement = probability_of_improvement(table[first, both], table[second, both], tolerance=rounding)
    pair = Pair(first, second, n, improvement=improvement)
    if n == 1:
        note = "one seed: no interval, no p, no verdict"
        return dataclasses.replace(pair, difference=float(differences[0]), note=note)
    parts = None if moves is None else moves[first, both] - moves[second, both]
    estimate = _estimate(differences, parts)
    p_sign_flip = sign_flip(differences.tolist(), tolerance=rounding, seed=seed)
    difference = 0.0 if abs(estimate.mean) <= rounding else estimate.mean
    pair = dataclasses.replace(pair, difference=difference, p_sign_flip=p_sign_flip)
    is_identical = estimate.error <= rounding and abs(estimate.mean) <= rounding
    if np.ptp(differences) <= rounding and not is_identical:
        note = f"few seeds: all {n} differ by the same amount"
    else:
        note = f"few seeds: {n}" if n < ENOUGH_SEEDS else ""
    if is_identical:
        # n differences at the margin would all have one sign by chance with probability 2⁻ⁿ
        half = _estimate(differences, parts, math.sqrt(2) * edge).floor(penalty)
        interval = (0.0 - half, half) if 0.5**n <= ALPHA else None
        note = "; ".join(filter(None, [note, f"identical scores in all {n} seeds"]))
        return dataclasses.replace(pair, difference=0.0, interval=interval, p=1.0, note=note)
    if estimate.error <= rounding:
        return dataclasses.replace(pair, p=min(1.0, penalty * p_sign_flip), note=note)
    estimate = _estimate(differences, parts, math.sqrt(2) * edge)
    p = max(t_p_value(estimate.mean / estimate.error, estimate.freedom), sys.float_info.min)
    ends, floor = estimate.interval(penalty), estimate.floor(penalty)
    return dataclasses.replace(pair, interval=ends, p=min(1.0, penalty * p), floor=floor, note=note)


def _items(records: Sequence[Any]) -> int:
    """Return the number of items of runs whose records were read before."""
    return max(len(rows) for seeds in records for rows in seeds if rows is not None and np.ndim(rows) == 2)


def _verdict(pair: Pair, p_holm: float | None, larger_is_better: bool, margin: float | None) -> str | None:
    if p_holm is None or pair.difference is None:
        return None
    if p_holm <= ALPHA:
        return "better" if (pair.difference > 0) == larger_is_better else "worse"
    return "same" if _is_inside(pair.interval, margin) else "undecided"


def _is_inside(interval: tuple[float, float] | None, margin: float | None) -> bool:
    return interval is not None and margin is not None and max(-interval[0], interval[1]) < margin
