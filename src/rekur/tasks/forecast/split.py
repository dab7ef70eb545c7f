"""How series are cut into training windows and validation windows.

At the *origin* t of a window its first t values are past, and what follows is to be forecast. A channel has a *first
origin*: the values before it are for training, and nothing is learnt from those behind it.

Axes: T steps of a history.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from rekur._filled_series import end_of
from rekur._history import History
from rekur._numbers import counted
from rekur.data.example import Example
from rekur.data.periods import calendar_periods, find_periods
from rekur.data.source import shown_names
from rekur.errors import InputError, describe
from rekur.features.covariates import ROLES, Covariates
from rekur.features.windows import Window

#: training windows at most
MOST_WINDOWS = 60_000
#: values that a series needs
FEWEST_VALUES = 2
#: longest look-back without a season, in horizons; and the longest cycle of the calendar that is read twice, season or
#: not, in steps
_HORIZONS, _LONGEST_CYCLE = 4, 200
#: numbers of a step beside its columns, numbers of a segment to which columns shorten it, and its fewest steps then
_NUMBERS, _MOST_NUMBERS, _SHORTEST = 4, 64, 4


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The sizes of windows.

    Attributes:
        lookback: steps that a network reads.
        horizon: steps to forecast.
        segment: steps of a segment, which divide both.
        periods: lengths of seasons, rising; empty for none.
    """

    lookback: int
    horizon: int
    segment: int
    periods: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Part:
    """A channel of a history, cut at its first origin.

    Attributes:
        history: the history.
        channel: number of the channel.
        end: steps up to its last value.
        first: its first origin; ``end`` where nothing is held out.
    """

    history: History
    channel: int
    end: int
    first: int

    def example(self, origin: int, horizon: int) -> Example:
        """Return the window at an origin with what follows."""
        window = Window(self.history, self.channel, origin)
        return Example(window, window.truth(horizon), self.history.line, self.history.name)


