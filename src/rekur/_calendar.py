"""Calendar steps, the distance from one value of a series to the next, and the written form of time stamps.

A stamp is an int64: nanoseconds since 1970, of UTC or of a local clock, or a number of steps.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rekur.errors import InputError, describe

SECOND = 10**9
DAY = 86_400 * SECOND
WORKING_DAYS = "1111100"
_UNITS = {"week": 7 * DAY, "day": DAY, "hour": 3600 * SECOND, "minute": 60 * SECOND, "second": SECOND}
_FINE_UNITS = {"ms": 10**6, "µs": 10**3, "ns": 1}
_YEAR = 31_556_952 * SECOND  # the mean of the Gregorian calendar
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = {1: "month", 3: "quarter", 12: "year"}
#: cycle -> its length, a step that is too long to show it, and the number of harmonics
CYCLES = {"day": (DAY, DAY, 2), "week": (7 * DAY, 7 * DAY, 3), "year": (_YEAR, _YEAR // 2 + DAY, 2)}

#: a stamp as :meth:`StampForm.text` writes it
_WRITTEN = re.compile(
    r"(?P<year>[0-9]{4})(?:-Q(?P<quarter>[1-4])|-W(?P<week>[0-9]{2})|-?(?P<month>[0-9]{2})(?:-?(?P<day>[0-9]{2})"
    r"(?:[T ](?P<hour>[0-9]{2})(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<part>[0-9]{1,9}))?)?)?)?)?)"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?"
)

Stamps = NDArray[np.int64]


@dataclass(frozen=True)
class CalendarStep:
    """The distance from one value of a series to the next, by the calendar where it has one.

    Attributes:
        unit: ``"row"`` (no stamps: rows are counted), ``"number"``, ``"ns"``, ``"weekday"`` or ``"month"``.
        count: units in a step, 1 or more; for weekdays 1.
        day: the day of the month, 1 to 31, or the last one of a shorter month; 31 is the month's end.
        weekdays: a flag for each day from Monday on: the days of the unit ``weekday``; for months, the days from which
            the first (``day`` 1) or the last (``day`` 31) of a month is taken.
        digits: decimals of numbers; ``count`` is then in units of 10^-digits.

    Example:
        >>> month_ends = CalendarStep("month", day=31)
        >>> leap_year = np.datetime64("2024-01-31", "ns").astype(int)
        >>> month_ends.add(leap_year, [1, 2]).astype("M8[ns]").astype("M8[D]").astype(str).tolist()
        ['2024-02-29', '2024-03-31']
    """

    unit: str
    count: int = 1
    day: int = 0
    weekdays: str = ""
    digits: int = 0

    def add(self, stamp: ArrayLike, steps: ArrayLike) -> Stamps:
        """Return the stamps some steps after others; both may be arrays that broadcast.

        Args:
            stamp: on the grid of this step.
            steps: whole numbers, also below 0.
        """
        stamps, counts = np.broadcast_arrays(np.asarray(stamp, np.int64), np.asarray(steps, np.int64))
        if self.unit not in ("weekday", "month"):
            return np.asarray(stamps + counts * self.count, np.int64)
        days, rest = np.divmod(stamps, DAY)
        dates = days.astype("M8[D]")
        if self.unit == "weekday":
            dates = np.busday_offset(dates, counts, weekmask=self.weekdays)
        else:
            dates = self._days_of(dates.astype("M8[M]") + counts * self.count)
        return np.asarray(dates.astype(np.int64) * DAY + rest, np.int64)

    def index(self, stamps: ArrayLike, start: int) -> tuple[Stamps, NDArray[np.bool_]]:
        """Return the number of steps from ``start`` to each stamp, and whether the stamp is on the grid.

        Example:
            >>> index, on_grid = CalendarStep("number", 2).index([4, 6, 7], 4)
            >>> index.tolist(), on_grid.tolist()
            ([0, 1, 1], [True, True, False])
        """
        stamps = np.asarray(stamps, np.int64)
        if self.unit not in ("weekday", "month"):
            index, rest = np.divmod(stamps - start, self.count)
            return index, rest == 0
        dates, first = (stamps // DAY).astype("M8[D]"), np.int64(start // DAY).astype("M8[D]")
        if self.unit == "weekday":
            index = np.busday_count(first, dates, weekmask=self.weekdays).astype(np.int64)
            on_grid = np.is_busday(dates, weekmask=self.weekdays) & (stamps % DAY == start % DAY)
            return index, on_grid
        months = (dates.astype("M8[M]") - first.astype("M8[M]")).astype(np.int64)
        index = months // self.count
        return index, self.add(start, index) == stamps

    @property
    def duration(self) -> float:
        """The mean length of a step in nanoseconds; 0 without a calendar."""
        if self.unit == "month":
            return self.count * _YEAR / 12
        if self.unit == "weekday":
            return 7 * DAY / self.weekdays.count("1")
        return float(self.count) if self.unit == "ns" else 0.0

    def periods(self) -> tuple[int, ...]:
        """Return the steps in an hour, a day, a week and a year, where these are 2 or more; shortest first.

        Example:
            >>> CalendarStep("ns", 3600 * SECOND).periods(), CalendarStep("month", day=1).periods()
            ((24, 168, 8766), (12,))
        """
        if not self.duration:
            return ()
        lengths = (3600 * SECOND, DAY, 7 * DAY, _YEAR)
        rounded = [(round(length / self.duration), length / self.duration) for length in lengths]
        return tuple(count for count, exact in rounded if count >= 2 and abs(exact - count) < 0.01 * exact)

    def _days_of(self, months: Any) -> Any:
        """Return this step's day in each month."""
        first, last = months.astype("M8[D]"), (months + 1).astype("M8[D]") - 1
        if self.weekdays and self.day == 1:
            return np.busday_offset(first, 0, roll="forward", weekmask=self.weekdays)
        if self.weekdays:
            return np.busday_offset(last, 0, roll="backward", weekmask=self.weekdays)
        return np.minimum(first + (self.day - 1), last)

    def __str__(self) -> str:
        if self.unit == "row":
            return "1 row"
        if self.unit == "number":
            return written_number(self.count, self.digits)
        if self.unit == "weekday":
            days = [name for name, flag in zip(_WEEKDAYS, self.weekdays, strict=True) if flag == "1"]
            return "1 working day" if self.weekdays == WORKING_DAYS else f"1 day of {', '.join(days)}"
        if self.unit == "ns":
            units = {**_UNITS, **_FINE_UNITS}
            name = next(name for name, size in units.items() if self.count % size == 0)
            count = self.count // units[name]
            return f"{count} {name}{'s' if count > 1 and name in _UNITS else ''}"
        name = _MONTHS.get(self.count, "")
        length = f"1 {name}" if name else f"{self.count} months"
        if self.weekdays:
            return f"{length} ({'first' if self.day == 1 else 'last'} working days)"
        days_shown = {
            1: "",
            31: " (month ends)",
            2: " (the 2nd)",
            3: " (the 3rd)",
            22: " (the 22nd)",
            23: " (the 23rd)",
        }
        return length + days_shown.get(self.day, f" (the {self.day}{'st' if self.day == 21 else 'th'})")

    def to_dict(self) -> dict[str, Any]:
        """Return the step as plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> CalendarStep:
        """Return the step that :meth:`to_dict` saved."""
        return cls(**saved)


#: the step of series without stamps
ROWS = CalendarStep("row")


def written_number(value: int, digits: int) -> str:
    """Return a whole number of units of 10^-digits as a decimal.

    Example:
        >>> written_number(-5, 1), written_number(12, 0)
        ('-0.5', '12')
    """
    if not digits:
        return str(value)
    whole = f"{abs(value):0{digits + 1}d}"
    return f"{'-' if value < 0 else ''}{whole[:-digits]}.{whole[-digits:]}"


@dataclass(frozen=True)
class StampForm:
    """How the stamps of a series are written, as ISO 8601 has it.

    Attributes:
        resolution: ``"month"``, ``"quarter"``, ``"week"``, ``"day"``, ``"hour"``, ``"minute"`` or ``"second"``.
        digits: decimals of seconds.
        separator: between date and time, ``"T"`` or a blank.
        compact: dates and months have no hyphens, as 20240131.
        clock: what a stamp counts: ``"local"``, the clock on the wall, written without an offset; ``"wall"``, the same
            with an offset; ``"utc"``, an instant, written with an offset.
        offsets: pairs (first stamp, seconds east of UTC), by stamps; the last also holds beyond the end.
        zone: the name of a time zone that gives the offsets of instants; empty for none.
        zulu: the offset 0 is written ``Z``.
    """

    resolution: str = "day"
    digits: int = 0
    separator: str = "T"
    compact: bool = False
    clock: str = "local"
    offsets: tuple[tuple[int, int], ...] = ()
    zone: str = ""
    zulu: bool = False

    def text(self, stamp: int) -> str:
        """Return a stamp as it is written.

        Example:
            >>> StampForm("minute", clock="utc", offsets=((0, 7200),)).text(0)
            '1970-01-01T02:00+02:00'
        """
        offset = self.offset(stamp)
        days, rest = divmod(stamp + (offset if self.clock == "utc" else 0) * SECOND, DAY)
        date = str(np.datetime64(days, "D"))
        if self.resolution == "month":
            date = date[:7]
        elif self.resolution == "quarter":
            return f"{date[:4]}-Q{(int(date[5:7]) + 2) // 3}"
        elif self.resolution == "week":
            year, week, _ = datetime.fromisoformat(date).isocalendar()
            return f"{year}-W{week:02d}"
        if self.resolution in ("month", "day"):
            return date.replace("-", "") if self.compact else date
        seconds, fraction = divmod(rest, SECOND)
        time = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
        time = time[: {"hour": 2, "minute": 5}.get(self.resolution, 8)]
        if self.digits:
            time += f".{fraction:09d}"[: self.digits + 1]
        return f"{date}{self.separator}{time}{self._shown_offset(offset)}"

    def texts(self, stamps: Stamps) -> list[str]:
        """Return stamps as they are written, many at a time."""
        unit = {"day": "D", "hour": "h", "minute": "m", "second": "s"}.get(self.resolution)
        if unit is None or self.digits or self.compact or self.zone or self.separator != "T":
            return [self.text(stamp) for stamp in stamps.tolist()]
        times = (self.local(stamps) // _UNITS[self.resolution]).astype(f"M8[{unit}]")
        written: list[str] = np.datetime_as_string(times).tolist()
        if self.clock == "local" or unit == "D":
            return written
        offsets = [self._shown_offset(self.offset(stamp)) for stamp in stamps.tolist()]
        return [text + offset for text, offset in zip(written, offsets, strict=True)]

    def stamp(self, text: str) -> tuple[int, int]:
        """Return a stamp from its text, and its seconds east of UTC; 0 for a local clock.

        Raises:
            ValueError: the text is not of this form.

        Example:
            >>> StampForm("minute", clock="utc", offsets=((0, 7200),)).stamp("1970-01-01T03:00+02:00")
            (3600000000000, 7200)
        """
        match = _WRITTEN.fullmatch(text)
        if match is None or (match["zone"] is None) != (self.clock == "local"):
            raise ValueError(text)
        year, month = int(match["year"]), int(match["month"] or 3 * int(match["quarter"] or 1) - 2)
        day = date.fromisocalendar(year, int(match["week"]), 1) if match["week"] else date(year, month, 1)
        day = day.replace(day=int(match["day"])) if match["day"] else day
        hour, minute, second = (int(match[name] or 0) for name in ("hour", "minute", "second"))
        moment = datetime(day.year, day.month, day.day, hour, minute, second)
        seconds = int((np.datetime64(moment, "s") - np.datetime64(0, "s")).astype(np.int64))
        zone = (match["zone"] or "Z").replace(":", "")
        offset = 0 if zone == "Z" else (int(zone[1:3]) * 60 + int(zone[3:])) * (-60 if zone[0] == "-" else 60)
        local = seconds * SECOND + int((match["part"] or "0").ljust(9, "0"))
        return local - (offset * SECOND if self.clock == "utc" else 0), offset

    def offset(self, stamp: int) -> int:
        """Return the seconds east of UTC at a stamp; 0 for a local clock."""
        if self.zone:
            zone = zoneinfo.ZoneInfo(self.zone)
            moment = datetime.fromtimestamp(stamp // SECOND, UTC)
            delta = (moment.astimezone(zone) if self.clock == "utc" else moment.replace(tzinfo=zone)).utcoffset()
            return 0 if delta is None else round(delta.total_seconds())
        return next((seconds for first, seconds in reversed(self.offsets) if first <= stamp), self._first_offset)

    @property
    def _first_offset(self) -> int:
        return self.offsets[0][1] if self.offsets else 0

    def local(self, stamps: Stamps) -> Stamps:
        """Return stamps by the clock on the wall, as nanoseconds since 1970 there."""
        if self.clock != "utc":
            return stamps
        if self.zone:
            return np.asarray([stamp + self.offset(stamp) * SECOND for stamp in stamps.tolist()], np.int64)
        firsts, seconds = np.asarray(self.offsets, np.int64).reshape(-1, 2).T
        at = np.maximum(np.searchsorted(firsts, stamps, side="right") - 1, 0)
        return np.asarray(stamps + seconds[at] * SECOND, np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the form as plain JSON."""
        return {**asdict(self), "offsets": [list(pair) for pair in self.offsets]}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> StampForm:
        """Return the form that :meth:`to_dict` saved."""
        return cls(**{**saved, "offsets": tuple((int(first), int(seconds)) for first, seconds in saved["offsets"])})

    def from_stamp(self, first: int) -> StampForm:
        """Return the form for stamps from ``first`` on alone."""
        later = [pair for pair in self.offsets if pair[0] > first]
        return replace(self, offsets=((first, self.offset(first)), *later)) if self.offsets else self

    def _shown_offset(self, offset: int) -> str:
        if self.clock == "local":
            return ""
        if self.zulu and offset == 0:
            return "Z"
        minutes = abs(offset) // 60
        return f"{'-' if offset < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"


