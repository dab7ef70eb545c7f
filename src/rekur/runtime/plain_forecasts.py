"""Plain forecasts: naives, ridge regressions on scaled windows, and their combination; no PyTorch.

Every forecast is made of a window, the L values before an origin with gaps filled, and of the scale of its series, the
mean absolute difference over a season of the values before the origin.

Axes: N windows, L steps of a window, H steps of the horizon, K candidates, M series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from rekur.data.filled_series import FilledSeries, rolling_origins

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: most windows that ridges are fitted on, and windows that are worked on at a time
LARGEST_FIT, BLOCK = 60_000, 4096
#: rolling origins whose errors weigh the candidates
BACKTESTS = 8
#: of ridges, in squared units of the scaled windows
PENALTY = 100.0
#: share of a window's mean that is added before logarithms
SHARE = 0.01
#: largest forecast of a ridge on logs, from its location: a factor of 3,000
LARGEST_LOG = 8.0


class Scaling(NamedTuple):
    """How a window x becomes the inputs ``(f(x) - location) / divisor`` of a ridge; forecasts go the same way back.

    Attributes:
        log: f(x) is ``log(max(x, 0) + SHARE * mean(max(x, 0)))``; else f(x) is x.
        location: the mean of this number of last values of f(x) is subtracted.
        divisor: ``one``; ``series``, the scale of the series; ``window``, the mean absolute seasonal difference of the
            window; or ``deviation``, the standard deviation of f(x) in the window. A divisor of 0 becomes 1.
    """

    log: bool
    location: int
    divisor: str


class Scaled(NamedTuple):
    """Windows on the scale of a ridge.

    Attributes:
        values: f(x), (N, L).
        location: (N, 1).
        divisor: (N, 1); 0 where a window has no scale.
        shift: added before the logarithm, (N, 1).
    """

    values: Floats
    location: Floats
    divisor: Floats
    shift: Floats


@dataclass(frozen=True)
class Ridge:
    """A linear map from the last steps of a scaled window to the scaled horizon.

    Attributes:
        name: of the candidate in tables.
        scaling: of windows and forecasts.
        weights: float32 (steps, H).
    """

    name: str
    scaling: Scaling
    weights: NDArray[np.float32]

    def forecast(self, windows: Floats, scales: Floats, season: int) -> Floats:
        """Return the forecasts (N, H) of windows (N, L) with the scales of their series (N,)."""
        scaled = scale_windows(windows, scales, self.scaling, season)
        divisor = np.where(scaled.divisor > 0, scaled.divisor, 1.0)
        inputs = (scaled.values[:, -len(self.weights) :] - scaled.location) / divisor
        outputs = inputs @ self.weights.astype(np.float64)
        if self.scaling.log:
            outputs = np.clip(outputs, -LARGEST_LOG, LARGEST_LOG)
            return np.exp(outputs * divisor + scaled.location) - scaled.shift
        return np.asarray(outputs * divisor + scaled.location)


def scale_windows(windows: Floats, scales: Floats, scaling: Scaling, season: int) -> Scaled:
    """Return windows (N, L) on the scale of a ridge.

    Args:
        windows: (N, L).
        scales: of the series, (N,), 0 or more.
        scaling: of the ridge.
        season: steps of the shortest season; 1 without one.
    """
    shift = np.zeros((len(windows), 1))
    values = windows
    if scaling.log:
        level = np.maximum(windows, 0).mean(axis=1, keepdims=True)
        shift = SHARE * np.where(level > 0, level, 1.0)
        values = _logs(windows, shift)
    location = values[:, -scaling.location :].mean(axis=1, keepdims=True)
    if scaling.divisor == "series":
        divisor = scales[:, None]
    elif scaling.divisor == "window":
        divisor = np.abs(values[:, season:] - values[:, :-season]).mean(axis=1, keepdims=True)
    elif scaling.divisor == "deviation":
        divisor = values.std(axis=1, keepdims=True)
    else:
        divisor = np.ones_like(location)
    return Scaled(values, location, divisor, shift)


def _logs(values: Floats, shift: Floats) -> Floats:
    return np.log(np.maximum(values, 0) + shift)


@dataclass(frozen=True)
class PlainForecasts:
    """Candidates for the forecast of a window, fitted on series up to their last value.

    Attributes:
        lookback: steps of a window L.
        horizon: steps to forecast H.
        periods: seasonal periods, ascending; empty without any.
        non_negative: whether forecasts are clipped at 0.
        ridges: fitted on the windows of the series.
    """

    lookback: int
    horizon: int
    periods: tuple[int, ...]
    non_negative: bool
    ridges: tuple[Ridge, ...]

    @classmethod
    def fit(
        cls,
        series: Sequence[Floats],
        horizon: int,
        periods: tuple[int, ...],
        *,
        lookback: int | None = None,
        stride: int = 4,
        penalty: float = PENALTY,
        limit: int = LARGEST_FIT,
    ) -> Self:
        """Return candidates whose ridges are fitted on windows at every ``stride``-th origin of each series.

        Args:
            series: the values of each before the first origin of a forecast, float; NaN where missing.
            horizon: steps to forecast.
            periods: seasonal periods, ascending.
            lookback: steps of a window; None for twice the longest period.
            stride: steps between origins; it rises until there are no more than ``limit`` windows.
            penalty: of the ridges.
            limit: most windows.

        Raises:
            InputError: a series has no observed value.
        """
        lookback = lookback or default_lookback(periods, horizon)
        block = FilledSeries(series, lookback, horizon)
        season = periods[0] if periods else 1
        least = min(float(np.nanmin(values)) for values in series)
        rows, origins = training_windows(block, stride, limit)
        ridges = _fit_ridges(block, rows, origins, _scalings(lookback, season, least >= 0), season, penalty)
        return cls(lookback, horizon, periods, least >= 0, ridges)

    @property
    def season(self) -> int:
        """Steps of the shortest season; 1 without one."""
        return self.periods[0] if self.periods else 1

    @property
    def segment(self) -> int:
        """Steps between backtests, and of a segment of the horizon: a season if it divides the horizon, else all."""
        return self.season if self.season > 1 and self.horizon % self.season == 0 else self.horizon

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each candidate, (K,)."""
        naives = (f"seasonal naive {period}" for period in self.periods) if self.periods else ("repeat last",)
        return (*(ridge.name for ridge in self.ridges), *naives, "mean of ridges")

    def candidates(self, windows: Floats, scales: Floats) -> Floats:
        """Return the candidates of windows, (N, K, H).

        Args:
            windows: (N, L), gaps filled.
            scales: of the series of each, (N,), before the origin; see :meth:`FilledSeries.scales`.
        """
        forecasts = [ridge.forecast(windows, scales, self.season) for ridge in self.ridges]
        naives = [seasonal_naive(windows, period, self.horizon) for period in self.periods or (1,)]
        stacked = np.stack([*forecasts, *naives, (forecasts[0] + forecasts[-1]) / 2], axis=1)
        return np.maximum(stacked, 0.0) if self.non_negative else stacked

    def backtest(self, block: FilledSeries, rows: Ints, origins: Ints) -> Floats:
        """Return the backtest error of each candidate at each origin, (N, K).

        It is the mean absolute error over :data:`BACKTESTS` origins a segment apart; the last lies a horizon
        before the origin, so that only values before the origin count. Where a series has none of them, the error is
        the mean over the other windows in units of the scale of its series.

        Args:
            block: the series, with this look-back and horizon.
            rows: number of the series of each window, (N,).
            origins: of each window, (N,).
        """
        earlier = origins[:, None] - self.horizon - self.segment * np.arange(BACKTESTS)
        usable = earlier > block.first[rows][:, None] + self.season
        pairs = np.stack([np.broadcast_to(rows[:, None], earlier.shape)[usable], earlier[usable]], axis=1)
        unique, index = np.unique(pairs, axis=0, return_inverse=True)
        errors = np.full((*earlier.shape, len(self.names)), np.nan)
        if len(unique):
            errors[usable] = self._errors(block, unique[:, 0], unique[:, 1])[index.reshape(-1)]
        return _means_of_errors(errors, block.scales(rows, origins, self.season))

    def _errors(self, block: FilledSeries, rows: Ints, origins: Ints) -> Floats:
        """Return the mean absolute errors of the candidates, (N, K); NaN where no truth is observed."""
        errors = np.empty((len(rows), len(self.names)))
        for part in blocks(len(rows)):
            truth = block.truth(rows[part], origins[part])[:, None]
            candidates = self.at(block, rows[part], origins[part])
            observed = ~np.isnan(truth)
            total = np.where(observed, np.abs(candidates - truth), 0.0).sum(axis=2)
            count = observed.sum(axis=2)
            errors[part] = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return errors

    def at(self, block: FilledSeries, rows: Ints, origins: Ints) -> Floats:
        """Return the candidates at origins of series, (N, K, H)."""
        windows = block.windows(rows, origins, self.lookback)
        return self.candidates(windows, block.scales(rows, origins, self.season))