@dataclasses.dataclass(frozen=True)
class Split:
    """The windows of series.

    Attributes:
        parts: the channels of all series.
        sizes: of windows.
        stride: steps between the origins of training windows.
        embargo: steps between the last training value and the first origin.
        calendar: whether dates are read.
    """

    parts: Sequence[Part]
    sizes: Sizes
    stride: int
    embargo: int
    calendar: bool = True

    def training(self) -> Iterator[Example]:
        """Yield the training windows, whose horizons end before the first origin."""
        for part in self.parts:
            for origin in _origins(part.first - self.embargo, self.sizes, self.stride):
                example = part.example(origin, self.sizes.horizon)
                if _tells(example):
                    yield example

    def validation(self) -> Iterator[Example]:
        """Yield the windows from the first origin on, a horizon apart."""
        horizon = self.sizes.horizon
        for part in self.parts:
            for origin in range(part.first, part.end - horizon + 1, horizon):
                example = part.example(origin, horizon)
                if _tells(example):
                    yield example

    @property
    def count(self) -> int:
        """The number of training windows, those that tell nothing included."""
        ends = (part.first - self.embargo for part in self.parts)
        return sum(len(_origins(end, self.sizes, self.stride)) for end in ends)

    @property
    def holds_out(self) -> bool:
        """Whether the ends of series validate."""
        return any(part.first < part.end for part in self.parts)

    def up_to_ends(self) -> Split:
        """Return the same windows, and those up to the ends of series, all for training."""
        parts = [dataclasses.replace(part, first=part.end) for part in self.parts]
        return dataclasses.replace(self, parts=parts, embargo=0)

    def last_windows(self, histories: Iterable[History]) -> Iterator[Example]:
        """Yield the last horizon of each channel of other series."""
        for part in parts_of(_by_name(histories), self.sizes.horizon, 0.0):
            if part.first < part.end:
                yield part.example(part.first, self.sizes.horizon)

    def first_windows(self) -> Iterator[Window]:
        """Yield each channel with a value before its first origin as it is past there, less the steps left out."""
        for part in self.parts:
            window = Window(part.history, part.channel, max(0, part.first - self.embargo))
            if not np.isnan(window.past).all():
                yield window

    @cached_property
    def sparse(self) -> list[str]:
        """The names of the series that are mostly zeros before their first origins, but not always."""
        names = []
        for window in self.first_windows():
            values = window.past[~np.isnan(window.past)]
            if len(values) / 2 < np.count_nonzero(values == 0) < len(values):
                names.append(window.name)
        return names

    @property
    def is_sparse(self) -> bool:
        """Whether half of the series or more are mostly zeros; relative errors say little of those."""
        return 2 * len(self.sparse) >= len(self.parts)

    def lowest(self) -> float:
        """Return the lowest value before the first origins."""
        return min((float(np.nanmin(window.past)) for window in self.first_windows()), default=0.0)

    def units(self) -> list[float] | None:
        """Return the standard deviation of each channel before the first origins; None where there is but one."""
        channels: dict[int, list[Any]] = {part.channel: [] for part in self.parts}
        for window in self.first_windows():
            channels[window.channel].append(window.past)
        pasts = [channels[channel] for channel in sorted(channels)]
        spreads = [float(np.nanstd(np.concatenate(past))) if past else 0.0 for past in pasts]
        return [spread or 1.0 for spread in spreads] if len(spreads) > 1 else None

    def drawn(self) -> str:
        """Return the split in words, with a line drawn for the longest series."""
        longest = max(self.parts, key=lambda part: part.end)
        held = [part for part in self.parts if part.first < part.end]
        width = 60
        trained = max(1, min(width - 1, round(width * longest.first / longest.end)))
        line = "█" * trained + "░" * (width - trained)
        steps = sorted(part.end for part in self.parts)
        lengths = counted(steps[0], "step") if steps[0] == steps[-1] else f"{steps[0]:,} to {steps[-1]:,} steps"
        sizes = self.sizes
        origins = sum(1 for _ in self.validation())
        seasons = " and ".join(map(str, sizes.periods))
        season = f"seasons of {seasons} steps" if seasons else "no season"
        left_out = f"; {self.embargo} steps between are left out" if self.embargo else ""
        return (
            f"{len(self.parts):,} series of {lengths}; {season}; "
            f"{sizes.lookback} steps forecast {sizes.horizon}\n"
            f"  {line}\n"
            f"  █ trains, an origin every {counted(self.stride, 'step')}; ░ validates, {len(held):,} series at "
            f"{counted(origins, 'origin')}, {sizes.horizon} steps apart{left_out}"
            f"{self._drawn_columns()}{self._drawn_short()}{self._drawn_zeros()}"
        )

    def _drawn_short(self) -> str:
        """Return the names of the series that are shorter than the look-back, behind a new line."""
        lookback = self.sizes.lookback
        windows = [Window(part.history, part.channel, part.end) for part in self.parts]
        short = [window.name for window in windows if window.origin < lookback]
        if not short or len(short) == len(self.parts):
            return ""
        verb = "is" if len(short) == 1 else "are"
        return f"\n  {shown_names(short, 3)} {verb} shorter than {lookback} steps: those before count as missing"

    def _drawn_zeros(self) -> str:
        """Return a warning of series that are mostly zeros, behind a new line."""
        if not self.sparse:
            return ""
        verb = "is" if len(self.sparse) == 1 else "are"
        return f"\nwarning: {shown_names(self.sparse, 3)} {verb} mostly zeros: read MASE, as sMAPE says little of them."

    def _drawn_columns(self) -> str:
        """Return the covariates that are read, and a warning of columns that tell nothing, each behind a new line."""
        covariates = Covariates.fit(((part.history, part.first) for part in self.parts), calendar=self.calendar)
        roles = [
            ("known until now", covariates.past.names),
            ("known ahead", covariates.future.names),
            ("static", covariates.static.names),
            ("calendar", covariates.cycles),
        ]
        read = "; ".join(f"{role}: {shown_names(list(names))}" for role, names in roles if names)
        text = f"\n  {read}" if read else ""
        constant = [name for role in ROLES for name in getattr(covariates, role).constant]
        if not constant:
            return text
        where = "of all series" if set(constant) <= set(covariates.static.names) else "before the first origin"
        verb = "is" if len(constant) == 1 else "are"
        return f"{text}\nwarning: {shown_names(constant)} {verb} always the same {where}, and so not read."


def _by_name(histories: Iterable[History]) -> list[History]:
    """Return histories by their names, H2 before H10, so that any order of rows teaches the same."""

    def key(history: History) -> tuple[list[tuple[str, int, str]], str]:
        parts = re.split("([0-9]+)", history.name)
        digits = [each.lstrip("0") for each in [*parts[1::2], "0"]]  # texts, as a number may have any length
        return [(text, len(each), each) for text, each in zip(parts[::2], digits, strict=True)], history.name

    return sorted(histories, key=key)


def _tells(example: Example) -> bool:
    """Return whether two values are past, and one of what follows is."""
    past, truth = example.item.past, example.label
    return bool(np.count_nonzero(~np.isnan(past)) >= FEWEST_VALUES and not np.isnan(truth).all())


