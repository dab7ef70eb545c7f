"""Plain forecasts: naives, ridge regressions on scaled windows, and their combination; no PyTorch.

Every forecast is made of a window, the L values before an origin with gaps filled, and of the scale of its series, the
mean absolute difference over a season of the values before the origin.

Axes: N windows, L steps of a window, H steps of the horizon, K candidates, M series, G channels.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._filled_series import BLOCK, Beside, FilledSeries, rolling_origins
from rekur.features.covered_ridges import CoveredRidge, Reading, fit_covered_ridges
from rekur.features.usual_levels import usual_levels
from rekur.features.window_ridges import Ridge, Scaling, blocks, fit_ridges, scalings_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: most windows that ridges are fitted on
LARGEST_FIT = 100_000
#: of the errors that weigh the combination
POWER = 8.0
#: most channels with ridges of their own
MOST_CHANNELS = 16
#: rolling origins whose errors weigh the candidates
BACKTESTS = 8


@dataclass(frozen=True)
class PlainForecasts:
    """Candidates for the forecast of a window, fitted on series up to their last value.

    Attributes:
        lookback: steps of a window L.
        horizon: steps to forecast H.
        periods: seasonal periods, ascending; empty without any.
        non_negative: whether forecasts are clipped at 0.
        ridges: fitted on the windows of the series.
        errors: mean absolute error of each candidate on training windows, in units of their scales: for each of
            ``channels``, and at last for all together, (G + 1, K).
        covered: ridges that read covariates.
        channels: names of the channels that have ridges of their own; empty for none.
        beyond: whether errors at earlier origins, and a scale of twice the look-back, are read from before the window.
        levels: of the values of each of ``channels`` in training, where each is one series, so that a network can
            compare a window with them; see :func:`rekur.features.usual_levels.usual_levels`.
    """

    lookback: int
    horizon: int
    periods: tuple[int, ...]
    non_negative: bool
    ridges: tuple[Ridge, ...]
    errors: tuple[tuple[float, ...], ...] = ()
    covered: tuple[CoveredRidge, ...] = ()
    channels: tuple[str, ...] = ()
    beyond: bool = True
    levels: tuple[tuple[float, ...], ...] = ()

    @classmethod
    def fit(
        cls,
        series: Sequence[Floats],
        horizon: int,
        periods: tuple[int, ...],
        *,
        lookback: int | None = None,
        channels: Sequence[str] = (),
        beyond: bool = True,
        penalty: float | None = None,
        limit: int = LARGEST_FIT,
        beside: Beside | None = None,
    ) -> Self:
        """Return candidates whose ridges are fitted on windows at all origins of each series, or regularly spaced ones.

        Args:
            series: the values of each before the first origin of a forecast, float; NaN where missing.
            horizon: steps to forecast.
            periods: seasonal periods, ascending.
            lookback: steps of a window, without ``beyond`` two or more, else twice the longest period or more; None for
                the latter.
            channels: name of the channel of each series; where there are several but few, each has ridges of its own
                beside those of all.
            beyond: whether anything before a window is read.
            penalty: of the ridges, in squared units of the scaled windows; None to choose that of each.
            limit: most windows; the steps between origins rise from 1 until there are no more.
            beside: covariates and calendar of the series.

        Raises:
            InputError: a series has no observed value.
        """
        lookback = max(2, lookback or default_lookback(periods, horizon))
        if beyond:
            lookback = max(lookback, default_lookback(periods, horizon))
        periods = tuple(period for period in periods if period < lookback)
        least = min(float(np.nanmin(values)) for values in series)
        each = tuple(dict.fromkeys(channels))
        each = each if 1 < len(each) <= MOST_CHANNELS else ()
        levels = usual_levels(series, logs=least >= 0) if len(series) == len(each) else ()
        plain = cls(lookback, horizon, periods, least >= 0, (), channels=each, beyond=beyond, levels=levels)
        groups = [plain.group_of(channel) for channel in channels] or None
        block = FilledSeries(series, lookback, horizon, beside, groups)
        rows, origins = training_windows(block, limit)
        season = plain.season
        scales, scalings = plain.scales(block, rows, origins), scalings_of(lookback, season, least >= 0)
        covered = fit_covered_ridges(block, rows, origins, scales, season, least >= 0)
        ridges = fit_ridges(block, rows, origins, scales, scalings, season, penalty)
        plain = replace(plain, ridges=ridges, covered=covered)
        return replace(plain, errors=plain._usual_errors(block, rows, origins, scales))

    def _usual_errors(self, block: FilledSeries, rows: Ints, origins: Ints, scales: Floats) -> Any:
        """Return the mean error on training windows of each candidate in units of scales, (G + 1, K)."""
        sample = np.linspace(0, len(rows) - 1, min(len(rows), BLOCK)).astype(np.int64)
        units = np.where(scales > 0, scales, np.nan)[sample, None]
        relative = self._errors(block, rows[sample], origins[sample]) / units
        told = ~np.isnan(relative).any(axis=1)
        relative, groups = relative[told], block.groups[rows[sample]][told]
        errors = relative.mean(axis=0) if len(relative) else np.ones(len(self.names))
        parts = [relative[groups == group] for group in range(len(self.channels))]
        return tuple(tuple(each.tolist()) for each in [*(p.mean(axis=0) if len(p) else errors for p in parts), errors])

    def group_of(self, *names: str) -> int:
        """Return the number of the ridges of the first of these channels that has its own; else of all together."""
        if not self.channels:
            return 0
        groups = [self.channels.index(name) for name in names if name in self.channels]
        return groups[0] if groups else len(self.channels)

    @property
    def season(self) -> int:
        """Steps of the shortest season; 1 without one."""
        return self.periods[0] if self.periods else 1

    @property
    def memory(self) -> int:
        """Steps before an origin that candidates and their backtest errors depend on."""
        if not self.beyond:
            return self.lookback
        return self.horizon + self.segment * (BACKTESTS - 1) + self._scale_steps + self.season

    @property
    def _scale_steps(self) -> int:
        return 2 * self.lookback

    def scales(self, block: FilledSeries, rows: Ints, origins: Ints) -> Floats:
        """Return the scale of a series at each origin, (N,): the mean seasonal difference over two look-backs."""
        steps = self._scale_steps if self.beyond else max(1, self.lookback - self.season)
        return block.scales(rows, origins, self.season, steps)

    @property
    def segment(self) -> int:
        """Steps between backtests, and of a segment of the horizon: a season if it divides the horizon, else all."""
        return self.season if self.season > 1 and self.horizon % self.season == 0 else self.horizon

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each candidate, (K,)."""
        naives = (f"seasonal naive {period}" for period in self.periods) if self.periods else ("repeat last",)
        covered = (ridge.name for ridge in self.covered)
        return (*(ridge.name for ridge in self.ridges), *naives, "mean of ridges", *covered)

    @property
    def last_of_all(self) -> int:
        """The number of the last ridge of all series together, which with the first one gives their mean."""
        return [number for number, ridge in enumerate(self.ridges) if len(ridge.weights) == 1][-1]

    def candidates(self, windows: Floats, scales: Floats, groups: Ints | None = None) -> Floats:
        """Return the candidates of windows, (N, K, H), but those that read more than the values.

        Args:
            windows: (N, L), gaps filled.
            scales: of the series of each, (N,); see :meth:`scales`.
            groups: the number of the ridges of each, (N,); see :meth:`group_of`. By default those of all together.
        """
        forecasts = [ridge.forecast(windows, scales, self.season, groups) for ridge in self.ridges]
        naives = [seasonal_naive(windows, period, self.horizon) for period in self.periods or (1,)]
        stacked = np.stack([*forecasts, *naives, (forecasts[0] + forecasts[self.last_of_all]) / 2], axis=1)
        return np.maximum(stacked, 0.0) if self.non_negative else stacked

    def backtest(self, block: FilledSeries, rows: Ints, origins: Ints) -> Floats:
        """Return the backtest error of each candidate at each origin, (N, K).

        It is the mean absolute error over :data:`BACKTESTS` origins a segment apart, the last of them a horizon
        before the origin, so that only values before the origin count. Where a series has none of them, or nothing
        before a window may be read, the errors are those on training windows, in units of the scale of its series.

        Args:
            block: the series, with this look-back and horizon.
            rows: number of the series of each window, (N,).
            origins: of each window, (N,).
        """
        earlier = origins[:, None] - self.horizon - self.segment * np.arange(BACKTESTS)
        usable = (earlier > block.first[rows][:, None] + self.season) & self.beyond
        pairs = np.stack([np.broadcast_to(rows[:, None], earlier.shape)[usable], earlier[usable]], axis=1)
        unique, index = np.unique(pairs, axis=0, return_inverse=True)
        errors = np.full((*earlier.shape, len(self.names)), np.nan)
        if len(unique):
            errors[usable] = self._errors(block, unique[:, 0], unique[:, 1])[index.reshape(-1)]
        count = (~np.isnan(errors)).sum(axis=1)
        scales = self.scales(block, rows, origins)
        usual = np.where(scales > 0, scales, 1.0)[:, None]
        if self.errors:
            usual = usual * np.array(self.errors)[block.groups[rows]]
        return np.asarray(np.where(count > 0, np.nansum(errors, axis=1) / np.maximum(count, 1), usual))

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

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON; weights are base64 of little-endian float32."""
        ridges = [
            {
                "name": ridge.name,
                "scaling": list(ridge.scaling),
                "groups": len(ridge.weights),
                "weights": _text_of(ridge.weights),
            }
            for ridge in self.ridges
        ]
        saved = {name: getattr(self, name) for name in ("lookback", "horizon", "non_negative", "beyond")}
        covered = [
            {
                "name": ridge.name,
                "reading": [list(ridge.reading.scaling), *ridge.reading[1:]],
                **{name: _text_of(getattr(ridge, name)) for name in ("effect", "weights")},
            }
            for ridge in self.covered
        ]
        lists = {"periods": list(self.periods), "channels": list(self.channels)}
        tables = {"errors": [list(each) for each in self.errors], "levels": [list(each) for each in self.levels]}
        return {**saved, **lists, **tables, "ridges": ridges, "covered": covered}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Return what :meth:`to_dict` described."""
        ridges, covered = [], []
        for ridge in saved["ridges"]:
            weights = _weights_of(ridge["weights"], saved["horizon"])
            weights = weights.reshape(ridge.get("groups", 1), -1, saved["horizon"])
            ridges.append(Ridge(ridge["name"], Scaling(*ridge["scaling"]), weights))
        for ridge in saved.get("covered", ()):
            scaling, *sizes = ridge["reading"]
            effect, weights = _weights_of(ridge["effect"], 1)[:, 0], _weights_of(ridge["weights"], saved["horizon"])
            covered.append(CoveredRidge(ridge["name"], Reading(Scaling(*scaling), *sizes), effect, weights))
        errors = saved["errors"]
        if errors and not isinstance(errors[0], list):  # one row before channels had their own
            errors = [errors]
        lists = {"periods": tuple(saved["periods"]), "channels": tuple(saved.get("channels", ()))}
        tables = {"errors": errors, "levels": saved.get("levels", ())}
        learnt: dict[str, Any] = {name: tuple(map(tuple, table)) for name, table in tables.items()}
        learnt |= {"ridges": tuple(ridges), "covered": tuple(covered)}
        return cls(**{**saved, **lists, **learnt})

    def at(self, block: FilledSeries, rows: Ints, origins: Ints) -> Floats:
        """Return the candidates at origins of series, (N, K, H)."""
        scales = self.scales(block, rows, origins)
        windows = block.windows(rows, origins, self.lookback)
        candidates = self.candidates(windows, scales, block.groups[rows])
        if not self.covered:
            return candidates
        covered = np.stack([each.forecast(block, rows, origins, scales) for each in self.covered], axis=1)
        return np.concatenate([candidates, np.maximum(covered, 0.0) if self.non_negative else covered], axis=1)


