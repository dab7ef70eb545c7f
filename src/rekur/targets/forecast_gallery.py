"""What pages show of forecasts: the series with the largest errors, and forecasts with what was before them.

Axes: Q quantiles, H steps of the horizon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur.features.windows import Window
from rekur.targets.gallery import MOST_ITEMS, Fan, Gallery, Table

#: known steps that are drawn: horizons, and steps at least
_PAST_HORIZONS, _LEAST_PAST = 4, 30
#: worst and middle forecasts each that are drawn, and windows that are drawn for the middle
_FANS, _MOST_DRAWN = 3, 1000
#: nanoseconds of a step from which on an axis has dates
_SHORTEST_STEP = 10**6


class _Shown(NamedTuple):
    """A forecast with its error.

    Attributes:
        relative: the mean absolute error, divided by the scale of the window.
        error: the mean absolute error.
        window: the window.
        quantiles: (Q, H).
    """

    relative: float
    error: float
    window: Window
    quantiles: Any


class _Series(NamedTuple):
    """The forecasts of a channel.

    Attributes:
        forecasts: how many.
        relative: the sum of their relative errors.
        error: the sum of their errors.
        worst: the one with the largest relative error.
    """

    forecasts: int
    relative: float
    error: float
    worst: _Shown


class ForecastGallery(Gallery):
    """The series with the largest errors, the worst forecast of each, and forecasts in the middle.

    Args:
        levels: the probabilities of the quantiles, (Q,), 0.5 among them.
        unit: errors are divided by it where a window has no scale; above 0.
    """

    def __init__(self, levels: Sequence[float], unit: float) -> None:
        super().__init__()
        self._levels, self._unit = tuple(levels), unit
        self._random = np.random.default_rng(0)
        self._series: dict[tuple[str, int], _Series] = {}
        self._drawn: list[_Shown] = []
        self._relative: list[float] = []

    def add(self, prediction: Any, label: Any, context: Any = None) -> None:
        """Take the quantiles (Q, H) of a window, the truth (H,), NaN where it is missing, and its context."""
        self.count += 1
        errors = np.abs(np.asarray(label, np.float64) - prediction[self._levels.index(0.5)])
        if np.isnan(errors).all():
            return
        error, window = float(np.nanmean(errors)), context["window"]
        shown = _Shown(error / (context["scale"] or self._unit), error, window, np.asarray(prediction, np.float32))
        key = window.name, window.channel
        count, relative, total, worst = self._series.get(key, (0, 0.0, 0.0, shown))
        worst = shown if shown.relative > worst.relative else worst
        self._series[key] = _Series(count + 1, relative + shown.relative, total + error, worst)
        number = len(self._relative)
        self._relative.append(shown.relative)
        if number < _MOST_DRAWN:
            self._drawn.append(shown)
        elif (chosen := int(self._random.integers(number + 1))) < _MOST_DRAWN:  # each window with the same chance
            self._drawn[chosen] = shown

    def tables(self) -> Iterator[Table]:
        """Yield the series with the largest errors."""
        if self._series:
            head = ["series", "forecasts", "mean absolute error", "divided by the usual change"]
            rows = [
                (
                    label_of(each.worst.window),
                    each.forecasts,
                    each.error / each.forecasts,
                    each.relative / each.forecasts,
                )
                for each in self._by_error()[:MOST_ITEMS]
            ]
            yield Table("Series with the largest errors", head, rows)

    def fans(self) -> Iterator[Fan]:
        """Yield the worst forecasts, each of another series, then those next to the median error."""
        worst = [each.worst for each in self._by_error()[:_FANS]]
        shown = {_place(each) for each in worst}
        median = float(np.median(self._relative)) if self._relative else 0.0
        near = sorted(self._drawn, key=lambda each: abs(each.relative - median))
        middle = [each for each in near if _place(each) not in shown][:_FANS]
        for group, forecasts in (("worst", worst), ("in the middle", middle)):
            for each in forecasts:
                title = f"{label_of(each.window)} from {each.window.stamps(1)[0]}, MAE {each.error:.4g} ({group})"
                yield fan_of(each.window, each.quantiles, self._levels, title)

    def _by_error(self) -> list[_Series]:
        """Return the series, that with the largest relative error first."""
        return sorted(self._series.values(), key=lambda each: -each.relative / each.forecasts)


def fan_of(window: Window, quantiles: NDArray[Any], levels: Sequence[float], title: str | None = None) -> Fan:
    """Return the plot of a forecast.

    Args:
        window: with the history; what follows its origin there is the truth.
        quantiles: (Q, H).
        levels: their probabilities, (Q,).
        title: above it; by default the name of the series, and with a truth the first time.
    """
    horizon = quantiles.shape[1]
    truth = window.truth(horizon)
    first = max(0, window.origin - max(_LEAST_PAST, _PAST_HORIZONS * horizon))
    times = _times(window, first, window.origin - first + horizon)
    name = label_of(window)
    if not np.isnan(truth).all():
        name += f", from {window.stamps(1)[0]}, with what came true"
    return Fan(name if title is None else title, times, window.past[first:], quantiles, levels, truth)


def label_of(window: Window) -> str:
    """Return the name of a series, with that of the channel where it has several."""
    has_channels = bool(window.history.name) and len(window.history.channels) > 1
    return f"{window.name}, {window.history.channels[window.channel]}" if has_channels else window.name


def _place(shown: _Shown) -> tuple[str, int, int]:
    return shown.window.name, shown.window.channel, shown.window.origin


def _times(window: Window, first: int, count: int) -> NDArray[Any]:
    """Return the times of steps, (count,): dates by the clock at the origin, numbers, or steps behind the last."""
    history = window.history
    stamps, local = history.stamps(first, count), history.local(window.origin, 1)
    if local is not None and history.step.duration >= _SHORTEST_STEP:
        return np.asarray((stamps + (local - history.stamps(window.origin, 1))).astype("M8[ns]"))
    if history.step.unit == "number":
        return np.asarray(stamps / 10**history.step.digits)
    return np.arange(first, first + count) - len(history) + 1
