"""Files, frames and arrays to histories: series on a regular grid in time, with their covariates."""

from __future__ import annotations

import os
from array import array
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm
from rekur._history import History
from rekur._values import CellError, code_of, is_missing, is_row, number_of, scalar
from rekur.data.cells import numbers_of, series_of
from rekur.data.example import warn
from rekur.data.history_build import HistoryBuilder
from rekur.data.history_columns import HistoryColumns, Layout, layout_of
from rekur.data.history_grid import Grid, Gridder
from rekur.data.inputs import Input
from rekur.data.memory import from_memory
from rekur.data.read import open_source
from rekur.data.source import Row, Source, shown_names
from rekur.data.stamps import StampColumn, StampReader
from rekur.errors import InputError, describe

__all__ = ["CalendarStep", "History", "HistoryColumns", "StampForm", "read_histories"]

_BLOCK = 8192


def read_histories(
    data: Any,
    columns: HistoryColumns | None = None,
    *,
    horizon: int | None = None,
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
    if isinstance(data, str | os.PathLike | Input):
        source = open_source(data, **reading)
    elif isinstance(data, Source):
        source = data
    elif (items := _items(data)) is not None and columns is None:
        return _of_items(items, horizon, tell)
    else:
        source = from_memory(_with_index(data))
    layout = layout_of(source, columns or HistoryColumns(), tell)
    builder = HistoryBuilder(layout, source.name, source.error, horizon, tell)
    if layout.kind == "steps":
        _Steps(source, layout).build(builder, tell)
    else:
        _rows_to_series(source, layout, builder)
    return builder.finish()


# ── a row a step ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Steps:
    """Reads a table with one row a step, block by block."""

    def __init__(self, source: Source, layout: Layout) -> None:
        self._source, self._layout = source, layout
        self._names: dict[str, int] = {} if layout.name else {"": 0}
        self._series, self._lines = array("q"), array("q")
        self._blocks: list[NDArray[np.float64]] = []
        self._stamps = None if layout.time is None else StampReader(layout.time, source.error)
        self._static: list[list[Any]] = []
        self._static_lines: list[int] = []

    def build(self, builder: HistoryBuilder, tell: Callable[[str], None]) -> None:
        """Read all rows and give each series to a builder."""
        source, layout = self._source, self._layout
        source.keeps_digits = layout.time is not None
        block: list[Row] = []
        for row in source.rows():
            block.append(row)
            if len(block) == _BLOCK:
                self._take(block)
                block = []
        if block:
            self._take(block)
        series, lines = np.asarray(self._series, np.int64), np.asarray(self._lines, np.int64)
        values = np.concatenate(self._blocks)
        self._blocks.clear()
        names = list(self._names)
        grid = self._grid(series, lines, names, tell)
        for number, (begin, end) in enumerate(pairwise(grid.bounds.tolist())):
            rows, index = grid.order[begin:end], grid.index[begin:end]
            steps = np.full((int(index[-1]) + 1, len(layout.numbers)), np.nan)
            steps[index] = values[rows]
            step_lines = np.zeros(len(steps), np.int64)
            step_lines[index] = lines[rows]
            static = np.asarray(self._static[number], np.float64) if layout.static else None
            where: dict[str, Any] = {"start": int(grid.starts[number]), "form": grid.forms[number]}
            builder.add(names[number], tuple(layout.series), steps, step_lines, step=grid.step, static=static, **where)

    def _take(self, rows: list[Row]) -> None:
        lines = [row.line for row in rows]
        cells = [[row.get(name) for row in rows] for name in self._layout.numbers]
        columns = [self._numbers(name, column, lines) for name, column in zip(self._layout.numbers, cells, strict=True)]
        self._blocks.append(np.stack(columns, axis=1))
        time = self._layout.time
        if self._stamps is not None and time is not None:
            self._stamps.add([row.get(time) for row in rows], lines)
        numbers = [0] * len(rows) if self._layout.name is None else self._numbers_of_series(rows, self._layout.name)
        self._series.extend(numbers)
        self._lines.extend(lines)
        if self._layout.static:
            self._take_static(rows, numbers)

    def _numbers(self, name: str, cells: list[Any], lines: list[int]) -> NDArray[np.float64]:
        """Return the numbers of a column, NaN where one is missing."""
        try:
            return numbers_of(cells, name)
        except CellError:
            for cell, line in zip(cells, lines, strict=True):
                try:
                    number_of(cell, name)
                except CellError as error:
                    raise self._source.error(str(error), line) from None
            raise

    def _numbers_of_series(self, rows: list[Row], column: str) -> list[int]:
        numbers = []
        for row in rows:
            cell = row.get(column)
            try:
                name = cell.strip() if type(cell) is str else code_of(cell, column)
            except CellError as error:
                raise self._source.error(str(error), row.line) from None
            if not name:
                raise self._source.error(f"{column}: got nothing; expected the name of a series.", row.line)
            numbers.append(self._names.setdefault(name, len(self._names)))
        return numbers

    def _take_static(self, rows: list[Row], numbers: list[int]) -> None:
        for row, number in zip(rows, numbers, strict=True):
            for k, column in enumerate(self._layout.static):
                try:
                    value = number_of(row.get(column), column)
                except CellError as error:
                    raise self._source.error(str(error), row.line) from None
                if number == len(self._static):
                    self._static.append([])
                    self._static_lines.append(row.line)
                if k == len(self._static[number]):
                    self._static[number].append(value)
                first = self._static[number][k]
                if first != value and not (np.isnan(first) and np.isnan(value)):
                    expected = f"{first:g}, as in {self._source.where(self._static_lines[number])} of the same series"
                    fix = "Name columns that change with --past or --future."
                    raise self._source.error(describe(column, row.get(column), expected, fix), row.line)

    def _grid(
        self, series: NDArray[np.int64], lines: NDArray[np.int64], names: list[str], tell: Callable[[str], None]
    ) -> Grid:
        if self._stamps is None:
            order = np.argsort(series, kind="stable")
            bounds = np.searchsorted(series[order], np.arange(len(names) + 1))
            index = np.arange(len(order)) - np.repeat(bounds[:-1], np.diff(bounds))
            return Grid(ROWS, [None] * len(names), np.zeros(len(names), np.int64), order, bounds, index)
        column: StampColumn = self._stamps.finish()
        for note in column.notes:
            tell(f"{self._source.name}: {note}")
        time = self._layout.time or ""
        gridder = Gridder(column, series, lines, names, time=time, error=self._source.error, unit=self._source.unit)
        return gridder.find()


# ── a row a series ───────────────────────────────────────────────────────────────────────────────────────────────


def _rows_to_series(source: Source, layout: Layout, builder: HistoryBuilder) -> None:
    """Give the builder the series of a table with one in each row."""
    if layout.past or layout.future:
        names = shown_names([*layout.past, *layout.future])
        raise source.error(f"past and future columns: got {names}; expected none where a row is a whole series.")
    places: dict[str, int] = {}
    start, step, form = _grid_of_names(source, layout)
    for number, row in enumerate(source.rows(), 1):
        try:
            name = str(number) if layout.name is None else code_of(row.get(layout.name), layout.name)
            if not name:
                raise CellError(f"{layout.name}: got nothing; expected the name of a series.")
            if name in places:
                expected = f"another name; {source.where(places[name])} has it too"
                raise CellError(describe(layout.name or "series", name, expected, "Rename one, or take it out."))
            places[name] = row.line
            static = np.asarray([number_of(row.get(column), column) for column in layout.static])
            if layout.kind == "rows":
                steps = _cells_to_steps(row, layout.series)
            else:
                steps = series_of(row.get(layout.series[0]), layout.series[0])
        except CellError as error:
            raise source.error(str(error), row.line) from None
        channels = tuple(layout.series) if layout.kind == "lists" else ("value",)
        if steps.shape[1] != len(channels):
            channels = tuple(f"channel {k + 1}" for k in range(steps.shape[1]))
        filled = np.flatnonzero(~np.isnan(steps).all(axis=1)) if steps.size else np.empty(0, np.int64)
        steps = steps[: filled[-1] + 1 if len(filled) else 0]  # rows are as long as the longest
        lines = np.full(max(1, len(steps)), row.line, np.int64)
        builder.add(name, channels, steps, lines, static=static, start=start, step=step, form=form)


def _cells_to_steps(row: Row, columns: list[str]) -> NDArray[np.float64]:
    cells = [row.get(column) for column in columns]
    try:
        return numbers_of(cells, "values")[:, None]
    except CellError:
        for cell, column in zip(cells, columns, strict=True):
            number_of(cell, column)
        raise


def _grid_of_names(source: Source, layout: Layout) -> tuple[int, CalendarStep, StampForm | None]:
    """Return start, step and form where the names of the columns of values are stamps."""
    if layout.kind != "rows" or len(layout.series) < 2:
        return 0, ROWS, None
    reader = StampReader("names of the columns of values", source.error)
    try:
        reader.add(layout.series, [1] * len(layout.series))
    except InputError:
        return 0, ROWS, None
    if not reader.holds_dates:
        return 0, ROWS, None
    count = len(layout.series)
    series, lines = np.zeros(count, np.int64), np.ones(count, np.int64)
    gridder = Gridder(reader.finish(), series, lines, [""], time="names of the columns of values", error=source.error)
    grid = gridder.find()
    if len(grid.index) != grid.index[-1] + 1 or (np.diff(grid.order) != 1).any():
        raise source.error("names of the columns of values: got dates with gaps; expected each step once, in order.", 1)
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
    names = [getattr(member, "name", None) for member in members]
    return {str(index if name is None else name): x for index, (name, x) in enumerate(zip(names, members, strict=True))}


def _holds_text(column: Any) -> bool:
    first = next((value for value in column if not is_missing(value)), None)
    return isinstance(first, str | np.datetime64) or hasattr(first, "isoformat")


def _of_items(items: dict[str, Any], horizon: int | None, tell: Callable[[str], None]) -> list[History]:
    layout = Layout("lists", [])

    def error(text: str, line: int) -> InputError:
        return InputError(text)

    builder = HistoryBuilder(layout, "data", error, horizon, tell)
    for name, item in items.items():
        thing = f"series '{name}'" if name else "values"
        try:
            steps = series_of(item if is_row(item) else scalar(item), thing)
        except CellError as problem:
            raise InputError(str(problem)) from None
        count = steps.shape[1]
        channels = ("value",) if count == 1 else tuple(f"channel {k + 1}" for k in range(count))
        builder.add(name, channels, steps, np.zeros(len(steps), np.int64))
    return builder.finish()


def _dated_index(data: Any) -> bool:
    """Return whether the index of something of pandas holds stamps."""
    return type(getattr(data, "index", None)).__name__ in ("DatetimeIndex", "PeriodIndex")


def _with_index(data: Any) -> Any:
    """Return a frame of pandas with its index of stamps as a first column; other things unchanged."""
    if not _dated_index(data):
        return data
    frame = data.to_frame(data.name or "value") if hasattr(data, "to_frame") and not hasattr(data, "columns") else data
    return frame.reset_index(names=frame.index.name or "time")
