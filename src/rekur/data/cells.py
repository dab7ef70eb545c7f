"""Values of single cells: numbers, times, series, labels; what cannot be read raises CellError."""

from __future__ import annotations

import json
import math
import numbers
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, describe

#: what stands for a missing number, in lower case
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})
_BETWEEN = re.compile(r"[\s,;]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMES = "a number or a date such as '2024-01-31 12:00:00'"


class CellError(InputError):
    """A value that cannot be read; whoever knows the line raises it again with that."""


def is_missing(value: Any) -> bool:
    """Return whether a value says that nothing is there: None, NaN, NaT, blank text.

    Example:
        >>> is_missing(" "), is_missing(float("nan")), is_missing(0)
        (True, True, False)
    """
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own, known by name
        return True
    if isinstance(value, str):
        return not value.strip()
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return isinstance(value, float | np.floating) and math.isnan(value)


def number_of(value: Any, thing: str = "value") -> float:
    """Return a finite float, or NaN where the value is missing (blank, ``NA``, ``NaN``, ``?``, ``null``).

    Example:
        >>> number_of(" 2.5 "), number_of("NA")
        (2.5, nan)
    """
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            if value.strip().lower() in MISSING:
                return math.nan
            raise CellError(describe(thing, value, "a number")) from None
        if "_" in value:  # float() takes 1_000
            raise CellError(describe(thing, value, "a number"))
    elif is_missing(value):
        return math.nan
    elif isinstance(value, numbers.Real | Decimal):
        number = float(value)
    else:
        raise CellError(describe(thing, value, "a number"))
    if math.isinf(number):
        raise CellError(describe(thing, value, "a finite number"))
    return number


def time_of(value: Any, thing: str = "time") -> tuple[str, float | int]:
    """Return what kind of time a value is and a number that orders it.

    A number stays as it is; a date is whole microseconds since 1970, in UTC where it names no zone.

    Example:
        >>> time_of("1970-01-01 00:00:01"), time_of("7.5")
        (('date', 1000000), ('number', 7.5))
    """
    if isinstance(value, np.datetime64) and not is_missing(value):
        return "date", int(value.astype("datetime64[us]").astype(np.int64))
    if isinstance(value, str):
        try:
            number = number_of(value)
        except CellError:
            try:
                value = datetime.fromisoformat(value.strip())
            except ValueError:
                raise CellError(describe(thing, value, _TIMES)) from None
        else:
            value = number
    if isinstance(value, date) and not is_missing(value):
        moment = value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return "date", (moment - _EPOCH) // _MICROSECOND
    number = math.nan if isinstance(value, date) else number_of(value, thing)
    if math.isnan(number):
        raise CellError(f"{thing}: got nothing; expected {_TIMES}.")
    return "number", number


def series_of(value: Any, thing: str = "series") -> NDArray[np.float64]:
    """Return float64 (T, D): one row a step, one column a channel, NaN where a number is missing.

    Args:
        value: a list of numbers (T,), a list of steps of D numbers (T, D), an array, or text: numbers with
            spaces, commas or semicolons between, or such a list in JSON.
        thing: what the value is called in messages.

    Raises:
        CellError: for text or infinity among the numbers, or steps of several widths.

    Example:
        >>> series_of("1 2 NA").tolist()
        [[1.0], [2.0], [nan]]
    """
    if is_missing(value) and not isinstance(value, np.ndarray):
        return np.empty((0, 0))
    if isinstance(value, str):
        value = _steps_in_text(value.strip(), thing)
    if isinstance(value, str | bytes | dict) or not hasattr(value, "__len__"):
        raise CellError(describe(thing, value, "a list of numbers, or of steps with one number a channel"))
    try:
        series = np.asarray(value, dtype=np.float64)
    except (ValueError, TypeError):
        series = _slowly(value, thing)
    if series.ndim == 1:
        series = series[:, None] if len(series) else np.empty((0, 0))
    if series.ndim != 2:
        raise CellError(f"{thing}: got {series.ndim} axes; expected 1 or 2: steps, or steps × channels.")
    if np.isinf(series).any():
        step, channel = np.argwhere(np.isinf(series))[0]
        where = f"{thing}, step {step + 1}, channel {channel + 1}"
        raise CellError(describe(where, series[step, channel], "a finite number"))
    return series


def _steps_in_text(text: str, thing: str) -> list[Any]:
    if not text.startswith("["):
        return [piece for piece in _BETWEEN.split(text) if piece]
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise CellError(describe(thing, text, "numbers, or a whole list in JSON", f"{error.msg}.")) from None
    return list(value)


def _slowly(value: Any, thing: str) -> NDArray[np.float64]:
    """Read cell by cell, so that missing marks are taken and the first bad cell is named."""
    steps: list[list[float]] = []
    for i, step in enumerate(value):
        where = f"{thing}, step {i + 1}"
        is_list = hasattr(step, "__len__") and not isinstance(step, str | bytes | dict)
        cells = list(step) if is_list else [step]
        row = [number_of(c, f"{where}, channel {k + 1}" if is_list else where) for k, c in enumerate(cells)]
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
    if isinstance(value, str):
        return value
    if is_missing(value):
        return ""
    raise CellError(describe(thing, value, "text"))


def symbols_of(value: Any, thing: str = "symbols") -> str | list[str]:
    """Return symbols: text as it is (letters, or codes with spaces between), or a list of codes as text.

    Example:
        >>> symbols_of("ACGT"), symbols_of([7, 12])
        ('ACGT', ['7', '12'])
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple | np.ndarray):
        return [code_of(v, f"{thing}, step {i + 1}") for i, v in enumerate(value)]
    if is_missing(value):
        return ""
    raise CellError(describe(thing, value, "text or a list of codes"))


def code_of(value: Any, thing: str = "code") -> str:
    """Return one code or class name as text without blanks around; a whole number has no decimal point.

    Example:
        >>> code_of(" ham "), code_of(5.0), code_of(True)
        ('ham', '5', 'True')
    """
    if is_missing(value):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_ | numbers.Integral):
        return str(value)
    if isinstance(value, numbers.Real):
        number = float(value)
        return str(int(number)) if number.is_integer() else str(value)
    raise CellError(describe(thing, value, "one name or number"))
