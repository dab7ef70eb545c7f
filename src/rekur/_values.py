"""Single values from users: numbers, codes, marks of missing values; and arrays of numbers, including masked ones.

Every input goes through these functions, so a cell of a file, a list in Python and a live event are read alike.
A value that cannot be read raises :class:`CellError`; the caller adds where the value stands.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Container, Set
from datetime import timedelta
from decimal import Decimal
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur.errors import InputError, describe

#: texts that stand for a missing number or label, in lower case
MISSING = frozenset({"", "?", "na", "n/a", "nan", "null", "none"})

#: types that NumPy reads without loss, and the lists that hold them
_PLAIN = frozenset({int, float, bool, str, bytes, type(None), list, tuple})
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_GROUPED = re.compile(r"[+-]?\d{1,3}(?:[\s'\u2019]\d{3})+(?:[.,]\d*)?")
_BLANK_BETWEEN = re.compile(r"\S[^\S\r\n]+\S")
_TWO_CHANNELS = "Give the real and the imaginary part as two channels."
IN_SECONDS = "Give a duration as a number, such as its seconds."
AS_TEXT = "Save it as text, as value.decode() gives it in Python."


class CellError(InputError):
    """A value that cannot be read."""


def scalar(value: Any) -> Any:
    """Return the Python value of an array or tensor without axes, or of a pyarrow scalar; other values unchanged.

    Example:
        >>> scalar(np.array(2.5)), scalar(np.ma.masked), scalar("a")
        (2.5, None, 'a')
    """
    if isinstance(value, np.ma.MaskedArray) and value.ndim == 0:
        return None if np.ma.getmaskarray(value).any() else value.item()
    if hasattr(value, "as_py"):
        return value.as_py()
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic) and hasattr(value, "item"):
        return value.item()
    return value


def is_missing(value: Any) -> bool:
    """Return whether a value is missing: None, NaN, NaT, a masked value or blank text.

    Example:
        >>> is_missing(" "), is_missing(float("nan")), is_missing(0), is_missing(np.ma.masked)
        (True, True, False, True)
    """
    if isinstance(value, str):
        return not value.strip()
    if value is None or type(value).__name__ in ("NAType", "NaTType"):  # pandas' own, known by name
        return True
    if isinstance(value, float | np.floating):
        return math.isnan(value)
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    if isinstance(value, Decimal):
        return value.is_nan()
    held = scalar(value)
    return held is not value and is_missing(held)


def is_missing_label(value: Any, labels: Container[Any] = ()) -> bool:
    """Return whether a label is missing: as :func:`is_missing`, and for texts such as ``NA``, ``N/A`` and ``null``.

    Args:
        value: the label.
        labels: those of a trained model, which are never missing.

    Example:
        >>> is_missing_label("N/A"), is_missing_label("no")
        (True, False)
    """
    if isinstance(value, str):
        return value.strip().lower() in MISSING and value.strip() not in labels
    return is_missing(value)


def number_of(value: Any, thing: str = "value") -> float:
    """Return a finite float; NaN if the value is missing (blank, ``NA``, ``NaN``, ``?``, ``null``).

    Example:
        >>> number_of(" 2.5 "), number_of("NA")
        (2.5, nan)
    """
    value = scalar(value)
    if isinstance(value, str):
        number = _number_in_text(value, thing)
    elif is_missing(value):
        return math.nan
    elif not isinstance(value, np.timedelta64) and isinstance(value, numbers.Real | Decimal | np.bool_):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    else:
        fix = _TWO_CHANNELS if isinstance(value, complex | np.complexfloating) else ""
        fix = IN_SECONDS if isinstance(value, timedelta | np.timedelta64) else fix
        raise CellError(describe(thing, value, "a number", fix))
    if math.isinf(number):
        raise CellError(describe(thing, value, "a finite number"))
    return number


def _number_in_text(text: str, thing: str) -> float:
    try:
        if "_" not in text:  # float() takes 1_000
            return float(text)
    except ValueError:
        if text.strip().lower() in MISSING:
            return math.nan
    fix = ""
    if _GROUPED.fullmatch(text.strip()):
        fix = "Take out what separates thousands."
    elif _DECIMAL_COMMA.fullmatch(text.strip()):
        fix = "Write decimals with a point."
    raise CellError(describe(thing, text, "a number", fix))


def code_of(value: Any, thing: str = "code") -> str:
    """Return one code or class name as stripped text; a whole number has no decimal point.

    Missing values give an empty text.

    Example:
        >>> code_of(" ham "), code_of(5.0), code_of(True), code_of(Decimal("1.50"))
        ('ham', '5', 'True', '1.5')
    """
    value = scalar(value)
    if isinstance(value, str):
        return value.strip()
    if is_missing(value):
        return ""
    if isinstance(value, np.timedelta64):  # for NumPy it is a whole number
        raise CellError(describe(thing, value, "one name or number", IN_SECONDS))
    if isinstance(value, bool | np.bool_ | numbers.Integral):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        if value == value.to_integral_value():
            return str(int(value))
        near = str(float(value))
        return near if Decimal(near) == value else f"{value.normalize():f}"
    if isinstance(value, numbers.Real):
        number = float(value)
        return str(int(number)) if number.is_integer() else str(value)
    fix = AS_TEXT if isinstance(value, bytes) else IN_SECONDS if isinstance(value, timedelta) else ""
    raise CellError(describe(thing, value, "one name or number", fix))


def holds_codes(text: str) -> bool:
    """Return whether a text of symbols is codes separated by blanks; line ends may also separate letters.

    Example:
        >>> holds_codes("home buy"), holds_codes("ACGT"), holds_codes("ACGT\\nTTGA")
        (True, False, False)
    """
    return _BLANK_BETWEEN.search(text) is not None


def numbers_in(value: Any, thing: str) -> NDArray[np.float64] | None:
    """Return the numbers of a list or an array-like as float64 with any number of axes; NaN for masked ones.

    Args:
        value: a list, an array, a masked array, a tensor, a frame, anything with ``__array__``, or a list of those.
        thing: its name in messages.

    Returns:
        the array; None if not all values are plain numbers, so that they must be read one by one.

    Raises:
        CellError: for complex numbers, dates and records.

    Example:
        >>> numbers_in(np.ma.masked_equal([1, -9], -9), "x"), numbers_in([1, None], "x")
        (array([ 1., nan]), None)
    """
    if isinstance(value, list | tuple):
        value = _without_masks(value, thing)
    array = as_array(value, thing)
    mask = np.ma.getmaskarray(array) if isinstance(array, np.ma.MaskedArray) else None
    if array.dtype.kind in "cmM" or array.dtype.names:
        fix = _TWO_CHANNELS if array.dtype.kind == "c" else ""
        raise CellError(f"{thing}: got values of the type {array.dtype}; expected numbers. {fix}".rstrip())
    if array.dtype.kind in "OUST":
        return None
    values = np.array(array, dtype=np.float64) if mask is not None else np.asarray(array, dtype=np.float64)
    if mask is not None:
        values[mask] = np.nan
    return values


def as_array(value: Any, thing: str = "value") -> NDArray[Any]:
    """Return a value as an array, with its mask if it is masked.

    Raises:
        CellError: NumPy cannot read it: a sparse, nested or meta tensor, a sparse matrix.
        ValueError: rows are of different lengths.
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):  # a tensor of PyTorch
        return _array_of_tensor(value, thing)
    if isinstance(value, np.ma.MaskedArray):
        return value
    array = np.asarray(value)
    if array.ndim == 0 and array.dtype.kind == "O":
        fix = "Use its toarray()." if hasattr(value, "toarray") else ""
        raise CellError(describe(thing, type(value).__name__, "an array of numbers", fix))
    return array


