"""Channels by name: which names a series has, and its channels in the order in which a model knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from rekur._values import CellError, as_array
from rekur.errors import InputError, did_you_mean


def channel_order(names: Sequence[str], wanted: Sequence[str], thing: str) -> list[int]:
    """Return where each of the ``wanted`` channels stands among ``names``.

    Args:
        names: the channels of the data, in their order.
        wanted: the channels of the model.
        thing: what the data are called in messages.

    Raises:
        InputError: the two are not the same names.

    Example:
        >>> channel_order(["y", "x"], ["x", "y"], "data")
        [1, 0]
    """
    if len(names) == len(wanted) and set(names) == set(wanted):
        return [names.index(name) for name in wanted]
    strange = next((name for name in names if name not in wanted), None)
    absent = next((name for name in wanted if name not in names), None)
    got, expected = (", ".join(f"'{name}'" for name in listed) for listed in (names, wanted))
    if strange is not None:
        fix = f"{did_you_mean(strange, wanted)} Channels are matched by name; rename those of the data.".lstrip()
    else:
        fix = "A name is there twice." if absent is None else f"'{absent}' is not among them."
    raise InputError(f"{thing}: channels: got {_cut(got)}; expected {_cut(expected)}, as in training. {fix}")


def names_in(item: Any) -> list[str] | None:
    """Return the names of an item's channels: the columns of a data frame, the keys of rows that are dicts; else None.

    Columns that are numbers, as frames made of arrays have, are no names.

    Example:
        >>> names_in([{"x": 1, "y": 2}]), names_in([[1, 2]])
        (['x', 'y'], None)
    """
    if _is_frame(item):
        columns = list(getattr(item, "column_names", item.columns))  # pyarrow's tables have both
        return columns if all(isinstance(name, str) for name in columns) else None
    if isinstance(item, list | tuple) and item and isinstance(item[0], Mapping):
        return list(map(str, item[0]))
    return None


def by_name(item: Any, names: Sequence[str] | None, thing: str) -> Any:
    """Return an item with its channels in the order of ``names``; one without names, or for None, as it is.

    Raises:
        InputError: the names of the item are others.
    """
    own = names_in(item)
    if own is None:
        return item
    if _is_frame(item):
        if names is None or own == list(names):
            return item
        order = channel_order(own, names, thing)
        array = as_array(item)
        return array[:, order]
    wanted = own if names is None else list(names)
    rows = []
    for number, row in enumerate(item):
        if not isinstance(row, Mapping):
            raise CellError(f"{thing}, step {number + 1}: got {row!r}; expected values by name, as in step 1.")
        order = channel_order(list(row), wanted, f"{thing}, step {number + 1}")
        values = list(row.values())
        rows.append([values[place] for place in order])
    return rows


def names_in_index(item: Any) -> bool:
    """Return whether an item is one row of a data frame: a column of pandas whose index are names."""
    return hasattr(item, "index") and hasattr(item, "to_dict") and all(isinstance(name, str) for name in item.index)


def first_names(items: Any) -> list[str] | None:
    """Return the names of the channels of the first item that has any; None where none of the first ones has."""
    return next((own for item in islice(items, 100) if (own := names_in(item)) is not None), None)


def _is_frame(item: Any) -> bool:
    return hasattr(item, "columns") and hasattr(item, "__array__")


def _cut(listed: str) -> str:
    return listed if len(listed) <= 300 else f"{listed[:200]}… ({listed.count(',') + 1} of them)"
