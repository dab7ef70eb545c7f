"""Files, frames and arrays to histories: series on a regular grid in time, with their covariates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm
from rekur._history import History
from rekur._values import CellError, code_of, is_missing, is_row, number_of, scalar
from rekur.data.cells import numbers_of, series_of
from rekur.data.example import warn
from rekur.data.history_build import Demands, HistoryBuilder
from rekur.data.history_columns import HistoryColumns, Layout, layout_of
from rekur.data.history_grid import Gridder
from rekur.data.history_table import CovariateCells, StepTable, categories_of
from rekur.data.inputs import Input
from rekur.data.memory import MemorySource, from_memory
from rekur.data.read import open_source
from rekur.data.source import Row, Source, shown_names
from rekur.data.stamps import StampReader
from rekur.errors import InputError, describe

__all__ = ["CalendarStep", "History", "HistoryColumns", "StampForm", "categories_of", "read_histories"]


def read_histories(
    data: Any,
    columns: HistoryColumns | None = None,
    *,
    horizon: int | None = None,
    needs_future: bool = False,
    step: CalendarStep | None = None,
    categories: Mapping[str, Sequence[str]] | None = None,
    fewest: int = 2,
    tell: Callable[[str], None] = warn,
    **reading: Any,
) -> list[History]:
    """Return the series of a file, a table or a list, in the order in which they first appear.

    Rows of a series may stand in any order: they are sorted by their stamps. Steps without a row are missing.

    Args:
        data: the path of a file; a source; a data frame, a dict of columns, a list of dicts; or values alone: numbers
            (T,), a list or a dict of series (T,) or (T, C), or an array (N, T) or (N, T, C).
        columns: which column is what; with None it is taken from a table that can be read in one way only.
        horizon: steps that will be forecast; the known horizon of each series must be as long, if there is one.
        needs_future: there must be one where there are future covariates.
        step: from row to row, as in training; None finds it.
        categories: the texts of each column of covariates that holds texts, as in training; None looks them up. Such a
            column becomes a column ``wind=NW`` of 0 and 1 for each text.
        fewest: values that each series must have.
        tell: receives a sentence on gaps and on each choice that was not said; by default a warning.
        reading: ``format``, ``encoding`` and ``separator``, as for :func:`~rekur.data.read.open_source`.

    Raises:
        DataError: a stamp, a value or a series cannot be used; it names the line.
        InputError: for something that holds no series.

    Example:
        >>> table = {"day": ["2024-02-27", "2024-02-28", "2024-03-01"], "x": [0.0, 1.0, 3.0]}
        >>> (history,) = read_histories(table, HistoryColumns(time="day", series=["x"]), tell=print)
        data: 1 of 4 steps missing, first 2024-02-29.
        >>> history.values.ravel().tolist(), history.stamp(4)
        ([0.0, 1.0, nan, 3.0], '2024-03-02')
    """
    asked = Demands(horizon, needs_future, fewest)
    if isinstance(data, str | os.PathLike | Input):
        source = open_source(data, **reading)
    elif isinstance(data, Source):
        source = data
    elif (items := _items(data)) is not None and columns is None:
        if not any(map(_dated_index, items.values())):
            return _of_items(items, asked, tell)
        source, columns = _of_dated_items(items)
    else:
        data, columns = _with_index(data, columns)
        source = from_memory(data)
    layout = layout_of(source, columns or HistoryColumns(), tell)
    if layout.kind != "steps":
        return _rows_to_series(
            source, layout, categories, HistoryBuilder(layout, source.name, source.error, asked, tell)
        )
    table = StepTable(source, layout, categories, step, tell)
    all_series = table.read()
    builder = HistoryBuilder(table.layout, source.name, source.error, asked, tell)
    channels = tuple(layout.series)
    for each in all_series:
        where: dict[str, Any] = {"start": each.start, "step": table.step, "form": each.form}
        builder.add(each.name, channels, each.steps, each.lines, static=each.static, **where)
    return builder.finish()


# ── a row a series ───────────────────────────────────────────────────────────────────────────────────────────────


def _rows_to_series(
    source: Source, layout: Layout, categories: Mapping[str, Sequence[str]] | None, builder: HistoryBuilder
) -> list[History]:
    """Return the series of a table with one in each row."""
    if layout.past or layout.future:
        names = shown_names([*layout.past, *layout.future])
        raise source.error(f"past and future columns: got {names}; expected none where a row is a whole series.")
    places: dict[str, int] = {}
    start, step, form = _grid_of_names(source, layout)
    cells: list[list[Any]] = []
    all_steps: list[NDArray[np.float64]] = []
    for number, row in enumerate(source.rows(), 1):
        try:
            name = str(number) if layout.name is None else code_of(row.get(layout.name), layout.name)
            if not name:
                raise CellError(f"{layout.name}: got nothing; expected the name of a series.")
            if name in places:
                expected = f"another name; {source.where(places[name])} has it too"
                raise CellError(describe(layout.name or "series", name, expected, "Rename one, or take it out."))
            places[name] = row.line
            cells.append([row.get(column) for column in layout.static])
            if layout.kind == "rows":
                steps = _cells_to_steps(row, layout.series)
            else:
                steps = series_of(row.get(layout.series[0]), layout.series[0])
        except CellError as error:
            raise source.error(str(error), row.line) from None
        all_steps.append(_without_padding(steps))
    covariates, lines = CovariateCells(source, layout, categories), [*places.values()]
    numbers = [covariates.numbers(name, [each[k] for each in cells], lines) for k, name in enumerate(layout.static)]
    static, expanded = covariates.expanded(layout.static, np.reshape(numbers, (len(layout.static), len(lines))).T)
    builder.layout = expanded
    for (name, line), steps, each in zip(places.items(), all_steps, static, strict=True):
        channels = tuple(layout.series) if layout.kind == "lists" else ("value",)
        if steps.shape[1] != len(channels):
            channels = tuple(f"channel {k + 1}" for k in range(steps.shape[1]))
        where = np.full(max(1, len(steps)), line, np.int64)
        builder.add(name, channels, steps, where, static=each, start=start, step=step, form=form)
    return builder.finish()


def _without_padding(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return steps up to the last with a value: rows are as long as the longest."""
    filled = np.flatnonzero(~np.isnan(steps).all(axis=1)) if steps.size else np.empty(0, np.int64)
    return steps[: filled[-1] + 1 if len(filled) else 0]


