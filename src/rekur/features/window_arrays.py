"""The arrays that a network of forecasts reads of windows: their past by segments, and plain forecasts of what follows.

Axes: N windows, L steps of the look-back, H steps of the horizon, M steps of a segment, S = L / M, A = H / M,
K candidates, D and E numbers of a segment of the past and of the horizon, P, F, S and C numbers of past, future and
static covariates and of the calendar.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._filled_series import BLOCK, Beside, FilledSeries, Floats, Ints
from rekur.features.covariates import Covariates
from rekur.features.plain_forecasts import PlainForecasts, combination_weights
from rekur.features.usual_levels import among_usual, usual_size
from rekur.features.window_ridges import ROUNDING, SHARE

#: numbers that the network reads lie between minus and plus this
LARGEST_INPUT = 8.0
#: candidates lie between minus and plus this many scales of the window
LARGEST_CANDIDATE = 1e4
#: of backtest errors in the weights that a network begins with: lower than that of the plain combination, since a gate
#: learns little of a candidate whose weight is near 0; with many windows to learn from, 1 is better still
PRIOR_POWER = 3.0
#: what a segment of the horizon is told of its window, beside two numbers of each candidate
_STATICS = 2


class WindowArrays(NamedTuple):
    """Windows as a network reads them.

    Attributes:
        steps: of each segment of the past, standardized values (of logarithms if no training value is below 0), then
            asinh((x - level) / scale), then flags of missing values, and where there were such in training how long
            ago the last value was; then past and future covariates of each step, and the calendar at the first one,
            float32 (N, S, D).
        ahead: of each segment of the horizon, as :mod:`rekur.models.forecaster_spec` has it, float32 (N, A, E).
        level: the last value, (N,).
        scale: mean absolute difference over a season, else over a step; 0 where all values are equal, (N,).
    """

    steps: NDArray[np.float32]
    ahead: NDArray[np.float32]
    level: Floats
    scale: Floats


class WindowReader:
    """Makes the arrays of windows; those of a window depend on no other.

    Args:
        plain: the candidates.
        lookback: steps L, a multiple of the segment.
        segment: steps M, which divide the horizon.
        logs: whether values are standardized after taking logarithms.
        power: of the backtest errors in the weights of the candidates.
        covariates: those that are read; None for none.
        gaps: whether the network reads how long ago the last value was.
    """

    def __init__(
        self,
        plain: PlainForecasts,
        lookback: int,
        segment: int,
        *,
        logs: bool,
        power: float = PRIOR_POWER,
        covariates: Covariates | None = None,
        gaps: bool = False,
    ) -> None:
        self.plain, self.lookback, self.segment, self.logs, self.power = plain, lookback, segment, logs, power
        self.covariates, self.gaps = covariates, gaps

    @property
    def size(self) -> int:
        """Numbers D of a row of ``steps``."""
        more = self.covariates or Covariates()
        return self.segment * (3 + self.gaps + more.size) + more.calendar_size

    @property
    def ahead_size(self) -> int:
        """Numbers of the first block of a segment: position, those of the window, scaled candidates, covariates."""
        count, more = len(self.plain.names), self.covariates or Covariates()
        beside = more.static.width + self.segment * more.future.width + more.calendar_size
        of_window = _STATICS + 2 * count + usual_size(self.plain.levels)
        return self.plain.horizon // self.segment + of_window + self.segment * count + beside

    @property
    def memory(self) -> int:
        """Steps before an origin that its arrays depend on."""
        return max(self.plain.memory, self.lookback + self.plain.season * self.plain.beyond)

    def read(self, block: FilledSeries, rows: Ints, origins: Ints) -> WindowArrays:
        """Return the arrays of windows.

        Args:
            block: the series; its look-back is at least L and that of the candidates.
            rows: number of the series of each window, (N,).
            origins: of each window, (N,).
        """
        starts = range(0, max(1, len(rows)), BLOCK)
        parts = [self._read(block, *(each[start : start + BLOCK] for each in (rows, origins))) for start in starts]
        return WindowArrays(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))

    def _read(self, block: FilledSeries, rows: Ints, origins: Ints) -> WindowArrays:
        values = block.windows(rows, origins, self.lookback)
        level, scale = values[:, -1], self._scales(block, rows, origins, values)
        unit = np.where(scale > 0, scale, 1.0)
        shifted, location, spread = self._standard(values)
        missing = block.missing(rows, origins, self.lookback)
        blocks = [
            np.clip((shifted - location) / spread, -LARGEST_INPUT, LARGEST_INPUT),
            np.clip(np.arcsinh((values - level[:, None]) / unit[:, None]), -LARGEST_INPUT, LARGEST_INPUT),
            missing,
            *([_since(missing)] if self.gaps else []),
        ]
        segments = np.stack(blocks, axis=1).reshape(len(rows), len(blocks), -1, self.segment)
        steps = segments.transpose(0, 2, 1, 3).reshape(len(rows), -1, len(blocks) * self.segment)
        ahead = self._ahead(block, rows, origins, values, level, unit)
        if self.covariates is not None and block.beside is not None:
            steps = np.concatenate([steps, *self._before(block.beside, rows, origins)], axis=2)
        return WindowArrays(steps.astype(np.float32), ahead.astype(np.float32), level, scale)

    def _scales(self, block: FilledSeries, rows: Ints, origins: Ints, values: Floats) -> Floats:
        """Return the scale of each window; 0 where that is only rounding."""
        least = ROUNDING * np.abs(values).max(axis=1)
        scales = np.zeros(len(rows))
        for period in (1, self.plain.season):
            steps = self.lookback if self.plain.beyond else max(1, self.lookback - period)
            differences = block.scales(rows, origins, period, steps)
            scales = np.where(differences > least, differences, scales)
        return scales

    def _standard(self, values: Floats, like: Floats | None = None) -> tuple[Floats, Floats, Floats]:
        """Return values or logarithms, and mean and deviation of those of a window, each (N, 1).

        Args:
            values: of a window, (N, L).
            like: other values on the same scale, which are returned instead, (N, …).
        """
        shift = SHARE * np.maximum(values, 0).mean(axis=1, keepdims=True)
        shift = np.where(shift > 0, shift, 1.0)
        turned, other = values, values if like is None else like.reshape(len(values), -1)
        if self.logs:
            turned, other = (np.log(np.maximum(each, 0) + shift) for each in (turned, other))
        location, spread = turned.mean(axis=1, keepdims=True), turned.std(axis=1, keepdims=True)
        return other, location, np.where(spread > ROUNDING * np.abs(location), spread, 1.0)

    def _ahead(
        self, block: FilledSeries, rows: Ints, origins: Ints, values: Floats, level: Floats, unit: Floats
    ) -> Floats:
        """Return the rows of the horizon, (N, A, E)."""
        plain, count = self.plain, self.plain.horizon // self.segment
        candidates = plain.at(block, rows, origins).transpose(0, 2, 1)
        errors = plain.backtest(block, rows, origins)
        weights = combination_weights(errors, self.power)
        relative = np.maximum(errors / unit[:, None], ROUNDING)
        error = np.maximum((weights * relative).sum(axis=1), ROUNDING)
        turned, location, spread = self._standard(values, candidates)
        scaled = np.clip((turned - location) / spread, -LARGEST_INPUT, LARGEST_INPUT).reshape(candidates.shape)
        share, logs = np.log(unit / (np.abs(values).mean(axis=1) + unit)), np.log(relative)
        told = [share, np.log(spread[:, 0]), *(-logs / 4).T, *(share[:, None] + logs).T]
        if plain.levels:
            told += [*among_usual(plain.levels, values, unit, block.groups[rows], plain.season, logs=self.logs).T]
        statics = np.clip(np.stack(told, axis=1), -LARGEST_INPUT, LARGEST_INPUT)
        distances = (candidates - level[:, None, None]) / unit[:, None, None]
        distances = np.clip(distances, -LARGEST_CANDIDATE, LARGEST_CANDIDATE)
        pieces = [
            np.broadcast_to(np.eye(count), (len(rows), count, count)),
            self._each(statics, count),
            scaled.reshape(len(rows), count, -1),
            *self._known(block.beside, rows, origins),
            distances.reshape(len(rows), count, -1),
            self._each(np.log(np.maximum(weights, 1e-12)), count),
            self._each(np.repeat(error[:, None], self.segment, axis=1), count),
        ]
        return np.concatenate(pieces, axis=2)

    def _before(self, beside: Beside, rows: Ints, origins: Ints) -> list[Floats]:
        """Return the covariates of each segment of the past, (N, S, M · (P + F)), and the calendar, (N, S, C)."""
        numbers = beside.before(rows, origins, self.lookback)
        calendar = beside.calendar.cut(rows, origins - self.lookback, self.lookback)
        return [numbers.reshape(len(rows), self.lookback // self.segment, -1), calendar[:, :: self.segment]]

    def _known(self, beside: Beside | None, rows: Ints, origins: Ints) -> list[Floats]:
        """Return the covariates of each segment of the horizon: future columns, (N, A, M · F), the
        calendar at its first step, (N, A, C), and static covariates, (N, A, S)."""
        if self.covariates is None or beside is None:
            return []
        horizon = self.plain.horizon
        future, calendar = (each.cut(rows, origins, horizon) for each in (beside.future, beside.calendar))
        count = horizon // self.segment
        static = self._each(beside.static[rows], count)
        return [future.reshape(len(rows), count, -1), calendar[:, :: self.segment], static]

    @staticmethod
    def _each(numbers: Floats, count: int) -> Floats:
        """Return numbers of windows (N, …) for each segment of the horizon, (N, A, …)."""
        return np.repeat(numbers[:, None], count, axis=1)


def _since(missing: NDArray[np.bool_]) -> Floats:
    """Return how long ago the last observed value was, (N, L), on a log scale: 0 at an observed step, 1 after L steps.

    Example:
        >>> _since(np.array([[True, False, True]])).round(2).tolist()
        [[0.5, 0.0, 0.5]]
    """
    length = missing.shape[1]
    steps = np.arange(length)
    latest = np.maximum.accumulate(np.where(missing, -1, steps), axis=1)
    return np.asarray(np.log1p(steps - latest) * missing / np.log1p(length))
