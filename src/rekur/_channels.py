"""Channels by name: which names a series has, and its channels in the order in which a model knows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from rekur._values import CellError, as_array
from rekur.errors import InputError, did_you_mean


def channel_order(names: Sequence[str], trained: Sequence[str], thing: str) -> list[int]:
    """Return the index in ``names`` of each of the ``trained`` channels.

    Args:
        names: the channels of the data, in their order.
        trained: the channels of the model, in their order.
        thing: the name of the data in messages.

    Raises:
        InputError: the two have different names.

    Example:
        >>> channel_order(["y", "x"], ["x", "y"], "data")
        [1, 0]
    """
    if len(names) == len(trained) and set(names) == set(trained):
        return [names.index(name) for name in trained]
    strange = next((name for name in names if name not in trained), None)
    absent = next((name for name in trained if name not in names), None)
    got, expected = (", ".join(f"'{name}'" for name in listed) for listed in (names, trained))
    if strange is not None:
        fix = f"{did_you_mean(strange, trained)} Channels are matched by name; rename those of the data.".lstrip()
    else:
        fix = "A name is there twice." if absent is None else f"'{absent}' is not among them."
    raise InputError(f"{thing}: channels: got {_cut(got)}; expected {_cut(expected)}, as in training. {fix}")


def names_in(item: Any) -> list[str] | None:
    """Return the channel names of an item: the columns of a data frame, or the names in its rows; else None.

    Numbers as columns, as in a frame made of an array, are not names.

    Example:
        >>> names_in([{"x": 1, "y": 2}]), names_in([[1, 2]])
        (['x', 'y'], None)
    """
    if _is_frame(item):
        columns = list(getattr(item, "column_names", item.columns))  # pyarrow's tables have both
        return None if columns == list(range(len(columns))) else list(map(str, columns))
    if isinstance(item, list | tuple) and item and (row := named_row(item[0])) is not None:
        return list(map(str, row))
    return None


def by_name(item: Any, names: Sequence[str] | None, thing: str) -> Any:
    """Return an item with its channels in the order of ``names``.

    An item without names is unchanged; ``None`` for ``names`` means the order of the item's first row.

    Raises:
        InputError: the item has other names.
    """
    item_names = names_in(item)
    if item_names is None:
        return item
    if _is_frame(item):
        if names is None or item_names == list(names):
            return item
        return as_array(item)[:, channel_order(item_names, names, thing)]
    trained = item_names if names is None else list(names)
    rows = []
    for number, row in enumerate(item):
        named = named_row(row)
        if named is None:
            raise CellError(f"{thing}, step {number + 1}: got {row!r}; expected values by name, as in step 1.")
        order = channel_order(list(map(str, named)), trained, f"{thing}, step {number + 1}")
        values = list(named.values())
        rows.append([values[index] for index in order])
    return rows


def named_row(row: Any) -> Mapping[Any, Any] | None:
    """Return a row with named values as a mapping; None for any other row.

    Named values have dicts, named tuples, and rows of pandas: a Series with the names of columns as its index.

    Example:
        >>> from collections import namedtuple
        >>> named_row(namedtuple("Row", "x y")(1, 2)), named_row((1, 2))
        ({'x': 1, 'y': 2}, None)
    """
    if isinstance(row, Mapping):
        return row
    if isinstance(row, tuple) and hasattr(row, "_asdict"):
        values: Mapping[Any, Any] = row._asdict()
        return values
    if hasattr(row, "index") and hasattr(row, "to_dict") and all(isinstance(name, str) for name in row.index):
        return dict(zip(row.index, row, strict=True))
    return None


def first_names(items: Any) -> list[str] | None:
    """Return the channel names of the first item with names; None if the first 100 items have none."""
    return next((names for item in islice(items, 100) if (names := names_in(item)) is not None), None)


def _is_frame(item: Any) -> bool:
    return hasattr(item, "columns") and hasattr(item, "__array__")


def _cut(listed: str) -> str:
    return listed if len(listed) <= 300 else f"{listed[:200]}… ({listed.count(',') + 1} of them)"
