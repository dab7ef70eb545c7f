"""Windows of series in C: the state of a series, the plain forecasts, and the rows that a network reads of them.

Axes: L steps of the look-back, H steps of the horizon, M steps of a segment, K plain forecasts, Q quantiles, P, F and S
numbers of past, future and static columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rekur._calendar import CYCLES
from rekur._history import LARGEST_VALUE
from rekur.errors import InputError, NotStreamableError, describe
from rekur.export.c.constants import Constants
from rekur.export.c.source import MOST_NUMBERS
from rekur.features import WindowFeatures
from rekur.features.base import Phrase
from rekur.features.covariates import LARGEST, Covariates, Scaler
from rekur.features.plain_forecasts import BACKTESTS, PlainForecasts
from rekur.features.usual_levels import NUMBERS, SMALL
from rekur.features.window_arrays import LARGEST_CANDIDATE, LARGEST_INPUT
from rekur.features.window_ridges import LARGEST_LOG, ROUNDING, SHARE, Scaling
from rekur.features.window_stream import Clock
from rekur.targets.distribution import DistributionTarget

_DIVISORS = ("one", "series", "window", "deviation")


@dataclass(frozen=True)
class Windows:
    """What C code knows of the windows of a model.

    Attributes:
        features: those of the model.
        target: the meaning of its outputs.
    """

    features: WindowFeatures
    target: DistributionTarget

    @property
    def plain(self) -> PlainForecasts:
        """The plain forecasts."""
        return self.features.plain

    @property
    def covariates(self) -> Covariates:
        """The columns and the calendar."""
        return self.features.covariates

    @property
    def kept(self) -> int:
        """Steps of a series that a state keeps: those of a window, and behind its end a horizon of missing values."""
        return self.features.memory + self.features.horizon

    @property
    def channels(self) -> tuple[str, ...]:
        """The names of the channels that have ridges of their own."""
        return self.plain.channels

    @cached_property
    def learnt(self) -> Mapping[str, Any]:
        """What the features learnt, as plain JSON."""
        learnt: Mapping[str, Any] = self.features.to_dict()["learnt"]
        return learnt

    @property
    def gaps(self) -> bool:
        """Whether the network reads how long ago the last value was."""
        return bool(self.learnt["gaps"])

    @cached_property
    def clock(self) -> Clock | None:
        """The time stamps of training; None where the calendar is not read."""
        return Clock.from_dict(self.learnt["clock"]) if self.covariates.cycles and "clock" in self.learnt else None

    @property
    def instants(self) -> bool:
        """Whether time stamps are instants, so that the clock on the wall may be put on or back between two."""
        return self.clock is not None and self.clock.form is not None and self.clock.form.clock == "utc"

    @property
    def next_time(self) -> str:
        """The variant of the part that steps through time."""
        if self.clock is None or self.clock.step.unit not in ("weekday", "month"):
            return "even"
        step = self.clock.step
        return "weekday" if step.unit == "weekday" else "working_month" if step.weekdays else "month"

    @property
    def members(self) -> list[tuple[str, str, int]]:
        """The members of the state of a series: type, name, length."""
        more = self.covariates
        members = [("double", "values", self.kept)]
        members += [("int64_t", "times", self.kept)] if self.clock else []
        members += [("float", "rows", self.kept * more.size)] if more.size else []
        members += [("float", "statics", more.static.width)] if more.static.width else []
        members += [("int32_t", name, 0) for name in ("count", "gap", "channel")]
        return members + ([("int32_t", "lacks", 0)] if more.future.names else [])

    @property
    def work(self) -> list[tuple[str, str, int]]:
        """The members of what all series share while a forecast is computed: type, name, length."""
        features, plain, more = self.features, self.plain, self.covariates
        count, horizon, levels = len(plain.names), plain.horizon, len(self.target.levels)
        sizes = {"raw": features.memory, "filled": features.memory, "turned": features.lookback}
        sizes |= {"window": plain.lookback, "logs": plain.lookback, "candidates": count * horizon}
        sizes |= {"errors": count, "weights": count, "z": levels}
        sizes |= {"inputs": plain.lookback} if plain.covered else {}
        sizes |= {"usual": NUMBERS} if plain.levels else {}
        sizes |= {"calendar": more.calendar_size} if more.calendar_size else {}
        doubles = [("double", name, size) for name, size in sizes.items()]
        floats = {"x": max(features.size, self.ahead_width), "output": features.segment * levels}
        floats |= {"ahead": (horizon if more.future.names else 1) * more.size} if more.size else {}
        return [*doubles, *(("float", name, size) for name, size in floats.items()), *_WHOLE]

    @property
    def ahead_width(self) -> int:
        """Numbers of a row of the horizon."""
        segment, count = self.features.segment, self.features.candidates
        return self.features.ahead_size + (segment + 1) * count + segment

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the plain forecasts of a window, with those at earlier origins."""
        ridges = sum(int(ridge.weights[0].size) for ridge in self.plain.ridges)
        ridges += sum(int(ridge.weights.size) for ridge in self.plain.covered)
        return ridges * (1 + BACKTESTS * int(self.plain.beyond))


