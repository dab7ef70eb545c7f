"""Which columns of a table hold stamps, values and covariates; others are taken only where no doubt is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from typing import Any

from rekur._numbers import counted
from rekur._values import CellError, is_missing_label, is_row
from rekur.data.cells import numbers_of
from rekur.data.chosen_columns import expand
from rekur.data.source import Row, Source, check_column, shown_names
from rekur.data.stamps import StampReader
from rekur.errors import DataError, InputError, describe

_ROWS_LOOKED_AT = 50
#: columns of values from which on a row without stamps may be a series
_FEWEST_VALUES = 3


@dataclass(frozen=True, kw_only=True)
class HistoryColumns:
    """Which columns of a table hold what; ``"a..d"`` stands for all columns from a to d.

    A *long* table has one row a series and stamp, and ``group`` names the series. A *wide* table has one row a stamp
    and a column for each series or channel. In a table with ``values`` a row is a whole series.

    Attributes:
        series: the columns of numbers, each a channel; or one column with whole series, as lists.
        values: the columns with the values of a series from the first to the last, where a row is a series.
        time: the column of time stamps, or of whole numbers that count steps; without it rows count.
        group: the column that names the series of a row.
        id: the same where a row is a whole series.
        static: columns that are constant in a series.
        past: columns of numbers that are known until now only.
        future: columns of numbers that are known ahead; rows behind the last value are the known horizon.
    """

    series: str | Sequence[str] | None = None
    values: str | Sequence[str] | None = None
    time: str | None = None
    group: str | None = None
    id: str | None = None
    static: Sequence[str] = ()
    past: Sequence[str] = ()
    future: Sequence[str] = ()


@dataclass(frozen=True)
class Layout:
    """The columns by their roles, after they have been checked.

    Attributes:
        kind: ``"steps"``, a row a step; ``"rows"``, a row a series with a column a step; ``"lists"``, a row a series
            with all its values in one cell.
        series: the columns of values.
        name: the column that names series; None without one.
        time: the column of stamps; None without one.
        past, future, static: the covariates.
    """

    kind: str
    series: list[str]
    name: str | None = None
    time: str | None = None
    past: list[str] = field(default_factory=list)
    future: list[str] = field(default_factory=list)
    static: list[str] = field(default_factory=list)

    @property
    def numbers(self) -> list[str]:
        """The columns of numbers that every step has: values, past and future."""
        return [*self.series, *self.past, *self.future]


def layout_of(source: Source, columns: HistoryColumns, tell: Callable[[str], None]) -> Layout:
    """Return the columns by their roles.

    Args:
        source: the table.
        columns: what the user says.
        tell: receives a sentence on each choice that was not said.

    Raises:
        InputError: roles contradict each other, or a column has two.
        DataError: a column is not there, or more must be said.
    """
    if columns.values is not None and (columns.series is not None or columns.time is not None):
        fix = "Name the columns with --series where a row is a step."
        raise InputError(f"values: got them with series or time; expected a table with a series in each row. {fix}")
    name = columns.group if columns.group is not None else columns.id
    layout = Layout(
        "steps",
        _expanded(source, "series", columns.series),
        name if name is None else check_column(source, "group" if columns.group is not None else "id", name),
        columns.time if columns.time is None else check_column(source, "time", columns.time),
        *(_expanded(source, role, getattr(columns, role)) for role in ("past", "future", "static")),
    )
    if columns.values is not None:
        layout = replace(layout, kind="rows", series=_expanded(source, "values", columns.values))
    first = list(islice(source.rows(), _ROWS_LOOKED_AT))
    if not layout.series:
        layout = _Guess(source, layout, first).complete(tell)
    elif layout.kind == "steps" and len(layout.series) == 1 and _holds_lists(first, layout.series[0]):
        layout = replace(layout, kind="lists")
    _refuse_two_roles(source, layout)
    if layout.kind == "steps" and layout.time is None:
        taken = {*layout.numbers, *layout.static, layout.name}
        dated = next((c for c in source.columns if c not in taken and _are_dates(source, first, c)), None)
        if dated is not None:
            tell(f"{source.name}: '{dated}' holds time stamps but is not named, so rows count as steps: --time {dated}")
    return layout


def named_columns(source: Source, columns: HistoryColumns) -> dict[str, Any]:
    """Return the columns of a table by their roles, also those that were not said, so that other tables are read alike.

    Where a row is a whole series, only what was said is returned: other tables may have more steps or fewer.
    """
    said = {each.name: value for each in fields(columns) if (value := getattr(columns, each.name))}
    layout = layout_of(source, columns, lambda _: None)
    if layout.kind == "rows":
        return said
    taken = {"series": layout.series, "time": layout.time, **({} if "id" in said else {"group": layout.name})}
    return said | {role: names for role, names in taken.items() if names}


def _expanded(source: Source, role: str, names: str | Sequence[str] | None) -> list[str]:
    return expand(source, role, [names] if isinstance(names, str) else list(names or ()))


def _refuse_two_roles(source: Source, layout: Layout) -> None:
    named = [layout.name, layout.time]
    roles = dict.fromkeys(name for name in named if name is not None)
    columns = [*roles, *layout.numbers, *layout.static]
    if layout.name is not None and layout.name == layout.time:
        columns.append(layout.name)
    twice = next((name for name in columns if columns.count(name) > 1), None)
    if twice is not None:
        raise source.error(describe("columns", twice, "each column in one role only; this one has two"))


class _Guess:
    """Takes the columns without a role, if the table can be read in one way only."""

    def __init__(self, source: Source, layout: Layout, first: list[Row]) -> None:
        self._source, self._layout, self._first = source, layout, first
        taken = {layout.name, layout.time, *layout.past, *layout.future, *layout.static}
        self._rest = [column for column in source.columns if column not in taken and not self._counts_rows(column)]
        self._numbers = [column for column in self._rest if self._holds_numbers(column)]

    def complete(self, tell: Callable[[str], None]) -> Layout:
        layout, source = self._layout, self._source
        others = [column for column in self._rest if column not in self._numbers]
        lists = [column for column in others if _holds_lists(self._first, column)]
        if len(lists) == 1:
            names = [column for column in self._rest if column not in lists]
            name = layout.name if layout.name or len(names) != 1 else names[0]
            tell(f"{source.name}: '{lists[0]}' holds whole series.")
            return replace(layout, kind="lists", series=lists, name=name)
        if layout.time is None and layout.name is None and len(self._rest) > 1 and others == self._rest[:1]:
            if _are_dates(source, self._first, others[0]):
                tell(f"{source.name}: '{others[0]}' holds the time stamps, {_shown(self._numbers)} the values.")
                return replace(layout, time=others[0], series=self._numbers)
            if len(self._numbers) >= _FEWEST_VALUES:
                text = f"'{others[0]}' names the series, and each row holds the values of one"
                tell(f"{source.name}: {text}, from '{self._numbers[0]}' to '{self._numbers[-1]}'.")
                return replace(layout, kind="rows", name=others[0], series=self._numbers)
        is_wide = layout.time is not None and layout.name is None
        if self._numbers == self._rest and (is_wide or len(self._rest) == 1):
            if len(self._rest) > 1:
                tell(f"{source.name}: {_shown(self._numbers)} are the values.")
            return replace(layout, series=self._numbers)
        if len(self._numbers) == 1 and layout.time is not None:
            tell(f"{source.name}: '{self._numbers[0]}' holds the values.")
            return replace(layout, series=self._numbers)
        expected = "the columns of values: --series, or --values where a row is a whole series"
        fix = "Add --time, and --group where a column names the series of a row."
        raise source.error(f"series columns: got none of {shown_names(source.columns)}; expected {expected}. {fix}")

    def _counts_rows(self, column: str) -> bool:
        """Return whether a nameless column only counts rows, as an index that was written with a table."""
        if column and not re.fullmatch(r"Unnamed: \d+", column):
            return False
        return [str(row.get(column)) for row in self._first] in (
            [str(k + first) for k in range(len(self._first))] for first in (0, 1)
        )

    def _holds_numbers(self, column: str) -> bool:
        try:
            numbers_of([row.get(column) for row in self._first], column)
        except CellError as error:
            return "a finite number" in str(error)
        return True


def _shown(names: list[str]) -> str:
    return shown_names(names) if len(names) <= 5 else f"'{names[0]}' to '{names[-1]}', {counted(len(names), 'column')},"


def _holds_lists(rows: list[Row], column: str) -> bool:
    """Return whether the first cell of a column with something in it is a list of numbers."""
    cells = (row.get(column) for row in rows)
    first: Any = next((cell for cell in cells if not _is_blank(cell)), None)
    return is_row(first) or (isinstance(first, str) and first.lstrip().startswith("["))


def _is_blank(cell: Any) -> bool:
    return not is_row(cell) and is_missing_label(cell)


def _are_dates(source: Source, rows: list[Row], column: str) -> bool:
    """Return whether the first cells of a column are dates."""
    reader = StampReader(column, lambda text, line: DataError(text))
    try:
        reader.add([row.get(column) for row in rows], [row.line for row in rows])
    except DataError:
        return False
    return reader.holds_dates
