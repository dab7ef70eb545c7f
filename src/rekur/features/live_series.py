"""The last values of a live series, and of its columns.

Axes: T steps of a series.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import CalendarStep, StampForm
from rekur._history import History
from rekur.errors import InputError, describe
from rekur.features.base import Phrase
from rekur.features.live_columns import LiveColumns

Floats = NDArray[np.float64]

#: the channel of values without a name
_CHANNEL = "value"


class SeriesKey(NamedTuple):
    """The name of a live series, and of its channel where it has several; empty for none."""

    series: str = ""
    channel: str = ""

    def __str__(self) -> str:
        return (f"series '{self.series}'" if self.series else "event") + (
            f", channel '{self.channel}'" if self.channel else ""
        )


@dataclass(frozen=True)
class LiveSeries:
    """The last values of a series.

    Attributes:
        values: (T,), up to the last one that is not missing; the first one is missing only before any other.
        gap: missing values behind them.
        start: the stamp of the first value; None without stamps.
        form: how stamps are written.
        columns: from the step of the first value on; None of a model that reads none.
        first: number of the first value in the series.
        errors: memory of the errors at earlier origins; None for none.
    """

    values: Floats = field(default_factory=lambda: np.empty(0))
    gap: int = 0
    start: int | None = None
    form: StampForm | None = None
    columns: LiveColumns | None = None
    first: int = 0
    errors: Any = None

    def __len__(self) -> int:
        return len(self.values) + self.gap

    @property
    def tells(self) -> bool:
        """Whether there are two values or more, from which a window can be made."""
        values = self.values
        return len(values) > 1 and bool(values[-2] == values[-2] or np.count_nonzero(~np.isnan(values)) > 1)

    def behind(self, values: Floats, memory: int, step: CalendarStep, columns: LiveColumns | None = None) -> LiveSeries:
        """Return the series with further values and their columns, and the last ``memory`` of all."""
        if self.gap > memory:
            return self._without_most(memory, step).behind(values, memory, step, columns)
        if columns is not None and self.columns is not None:
            columns = self.columns.behind(columns, len(self))
        if (
            not self.gap
            and len(self.values) == memory
            and len(values) == 1
            and not np.isnan(values[0] + self.values[1])
        ):
            last = np.empty(memory)  # what most events do, in little time
            last[:-1], last[-1] = self.values[1:], values[0]
            return self._from(1, last, 0, step, columns)
        joined = np.concatenate([self.values, np.full(self.gap, np.nan), values])
        present = np.flatnonzero(~np.isnan(joined))
        end = int(present[-1]) + 1 if len(present) else 0
        dropped = max(0, end - memory)
        last = joined[dropped:end].copy()
        if len(last) and np.isnan(last[0]) and present[0] < dropped:
            last[0] = joined[present[present < dropped][-1]]
        return self._from(dropped, last, len(joined) - end, step, columns)

    def _without_most(self, memory: int, step: CalendarStep) -> LiveSeries:
        """Return the last value, ``memory`` steps before the end of the gap, with the rest of that."""
        last = self.values[-1:]
        return self._from(len(self) - memory, last, memory - len(last), step, self.columns)

    def _from(
        self, dropped: int, values: Floats, gap: int, step: CalendarStep, columns: LiveColumns | None
    ) -> LiveSeries:
        """Return the series with these values from a step on."""
        start = self.start
        if start is not None and dropped:
            is_even = step.unit not in ("weekday", "month")
            start = start + dropped * step.count if is_even else int(step.add(start, dropped))
        columns = None if columns is None else columns.without(dropped)
        return LiveSeries(values, gap, start, self.form, columns, self.first + dropped, self.errors)

    def whole(self) -> LiveSeries:
        """Return the series with the missing values behind the others among them."""
        return replace(self, values=np.concatenate([self.values, np.full(self.gap, np.nan)]), gap=0)

    def history(self, key: SeriesKey, step: CalendarStep, names: Mapping[str, tuple[str, ...]]) -> History:
        """Return the values as a history; the channel comes last.

        Args:
            key: of the series.
            step: the distance of values.
            names: role -> names of its columns, none of a model that reads none.
        """
        values = self.values[:, None]
        if key.channel:
            values = np.concatenate([np.full((len(values), 1), np.nan), values], axis=1)
        channels = ("", key.channel) if key.channel else (_CHANNEL,)
        dated: dict[str, Any] = {}
        if self.start is not None:
            dated = {"start": self.start, "step": step}
            dated["form"] = self.form if self.form is None else self.form.from_stamp(self.start)
        if self.columns is None:
            return History(key.series, channels, values, **dated)
        past, future = self.columns.past[: len(values)], self.columns.future
        beside: dict[str, Any] = {f"{role}_names": columns for role, columns in names.items()}
        beside |= {"past": _padded(past, len(values)), "future": _padded(future, len(values))}
        return History(key.series, channels, values, **dated, **beside, static=self.columns.static)

    def to_dict(self) -> dict[str, Any]:
        """Return the series as plain JSON, null where a number is missing."""
        saved = {
            "values": _with_null(self.values),
            "gap": self.gap,
            "start": self.start,
            "form": None if self.form is None else self.form.to_dict(),
        }
        if self.columns is None:
            return saved
        rows = {name: [_with_null(row) for row in getattr(self.columns, name)] for name in ("past", "future")}
        return saved | rows | {"static": _with_null(self.columns.static)}

    @classmethod
    def from_dict(cls, saved: Mapping[str, Any], widths: tuple[int, ...] | None, errors: Any) -> LiveSeries:
        """Return the series that :meth:`to_dict` described.

        Args:
            saved: the series.
            widths: numbers of past, future and static columns; None of a model that reads none.
            errors: nothing yet.
        """
        form = None if saved["form"] is None else StampForm.from_dict(saved["form"])
        start = None if saved["start"] is None else int(saved["start"])
        columns = None
        if widths is not None:
            past, future = (
                np.array([values_of(row) for row in saved[name]]).reshape(-1, width)
                for name, width in zip(("past", "future"), widths[:2], strict=True)
            )
            columns = LiveColumns(past, future, values_of(saved["static"]).reshape(widths[2]))
        return cls(values_of(saved["values"]), int(saved["gap"]), start, form, columns, errors=errors)


def _padded(rows: Floats, length: int) -> Floats:
    """Return rows, and missing ones behind them, up to a length."""
    lacking = length - len(rows)
    return np.concatenate([rows, np.full((lacking, rows.shape[1]), np.nan)]) if lacking > 0 else rows


def _with_null(numbers: Floats) -> list[float | None]:
    return [None if np.isnan(number) else number for number in numbers.tolist()]


def values_of(item: Any) -> Floats:
    """Return numbers (T,), NaN where missing; a number is one of them."""
    if type(item) is float and item - item == 0:  # what most events are, in little time
        return np.array((item,))
    try:
        values = np.asarray(item, np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InputError(describe("series", Phrase(repr(item)), "numbers, None where missing")) from None
    if np.isinf(values).any():
        raise InputError(describe("series", float("inf"), "finite numbers"))
    return values
