"""Rows that hold a whole series each, a column a channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._values import CellError, is_missing, number_of
from rekur.data.cells import list_in_text, series_of
from rekur.data.chosen_columns import Columns, expand
from rekur.data.source import Row, Source


def begun(source: Source, columns: Columns) -> tuple[Iterator[Row] | None, bool]:
    """Return the rows of a long table without group and time, and whether each of them holds a whole series.

    Args:
        source: of the rows; the first one is read.
        columns: those of a long table.

    Returns:
        all rows, None where the columns say that a row is a step, and whether the first one holds lists of numbers.

    Example:
        >>> from rekur.data.memory import from_memory
        >>> table = from_memory({"x": [[1, 2], [3]], "y": [[4, 5], [6]]})
        >>> begun(table, Columns(series=["x", "y"]))[1]
        True
    """
    if columns.kind != "series" or columns.group is not None or columns.time is not None:
        return None, False
    names, rows = expand(source, "series", columns.items()), source.rows()
    first = next(rows, None)
    if first is None:
        return rows, False
    return chain([first], rows), any(_is_series(first.get(name)) for name in names)


def _is_series(cell: Any) -> bool:
    if not isinstance(cell, str):
        return isinstance(cell, list | tuple | np.ndarray)
    try:
        number_of(cell)
    except CellError:
        try:
            return len(list_in_text(cell, "series")) > 1
        except CellError:
            return False
    return False


def series_in(row: Row, names: Sequence[str]) -> NDArray[np.float64]:
    """Return the series of a row, float64 (T, D); of several columns each is a channel, NaN where a cell is missing.

    Raises:
        CellError: a cell holds no series, or the columns have series of several lengths.
    """
    if len(names) == 1:
        return series_of(row.get(names[0]), names[0])
    cells = {name: row.get(name) for name in names}
    read = {name: series_of(cell, name) for name, cell in cells.items() if not _is_missing(cell)}
    for name, series in read.items():
        first = next(iter(read))
        if series.shape[1] > 1:
            raise CellError(f"{name}: got {series.shape[1]} numbers a step; expected one, as each column is a channel.")
        if len(series) != len(read[first]):
            got = counted(len(series), "step")
            raise CellError(f"{name}: got {got}; expected {len(read[first])}, as in {first} of this row.")
    if not any(map(len, read.values())):
        return np.empty((0, 0))
    steps = len(next(iter(read.values())))
    return np.hstack([read.get(name, np.full((steps, 1), np.nan)) for name in names])


def _is_missing(cell: Any) -> bool:
    return not isinstance(cell, list | tuple | np.ndarray) and is_missing(cell)
