"""Tables with one row a step: read block by block, texts of covariates as categories, rows put on their grid."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._calendar import ROWS, CalendarStep, StampForm
from rekur._values import CellError, code_of, is_missing_label, number_of
from rekur.data.cells import numbers_of
from rekur.data.history_columns import Layout
from rekur.data.history_grid import Grid, Gridder
from rekur.data.source import Row, Source, shown_names
from rekur.data.stamps import StampReader
from rekur.errors import describe

_BLOCK = 8192
_MOST_CATEGORIES = 100


@dataclass(frozen=True)
class SteppedSeries:
    """The rows of one series on its grid.

    Attributes:
        name: of the series.
        steps: values, past and future covariates, (T, C + P + F); NaN where missing.
        lines: where each step stands, (T,); 0 for a step without a row.
        static: (S,).
        start: the first stamp.
        form: how stamps are written.
    """

    name: str
    steps: NDArray[np.float64]
    lines: NDArray[np.int64]
    static: NDArray[np.float64]
    start: int
    form: StampForm | None


class StepTable:
    """A table with one row a step.

    Args:
        source: the table.
        layout: its columns.
        categories: columns of covariates with texts, and the texts of each; None looks them up.
        step: from row to row; None finds it.
        tell: receives sentences on how stamps are read.

    Attributes:
        layout: the columns, with one column ``wind=NW`` for each text in a column ``wind``; after reading.
        step: from row to row; after reading.
    """

    def __init__(
        self,
        source: Source,
        layout: Layout,
        categories: Mapping[str, Sequence[str]] | None,
        step: CalendarStep | None,
        tell: Callable[[str], None],
    ) -> None:
        self._source, self.layout, self._tell, self._trained_step = source, layout, tell, step
        self.step = step or ROWS
        self._names: dict[str, int] = {} if layout.name else {"": 0}
        self._series, self._lines = array("q"), array("q")
        self._blocks: list[NDArray[np.float64]] = []
        self._stamps = None if layout.time is None else StampReader(layout.time, source.error, source.unit)
        self._columns = [*layout.numbers, *layout.static]
        self._cells = CovariateCells(source, layout, categories)

    def read(self) -> list[SteppedSeries]:
        """Return the series in the order of their first rows.

        Raises:
            DataError: a cell cannot be used; it names the line.
        """
        self._source.keeps_digits = self._stamps is not None
        rows = self._source.rows()
        while block := list(islice(rows, _BLOCK)):
            self._take(block)
        series, lines = np.asarray(self._series, np.int64), np.asarray(self._lines, np.int64)
        values = np.concatenate(self._blocks)
        self._blocks.clear()
        names = list(self._names)
        grid = self._grid(series, lines, names)
        self.step = grid.step
        values, self.layout = self._cells.expanded(self._columns, values)
        return list(self._split(grid, values, lines, names))

    def _split(
        self, grid: Grid, values: NDArray[np.float64], lines: NDArray[np.int64], names: list[str]
    ) -> Iterator[SteppedSeries]:
        width = len(self.layout.numbers)
        for number, (begin, end) in enumerate(pairwise(grid.bounds.tolist())):
            rows, index = grid.order[begin:end], grid.index[begin:end]
            steps = np.full((int(index[-1]) + 1, width), np.nan)
            steps[index] = values[rows, :width]
            step_lines = np.zeros(len(steps), np.int64)
            step_lines[index] = lines[rows]
            static = self._constant(names[number], values[rows, width:], lines[rows])
            yield SteppedSeries(names[number], steps, step_lines, static, int(grid.starts[number]), grid.forms[number])

    # ── cells ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, rows: list[Row]) -> None:
        lines = [row.line for row in rows]
        columns = [self._cells.numbers(name, [row.get(name) for row in rows], lines) for name in self._columns]
        self._blocks.append(np.stack(columns, axis=1))
        time, name = self.layout.time, self.layout.name
        if self._stamps is not None and time is not None:
            self._stamps.add([row.get(time) for row in rows], lines)
        self._series.extend([0] * len(rows) if name is None else self._numbers_of_series(rows, name))
        self._lines.extend(lines)

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

    # ── columns ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _constant(self, name: str, values: NDArray[np.float64], lines: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the static covariates of a series after checking that all rows have them."""
        first = values[np.argmin(lines)]
        same = (values == first) | (np.isnan(values) & np.isnan(first))
        if not same.all():
            differing = np.flatnonzero(~same.all(axis=1))
            row = int(differing[np.argmin(lines[differing])])
            column = self.layout.static[int(np.argmin(same[row]))]
            series = f" of series '{name}'" if name else ""
            got = f"another value than in {self._source.where(int(lines.min()))}"
            fix = "Name columns that change with --past or --future."
            expected = "one value in all rows of a series"
            raise self._source.error(f"{column}{series}: got {got}; expected {expected}. {fix}", int(lines[row]))
        return np.asarray(first)

    def _grid(self, series: NDArray[np.int64], lines: NDArray[np.int64], names: list[str]) -> Grid:
        if self._stamps is None:
            order = np.argsort(series, kind="stable")
            bounds = np.searchsorted(series[order], np.arange(len(names) + 1))
            index = np.arange(len(order)) - np.repeat(bounds[:-1], np.diff(bounds))
            return Grid(ROWS, [None] * len(names), np.zeros(len(names), np.int64), order, bounds, index)
        column = self._stamps.finish()
        for note in column.notes:
            self._tell(f"{self._source.name}: {note}")
        time = self.layout.time or ""
        gridder = Gridder(column, series, lines, names, time=time, error=self._source.error, unit=self._source.unit)
        return gridder.find(self._trained_step)