def default_lookback(periods: tuple[int, ...], horizon: int) -> int:
    """Return the steps of a window: twice the longest period, and no fewer than the horizon."""
    return max(2 * periods[-1] if periods else 2 * horizon, horizon)


def blocks(count: int) -> Iterator[slice]:
    """Return slices of at most :data:`BLOCK` windows."""
    return (slice(begin, begin + BLOCK) for begin in range(0, count, BLOCK))


def seasonal_naive(windows: Floats, period: int, horizon: int) -> Floats:
    """Return the value a period before each step of the horizon, (N, H), of windows (N, L); the last period repeats.

    Example:
        >>> seasonal_naive(np.array([[1.0, 2.0, 3.0]]), 2, 3).tolist()
        [[2.0, 3.0, 2.0]]
    """
    return np.asarray(windows[:, windows.shape[1] - period + np.arange(horizon) % period])


def drift(windows: Floats, horizon: int) -> Floats:
    """Return the line through the first and the last value of each window, continued, (N, H).

    Example:
        >>> drift(np.array([[1.0, 4.0, 5.0]]), 2).tolist()
        [[7.0, 9.0]]
    """
    slope = (windows[:, -1:] - windows[:, :1]) / max(windows.shape[1] - 1, 1)
    return np.asarray(windows[:, -1:] + slope * np.arange(1, horizon + 1))


