"""Seasonal periods of series, by a test of the mean season and by autocorrelation.

Axes: C seasons of a series, p steps of a season, q bins of a season.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import DAY, CalendarStep

Floats = NDArray[np.float64]

#: periods that are tried besides the peaks of the autocorrelation: of quarters, weeks, months, hours, minutes …
USUAL = (4, 5, 7, 12, 13, 24, 48, 52, 60, 96, 144, 168, 288, 336, 365, 672, 1440, 8760)
#: seasons that a series must have, series that are looked at, last values of each, and bins of a season
_SEASONS, _SERIES, _STEPS, _BINS = 3, 40, 30_000, 24
#: least normal score of a test, for periods of the calendar and for others, and least autocorrelation at the period
_CALENDAR_SCORE, _SCORE, _CORRELATION = 2.7, 4.0, 0.1
#: series that count as independent; largest score of one that counts; the factor by which the score of a usual period
#: is raised among periods near to it
_INDEPENDENT, _LARGEST_SCORE, _PREFERRED = 9, 20.0, 1.1
#: periods this near, as a share, are readings of one; a period is a part of a longer one if values a period apart
#: correlate less than this share of those a longer one apart
_NEAR, _PART = 0.15, 0.33
#: highest peaks of the autocorrelation that are tried
_PEAKS = 8


def find_periods(series: Sequence[Floats], calendar: Sequence[int] = ()) -> tuple[int, ...]:
    """Return the seasonal periods that series share, ascending; empty without any.

    A period counts where the mean season of what a moving mean of its length leaves varies more than chance allows (an
    F test; its normal scores are averaged over the series that are three seasons long), and values a period apart
    correlate. A part of a longer period does not count; a period of the calendar counts as a part only of a longer one
    of the calendar. Each longer period must hold in what the mean seasons of the shorter ones leave.

    Args:
        series: values at regular steps, float; NaN where missing. At most 40 of them, and the last 30,000 values of
            each, are read.
        calendar: periods that the steps suggest, such as 7 and 365 of days: the test asks 2.7 standard deviations of
            them, and 4 of other periods.

    Example:
        >>> steps = np.arange(120)
        >>> noise = np.random.default_rng(0).normal(size=120)
        >>> find_periods([10 * np.sin(steps * np.pi / 6) + noise]), find_periods([noise.cumsum()])
        ((12,), ())
    """
    rows = np.unique(np.linspace(0, len(series) - 1, min(len(series), _SERIES)).astype(int))
    values = [_interpolated(series[row][-_STEPS:]) for row in rows]
    values = [each for each in values if len(each) >= 2 * _SEASONS and np.ptp(each) > 0]
    longest = max((len(each) for each in values), default=0) // _SEASONS
    candidates = sorted({period for period in (*calendar, *USUAL, *_peaks(values, longest)) if 2 <= period <= longest})
    periods: list[int] = []
    while candidates and (period := _shortest(values, candidates, calendar, periods)):
        periods.append(period)
        values = [_without(each, period) for each in values]
        candidates = [each for each in candidates if each > period]
    return tuple(periods)


def calendar_periods(step: CalendarStep) -> tuple[int, ...]:
    """Return the periods that a step suggests, ascending: an hour, a day, a week, a year of it, if they are of 2 to
    10,000 steps; empty for steps without a calendar.

    Example:
        >>> calendar_periods(CalendarStep("month")), calendar_periods(CalendarStep("ns", 3_600_000_000_000))
        ((12,), (24, 168, 8760))
    """
    if step.unit == "month":
        lengths = [12 / step.count]
    elif step.unit == "weekday":
        lengths = [float(step.weekdays.count("1"))]
    elif step.unit == "ns":
        lengths = [length / step.count for length in (DAY // 24, DAY, 7 * DAY, 365 * DAY)]
    else:
        lengths = []
    return tuple(sorted({round(length) for length in lengths if 2 <= length <= 10_000 and length == round(length)}))


def _shortest(values: list[Floats], candidates: list[int], calendar: Sequence[int], shorter: list[int]) -> int:
    """Return the shortest period that the series share and that is no part of a longer one; 0 without any."""
    scores: dict[int, float] = {}
    for period in candidates:
        long = [each for each in values if len(each) >= _SEASONS * period]
        tests = np.clip([_score(each, period) for each in long], -_LARGEST_SCORE, _LARGEST_SCORE)
        correlated = np.mean([_correlation(each, period, period) for each in long]) > _CORRELATION
        score = float(tests.mean()) * np.sqrt(min(len(long), _INDEPENDENT))
        if (
            correlated
            and score > (_CALENDAR_SCORE if period in calendar else _SCORE)
            and _is_peak(long, period, shorter)
        ):
            scores[period] = score * (_PREFERRED if period in calendar or period in USUAL else 1.0)
    for period, score in scores.items():
        near = [scores[other] for other in scores if abs(other - period) <= _NEAR * period]
        multiples = [other for other in scores if other > 1.5 * period and _is_multiple(other, period)]
        if period in calendar:  # a day is part of a week, but not of three days
            multiples = [other for other in multiples if other in calendar]
        if score == max(near) and not any(_is_part(values, period, other) for other in multiples):
            return period
    return 0


def _is_multiple(longer: int, period: int) -> bool:
    return abs(longer - round(longer / period) * period) <= 0.03 * longer


def _is_peak(values: list[Floats], period: int, shorter: list[int]) -> bool:
    """Return whether values a multiple of a shorter period apart correlate more than those at its neighbours."""
    if not shorter or period % shorter[-1]:
        return True
    lags = [period - shorter[-1], period, period + shorter[-1]]
    less, here, more = (np.mean([_correlation(each, lag, lag) for each in values]) for lag in lags)
    return bool(here > max(less, more))


def _is_part(values: list[Floats], period: int, multiple: int) -> bool:
    """Return whether a period is but a part of the shape of a multiple of it."""
    long = [each for each in values if len(each) >= _SEASONS * multiple]
    short, whole = (np.mean([_correlation(each, lag, multiple) for each in long]) for lag in (period, multiple))
    return bool(short < _PART * whole)


def _less_moving_mean(values: Floats, period: int) -> Floats:
    """Return values less the mean over the period around each, from step p // 2 on, (T - p or T - p + 1,)."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    means = (sums[period:] - sums[:-period]) / period
    if period % 2 == 0:
        means = (means[1:] + means[:-1]) / 2
    return np.asarray(values[period // 2 : period // 2 + len(means)] - means)


def _correlation(values: Floats, lag: int, period: int) -> float:
    """Return the autocorrelation at a lag of values less their moving mean over a period."""
    rest = _less_moving_mean(values, period)
    power = (rest**2).mean()
    return float((rest[lag:] * rest[:-lag]).mean() / power) if power and len(rest) > lag else 0.0


def _seasons(values: Floats, period: int) -> Floats:
    """Return the last whole seasons of values less their moving mean, (C, p)."""
    rest = _less_moving_mean(values, period)
    return rest[len(rest) % period :].reshape(-1, period)


def _score(values: Floats, period: int) -> float:
    """Return the normal score of the F test of a mean season against the spread of seasons around it."""
    seasons = _seasons(values, period)
    cycles = len(seasons)
    edges = np.linspace(0, period, min(period, _BINS) + 1).astype(int)
    binned = np.add.reduceat(seasons, edges[:-1], axis=1) / np.diff(edges)
    binned -= binned.mean(axis=1, keepdims=True)
    mean = binned.mean(axis=0)
    noise = binned - mean
    between, within = cycles * (mean**2).sum(), (noise**2).sum() / (cycles - 1)
    if within <= 1e-12 * between:
        return np.inf if between > 0 else 0.0
    freedom = _freedom(noise)
    return _normal_score(between / within, freedom, freedom * (cycles - 1))


def _freedom(noise: Floats) -> float:
    """Return the number of independent bins that noise (C, q) is worth: q - 1 if it is white, less if it is smooth."""
    count, flat = noise.shape[1], noise.reshape(-1)
    lags = np.arange(1, count)
    correlations = np.array([(flat[lag:] * flat[:-lag]).sum() for lag in lags]) / (flat**2).sum()
    squares = count + 2 * ((count - lags) * correlations**2).sum()
    return float(max(1.0, (count - 1) * count / squares))


def _normal_score(ratio: float, first: float, second: float) -> float:
    """Return the standard normal quantile that an F ratio with these degrees of freedom stands for (Paulson 1942)."""
    a, b, root = 2 / (9 * first), 2 / (9 * second), ratio ** (1 / 3)
    return float(((1 - b) * root - (1 - a)) / np.sqrt(b * root**2 + a))


def _interpolated(values: Floats) -> Floats:
    """Return values with gaps filled by straight lines, from the first to the last that is observed."""
    observed = np.flatnonzero(~np.isnan(values))
    if not len(observed):
        return np.zeros(0)
    return np.interp(np.arange(observed[0], observed[-1] + 1), observed, values[observed])


def _without(values: Floats, period: int) -> Floats:
    """Return values less their mean season, where there are three seasons of them."""
    if len(values) < _SEASONS * period:
        return values
    begin = period // 2 + len(_less_moving_mean(values, period)) % period  # step of the first whole season
    return values - np.resize(np.roll(_seasons(values, period).mean(axis=0), begin), len(values))


def _peaks(values: list[Floats], longest: int) -> set[int]:
    """Return the lags at which the mean autocorrelation, of values or of their differences, has its highest peaks."""
    peaks: set[int] = set()
    for order in (0, 1):
        total = np.zeros(longest + 2)
        for each in values:
            changes = np.diff(each, order)
            spectrum = np.abs(np.fft.rfft(changes - changes.mean(), 2 * len(changes))) ** 2
            products = np.fft.irfft(spectrum)[: longest + 2]
            total[: len(products)] += products / (products[0] or 1.0)
        inner = total[1:-1]
        lags = np.flatnonzero((inner > total[:-2]) & (inner > total[2:]) & (inner > 0)) + 1
        peaks.update(lags[np.argsort(-total[lags], kind="stable")[:_PEAKS]].tolist())
    return peaks