class CovariateCells:
    """Turns the cells of covariates into numbers; the texts of a column become a column of 0 and 1 for each.

    A column holds texts if its first cell does.

    Args:
        source: the table.
        layout: its columns; those of values hold numbers.
        categories: columns with texts, and the texts of each; None looks them up.
    """

    def __init__(self, source: Source, layout: Layout, categories: Mapping[str, Sequence[str]] | None) -> None:
        self._source, self._layout, self._is_trained = source, layout, categories is not None
        self._codes = {name: {text: k for k, text in enumerate(texts)} for name, texts in (categories or {}).items()}

    def numbers(self, name: str, cells: list[Any], lines: list[int]) -> NDArray[np.float64]:
        """Return the numbers of a column, or the numbers of its texts; NaN where one is missing.

        Raises:
            DataError: a cell holds a text among numbers, or too many different texts; it names the line.
        """
        if name not in self._codes and not self._is_trained and name not in self._layout.series:
            first = next((cell for cell in cells if not is_missing_label(cell)), None)
            if isinstance(first, str) and not _is_number(first):
                self._codes[name] = {}
        if name in self._codes:
            return np.asarray([self._code(name, cell, line) for cell, line in zip(cells, lines, strict=True)])
        try:
            return numbers_of(cells, name)
        except CellError:
            for cell, line in zip(cells, lines, strict=True):
                try:
                    number_of(cell, name)
                except CellError as error:
                    raise self._source.error(str(error), line) from None
            raise

    def _code(self, name: str, cell: Any, line: int) -> float:
        if is_missing_label(cell):
            return np.nan
        try:
            text = code_of(cell, name)
        except CellError as error:
            raise self._source.error(str(error), line) from None
        codes = self._codes[name]
        if self._is_trained and text not in codes:
            raise self._source.error(describe(name, text, f"one of {shown_names(list(codes))}, as in training"), line)
        code = codes.setdefault(text, len(codes))
        if len(codes) > _MOST_CATEGORIES:
            expected = f"{_MOST_CATEGORIES} different texts or fewer, or numbers"
            raise self._source.error(describe(name, text, expected, "Is it a name for each row?"), line)
        return float(code)

    def expanded(self, columns: Sequence[str], values: NDArray[np.float64]) -> tuple[NDArray[np.float64], Layout]:
        """Return the values with a column of 0 and 1 for each text, and the layout with the columns named so.

        Args:
            columns: the names of the columns, those of the values and of all covariates.
            values: their numbers, (N, len(columns)).
        """
        if not self._codes:
            return values, self._layout
        expanded: list[NDArray[np.float64]] = []
        names: dict[str, list[str]] = {}
        for k, name in enumerate(columns):
            texts = sorted(self._codes[name]) if name in self._codes and not self._is_trained else self._codes.get(name)
            if texts is None:
                expanded.append(values[:, k])
                names[name] = [name]
                continue
            missing = np.isnan(values[:, k])
            flags = [np.where(missing, np.nan, values[:, k] == self._codes[name][text]) for text in texts]
            expanded += flags
            names[name] = [f"{name}={text}" for text in texts]
        past, future, static = (
            [new for name in role for new in names[name]]
            for role in (self._layout.past, self._layout.future, self._layout.static)
        )
        return np.stack(expanded, axis=1), replace(self._layout, past=past, future=future, static=static)


def categories_of(names: Sequence[str], columns: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Return the texts of each column of covariates, by the names ``column=text`` of a history.

    Args:
        names: of a history.
        columns: the columns of the table; None for all that names begin with.

    Example:
        >>> categories_of(["wind=N", "wind=S", "rain"], ["wind", "rain"])
        {'wind': ['N', 'S']}
    """
    columns = sorted({name.partition("=")[0] for name in names}) if columns is None else columns
    texts = {column: [n.removeprefix(f"{column}=") for n in names if n.startswith(f"{column}=")] for column in columns}
    return {column: values for column, values in texts.items() if values and column not in names}


def _is_number(text: str) -> bool:
    try:
        number_of(text)
    except CellError as error:
        return "a finite number" in str(error)
    return True
