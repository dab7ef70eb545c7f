"""Rolling origins: forecasts issued at many origins of series, and intervals from their errors; no PyTorch.

Axes: M series, N windows (a row number and an origin each), H steps of the horizon, Q quantile levels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rekur._filled_series import rolling_origins
from rekur.errors import InputError, describe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Fitted = TypeVar("Fitted")

#: residuals of a step beyond a level from which on the step is read by itself
_BEYOND = 5
#: levels this near to 1/2 are that of the median
_MIDDLE = 1e-12


class Rounds(NamedTuple):
    """Forecasts at rolling origins.

    Attributes:
        rows: number of the series of each window, (N,).
        origins: of each window, (N,).
        cuts: number of values of its series that the forecaster was fitted on, (N,).
        forecasts: (N, H), or (N, Q, H), as the forecaster gives them.
    """

    rows: Ints
    origins: Ints
    cuts: Ints
    forecasts: Floats


def roll(
    lengths: ArrayLike,
    horizon: int,
    fit: Callable[[Ints], Fitted],
    forecast: Callable[[Fitted, Ints, Ints], Floats],
    *,
    count: int | None = 1,
    stride: int | None = None,
    refit: bool = False,
    embargo: int = 0,
    earliest: int = 2,
) -> Rounds:
    """Return forecasts at rolling origins; the last origin of a series leaves exactly a horizon behind it.

    Round k forecasts from the k-th last origin of each series that has one. Without ``refit`` all rounds use one
    forecaster, fitted on what comes before the first round; with it, each round has its own. So a change of the values
    from an origin on changes nothing that is issued at it.

    Args:
        lengths: steps of each series, (M,).
        horizon: steps to forecast.
        fit: number of first values of each series (M,) -> forecaster fitted on nothing but these.
        forecast: forecaster, rows (n,), origins (n,) -> forecasts (n, …) that read nothing from the origins on.
        count: most origins of a series; None for all.
        stride: steps between origins; the horizon by default.
        refit: whether each round has a forecaster of its own.
        embargo: last values before the first origin of a forecaster that it is not fitted on.
        earliest: the least origin.

    Raises:
        InputError: no series is long enough for one origin.

    Example:
        >>> values = np.arange(10.0)
        >>> rounds = roll([10], 2, lambda cuts: None, lambda _, rows, origins: values[origins - 1][:, None], count=3)
        >>> rounds.origins.tolist(), rounds.forecasts[:, 0].tolist(), rounds.cuts.tolist()
        ([4, 6, 8], [3.0, 5.0, 7.0], [4, 4, 4])
    """
    steps = np.asarray(lengths, np.int64)
    origins = [
        rolling_origins(int(length), horizon, stride=stride or horizon, count=count, earliest=earliest + embargo)
        for length in steps
    ]
    most = max((len(each) for each in origins), default=0)
    if not most:
        likely = "Forecast fewer steps, or give longer series."
        raise InputError(
            describe("horizon", horizon, f"at most {steps.max(initial=0) - earliest - embargo} steps", likely)
        )
    first = np.array([each[0] if len(each) else length for each, length in zip(origins, steps, strict=True)])
    late = np.concatenate([np.arange(len(each))[::-1] for each in origins])  # rounds before the last
    rows, now = np.repeat(np.arange(len(steps)), [len(each) for each in origins]), np.concatenate(origins)
    parts = []
    for turn in range(most - 1, -1, -1) if refit else (None,):
        chosen = np.ones(len(rows), bool) if turn is None else late == turn
        cuts = first - embargo
        if turn is not None:
            cuts[rows[chosen]] = now[chosen] - embargo
        forecasts = forecast(fit(cuts), rows[chosen], now[chosen])
        parts.append(Rounds(rows[chosen], now[chosen], cuts[rows[chosen]], forecasts))
    return Rounds(*(np.concatenate(each) for each in zip(*parts, strict=True)))


# ── intervals ────────────────────────────────────────────────────────────────────────────────────────────────────


def conformal_offsets(residuals: Floats, levels: ArrayLike) -> Floats:
    r"""Return the offset of each quantile from a forecast at each step of the horizon, (Q, H), ascending.

    For n residuals of held-out origins the offset at the level :math:`\tau` is the one at rank
    :math:`\lceil (n + 1) \tau \rceil` (at :math:`\lfloor (n + 1) \tau \rfloor` for levels below 1/2), so that the next
    truth, if it is exchangeable with them, lies below it with the probability :math:`\tau` or more (or less). Where a
    step has fewer than five residuals beyond a level, those of all steps are pooled, each in units of its step's mean.

    Args:
        residuals: truth - forecast, (N, H), in units of each window's scale; NaN where the truth is missing.
        levels: ascending, in (0, 1), (Q,).

    Reference: Lei et al. 2018, doi:10.1080/01621459.2017.1307116.

    Example:
        >>> conformal_offsets(np.arange(-49.0, 50.0)[:, None], [0.1, 0.5, 0.9])[:, 0].tolist()
        [-40.0, 0.0, 40.0]
    """
    points = np.asarray(levels, np.float64)
    counts = (~np.isnan(residuals)).sum(axis=0)
    sizes = _step_sizes(residuals)
    pooled = (residuals / sizes)[~np.isnan(residuals)]
    least = _BEYOND / min(points.min(), 1 - points.max()) - 1
    columns = [
        _ranked(residuals[~np.isnan(residuals[:, step]), step], points)
        if count >= least
        else _ranked(pooled, points) * size
        for step, (count, size) in enumerate(zip(counts, sizes, strict=True))
    ]
    return np.stack(columns, axis=1)


def fewest_windows(levels: ArrayLike) -> int:
    """Return the windows that tell something of the outer of these levels: one lies beyond it, on average.

    Example:
        >>> fewest_windows([0.025, 0.5, 0.975])
        39
    """
    points = np.asarray(levels, np.float64)
    return math.ceil(1 / float(min(points.min(), 1 - points.max())) - 1 - 1e-9)


def quantile_offsets(quantiles: Floats, truth: Floats, levels: ArrayLike) -> Floats | None:
    r"""Return how far each quantile is to be moved at each step of the horizon, (Q, H), by held-out windows.

    An offset is in units of the distance between the outer quantiles of a forecast. Away from the median a quantile
    is moved by :func:`conformal_offsets`. Towards it, it is moved only as far as the windows leave no doubt: by the
    offset at a level that is one standard error, :math:`\sqrt{\tau (1 - \tau) / N}`, further out. The median stays.

    Args:
        quantiles: forecasts of the windows, ascending, (N, Q, H).
        truth: (N, H); NaN where it is missing.
        levels: ascending, in (0, 1), (Q,).

    Returns:
        the offsets; None for fewer windows with a truth than :func:`fewest_windows`.

    Reference: Romano et al. 2019, arXiv:1905.03222.

    Example:
        >>> truth = np.random.default_rng(0).normal(size=(2000, 1))
        >>> narrow = np.tile(np.array([-1.0, 0.0, 1.0])[:, None], (2000, 1, 1))
        >>> (2 * quantile_offsets(narrow, truth, [0.025, 0.5, 0.975])[:, 0]).round().tolist()
        [-1.0, 0.0, 1.0]
    """
    width = quantiles[:, -1] - quantiles[:, 0]
    width = np.where(width > 0, width, np.nan)
    residuals = (truth[:, None] - quantiles) / width[:, None]
    count = int((~np.isnan(residuals[:, 0])).any(axis=1).sum())
    if count < fewest_windows(levels):
        return None
    offsets = np.zeros(quantiles.shape[1:])
    for number, level in enumerate(np.asarray(levels, np.float64)):
        if abs(level - 0.5) < _MIDDLE:
            continue
        sign = np.sign(level - 0.5)
        outer = level + sign * math.sqrt(level * (1 - level) / count)
        away = conformal_offsets(residuals[:, number], [level])[0]
        back = conformal_offsets(residuals[:, number], [outer])[0] if 0 < outer < 1 else np.zeros_like(away)
        offsets[number] = sign * np.where(sign * away > 0, sign * away, np.minimum(sign * back, 0.0))
    return offsets


def widening_offsets(quantiles: Floats, residuals: Floats, levels: ArrayLike, freedom: float) -> Floats:
    r"""Return how far each quantile is to be moved at each step of the horizon, (Q, H), where held-out windows are few.

    A quantile at the level :math:`\tau` is to lie :math:`s_h\,t_\tau` from the median or further, with the root mean
    square :math:`s_h` of errors at earlier origins, and Student's t. No quantile is moved towards the median, and
    offsets have the unit of :func:`quantile_offsets`.

    Args:
        quantiles: forecasts of the held-out windows in units of their scales, ascending, (N, Q, H).
        residuals: of other forecasts at earlier origins, in units of their scales, (M, H); NaN where the truth is
            missing.
        levels: ascending, in (0, 1), 1/2 among them, (Q,).
        freedom: degrees of freedom of t, 1 or more.

    Example:
        >>> narrow = np.array([[[-0.5], [0.0], [0.5]]])
        >>> errors = np.random.default_rng(0).normal(size=(400, 1))
        >>> widening_offsets(narrow, errors, [0.025, 0.5, 0.975], 400)[:, 0].round(1).tolist()
        [-1.5, 0.0, 1.5]
    """
    points = np.asarray(levels, np.float64)
    middle = int(np.argmin(np.abs(points - 0.5)))
    sizes = np.sqrt(_smoothed(residuals**2))
    usual = (quantiles - quantiles[:, middle : middle + 1]).mean(axis=0)
    width = np.where(usual[-1] > usual[0], usual[-1] - usual[0], 1.0)
    offsets = np.zeros(quantiles.shape[1:])
    for number, level in enumerate(points):
        if abs(level - 0.5) >= _MIDDLE:
            sign = np.sign(level - 0.5)
            offsets[number] = sign * np.maximum(abs(_student(level, freedom)) * sizes - sign * usual[number], 0.0)
    return np.asarray(offsets / width)


def _student(level: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution, by Fisher's expansion.

    Example:
        >>> round(_student(0.975, 10), 2), round(_student(0.9, 4), 2)
        (2.23, 1.53)
    """
    z = NormalDist().inv_cdf(level)
    terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))