def combine(candidates: Floats, errors: Floats, power: float = 1.0) -> Floats:
    r"""Return the combination of candidates, (N, H): :math:`\sum_k w_k c_k` with :math:`w_k \propto e_k^{-p}`.

    Args:
        candidates: (N, K, H).
        errors: backtest error of each, (N, K).
        power: p.
    """
    return np.asarray(np.einsum("nk,nkh->nh", combination_weights(errors, power), candidates))


def combination_weights(errors: Floats, power: float = 1.0) -> Floats:
    """Return the weight of each candidate, (N, K), which sum to 1; where errors are 0, only those count.

    Example:
        >>> combination_weights(np.array([[1.0, 3.0], [0.0, 1.0]])).round(2).tolist()
        [[0.75, 0.25], [1.0, 0.0]]
    """
    largest = errors.max(axis=1, keepdims=True)
    floor = 1e-9 * np.where(largest > 0, largest, 1.0)
    least = np.maximum(errors.min(axis=1, keepdims=True), floor)
    weights = (least / np.maximum(errors, floor)) ** power
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def _means_of_errors(errors: Floats, scales: Floats) -> Floats:
    """Return the means of errors over origins, (N, K), of (N, B, K); the mean over windows, in units of their scales,
    where all are NaN."""
    count = (~np.isnan(errors)).sum(axis=1)
    means = np.where(count > 0, np.nansum(errors, axis=1) / np.maximum(count, 1), np.nan)
    rows = np.isnan(means).any(axis=1)
    if rows.any():
        units = np.where(scales > 0, scales, 1.0)[:, None]
        relative = (means / units)[~rows]
        means[rows] = (relative.mean(axis=0) if len(relative) else 1.0) * units[rows]
    return means