def _array_of_tensor(tensor: Any, thing: str) -> NDArray[Any]:
    try:
        tensor = tensor.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    except (TypeError, RuntimeError) as error:
        form = "nested" if tensor.is_nested else "meta" if tensor.is_meta else str(tensor.layout).removeprefix("torch.")
        fix = {"nested": "Use its unbind().", "meta": ""}.get(form, "Use its to_dense().")
        raise CellError(f"{thing}: got a {form} tensor; expected a dense one. {fix}".rstrip()) from error


def is_row(value: Any) -> bool:
    """Return whether a value is a list or an array with axes, not text and not a set."""
    holds = hasattr(value, "__len__") or hasattr(value, "__array__")
    return holds and getattr(value, "ndim", 1) != 0 and not isinstance(value, str | bytes | dict | Set)


def members(row: Any) -> list[Any]:
    """Return the values of a row as a list."""
    return list(row if isinstance(row, list | tuple) else as_array(row, "value"))


def _without_masks(values: list[Any] | tuple[Any, ...], thing: str) -> list[Any] | tuple[Any, ...]:
    """Return a list with its masked arrays and tensors as plain numbers, so that NumPy can join them."""
    types = set(map(type, values))
    inner: set[type] = set()
    if list in types or tuple in types:
        rows = values if types <= {list, tuple} else [row for row in values if isinstance(row, list | tuple)]
        inner = set(map(type, chain.from_iterable(rows)))
    if _all_plain(types | inner):
        return values
    return [_without_mask(value, thing) for value in values]


def _without_mask(value: Any, thing: str) -> Any:
    if isinstance(value, list | tuple):
        return _without_masks(value, thing)
    if is_row(value) and (hasattr(value, "__array__") or hasattr(value, "detach")):
        read = numbers_in(value, thing)
        return value if read is None else read
    return scalar(value)


def _all_plain(types: set[type]) -> bool:
    return types <= _PLAIN or all(t in _PLAIN or issubclass(t, np.generic) for t in types)