def read_stamp(value: Any, step: CalendarStep, form: StampForm | None) -> tuple[int, StampForm | None]:
    """Return the stamp of a value in memory that is written as those of a series are, and its form.

    Args:
        value: a text, a date, or a number where the series has numbers.
        step: of the series.
        form: of its stamps; None for numbers.

    Raises:
        InputError: the value is no such stamp.
    """
    text = value.isoformat() if isinstance(value, date) else str(value).strip()
    try:
        if form is not None:
            stamp, offset = form.stamp(text)
            if abs(stamp) < 2**63:  # of the years 1678 to 2261
                return stamp, form if form.zone or form.clock == "local" else replace(form, offsets=((stamp, offset),))
            raise OverflowError
        number = Decimal(text).scaleb(step.digits)
        if number == number.to_integral_value() and abs(number) < 2**63:
            return int(number), None
    except (ValueError, InvalidOperation, OverflowError):
        pass
    example = written_number(0, step.digits) if form is None else form.text(0)
    raise InputError(describe("time", text, f"a time as in training, such as '{example}'"))


def cycles_of(step: CalendarStep, steps: int | None = None) -> tuple[str, ...]:
    """Return the cycles, of ``day``, ``week`` and ``year``, that a step is short enough to show; numbers show none.

    Args:
        step: from one value to the next.
        steps: number of steps, which two of each cycle must fit into; None for any number.

    Example:
        >>> cycles_of(CalendarStep("ns", DAY)), cycles_of(CalendarStep("ns", DAY), 400)
        (('week', 'year'), ('week',))
    """
    shown = [cycle for cycle, (_, longest, _) in CYCLES.items() if 0 < step.duration < longest]
    return tuple(c for c in shown if steps is None or steps * step.duration >= 2 * CYCLES[c][0])