def training_windows(block: FilledSeries, stride: int, limit: int = LARGEST_FIT) -> tuple[Ints, Ints]:
    """Return the rows and origins (N,) of training windows: every ``stride``-th origin with a whole horizon behind it.

    The look-back fits before the first origin; half of a series that is too short for that comes before it. The
    stride rises until there are no more than ``limit`` windows.
    """
    last = block.lengths - block.horizon
    earliest = np.maximum(np.minimum(block.lookback, last // 2), block.first + 2)
    usable = np.flatnonzero(last >= earliest)
    spans = (last - earliest)[usable]
    while int((spans // stride + 1).sum()) > max(limit, len(usable)):
        stride += 1
    origins = [
        rolling_origins(block.lengths[row], block.horizon, stride=stride, earliest=earliest[row]) for row in usable
    ]
    rows = np.repeat(usable, [len(each) for each in origins])
    return rows, np.concatenate(origins) if origins else np.zeros(0, np.int64)


# ── ridges ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _scalings(lookback: int, season: int, log: bool) -> list[tuple[str, Scaling, int]]:
    """Return the name, the scaling and the steps that it reads of each ridge; those of the mean are first and last."""
    halves = [lookback, lookback // 2] if lookback // 2 >= 2 * season else [lookback]
    rows = []
    if log:
        rows += [(f"ridge of logs {length}", Scaling(True, length, "one"), length) for length in halves]
        rows.append(("ridge of logs, last season", Scaling(True, season, "one"), lookback))
    rows += [(f"ridge of differences {length}", Scaling(False, 1, "series"), length) for length in halves]
    rows.append(("ridge of differences in the window", Scaling(False, 1, "window"), lookback))
    rows.append(("ridge of deviations", Scaling(False, lookback, "deviation"), lookback))
    return rows


def _fit_ridges(
    block: FilledSeries,
    rows: Ints,
    origins: Ints,
    scalings: list[tuple[str, Scaling, int]],
    season: int,
    penalty: float,
) -> tuple[Ridge, ...]:
    """Return the ridges; those that differ only in location and steps share one matrix of products."""
    products: dict[tuple[bool, str], Floats] = {}
    ridges = []
    for name, scaling, steps in scalings:
        key = scaling.log, scaling.divisor
        if key not in products:
            products[key] = _products(block, rows, origins, scaling, season)
        ridges.append(Ridge(name, scaling, _solve(products[key], block.lookback, steps, scaling.location, penalty)))
    return tuple(ridges)


def _products(block: FilledSeries, rows: Ints, origins: Ints, scaling: Scaling, season: int) -> Floats:
    """Return Z'Z, (L + H, L + H), of windows and horizons side by side, the last value of the window subtracted."""
    size = block.lookback + block.horizon
    total = np.zeros((size, size))
    scales = block.scales(rows, origins, season)
    for part in blocks(len(rows)):
        scaled = scale_windows(block.windows(rows[part], origins[part]), scales[part], scaling, season)
        truth = block.truth(rows[part], origins[part])
        usable = (scaled.divisor[:, 0] > 0) & ~np.isnan(truth).any(axis=1)
        target = _logs(truth, scaled.shift) if scaling.log else truth
        both = np.concatenate([scaled.values, target], axis=1)[usable]
        both -= both[:, block.lookback - 1 : block.lookback]
        both /= scaled.divisor[usable]
        total += both.T @ both
    return total


def _solve(products: Floats, lookback: int, steps: int, location: int, penalty: float) -> NDArray[np.float32]:
    """Return the weights (steps, H) of a ridge that subtracts the mean of ``location`` values, and not the last."""
    centre = np.eye(len(products))
    centre[lookback - location : lookback] -= 1 / location
    products = centre.T @ products @ centre
    inputs = slice(lookback - steps, lookback)
    matrix = products[inputs, inputs] + penalty * np.eye(steps)
    return np.linalg.solve(matrix, products[inputs, lookback:]).astype(np.float32)
