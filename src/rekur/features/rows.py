"""Read what people give as a series into float64 (T, D), or say at which step and channel it cannot be."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rekur._channels import by_name, named_row
from rekur._values import CellError, is_row, members, number_of, numbers_in, scalar
from rekur.errors import DataError, ShapeError, describe, did_you_mean
from rekur.features.base import Phrase, type_of

Rows = NDArray[np.float64]

#: names of channels up to which a message lists them all
_FEW = 20
_RAGGED_FIX = "Every step needs a value for every channel; give NaN for a missing one."


class Place(NamedTuple):
    """The position of values in error texts, counted from 1: a prefix, steps that precede, names of channels."""

    before: str = ""
    first_step: int = 0
    channels: tuple[str, ...] | None = None

    def step(self, step: int) -> str:
        """Return the name of a step of the rows at hand."""
        return f"{self.before}step {self.first_step + step + 1}"

    def value(self, step: int, channel: int) -> str:
        """Return the name of one value."""
        return f"{self.step(step)}, channel {self.channel(channel)}"

    def channel(self, channel: int) -> str:
        """Return a channel's name in quotes, or its number."""
        return f"'{self.channels[channel]}'" if self.channels else str(channel + 1)


def read_rows(item: Any, count: int | None, place: Place, *, is_event: bool = False) -> Rows:
    """Return an item's rows, float64 (T, D), NaN where a value is missing.

    Args:
        item: an array (T, D), or (T,) of one channel; a list of rows or of numbers; rows may be dicts from
            channel names, and a data frame has them as columns. None, NaN and masked values are missing; texts are
            read as in a file.
        count: D, or None where it is not known yet.
        place: where the item stands.
        is_event: one number, and one row on its own, are steps too.
    """
    item = scalar(item)
    if place.channels and is_event and (row := named_row(item)) is not None:
        item = row
    elif place.channels and isinstance(item, list | tuple) and item and named_row(item[0]) is not None:
        item = [entry if (row := named_row(entry)) is None else row for entry in item]
    if is_event and (isinstance(item, Mapping) or item is None or _is_number(item)):
        item = [item]
    elif not isinstance(item, list | tuple):
        item = by_name(item, place.channels, f"{place.before}series")
    values = _as_array(item, count, place)
    if values.ndim == 1:
        if count in (None, 1):
            return values.reshape(-1, 1)
        if len(values) == 0:
            return values.reshape(0, count or 0)
        if is_event and len(values) == count:
            return values.reshape(1, -1)
        got = f"a flat list of {len(values)} numbers"
        raise ShapeError(describe(f"{place.before}series", Phrase(got), f"rows of {count} numbers"))
    if values.ndim != 2:
        raise ShapeError(describe(f"{place.before}series", Phrase(f"shape {values.shape}"), "(T, D) or (T,)"))
    if len(values) == 0:
        return np.empty((0, count or 0))
    if values.shape[1] == 0 or count not in (None, values.shape[1]):
        raise _wrong_count(place, 0, values.shape[1], count)
    return values


def check_finite(rows: Rows, place: Place, *, allow_missing: bool) -> None:
    """Raise for the first value that is infinite, or missing where that is not allowed."""
    wrong = np.isinf(rows) if allow_missing else ~np.isfinite(rows)
    if wrong.any():
        step, channel = (int(index) for index in np.argwhere(wrong)[0])
        value = float(rows[step, channel])
        if np.isnan(value):
            fix = "Use missing='hold' to carry the last value forward."
            raise DataError(describe(place.value(step, channel), Phrase("no value"), "a number", fix))
        fix = "Give NaN for a missing value."
        raise DataError(describe(place.value(step, channel), value, "a finite number", fix))


def _as_array(item: Any, count: int | None, place: Place) -> Rows:
    if not is_row(item):
        got = item if isinstance(item, str) else type_of(item)
        raise DataError(describe(f"{place.before}series", got, "an array (T, D), a list of rows or of numbers"))
    try:
        values = numbers_in(item, f"{place.before}series")
    except CellError as error:
        raise DataError(str(error)) from None
    except (ValueError, TypeError):  # rows of different lengths
        values = None
    if values is not None:
        return values
    return _walk(members(item), count, place)


def _walk(item: Sequence[Any], count: int | None, place: Place) -> Rows:
    """Read value by value: slower, but an error names the step and the channel."""
    if not any(is_row(entry) or isinstance(entry, Mapping | bytes) for entry in item):
        width = count if count and count == len(item) else 1
        return np.array([_number(v, i // width, i % width if width > 1 else 0, place) for i, v in enumerate(item)])
    rows = []
    for step, entry in enumerate(item):
        row = _row(entry, step, place)
        if count is None:
            count = len(row)
        if len(row) != count or count == 0:
            raise _wrong_count(place, step, len(row), count or None)
        rows.append([_number(value, step, channel, place) for channel, value in enumerate(row)])
    return np.array(rows, np.float64)


def _row(entry: Any, step: int, place: Place) -> Sequence[Any]:
    if isinstance(entry, Mapping):
        names = place.channels
        if names is None or set(entry) != set(names):
            expected = f"the channels {_listed(names)}" if names else "a list of numbers"
            fix = "Name the channels to give rows as dicts."
            if names:
                fix = next((did_you_mean(name, names) for name in map(str, entry) if name not in names), "")
            got = f"the channels {_listed(list(map(str, entry)))}"
            raise DataError(describe(place.step(step), Phrase(got), expected, fix))
        return [entry[name] for name in names]
    if not is_row(entry):
        shown = entry if isinstance(entry, str) else Phrase(repr(entry))
        raise DataError(describe(place.step(step), shown, "a row of numbers, as the other steps"))
    return members(entry)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more


def _number(value: Any, step: int, channel: int, place: Place) -> float:
    try:
        return number_of(value)
    except CellError:
        if _is_number(value):
            return np.inf
        got = value if isinstance(value, str) else type_of(value)
        raise DataError(describe(place.value(step, channel), got, "a number, or NaN where it is missing")) from None


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | np.bool_ | Decimal)


def _wrong_count(place: Place, step: int, got: int, count: int | None) -> ShapeError:
    expected = "one value or more" if count is None else f"{count} value{'s' * (count != 1)}"
    if place.channels and count == len(place.channels) and count <= _FEW:
        expected += f" ({', '.join(place.channels)})"
    return ShapeError(describe(place.step(step), Phrase(f"{got} value{'s' * (got != 1)}"), expected, _RAGGED_FIX))