_WHOLE = [("int", "first", 0), ("int", "is_positive", 0)]


def check_windows(windows: Windows) -> None:
    """Raise unless C code can make the windows of a model.

    Raises:
        NotStreamableError: it reads the calendar by a named time zone, or by instants in steps of months.
        InputError: its ridges are too many numbers.
    """
    if windows.covariates.cycles and "clock" not in windows.learnt:
        expected = "the step of the time stamps, which bundles of an earlier version lack"
        raise NotStreamableError(describe("calendar", Phrase("none"), expected, "Train the model anew."))
    clock = windows.clock
    if clock is not None and clock.form is not None and clock.form.zone:
        expected = "one without a zone: C has no table of time zones"
        fix = "Train with stamps that have offsets, or with --calendar no."
        raise NotStreamableError(describe("time zone of the calendar", clock.form.zone, expected, fix))
    if windows.instants and windows.next_time != "even":
        expected = "one of days or less for stamps with offsets: C steps by the clock on the wall"
        raise NotStreamableError(describe("step of the calendar", f"{clock.step if clock else ''}", expected))
    plain = windows.plain
    numbers = sum(int(ridge.weights.size) for ridge in plain.ridges)
    numbers += sum(int(ridge.weights.size) for ridge in plain.covered)
    if numbers > MOST_NUMBERS:
        expected = f"at most {MOST_NUMBERS:,}, which a C compiler takes in less than a minute"
        fix = "Train with a shorter --lookback or --horizon."
        raise InputError(f"numbers of the ridges: got {numbers:,}; expected {expected}. {fix}")


def add_constants(windows: Windows, constants: Constants) -> str:
    """Add the arrays of plain forecasts and columns, and return the C code of the tables that name them."""
    plain, more, target = windows.plain, windows.covariates, windows.target
    constants.array("periods", np.array(plain.periods or (1,), np.int32))
    errors = np.array(plain.errors or np.ones(len(plain.names)), np.float64).reshape(-1, len(plain.names))
    constants.array("usual_errors", errors.reshape(-1))
    constants.array("levels", np.array(target.levels))
    if plain.levels:
        constants.array("usual_levels", np.array(plain.levels, np.float64).reshape(-1))
    if target.offsets is not None:
        constants.array("offsets", np.ascontiguousarray(target.offsets.T, np.float64).reshape(-1))
    if more.size + more.static.width:
        _columns(constants, more.past, more.future, more.static)
    rows = []
    for number, ridge in enumerate(plain.ridges):
        values = constants.array(f"ridge.{number}", np.ascontiguousarray(ridge.weights, np.float32).reshape(-1))
        rows.append([values, *_scaling(ridge.scaling), len(ridge.weights), ridge.weights.shape[1]])
    tables = _table("plain_ridge", "ridges", rows)
    rows = []
    for number, covered in enumerate(plain.covered):
        effect = constants.array(f"effect.{number}", covered.effect) if len(covered.effect) else "NULL"
        values = constants.array(f"covered.{number}", np.ascontiguousarray(covered.weights, np.float32).reshape(-1))
        reading = covered.reading
        rows.append([effect, values, *_scaling(reading.scaling), reading.steps, reading.lags])
    return tables + (_table("covered_ridge", "covered", rows) if rows else "")