def _origins(end: int, sizes: Sizes, stride: int) -> range:
    """Return the origins of training windows, the last with its horizon before ``end``."""
    last = end - sizes.horizon
    earliest = sizes.lookback if last >= sizes.lookback else max(FEWEST_VALUES, last // 2)
    if last < earliest:
        return range(0)
    return range(earliest + (last - earliest) % stride, last + 1, stride)


def parts_of(histories: Iterable[History], horizon: int, share: float, embargo: int = 0) -> list[Part]:
    """Return the channels of histories with their first origins.

    Args:
        histories: the series.
        horizon: steps to forecast.
        share: of each channel that is held out, in whole horizons, one at least; but never more than half.
        embargo: steps that are left out before the first origin.

    Raises:
        InputError: a channel has fewer than two values.
    """
    parts = []
    for history in histories:
        for channel, name in enumerate(history.channels):
            values = history.values[:, channel]
            end, count = end_of(values), int(np.count_nonzero(~np.isnan(values)))
            if count < FEWEST_VALUES:
                thing = f"series '{history.name or name}'" + (f", channel '{name}'" if history.name else "")
                got, expected = counted(count, "value"), f"{FEWEST_VALUES} or more"
                raise InputError(f"{thing}: got {got}; expected {expected}. Leave it out.")
            horizons = max(1, round(share * end / horizon))
            room = max(0, end - FEWEST_VALUES - embargo)
            horizons = min(horizons, room // (2 * horizon)) or int(end >= horizon + FEWEST_VALUES)
            parts.append(Part(history, channel, end, end - horizons * horizon))
    return parts


def split_of(histories: Sequence[History], options: Any, *, hold_out: bool) -> Split:
    """Return how series are cut.

    Args:
        histories: the series.
        options: of the forecaster.
        hold_out: whether their ends validate.

    Raises:
        InputError: a series is too short, or none is long enough for the horizon.
    """
    histories = _by_name(histories)
    horizon = options.horizon or _season(histories)
    parts = parts_of(histories, horizon, options.valid_fraction, options.embargo)
    if not hold_out:
        parts = [dataclasses.replace(part, first=part.end) for part in parts]
    past = [part.history.values[: part.first, part.channel] for part in parts]
    cycles = calendar_periods(histories[0].step)
    periods = find_periods(past, cycles)
    longest = max(part.first for part in parts)
    if longest - options.embargo < horizon + FEWEST_VALUES:
        raise _too_long(horizon, max(part.end for part in parts), options.embargo, hold_out=hold_out)
    first = histories[0]
    read = len(first.past_names) + len(first.future_names)
    sizes = sizes_of(horizon, options.lookback, periods, longest, cycles, read)
    count = sum(len(_origins(part.first - options.embargo, sizes, 1)) for part in parts)
    stride = options.stride or max(1, math.ceil(count / MOST_WINDOWS))
    columns = (*first.past_names, *first.future_names, *first.static_names)
    calendar = {"yes": True, "no": False, "auto": bool(columns)}[options.calendar]
    return Split(parts, sizes, stride, options.embargo, calendar)


def _too_long(horizon: int, steps: int, embargo: int, *, hold_out: bool) -> InputError:
    """Return the error for series that are too short for a horizon; ``steps`` are those of the longest."""
    horizons = 2 if hold_out else 1
    why = ", and a part of them validates" if hold_out else ""
    most = (steps - FEWEST_VALUES - embargo) // horizons
    if most > 0:
        return InputError(describe("horizon", horizon, f"{most} at most, as the longest series has {steps} steps{why}"))
    fewest = FEWEST_VALUES + embargo + horizons
    fix = "Leave out less with --embargo." if embargo else "Add earlier values."
    return InputError(describe("steps of the longest series", steps, f"{fewest} or more for any horizon{why}", fix))


def sizes_of(
    horizon: int,
    lookback: int | None,
    periods: tuple[int, ...],
    longest: int,
    cycles: tuple[int, ...] = (),
    columns: int = 0,
) -> Sizes:
    """Return the sizes of windows.

    Args:
        horizon: steps to forecast.
        lookback: as asked, which is kept: segments are short where a season does not divide it. None for about twice
            the longest season, and no less than twice a cycle of the calendar, such as the week of hours, where four
            times as many steps are there.
        periods: lengths of seasons.
        longest: the most steps before a first origin.
        cycles: of the calendar, in steps.
        columns: known until an origin or ahead, which make segments shorter.
    """
    segment = periods[0] if periods and horizon % periods[0] == 0 else horizon
    if columns:
        most = _MOST_NUMBERS // (_NUMBERS + columns)
        segment = max((each for each in range(_SHORTEST, most + 1) if segment % each == 0), default=segment)
    if lookback is not None:
        return Sizes(lookback, horizon, math.gcd(lookback, segment), periods)
    wished = 2 * periods[-1] if periods else _HORIZONS * horizon
    wished = max([wished, *(2 * cycle for cycle in cycles if cycle <= min(_LONGEST_CYCLE, longest // 8))])
    wished = min(wished, max(segment, longest - horizon))
    return Sizes(max(1, math.ceil(wished / segment)) * segment, horizon, segment, periods)


def _season(histories: Sequence[History]) -> int:
    """Return the length of the first season, by the first half of each series, which is always for training."""
    halves = [
        history.values[: max(1, end_of(history.values[:, channel]) // 2), channel]
        for history in histories
        for channel in range(len(history.channels))
    ]
    return (find_periods(halves, calendar_periods(histories[0].step)) or (1,))[0]
