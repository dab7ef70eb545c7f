"""The naive forecast and the naive error that the M4 competition holds others against.

A history ends at the last column; earlier steps that it lacks, and missing ones, are NaN.

Axes: N histories, T steps, H steps of the horizon.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: of the test of a season: the 95 % point of one side, and the seasons that a history must have
_Z, _SEASONS = 1.645, 3


def seasonal_scales(histories: Floats, season: int) -> Floats:
    r"""Return the naive error of each history, (N,): :math:`\overline{|y_t - y_{t-m}|}`; 0 where no pair is observed.

    Args:
        histories: (N, T).
        season: steps of a season m; 1 without a season.

    Example:
        >>> seasonal_scales(np.array([[1.0, 2.0, 4.0, np.nan], [3.0, 3.0, 3.0, 3.0]]), 1).tolist()
        [1.5, 0.0]
    """
    difference = np.abs(histories[:, season:] - histories[:, : max(histories.shape[1] - season, 0)])
    observed = ~np.isnan(difference)
    count = observed.sum(axis=1)
    return np.asarray(np.where(observed, difference, 0.0).sum(axis=1) / np.maximum(count, 1))


def is_seasonal(histories: Floats, season: int) -> NDArray[np.bool_]:
    r"""Return whether each history has a season of ``season`` steps by the test of the M4 competition, (N,).

    The autocorrelation at the season is beyond
    :math:`1.645 \sqrt{(1 + 2 \sum_{k<m} r_k^2) / n}`, and there are at least three seasons of observations.

    Args:
        histories: (N, T).
        season: steps of a season m; 1 has no test, and is False.

    Reference: Makridakis, Spiliotis, Assimakopoulos 2020, doi:10.1016/j.ijforecast.2019.04.014 (their benchmarks).
    """
    observed = ~np.isnan(histories)
    count = observed.sum(axis=1)
    if season <= 1 or histories.shape[1] < _SEASONS * season:
        return np.zeros(len(histories), bool)
    values = np.where(observed, histories, 0.0)
    centred = np.where(observed, values - (values.sum(axis=1) / np.maximum(count, 1))[:, None], 0.0)
    variance = (centred**2).sum(axis=1)
    correlations = (
        np.stack([(centred[:, lag:] * centred[:, :-lag]).sum(axis=1) for lag in range(1, season + 1)], axis=1)
        / np.where(variance > 0, variance, 1.0)[:, None]
    )
    limit = _Z * np.sqrt((1 + 2 * (correlations[:, :-1] ** 2).sum(axis=1)) / np.maximum(count, 1))
    return np.asarray((count >= _SEASONS * season) & (variance > 0) & (np.abs(correlations[:, -1]) > limit))


def naive2(histories: Floats, season: int, horizon: int) -> Floats:
    """Return the forecasts of Naive2, (N, H): the last value, adjusted for the season if there is any.

    The seasonal indices are those of the classical multiplicative decomposition (a centred moving average, and the
    mean ratio to it at each phase); of the additive one for a history with values of 0 or less. A history without a
    season by :func:`is_seasonal` repeats its last value; one without any value gives NaN.

    Args:
        histories: (N, T).
        season: steps of a season.
        horizon: steps to forecast.

    Example:
        >>> naive2(np.tile([1.0, 3.0], (1, 6)), 2, 3).tolist()
        [[1.0, 3.0, 1.0]]
    """
    last = np.asarray(_last_values(histories))
    forecasts = np.repeat(last[:, None], horizon, axis=1)
    rows = np.flatnonzero(is_seasonal(histories, season))
    if not len(rows):
        return forecasts
    front = -histories.shape[1] % season
    padded = np.pad(histories[rows], ((0, 0), (front, 0)), constant_values=np.nan)
    positive = np.asarray(~(padded <= 0).any(axis=1))
    trend = _centred_means(padded, season)
    safe = np.where(trend == 0, np.nan, trend)
    ratios = np.where(positive[:, None], padded / safe, padded - trend).reshape(len(rows), -1, season)
    factor = _column_means(ratios, np.where(positive, 1.0, 0.0)[:, None])
    centre = factor.mean(axis=1, keepdims=True)
    factor = np.where(positive[:, None], factor / np.where(centre == 0, 1.0, centre), factor - centre)
    end = padded.shape[1] - 1 - np.argmax(~np.isnan(padded[:, ::-1]), axis=1)
    here = np.take_along_axis(factor, (end % season)[:, None], axis=1)
    ahead = factor[:, np.arange(horizon) % season]
    level = np.repeat(last[rows, None], horizon, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        adjusted = np.where(positive[:, None], level / here * ahead, level - here + ahead)
    forecasts[rows] = np.where(np.isfinite(adjusted), adjusted, level)
    return forecasts


def _last_values(histories: Floats) -> Floats:
    """Return the last observed value of each history, (N,); NaN without any."""
    if not histories.shape[1]:
        return np.full(len(histories), np.nan)
    end = histories.shape[1] - 1 - np.argmax(~np.isnan(histories[:, ::-1]), axis=1)
    return np.asarray(np.take_along_axis(histories, end[:, None], axis=1)[:, 0])


def _centred_means(values: Floats, season: int) -> Floats:
    """Return the moving mean over a season around each step, (N, T); its two ends count half for an even season."""
    half = season // 2
    steps = values.shape[1]

    def sums(length: int) -> Floats:  # of each stretch of this length; NaN if one of its steps is
        missing = np.isnan(values)
        totals = [
            np.cumsum(np.pad(each, ((0, 0), (1, 0))), axis=1) for each in (np.where(missing, 0.0, values), missing)
        ]
        total, gaps = (each[:, length:] - each[:, :-length] for each in totals)
        return np.asarray(np.where(gaps > 0, np.nan, total))

    means = np.full((len(values), steps), np.nan)
    if season % 2:
        means[:, half : steps - half] = sums(season) / season
    else:
        inner = sums(season)
        means[:, half : steps - half] = (inner[:, :-1] + inner[:, 1:]) / (2 * season)
    return means


def _column_means(values: Floats, absent: Any) -> Floats:
    """Return the means over axis 1 of (N, C, m) without NaN, (N, m); ``absent`` where all are NaN."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    means = np.where(defined, values, 0.0).sum(axis=1) / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, means, absent))