def _text_of(weights: NDArray[np.float32]) -> str:
    return base64.b64encode(weights.astype("<f4").tobytes()).decode()


def _weights_of(text: str, horizon: int) -> NDArray[np.float32]:
    weights = np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32)
    return weights.reshape(len(weights) // horizon, horizon)


def default_lookback(periods: tuple[int, ...], horizon: int) -> int:
    """Return the steps of a window: twice the longest period, and no fewer than the horizon."""
    return max(2 * periods[-1] if periods else 2 * horizon, horizon)


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


def combine(candidates: Floats, errors: Floats, power: float = POWER) -> Floats:
    r"""Return the combination of candidates, (N, H): :math:`\sum_k w_k c_k` with :math:`w_k \propto e_k^{-p}`.

    Args:
        candidates: (N, K, H).
        errors: backtest error of each, (N, K).
        power: p.
    """
    return np.asarray(np.einsum("nk,nkh->nh", combination_weights(errors, power), candidates))


def combination_weights(errors: Floats, power: float = POWER) -> Floats:
    """Return the weight of each candidate, (N, K), which sum to 1; where errors are 0, only those count.

    Example:
        >>> combination_weights(np.array([[1.0, 3.0], [0.0, 1.0]]), 1.0).round(2).tolist()
        [[0.75, 0.25], [1.0, 0.0]]
    """
    largest = errors.max(axis=1, keepdims=True)
    floor = 1e-9 * np.where(largest > 0, largest, 1.0)
    least = np.maximum(errors.min(axis=1, keepdims=True), floor)
    weights = (least / np.maximum(errors, floor)) ** power
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def training_windows(block: FilledSeries, limit: int = LARGEST_FIT) -> tuple[Ints, Ints]:
    """Return the rows and origins (N,) of training windows: every origin with a whole horizon behind it.

    The look-back fits before the first origin; half of a series that is too short for that comes before it. Where
    there are more than ``limit``, only every second origin is taken, every third, and so on.
    """
    last = block.lengths - block.horizon
    earliest = np.maximum(np.minimum(block.lookback, last // 2), block.first + 2)
    usable = np.flatnonzero(last >= earliest)
    spans = (last - earliest)[usable]
    stride = 1
    while int((spans // stride + 1).sum()) > max(limit, len(usable)):
        stride += 1
    origins = [
        rolling_origins(block.lengths[row], block.horizon, stride=stride, earliest=earliest[row]) for row in usable
    ]
    rows = np.repeat(usable, [len(each) for each in origins])
    return rows, np.concatenate(origins) if origins else np.zeros(0, np.int64)
