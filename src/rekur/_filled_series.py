"""Many series as one flat array, from which windows are cut at origins; numbers beside them; and where origins lie.

At the *origin* t the values 0 to t - 1 of a series are known, and those from t on are to be forecast.

Axes: M series, T steps of a series, N windows (a row number and an origin each), L steps of a window, H steps of the
horizon, W numbers of a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, describe

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: origins that are worked on at a time
BLOCK = 4096


def end_of(values: Floats) -> int:
    """Return the number of steps of a channel (T,) up to its last value that is not missing.

    Example:
        >>> end_of(np.array([1.0, np.nan, 2.0, np.nan]))
        3
    """
    present = np.flatnonzero(~np.isnan(values))
    return int(present[-1]) + 1 if len(present) else 0


class NumberRows:
    """Rows of numbers beside many series, one a step; in front of a series they are 0.

    Args:
        rows: of each series, (T, W), without missing numbers.
        margin: most steps that are cut in front of a series.

    Example:
        >>> rows = NumberRows([np.array([[1.0], [2.0], [3.0]])], margin=2)
        >>> rows.cut(np.array([0, 0]), np.array([-1, 1]), 2)[:, :, 0].tolist()
        [[0.0, 1.0], [2.0, 3.0]]
    """

    def __init__(self, rows: Sequence[Floats], margin: int) -> None:
        width = rows[0].shape[1] if rows else 0
        strides = np.array([len(each) for each in rows], np.int64) + margin
        self._starts: Ints = np.cumsum(strides) - strides + margin
        self._flat = np.zeros((int(strides.sum()), width))
        for start, each in zip(self._starts, rows, strict=True):
            self._flat[start : start + len(each)] = each

    @property
    def width(self) -> int:
        """Numbers W of a step."""
        return self._flat.shape[1]

    def cut(self, rows: Ints, first: Ints, count: int) -> Floats:
        """Return ``count`` steps from step ``first`` (N,) of each series on, (N, count, W)."""
        index = (self._starts[rows] + first)[:, None] + np.arange(count)
        return np.asarray(self._flat[index])


@dataclass(frozen=True)
class Beside:
    """What is known of series beside their values.

    Attributes:
        past: numbers that are known until an origin, (T, P) of each series.
        future: numbers that are known ahead, (T + H, F).
        calendar: numbers of the calendar, (T + H, C).
        static: numbers of each series, (M, S).
    """

    past: NumberRows
    future: NumberRows
    calendar: NumberRows
    static: Floats

    def before(self, rows: Ints, origins: Ints, length: int) -> Floats:
        """Return the past and the future numbers of the steps before each origin, (N, L, P + F)."""
        return np.concatenate([each.cut(rows, origins - length, length) for each in (self.past, self.future)], axis=2)


class FilledSeries:
    """Series of any lengths; a missing value repeats the last observed one before it.

    Before a series, its first observed value is repeated. A window holds nothing of its origin or later, where at
    least one value is observed before the origin (:attr:`first`).

    Args:
        series: one array of numbers each, float; NaN where missing.
        lookback: longest window L.
        horizon: longest horizon H.
        beside: their covariates and calendar; None for nothing.
        groups: number of the group of each series, (M,); by default 0.

    Attributes:
        groups: number of the group of each series, (M,).
        lengths: steps of each series, (M,).
        first: index of the first observed value of each series, (M,).

    Raises:
        InputError: a series has no observed value.

    Example:
        >>> block = FilledSeries([np.array([1.0, np.nan, 3.0, 4.0])], lookback=3, horizon=2)
        >>> block.windows(np.array([0, 0]), np.array([2, 4])).tolist()
        [[1.0, 1.0, 1.0], [1.0, 3.0, 4.0]]
        >>> block.truth(np.array([0]), np.array([3])).tolist()
        [[4.0, nan]]
    """

    def __init__(
        self,
        series: Sequence[Floats],
        lookback: int,
        horizon: int,
        beside: Beside | None = None,
        groups: Sequence[int] | None = None,
    ) -> None:
        self.lookback, self.horizon, self.beside = lookback, horizon, beside
        self.groups: Ints = np.zeros(len(series), np.int64) if groups is None else np.array(groups, np.int64)
        self.lengths: Ints = np.array([len(values) for values in series], np.int64)
        observed = [np.flatnonzero(~np.isnan(values)) for values in series]
        for row, steps in enumerate(observed):
            if not len(steps):
                raise InputError(describe(f"series {row + 1}", "no observed value", "one or more"))
        self.first: Ints = np.array([steps[0] for steps in observed], np.int64)
        strides = self.lengths + lookback + horizon
        self._starts: Ints = np.cumsum(strides) - strides
        self._filled = np.empty(int(strides.sum()))
        self._raw = np.full(len(self._filled), np.nan)
        self._differences: dict[tuple[int, int], Floats] = {}
        for start, values, steps in zip(self._starts, series, observed, strict=True):
            begin, end = start + lookback, start + lookback + len(values)
            self._raw[begin:end] = values
            latest = np.maximum.accumulate(np.where(np.isnan(values), steps[0], np.arange(len(values))))
            self._filled[start:begin], self._filled[begin:end] = values[steps[0]], values[latest]
            self._filled[end : end + horizon] = values[steps[-1]]

    def __len__(self) -> int:
        return len(self.lengths)

    def windows(self, rows: Ints, origins: Ints, length: int | None = None) -> Floats:
        """Return the ``length`` values before each origin, (N, L), gaps filled; L is the look-back by default."""
        length = self.lookback if length is None else length
        view = np.lib.stride_tricks.sliding_window_view(self._filled, length)
        return np.asarray(view[self._starts[rows] + self.lookback + origins - length])

    def truth(self, rows: Ints, origins: Ints, *, filled: bool = False) -> Floats:
        """Return the values from each origin on, (N, H); NaN where missing or beyond the end, unless ``filled``."""
        view = np.lib.stride_tricks.sliding_window_view(self._filled if filled else self._raw, self.horizon)
        return np.asarray(view[self._starts[rows] + self.lookback + origins])

    def missing(self, rows: Ints, origins: Ints, length: int) -> NDArray[np.bool_]:
        """Return whether each of the ``length`` values before each origin is missing, (N, L); so are those in front."""
        begins = (self._starts[rows] + self.lookback)[:, None]
        index = begins + origins[:, None] + np.arange(-length, 0)
        return np.asarray(np.isnan(self._raw[np.maximum(index, 0)]) | (index < begins))

    def scales(self, rows: Ints, origins: Ints, season: int, length: int | None = None) -> Floats:
        """Return the mean absolute difference over a season of the values before each origin, (N,); 0 without any.

        Args:
            rows: number of the series of each origin, (N,).
            origins: (N,).
            season: steps between the values of a difference.
            length: the latest differences that count; None for all.
        """
        if length is not None:
            scales = np.zeros(len(rows))
            for begin in range(0, len(rows), BLOCK):
                part = slice(begin, begin + BLOCK)
                scales[part] = self._recent_scales(rows[part], origins[part], season, length)
            return scales
        sums, counts = np.zeros(len(self._raw) + 1), np.zeros(len(self._raw) + 1, np.int64)
        for begin, length in zip(self._starts + self.lookback, self.lengths, strict=True):
            values = self._raw[begin : begin + length]
            difference = np.abs(values[season:] - values[: max(length - season, 0)])
            observed = ~np.isnan(difference)
            inside = slice(begin + season + 1, begin + season + 1 + len(difference))  # sums of what comes before
            sums[inside], counts[inside] = np.cumsum(np.where(observed, difference, 0.0)), np.cumsum(observed)
        ends = self._starts[rows] + self.lookback + origins
        return np.asarray(sums[ends] / np.maximum(counts[ends], 1))

    def _recent_scales(self, rows: Ints, origins: Ints, season: int, length: int) -> Floats:
        """Return the scales of a block of origins; each is a sum by itself, so that no rounding comes from others."""
        if (season, length) not in self._differences:
            differences = np.zeros((2, length + len(self._raw)))
            for begin, steps in zip(self._starts + self.lookback, self.lengths, strict=True):
                values = self._raw[begin : begin + steps]
                each = np.abs(values[season:] - values[: max(steps - season, 0)])
                inside = slice(length + begin + season, length + begin + season + len(each))
                differences[:, inside] = np.where(np.isnan(each), 0.0, each), ~np.isnan(each)
            self._differences[season, length] = differences
        ends = self._starts[rows] + self.lookback + origins
        reach = np.minimum(origins, length)
        sums, counts = (
            np.lib.stride_tricks.sliding_window_view(each, length)[ends] for each in self._differences[season, length]
        )
        outside = np.arange(length) < (length - reach)[:, None]  # differences of another series
        sums[outside] = counts[outside] = 0.0
        return np.asarray(sums.sum(axis=1) / np.maximum(counts.sum(axis=1), 1))


def values_from(values: Floats, begin: int) -> Floats:
    """Return values (T,) from a step on, the first of them carried forward where it is missing; a zero without any."""
    observed = np.flatnonzero(~np.isnan(values))
    if not len(observed):
        return np.zeros(max(1, len(values) - begin))
    cut = values[begin:].copy()
    earlier = observed[observed <= begin]
    if len(earlier) and len(cut):
        cut[0] = values[earlier[-1]]
    return cut


def rolling_origins(length: int, horizon: int, *, stride: int = 1, count: int | None = None, earliest: int = 1) -> Ints:
    """Return origins ``stride`` steps apart, ascending; the last one leaves exactly ``horizon`` steps to forecast.

    Args:
        length: steps of the series.
        horizon: steps that follow each origin.
        stride: steps from an origin to the next.
        count: number of origins, the latest; None for all.
        earliest: the least origin.

    Example:
        >>> rolling_origins(10, 3, stride=2, count=3).tolist()
        [3, 5, 7]
    """
    origins = np.arange(length - horizon, earliest - 1, -stride, dtype=np.int64)
    return origins[:count][::-1]