def _scaling(scaling: Scaling) -> list[int]:
    return [int(scaling.log), scaling.location, _DIVISORS.index(scaling.divisor)]


def _table(kind: str, name: str, rows: list[list[Any]]) -> str:
    lines = "".join(f"    {{{', '.join(map(str, row))}}},\n" for row in rows)
    return f"\nstatic const {kind} {name}[{len(rows)}] = {{\n{lines}}};\n"


def _columns(constants: Constants, *scalers: Scaler) -> None:
    """Add which raw number each number of a row is made of, whether that is a flag, and the scale."""
    numbers, flags, location, scale = list[int](), list[int](), list[float](), list[float]()
    first = 0
    for scaler in scalers:
        order = [*range(len(scaler.names)), *scaler.flagged]
        numbers += [first + column for column in order]
        flags += [0] * len(scaler.names) + [1] * len(scaler.flagged)
        location += [scaler.location[column] for column in order]
        scale += [scaler.scale[column] for column in order]
        first += len(scaler.names)
    constants.array("column_numbers", np.array(numbers, np.int32))
    constants.array("column_flags", np.array(flags, np.uint8))
    constants.array("column_location", np.array(location))
    constants.array("column_scale", np.array(scale))


def macros_of(windows: Windows) -> dict[str, Any]:
    """Return the names of numbers that the parts of windows read, and their values."""
    features, plain, more = windows.features, windows.plain, windows.covariates
    target, beyond = windows.target, plain.beyond
    scalings = [each.scaling for each in plain.ridges] + [each.reading.scaling for each in plain.covered]
    macros: dict[str, Any] = {
        "KEPT": windows.kept,
        "MEMORY": features.memory,
        "LOOKBACK": features.lookback,
        "HORIZON": features.horizon,
        "SEGMENT": features.segment,
        "SEASON": plain.season,
        "PLAIN_STEPS": plain.lookback,
        "SCALE_STEPS": 2 * plain.lookback if beyond else max(1, plain.lookback - plain.season),
        "NEAR_STEPS": features.lookback if beyond else max(1, features.lookback - 1),
        "SEASON_STEPS": features.lookback if beyond else max(1, features.lookback - plain.season),
        "BETWEEN": plain.segment,
        "BACKTESTS": BACKTESTS if beyond else 0,
        "RIDGES": len(plain.ridges),
        "RIDGES_OF_LOGS": int(any(scaling.log for scaling in scalings)),
        "MEAN_LAST": plain.last_of_all,
        "NAIVES": len(plain.periods or (1,)),
        "COVERED": len(plain.covered),
        "CANDIDATES": len(plain.names),
        "USUAL_GROUPS": max(1, len(plain.errors)),
        "LEVELS": len(target.levels),
        "CHANNEL_LEVELS": len(plain.levels),
        "SMALL": repr(SMALL),
        "MEDIAN": target.median,
        "SHARE": repr(SHARE),
        "ROUNDING": repr(ROUNDING),
        "POWER": repr(features.power),
        "LARGEST_LOG": repr(LARGEST_LOG),
        "LARGEST_INPUT": repr(LARGEST_INPUT),
        "LARGEST_CANDIDATE": repr(LARGEST_CANDIDATE),
        "LARGEST_COLUMN": repr(LARGEST),
        "LARGEST_VALUE": repr(LARGEST_VALUE),
        "STATICS": more.static.width,
        "LOGS": int(plain.non_negative),
        "COLUMNS": more.size,
        "PAST_COLUMNS": more.past.width,
    }
    if windows.clock is not None:
        step = windows.clock.step
        macros |= {"STEP": f"INT64_C({step.count})", "MONTH_DAY": step.day}
        macros |= {"WEEKDAYS": f'"{step.weekdays}"'} if step.weekdays else {}
    return macros


def calendar_code(windows: Windows) -> str:
    """Return the function that writes the numbers of the calendar at a time; empty without."""
    if windows.clock is None:
        return ""
    lines = "".join(f"    to = harmonics(to, phase_of_{c}(time), {CYCLES[c][2]});\n" for c in windows.covariates.cycles)
    return f"""
static void write_calendar(const live_series *state, int step)
{{
    const int64_t time = time_at(state, step);
    double *to = work.calendar;
{lines}    (void)to;
}}
"""
