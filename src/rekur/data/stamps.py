"""Time stamps of a column: dates as people and programs write them, with or without offset, or numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import DAY, SECOND, StampForm, Stamps
from rekur._values import IN_SECONDS, CellError, is_missing, number_of, scalar
from rekur.errors import InputError, describe

_EXPECTED = "a date such as '2024-01-31 12:00:00', or a number"
_DIGITS = {ord(digit): "0" for digit in "123456789"}
_MONTH_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAME = r"(?P<name>(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\.?"
_TIME = (
    r"(?:(?P<sep>t|,?\ +)(?P<hour>[0-9]{1,2})"
    r"(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:[.,](?P<part>[0-9]+))?)?)?\ ?(?P<half>[ap]m)?\ ?"
    r"(?P<zone>z|utc|gmt|(?P<sign>[+-])(?P<zone_hour>[0-9]{2})(?::?(?P<zone_minute>[0-9]{2}))?)?)?"
)
_COMPACT = (
    r"(?P<year>[0-9]{4})(?P<month>[0-9]{2})(?P<day>[0-9]{2})"
    r"(?P<sep>t|\ )(?P<hour>[0-9]{2}):?(?P<minute>[0-9]{2}):?(?P<second>[0-9]{2})?(?P<zone>z)?"
)
_DATES = (
    r"(?P<year>[0-9]{4})(?P<mark>[-/.])(?P<month>[0-9]{1,2})(?:(?P=mark)(?P<day>[0-9]{1,2}))?",
    r"(?P<first>[0-9]{1,2})(?P<mark>[-/.])(?P<other>[0-9]{1,2})(?P=mark)(?P<year>[0-9]{4})",
    r"(?P<month>[0-9]{1,2})[-/.](?P<year>[0-9]{4})",
    rf"(?:(?P<day>[0-9]{{1,2}})[-\ ])?{_NAME}[-\ ](?P<year>[0-9]{{4}})",
    rf"{_NAME}\ (?P<day>[0-9]{{1,2}}),\ ?(?P<year>[0-9]{{4}})",
    r"(?P<year>[0-9]{4})[-\ ]?q(?P<quarter>[0-9])",
    r"q(?P<quarter>[0-9])[-\ ](?P<year>[0-9]{4})",
    r"(?P<year>[0-9]{4})-?w(?P<week>[0-9]{2})(?:-?(?P<weekday>[0-9]))?",
)
_STAMPS = [re.compile(pattern, re.IGNORECASE | re.ASCII) for pattern in (*(date + _TIME for date in _DATES), _COMPACT)]
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(?:\.(?P<part>[0-9]{1,30}))?")
#: what a column holds; its stamps are of one family
_FAMILIES = {"number": "a number", "date": "a date", "slashes": "a date such as 31/12/2024"}
_RESOLUTIONS = ("quarter", "month", "week", "day", "hour", "minute", "second")
_NEVER = np.iinfo(np.int64).min
_FIRST_YEAR, _LAST_YEAR = 1678, 2261
_YEARS_OF_COMPACT = (1800, 2199)


@dataclass(frozen=True)
class StampColumn:
    """The stamps of a column.

    Attributes:
        stamps: (N,), as :mod:`rekur._calendar` has them: instants where there are offsets, else by the local clock, or
            numbers in units of 10^-digits.
        digits: decimals of numbers.
        form: how they are written; None for numbers.
        offsets: seconds east of UTC of each, (N,); None without offsets.
        notes: sentences on how they were read.
    """

    stamps: Stamps
    digits: int
    form: StampForm | None
    offsets: NDArray[np.int64] | None
    notes: list[str]


@dataclass
class _Shape:
    """Stamps that are written alike but for their digits: where the digits of each part stand."""

    family: str
    spans: dict[str, tuple[int, int]] = field(default_factory=dict)
    constants: dict[str, int] = field(default_factory=dict)
    resolution: str = "day"
    sign: int | None = None  # of the offset from UTC: -1, 0 or 1
    separator: str = ""


class StampReader:
    """Reads the stamps of a column block by block, and settles at the end what all of them together say.

    Args:
        name: of the column, for messages.
        error: (text, line) -> the error to raise.
        unit: what a row number counts, ``"line"`` or ``"row"``.

    Example:
        >>> reader = StampReader("time", lambda text, line: InputError(text))
        >>> reader.add(["2024-01-31", "2024-02-29"], [2, 3])
        >>> reader.finish().stamps.astype("M8[ns]").astype("M8[D]").astype(str).tolist()
        ['2024-01-31', '2024-02-29']
    """

    def __init__(self, name: str, error: Callable[[str, int], InputError], unit: str = "line") -> None:
        self._name, self._error, self._unit = name, error, unit
        self._shapes: dict[str, _Shape] = {}
        self._blocks: list[Stamps] = []  # of dates with slashes, read day first
        self._others: list[Stamps] = []  # the same, read month first
        self._offsets: list[NDArray[np.int64]] = []
        self._digits: list[int] = []  # decimals of the numbers of each block
        self._zones: set[str] = set()
        self._first_text: tuple[str, int] = ("", 0)
        self._refused: dict[str, tuple[str, int]] = {}  # reading -> a stamp that it does not take
        self._differs: tuple[str, int] | None = None  # a stamp that the two readings take for different days
        self._typed = False
        self._fraction = 0

    def add(self, cells: Sequence[Any], lines: Sequence[int]) -> None:
        """Take the cells of some rows, and the lines where they stand.

        Raises:
            DataError: a cell is empty, or no stamp, or one of another kind than those above.
        """
        texts = [
            cell.strip() if type(cell) is str else self._text(cell, line)
            for cell, line in zip(cells, lines, strict=True)
        ]
        if not self._shapes and texts:
            self._first_text = (texts[0], lines[0])
        rows_of: dict[str, list[int]] = {}
        for row, text in enumerate(texts):
            rows_of.setdefault(text.translate(_DIGITS), []).append(row)
        for template, rows in sorted(rows_of.items(), key=lambda item: item[1][0]):
            if template not in self._shapes:
                self._shapes[template] = self._new_shape(texts[rows[0]], lines[rows[0]])
        shapes = {template: self._shapes[template] for template in rows_of}
        if shapes and next(iter(shapes.values())).family == "number":
            self._add_numbers(texts, lines, shapes)
            return
        stamps = np.empty(len(texts), np.int64)
        others, offsets = stamps.copy(), np.zeros(len(texts), np.int64)
        for template, rows in rows_of.items():
            shape = shapes[template]
            where = [lines[row] for row in rows]
            stamps[rows], others[rows], offsets[rows] = self._read(shape, [texts[row] for row in rows], where)
        self._blocks.append(stamps)
        self._others.append(others)
        self._offsets.append(offsets)

    @property
    def holds_dates(self) -> bool:
        """Whether there are stamps and they are dates."""
        return any(shape.family != "number" for shape in self._shapes.values())

    def finish(self) -> StampColumn:
        """Return all stamps.

        Raises:
            DataError: they can be read day first and month first, or as neither.
        """
        shapes = list(self._shapes.values())
        if shapes[0].family == "number":
            return self._finish_numbers()
        blocks = self._blocks
        if shapes[0].family == "slashes" and not self._is_day_first():
            blocks = self._others
        stamps = np.concatenate(blocks)
        offsets = None if shapes[0].sign is None else np.concatenate(self._offsets)
        resolution = max((shape.resolution for shape in shapes), key=_RESOLUTIONS.index)
        separator = next((shape.separator for shape in shapes if shape.separator), "T")
        form = StampForm(resolution, self._fraction, separator, clock="local" if offsets is None else "utc")
        if offsets is not None:
            zone = self._zones.pop() if len(self._zones) == 1 else ""
            form = StampForm(**{**vars(form), "zone": zone, "zulu": all(shape.sign == 0 for shape in shapes)})
            stamps = stamps - offsets * SECOND
        if self._typed or self._fraction == 9:  # programs write nanoseconds where nobody needs them
            local = stamps if offsets is None else stamps + offsets * SECOND
            form = _form_of_values(form, local, dated=self._typed)
        return StampColumn(stamps, 0, form, offsets, [])

    # ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _text(self, cell: Any, line: int) -> str:
        """Return the text of a value in memory."""
        cell = scalar(cell)
        if isinstance(cell, str):
            return cell.strip()
        if is_missing(cell):
            return ""
        if isinstance(cell, date):  # datetime and pandas' Timestamp too
            self._typed = True
            zone = getattr(cell, "tzinfo", None)
            if zone is not None:
                self._zones.add(str(getattr(zone, "key", None) or getattr(zone, "zone", None) or ""))
            return cell.isoformat()
        if isinstance(cell, np.datetime64):
            self._typed = True
            return str(cell)
        if isinstance(cell, timedelta | np.timedelta64):
            raise self._error(describe(self._name, cell, _EXPECTED, IN_SECONDS), line)
        if isinstance(cell, Decimal):
            return f"{cell:f}"
        if hasattr(cell, "freqstr") and hasattr(cell, "ordinal"):  # pandas' Period
            return str(cell)
        if isinstance(cell, bool | np.bool_):
            raise self._error(describe(self._name, cell, _EXPECTED), line)
        try:
            number = number_of(cell, self._name)
        except CellError:
            raise self._error(describe(self._name, cell, _EXPECTED), line) from None
        return str(int(cell)) if number.is_integer() else f"{Decimal(repr(number)):f}"

    def _new_shape(self, text: str, line: int) -> _Shape:
        shape = self._shape(text, line)
        first = next(iter(self._shapes.values()), shape)
        if shape.family != first.family:
            expected = f"{_FAMILIES[first.family]}, as '{self._first_text[0]}' in {self._unit} {self._first_text[1]}"
            raise self._error(describe(self._name, text, expected), line)
        if (shape.sign is None) != (first.sign is None):
            with_or_not = "no offset" if first.sign is None else "an offset"
            expected = f"{with_or_not}, as in {self._unit} {self._first_text[1]}"
            raise self._error(describe(self._name, text, expected, "Write all stamps with offsets, or none."), line)
        return shape

    def _shape(self, text: str, line: int) -> _Shape:
        if not text:
            raise self._error(f"{self._name}: got nothing; expected {_EXPECTED}.", line)
        if match := _NUMBER.fullmatch(text):
            return _Shape("number", {"part": match.span("part")})
        match = next((match for pattern in _STAMPS if (match := pattern.fullmatch(text))), None)
        if match is None:
            raise self._error(describe(self._name, text, _EXPECTED, _fix(text)), line)
        parts = match.groupdict()
        shape = _Shape("slashes" if parts.get("first") else "date")
        shape.spans = {
            name: match.span(name)
            for name, value in parts.items()
            if value is not None and name not in ("mark", "name", "sep", "half", "zone", "sign")
        }
        if parts.get("name"):
            shape.constants["month"] = _MONTH_NAMES.index(parts["name"][:3].lower()) + 1
        if parts.get("half"):
            shape.constants["half"] = 12 if parts["half"].lower() == "pm" else 0
        if "part" in shape.spans:
            self._fraction = max(self._fraction, min(9, len(parts["part"])))
        has_day = {"day", "first", "weekday"} & shape.spans.keys()
        dated = "week" if "week" in parts and not has_day else "quarter" if "quarter" in parts else "month"
        timed = next((name for name in ("second", "minute", "hour") if parts[name] is not None), "")
        shape.resolution = timed or ("day" if has_day else dated)
        shape.separator = "" if not timed else "T" if parts["sep"] in "tT" else " "
        if parts["zone"]:
            shape.sign = {"+": 1, "-": -1}.get(parts.get("sign") or "", 0)
        return shape

    # ── dates ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _read(self, shape: _Shape, texts: list[str], lines: list[int]) -> tuple[Stamps, Stamps, Any]:
        """Return the stamps of texts of one shape, dates with slashes in both readings, and the offsets.

        A reading that a text does not take is ``_NEVER``.
        """
        digits = np.array(texts, "S").view(np.uint8).reshape(len(texts), -1).astype(np.int64) - ord("0")
        parts: dict[str, Any] = dict(shape.constants)
        for name, (begin, end) in shape.spans.items():
            if name == "part":
                begin, end, dropped = begin, min(end, begin + 9), digits[:, min(end, begin + 9) : end]
                if dropped.any():
                    row = int(np.flatnonzero(dropped.any(axis=1))[0])
                    raise self._error(describe(self._name, texts[row], "9 decimals of a second or fewer"), lines[row])
            parts[name] = digits[:, begin:end] @ 10 ** np.arange(end - begin - 1, -1, -1)
        time, is_time = _time_of_day(parts, shape)
        offsets = (parts.get("zone_hour", 0) * 60 + parts.get("zone_minute", 0)) * 60 * (shape.sign or 0)
        if "first" not in parts:
            days, is_date = _days(parts)
            self._check(is_date & is_time, texts, lines)
            return days * DAY + time, days, offsets
        readings = []
        for reading, day, month in (("day first", "first", "other"), ("month first", "other", "first")):
            days, is_date = _days({"year": parts["year"], "day": parts[day], "month": parts[month]})
            row = int(np.argmin(is_date))
            if not is_date[row]:
                self._refused.setdefault(reading, (texts[row], lines[row]))
            readings.append((np.where(is_date, days * DAY + time, _NEVER), is_date))
        (first, is_first), (other, is_other) = readings
        self._check((is_first | is_other) & is_time, texts, lines)
        if self._differs is None and (first != other).any():
            row = int(np.argmax(first != other))
            self._differs = (texts[row], lines[row])
        return first, other, offsets

    def _check(self, fine: NDArray[np.bool_], texts: list[str], lines: list[int]) -> None:
        row = int(np.argmin(fine))
        if not fine[row]:
            expected = f"{_EXPECTED}, of the years {_FIRST_YEAR} to {_LAST_YEAR}"
            raise self._error(describe(self._name, texts[row], expected), lines[row])

    def _is_day_first(self) -> bool:
        fix = "Write YYYY-MM-DD."
        if len(self._refused) == 2:
            (first, line), (other, other_line) = self._refused["day first"], self._refused["month first"]
            where = f"{self._unit} {other_line}"
            got = f"'{first}', a date with the month first, and '{other}' in {where}, one with the day first"
            raise self._error(f"{self._name}: got {got}; expected one order. {fix}", line)
        if self._refused:
            return "month first" in self._refused
        text, line = self._differs or self._first_text
        first, other, year = re.split("[-/.]", text.split()[0])
        day_first, month_first = (f"{year[:4]}-{int(m):02d}-{int(d):02d}" for d, m in ((first, other), (other, first)))
        got = f"'{text}', which is {day_first} with the day first and {month_first} with the month first"
        expected = "dates with one reading; every stamp of this column has both"
        raise self._error(f"{self._name}: got {got}; expected {expected}. {fix}", line)

    # ── numbers ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _add_numbers(self, texts: list[str], lines: Sequence[int], shapes: dict[str, _Shape]) -> None:
        lengths = {template: shape.spans["part"][1] - shape.spans["part"][0] for template, shape in shapes.items()}
        digits = max(lengths.values())
        if digits == 0:
            numbers = list(map(int, texts))
        else:
            numbers = [int(Decimal(text).scaleb(digits)) for text in texts]
        try:
            self._blocks.append(np.array(numbers, np.int64))
        except OverflowError:
            row = next(row for row, number in enumerate(numbers) if abs(number) >= 2**63)
            expected = "a number of at most 18 digits"
            raise self._error(describe(self._name, texts[row], expected), lines[row]) from None
        self._digits.append(digits)

    def _finish_numbers(self) -> StampColumn:
        digits = max(self._digits)
        for block, decimals in zip(self._blocks, self._digits, strict=True):
            if max(map(abs, (int(block.min()), int(block.max())))) * 10 ** (digits - decimals) >= 2**63:
                text, line = self._first_text
                expected = f"numbers of at most 18 digits; some have {digits} decimals"
                raise self._error(describe(self._name, text, expected), line)
        stamps = np.concatenate(
            [block * 10 ** (digits - decimals) for block, decimals in zip(self._blocks, self._digits, strict=True)]
        )
        form = {"00000000": StampForm("day", compact=True), "000000": StampForm("month", compact=True)}.get(
            next(iter(self._shapes))
        )
        if form is None or len(self._shapes) > 1:
            return StampColumn(stamps, digits, None, None, [])
        dated = stamps if form.resolution == "day" else stamps * 100 + 1
        years = dated // 10_000
        days, is_date = _days({"year": years, "month": dated // 100 % 100, "day": dated % 100})
        if not (is_date & (years >= _YEARS_OF_COMPACT[0]) & (years <= _YEARS_OF_COMPACT[1])).all():
            return StampColumn(stamps, digits, None, None, [])
        kind = "dates, YYYYMMDD" if form.resolution == "day" else "months, YYYYMM"
        return StampColumn(
            days * DAY, 0, form, None, [f"{self._name}: numbers such as {stamps[0]} are read as {kind}."]
        )


def _days(parts: dict[str, Any]) -> tuple[Stamps, NDArray[np.bool_]]:
    """Return the days since 1970 of dates, and whether each is one."""
    year = parts["year"]
    month = parts["quarter"] * 3 - 2 if "quarter" in parts else parts.get("month", 1)
    day = parts.get("day", 1)
    fine = (year >= _FIRST_YEAR) & (year <= _LAST_YEAR) & (month >= 1) & (month <= 12)
    months = np.where(fine, (year - 1970) * 12 + month - 1, 0)
    first = months.astype("M8[M]").astype("M8[D]").astype(np.int64)
    length = (months + 1).astype("M8[M]").astype("M8[D]").astype(np.int64) - first
    fine &= (day >= 1) & (day <= length)
    days = first + day - 1
    if "week" in parts:  # the week with the 4th of January is the first
        fourth = first + 3
        days = fourth - (fourth + 3) % 7 + 7 * (parts["week"] - 1) + parts.get("weekday", 1) - 1
        fine &= (parts["week"] >= 1) & (parts["week"] <= 53)
    return days, fine


def _time_of_day(parts: dict[str, Any], shape: _Shape) -> tuple[Any, Any]:
    """Return the nanoseconds since midnight, and whether each is a time of day."""
    hour, minute, second = (parts.get(name, 0) for name in ("hour", "minute", "second"))
    fine = (hour < 24) & (minute < 60) & (second < 60)
    if "half" in parts:
        fine = fine & (hour >= 1) & (hour <= 12)
        hour = hour % 12 + parts["half"]
    begin, end = shape.spans.get("part", (0, 0))
    fraction = parts.get("part", 0) * 10 ** (9 - min(9, end - begin))
    return ((hour * 60 + minute) * 60 + second) * SECOND + fraction, fine


def _form_of_values(form: StampForm, local: Stamps, *, dated: bool) -> StampForm:
    """Return the shortest form that keeps every stamp; with ``dated``, midnights alone are dates."""
    rest = local % DAY
    if dated and not rest.any() and form.clock == "local":
        return StampForm("day")
    digits = next(digits for digits in (0, 3, 6, 9) if not (rest % 10 ** (9 - digits)).any())
    return StampForm(**{**vars(form), "resolution": "second", "digits": digits})


def _fix(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{2}\b.*", text):
        return "Write years with four digits."
    if re.fullmatch(r"[0-9]{1,2}:[0-9]{2}.*", text):
        return "Write the date before the time."
    return ""