def _cells_to_steps(row: Row, columns: list[str]) -> NDArray[np.float64]:
    cells = [row.get(column) for column in columns]
    while cells and cells[-1] == "":  # rows are as long as the longest series
        cells.pop()
    try:
        return numbers_of(cells, "values")[:, None]
    except CellError:
        for cell, column in zip(cells, columns, strict=False):
            number_of(cell, column)
        raise


#: whole numbers from here on, as names of columns, are years
_FIRST_YEAR = 1000


def _grid_of_names(source: Source, layout: Layout) -> tuple[int, CalendarStep, StampForm | None]:
    """Return start, step and form where the names of the columns of values are stamps."""
    if layout.kind != "rows" or len(layout.series) < 2:
        return 0, ROWS, None
    reader = StampReader("names of the columns of values", source.error)
    try:
        reader.add(layout.series, [1] * len(layout.series))
    except InputError:
        return 0, ROWS, None
    column = reader.finish()
    if column.form is None and (column.digits or column.stamps.min() < _FIRST_YEAR):
        return 0, ROWS, None
    count = len(layout.series)
    series, lines = np.zeros(count, np.int64), np.ones(count, np.int64)
    gridder = Gridder(column, series, lines, [""], time="names of the columns of values", error=source.error)
    grid = gridder.find()
    if len(grid.index) != grid.index[-1] + 1 or (np.diff(grid.order) != 1).any():
        raise source.error(
            "names of the columns of values: got stamps with gaps; expected each step once, in order.", 1
        )
    return int(grid.starts[0]), grid.step, grid.forms[0]


# ── values in memory ─────────────────────────────────────────────────────────────────────────────────────────────