def calendar_features(
    local: Stamps, step: CalendarStep, cycles: Sequence[str] | None = None
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return sines and cosines of the time of day, week and year: their names, and their values (T, K) in [-1, 1].

    Args:
        local: nanoseconds since 1970 by the clock on the wall, (T,).
        step: their distance.
        cycles: of :func:`cycles_of`; None for all that a step shows.

    Example:
        >>> names, values = calendar_features(np.arange(3) * 12 * 3600 * SECOND, CalendarStep("ns", 12 * 3600 * SECOND))
        >>> names[:2], values[:, 1].round(6).tolist()
        (('day sin 1', 'day cos 1'), [1.0, -1.0, 1.0])
    """
    names: list[str] = []
    columns: list[NDArray[np.float64]] = []
    for cycle in cycles_of(step) if cycles is None else cycles:
        length, _, harmonics = CYCLES[cycle]
        for k in range(1, harmonics + 1):
            angle = 2 * np.pi * k * _phase(local, cycle, length)
            names += [f"{cycle} sin {k}", f"{cycle} cos {k}"]
            columns += [np.sin(angle), np.cos(angle)]
    return tuple(names), np.stack(columns, axis=1) if columns else np.empty((len(local), 0))


def _phase(local: Stamps, cycle: str, length: int) -> NDArray[np.float64]:
    """Return how much of its cycle has passed at each stamp, in [0, 1); a week begins on Monday."""
    if cycle != "year":
        return np.asarray((local + (3 * DAY if cycle == "week" else 0)) % length / length, np.float64)
    years = (local // DAY).astype("M8[D]").astype("M8[Y]")
    first, following = ((years + k).astype("M8[D]").astype(np.int64) * DAY for k in (0, 1))
    return np.asarray((local - first) / (following - first), np.float64)