def _step_sizes(residuals: Floats) -> Floats:
    """Return the mean absolute residual of each step, (H,), smoothed over its neighbours; 1 where it would be 0."""
    sizes = _smoothed(np.abs(residuals))
    return np.asarray(np.where(sizes > 0, sizes, 1.0))


def _smoothed(numbers: Floats) -> Floats:
    """Return the mean of each step over rows (N, H) and over neighbouring steps, (H,); 0 where all are missing."""
    observed = ~np.isnan(numbers)
    sums = np.cumsum(np.pad(np.where(observed, numbers, 0.0).sum(axis=0), (1, 0)))
    counts = np.cumsum(np.pad(observed.sum(axis=0), (1, 0)))
    steps = np.arange(numbers.shape[1])
    half = np.minimum(2, np.minimum(steps, steps[::-1]))  # as far on either side
    first, last = steps - half, steps + half + 1
    return np.asarray((sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1))


def _ranked(values: Floats, levels: Floats) -> Floats:
    """Return the values at the ranks of levels, (Q,); 0 without values."""
    count = len(values)
    if not count:
        return np.zeros(len(levels))
    exact = np.round((count + 1) * levels, 9)
    ranks = np.where(levels < 0.5, np.floor(exact), np.ceil(exact))
    middle = np.abs(levels - 0.5) < _MIDDLE
    ordered = np.sort(values)
    offsets = ordered[np.clip(ranks.astype(int), 1, count) - 1]
    return np.asarray(np.where(middle, np.median(ordered), offsets))
