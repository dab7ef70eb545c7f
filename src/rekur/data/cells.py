"""Values of single cells: times, series, texts, symbols; a cell that cannot be read raises CellError."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._tokenizer import Passage
from rekur._values import AS_TEXT, CellError, code_of, is_missing, is_row, members, number_of, numbers_in, scalar
from rekur.data.spans import Span, may_be_spans, spans_of
from rekur.errors import describe

#: a time in a form that compares exactly
Time = int | float | Decimal

_BLANKS = re.compile(r"[ \r\n\f\v]+")
_WHOLE = re.compile(r"\s*[+-]?\d+\s*")
_FRACTION = re.compile(r"(\d[.,]\d{6})(\d+)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMES = "a number or a date such as '2024-01-31 12:00:00'"
#: nanoseconds in each of NumPy's units of time; for finer units the power of ten that makes a nanosecond
_NANOSECONDS = {"W": 604_800 * 10**9, "D": 86_400 * 10**9, "h": 3600 * 10**9, "m": 60 * 10**9}
_NANOSECONDS |= {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_FINER = {"ps": 3, "fs": 6, "as": 9}
_PLAIN_TYPES = frozenset([str, int, float])
_ONE_KIND = "numbers with one kind of separator between: blanks, commas, semicolons or tabs"


def time_of(value: Any, thing: str = "time") -> tuple[str, Time]:
    """Return the kind of a time, ``"number"``, ``"date"`` or ``"duration"``, and a number that orders it exactly.

    A number keeps all its digits. A date becomes nanoseconds since 1970; a date without a zone is in UTC. A duration
    becomes nanoseconds.

    Example:
        >>> time_of("1970-01-01 00:00:00.000000001"), time_of("7.5")
        (('date', 1), ('number', Decimal('7.5')))
    """
    value = scalar(value)
    if isinstance(value, str):
        return _time_in_text(value, thing)
    if is_missing(value):
        raise CellError(f"{thing}: got nothing; expected {_TIMES}.")
    if isinstance(value, np.timedelta64):
        return "duration", _nanoseconds(value)
    if isinstance(value, timedelta):
        finer = getattr(value, "nanoseconds", 0)  # pandas' Timedelta
        return "duration", value // _MICROSECOND * 1000 + int(finer)
    if isinstance(value, np.datetime64):
        return "date", _nanoseconds(value)
    if isinstance(value, date):
        return "date", _since_1970(value)
    if isinstance(value, bool | np.bool_):
        raise CellError(describe(thing, value, _TIMES))
    number = number_of(value, thing)
    if isinstance(value, Integral):
        return "number", int(value)
    return "number", value if isinstance(value, Decimal) else number


def _time_in_text(text: str, thing: str) -> tuple[str, Time]:
    try:
        number = number_of(text, thing)
    except CellError:
        return "date", _date_in_text(text.strip(), thing)
    if np.isnan(number):
        raise CellError(f"{thing}: got nothing; expected {_TIMES}.")
    try:
        return "number", int(text) if _WHOLE.fullmatch(text) else Decimal(text.strip())
    except InvalidOperation:  # an exponent that Decimal cannot hold
        return "number", number


def _date_in_text(text: str, thing: str) -> Time:
    finer = _FRACTION.search(text)
    try:
        moment = datetime.fromisoformat(text if finer is None else text[: finer.start(2)] + text[finer.end(2) :])
    except ValueError:
        raise CellError(describe(thing, text, _TIMES)) from None
    if finer is None:
        return _since_1970(moment)
    digits = finer.group(2).ljust(3, "0")
    whole = (_since_1970(moment) // 1000) * 10 ** len(digits) + int(digits)
    return whole if len(digits) == 3 else Decimal(f"{whole}E{3 - len(digits)}")


def _since_1970(value: date) -> int:
    """Return the nanoseconds between 1970 and a date."""
    finer = getattr(value, "nanosecond", 0)  # pandas' Timestamp
    if hasattr(value, "to_pydatetime"):
        value = value.to_pydatetime(warn=False)
    moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND * 1000 + int(finer)


def _nanoseconds(value: np.datetime64 | np.timedelta64) -> Time:
    unit, count = np.datetime_data(value.dtype)
    if unit in ("Y", "M") and isinstance(value, np.datetime64):
        value, unit, count = value.astype("datetime64[D]"), "D", 1
    elif unit not in _NANOSECONDS and unit not in _FINER:  # months have no fixed length
        raise CellError(describe("time", value, "a duration in days or shorter units"))
    ticks = int(value.astype(np.int64)) * count
    if unit in _FINER:
        return Decimal(f"{ticks}E-{_FINER[unit]}")
    return ticks * _NANOSECONDS[unit]


def series_of(value: Any, thing: str = "series") -> NDArray[np.float64]:
    """Return float64 (T, D): one row a step, one column a channel, NaN where a number is missing.

    Args:
        value: a list of numbers (T,), a list of steps of D numbers (T, D), an array, or text: numbers as
            :func:`numbers_in_text` reads them, or such a list in JSON.
        thing: what the value is called in messages.

    Raises:
        CellError: for text or infinity among the numbers, or steps of several widths.

    Example:
        >>> series_of("1 2 NA").tolist()
        [[1.0], [2.0], [nan]]
    """
    value = scalar(value)
    if is_missing(value):
        return np.empty((0, 0))
    if isinstance(value, str):
        value = list_in_text(value, thing)
    if not is_row(value):
        raise CellError(describe(thing, value, "a list of numbers, or of steps with one number a channel"))
    try:
        read = numbers_in(value, thing)
    except (ValueError, TypeError) as error:
        if isinstance(error, CellError):
            raise
        read = None
    series = _slowly(value, thing) if read is None else read
    if series.ndim == 1:
        series = series[:, None] if len(series) else np.empty((0, 0))
    if series.ndim != 2:
        raise CellError(f"{thing}: got {series.ndim} axes; expected 1 or 2: steps, or steps × channels.")
    if np.isinf(series).any():
        step, channel = np.argwhere(np.isinf(series))[0]
        where = f"{thing}, step {step + 1}, channel {channel + 1}"
        raise CellError(describe(where, series[step, channel], "a finite number"))
    return series


def numbers_of(cells: Sequence[Any], thing: str) -> NDArray[np.float64]:
    """Return the numbers of cells, NaN where one is missing.

    Raises:
        CellError: a cell is no finite number.

    Example:
        >>> numbers_of(["1.5", "", "NA"], "x").tolist()
        [1.5, nan, nan]
    """
    if set(map(type, cells)) <= _PLAIN_TYPES:
        try:
            numbers = np.asarray([float(cell) if cell != "" else np.nan for cell in cells], np.float64)
            if not np.isinf(numbers).any() and "_" not in "".join(map(str, cells)):  # float() takes 1_000
                return numbers
        except (ValueError, OverflowError):
            pass
    return np.asarray([number_of(cell, thing) for cell in cells], np.float64)


def list_in_text(text: str, thing: str) -> list[Any]:
    """Return the list in a text: a JSON list, or numbers as :func:`numbers_in_text` reads them.

    Raises:
        CellError: the text is neither.
    """
    if not text.lstrip().startswith("["):
        return numbers_in_text(text, thing)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise CellError(describe(thing, text.strip(), "numbers, or a whole list in JSON", f"{error.msg}.")) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or lists in lists in lists
        raise CellError(describe(thing, text.strip(), "numbers, or a whole list in JSON")) from None
    return list(value)


def numbers_in_text(text: str, thing: str) -> list[float]:
    """Return the numbers of a text, separated by blanks, commas, semicolons or tabs, but by one of them only.

    Nothing between two commas, semicolons or tabs is a missing value, NaN, as are ``NA``, ``NaN``, ``null`` and ``?``.

    Raises:
        CellError: a piece is not a number, or the text has several separators, such as commas as decimal points.

    Example:
        >>> numbers_in_text("1 2.5", "x"), numbers_in_text("1,,3", "x")
        ([1.0, 2.5], [1.0, nan, 3.0])
    """
    marks = [mark for mark in ",;\t" if mark in text]
    if marks:
        pieces = [piece.strip() for piece in text.split(marks[0])]
    else:  # blanks outside ASCII may group thousands
        pieces = text.split() if text.isascii() else _BLANKS.split(text.strip())
    if len(marks) > 1 or (marks and any(_BLANKS.search(piece) for piece in pieces)):
        fix = "Write decimals with a point." if re.search(r"\d,\d", text) else ""
        raise CellError(describe(thing, text.strip(), _ONE_KIND, fix))
    try:
        if "_" not in text:  # float() takes 1_000
            return list(map(float, pieces))
    except ValueError:
        pass
    return [number_of(piece, f"{thing}, step {i + 1}") for i, piece in enumerate(pieces)]


def _slowly(value: Any, thing: str) -> NDArray[np.float64]:
    """Read cell by cell, so that marks of missing values are read and an error names the first bad cell."""
    steps: list[list[float]] = []
    of_rows = False
    for i, step in enumerate(members(value)):
        where = f"{thing}, step {i + 1}"
        if i and is_row(step) != of_rows:
            raise CellError(describe(where, step, f"{'a list of numbers' if of_rows else 'a number'}, as in step 1"))
        of_rows = is_row(step)
        cells = members(step) if of_rows else [step]
        row = [number_of(c, f"{where}, channel {k + 1}" if of_rows else where) for k, c in enumerate(cells)]
        if steps and len(row) != len(steps[0]):
            raise CellError(describe(f"{where}: channels", len(row), f"{len(steps[0])}, as in step 1"))
        steps.append(row)
    return np.asarray(steps, dtype=np.float64)


def text_of(value: Any, thing: str = "text") -> str:
    """Return text as it is, and missing text as an empty one.

    Example:
        >>> text_of("good")
        'good'
    """
    value = scalar(value)
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    fix, keys = AS_TEXT if isinstance(value, bytes) else "", list(value)[:2] if isinstance(value, dict) else []
    if len(keys) == 2 and thing.isidentifier():
        fix = f"Of pairs of texts in one object: --source {thing}.{keys[0]} --target {thing}.{keys[1]}"
    raise CellError(describe(thing, value, "text", fix))


def symbols_of(value: Any, thing: str = "symbols") -> str | list[str]:
    """Return symbols: text as it is (letters, or codes with spaces between), or a list of codes as text.

    Example:
        >>> symbols_of("ACGT"), symbols_of([7, 12])
        ('ACGT', ['7', '12'])
    """
    value = scalar(value)
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    if not is_row(value):
        fix = AS_TEXT if isinstance(value, bytes) else ""
        raise CellError(describe(thing, value, "text or a list of codes", fix))
    codes = [code_of(v, f"{thing}, step {i + 1}") for i, v in enumerate(members(value))]
    if "" in codes:
        raise CellError(f"{thing}, step {codes.index('') + 1}: got nothing; expected a code. Leave the step out.")
    return codes


def words_of(value: Any, thing: str = "words") -> list[str]:
    """Return a list of words; an empty one where it is missing.

    Raises:
        CellError: it is no list, or an entry is no text or blank.

    Example:
        >>> words_of(("Ada", "left"))
        ['Ada', 'left']
    """
    words = _entries(value, thing, "a list of words", 'Cut it into words, as in ["Ada", "left"].')
    for number, word in enumerate(words, 1):
        if not isinstance(word, str):
            raise _bad_entry(f"{thing}, word {number}", word, "a text")
        if not word.strip():
            raise _bad_entry(f"{thing}, word {number}", word, "one character or more that is no blank")
    return [str(word) for word in words]


def words_or_text(value: Any, thing: str = "words") -> list[str] | str:
    """Return a list of words, or a text that is to be cut into words, as it is."""
    value = scalar(value)
    return value if isinstance(value, str | Passage) else words_of(value, thing)


def spans_of_text(text: str, value: Any, text_name: str = "text", thing: str = "spans") -> list[Span]:
    """Return the spans that a cell beside a text holds; see :func:`~rekur.data.spans.spans_of`.

    Raises:
        CellError: it holds none; where it may be tags, the text is to be a list of words.
    """
    if may_be_spans(value) and not _holds_tags(value):
        return spans_of(value, thing)
    fix = "Cut it into words, or give its spans as [[start, end, label]] in place of tags."
    raise CellError(describe(text_name, text, "a list of words", fix))


def _holds_tags(value: Any) -> bool:
    """Return whether a text is JSON for a list of tags."""
    try:
        entries = json.loads(value) if isinstance(value, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(entries, list) and len(entries) > 0 and all(isinstance(entry, str | int) for entry in entries)


def tags_of(value: Any, thing: str = "tags", *, takes_flags: bool = False) -> list[Any]:
    """Return a list of tags: texts or whole numbers; an empty one where it is missing.

    Args:
        value: the list.
        thing: its name in messages.
        takes_flags: True and False are tags too, as of the steps of a series.

    Raises:
        CellError: it is no list, or an entry is of another type or blank.

    Example:
        >>> tags_of(["DET", "NOUN"])
        ['DET', 'NOUN']
    """
    tags = _entries(value, thing, "a list of tags, one a word", "")
    for number, tag in enumerate(tags):
        tag = tag.item() if isinstance(tag, np.generic) else tag
        if not isinstance(tag, str | int) or tag == "":
            expected = "a text of one character or more, or a whole number"
            raise _bad_entry(f"{thing}, tag {number + 1}", tag, expected)
        if isinstance(tag, bool) and not takes_flags:
            fix = "Write two texts in place of true and false."
            raise CellError(describe(f"{thing}, tag {number + 1}", tag, "a text, or a whole number", fix))
        tags[number] = str(tag) if isinstance(tag, str) else tag
    return tags


def _entries(value: Any, thing: str, expected: str, fix: str) -> list[Any]:
    value = scalar(value)
    if not isinstance(value, str) and is_missing(value):
        return []
    if not is_row(value):
        raise CellError(describe(thing, value, expected, fix if isinstance(value, str) else ""))
    return list(members(value))


def _bad_entry(thing: str, value: Any, expected: str) -> CellError:
    is_nothing = not isinstance(value, str) and is_missing(value)
    return CellError(f"{thing}: got nothing; expected {expected}." if is_nothing else describe(thing, value, expected))