def _items(data: Any) -> dict[str, Any] | None:
    """Return the series of something that is no table, by name; else None."""
    if isinstance(data, Mapping) and data and all(is_row(value) for value in data.values()):
        lengths = {len(value) for value in data.values()}
        is_table = len(lengths) == 1 and any(_holds_text(value) for value in data.values())
        return None if is_table else {str(name): value for name, value in data.items()}
    if hasattr(data, "columns") or hasattr(data, "column_names") or not is_row(data):
        return None
    if hasattr(data, "index") and hasattr(data, "to_frame"):  # one column of pandas
        return None if _dated_index(data) else {str(data.name or ""): data}
    members = data if isinstance(data, list | tuple) else np.asarray(data)
    if len(members) == 0 or isinstance(members[0], Mapping):
        return None
    if not is_row(members[0]):
        return {"": members}
    labels = [getattr(member, "name", None) for member in members]
    names = [str(index if name is None else name) for index, name in enumerate(labels)]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise InputError(describe("series names", twice, "each once; several series have this one", "Rename one."))
    return dict(zip(names, members, strict=True))


def _holds_text(column: Any) -> bool:
    first = next((value for value in column if not is_missing(value)), None)
    return isinstance(first, str | np.datetime64) or hasattr(first, "isoformat")


def _of_items(items: dict[str, Any], asked: Demands, tell: Callable[[str], None]) -> list[History]:
    layout = Layout("lists", [])

    def error(text: str, line: int) -> InputError:
        return InputError(text)

    builder = HistoryBuilder(layout, "data", error, asked, tell)
    for name, item in items.items():
        thing = f"series '{name}'" if name else "values"
        try:
            steps = _without_padding(series_of(item if is_row(item) else scalar(item), thing))
        except CellError as problem:
            raise InputError(str(problem)) from None
        count = steps.shape[1]
        channels = ("value",) if count == 1 else tuple(f"channel {k + 1}" for k in range(count))
        builder.add(name, channels, steps, np.zeros(len(steps), np.int64))
    return builder.finish()


def _of_dated_items(items: dict[str, Any]) -> tuple[Source, HistoryColumns]:
    """Return series of pandas, each with its own stamps, as one table with its columns by their roles."""
    undated = next((name for name, item in items.items() if not _dated_index(item)), None)
    if undated is not None:
        raise InputError(f"series '{undated}': got no index of stamps; expected one, as others have.")
    widths = {name: len(getattr(item, "columns", ["value"])) for name, item in items.items()}
    first = next(iter(items.values()))
    channels = [str(column) for column in getattr(first, "columns", ["value"])]
    uneven = next((name for name, width in widths.items() if width != len(channels)), None)
    if uneven is not None:
        raise InputError(describe(f"series '{uneven}': channels", widths[uneven], f"{len(channels)}, as the first has"))

    def rows() -> Iterator[tuple[Any, ...]]:
        for name, item in items.items():
            for stamp, values in zip(item.index, item.to_numpy().reshape(len(item), -1), strict=True):
                yield (name, stamp, *values)

    source = MemorySource("data", "pandas", ["series", "time", *channels], rows)
    return source, HistoryColumns(group="series", time="time", series=channels)


def _dated_index(data: Any) -> bool:
    """Return whether the index of something of pandas holds stamps."""
    return type(getattr(data, "index", None)).__name__ in ("DatetimeIndex", "PeriodIndex")


def _with_index(data: Any, columns: HistoryColumns | None) -> tuple[Any, HistoryColumns | None]:
    """Return a frame of pandas, with its index as first columns if it holds stamps or is asked for, and the columns.

    An index of stamps is the time where no other column is.
    """
    index = getattr(data, "index", None)
    names = [name for name in getattr(index, "names", ()) if name is not None]
    if not _dated_index(data):
        asked = set() if columns is None else {columns.group, columns.id, columns.time}
        return (data.reset_index() if asked.intersection(names) else data), columns
    frame = data.to_frame(data.name or "value") if hasattr(data, "to_frame") and not hasattr(data, "columns") else data
    time = names[0] if names else "time"
    if time in frame.columns:
        return frame.reset_index(drop=True), columns
    if columns is not None and columns.time is None and columns.values is None:
        columns = replace(columns, time=time)
    return frame.reset_index(names=time), columns
