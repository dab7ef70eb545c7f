"""The columns beside the values of a live series: what an event says of them, and what of it is kept.

Axes: T steps of a series, V values of an event, K steps known ahead, P, F and S numbers of past, future and static
columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from rekur._history import History
from rekur._values import code_of, is_missing_label, number_of
from rekur.errors import InputError, describe
from rekur.features.base import Phrase
from rekur.features.covariates import ROLES, Covariates

Floats = NDArray[np.float64]

#: texts that an error names at most
_FEW = 20


@dataclass(frozen=True)
class LiveColumns:
    """The columns of a series, or of an event; NaN where a number is missing.

    Attributes:
        past: (T, P), of an event (V, P).
        future: (T + K, F), of an event (V + K, F).
        static: (S,).
    """

    past: Floats
    future: Floats
    static: Floats

    @classmethod
    def of(cls, past: int, future: int, static: int) -> Self:
        """Return columns of these widths without a step."""
        return cls(np.empty((0, past)), np.empty((0, future)), np.full(static, np.nan))

    def behind(self, event: LiveColumns, length: int) -> LiveColumns:
        """Return the columns of a series with those of an event, whose first step is ``length``; what an event says of
        steps that were known ahead holds."""
        past, future = (_laid_over(*each, length) for each in ((self.past, event.past), (self.future, event.future)))
        return LiveColumns(past, future, np.where(np.isnan(event.static), self.static, event.static))

    def without(self, steps: int) -> LiveColumns:
        """Return the columns without the first steps, whose last numbers the next one repeats where it has none."""
        return self if not steps else LiveColumns(_cut(self.past, steps), _cut(self.future, steps), self.static)


def _laid_over(rows: Floats, event: Floats, first: int) -> Floats:
    """Return rows with those of an event from a step on."""
    width = event.shape[1]
    joined = np.full((max(len(rows), first + len(event)), width), np.nan)
    if len(rows):
        joined[: len(rows)] = rows
    part = joined[first : first + len(event)]
    np.copyto(part, event, where=~np.isnan(event))
    return joined


def _cut(rows: Floats, steps: int) -> Floats:
    rest = rows[steps:].copy()
    if not len(rest):
        rest = np.full((1, rows.shape[1]), np.nan)
    for column in np.flatnonzero(np.isnan(rest[0])):
        earlier = rows[:steps, column]
        present = np.flatnonzero(~np.isnan(earlier))
        if len(present):
            rest[0, column] = earlier[present[-1]]
    return rest


class ColumnReader:
    """Reads the columns of events by their names: numbers, or the texts of columns that held texts in training.

    Args:
        covariates: of training.
    """

    def __init__(self, covariates: Covariates) -> None:
        self._covariates = covariates
        #: role -> column of an event -> its texts in training, empty for numbers, and where its numbers stand in a row
        self._columns: dict[str, dict[str, tuple[list[str], list[int]]]] = {role: {} for role in ROLES}
        for role in ROLES:
            for index, name in enumerate(getattr(covariates, role).names):
                column, is_text, text = name.partition("=")
                texts, places = self._columns[role].setdefault(column, ([], []))
                texts.extend([text] if is_text else [])
                places.append(index)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns of an event."""
        return tuple(name for columns in self._columns.values() for name in columns)

    def read(self, event: Mapping[str, Any], count: int) -> LiveColumns:
        """Return the columns of an event with ``count`` values; columns that it does not have are missing.

        A list of a column known ahead goes on behind the values of the event, for the steps that follow.

        Raises:
            InputError: a cell is no number, or a text that training had not, or a column has another number of them.
        """
        past, future, static = (self._rows(role, event, count) for role in ROLES)
        return LiveColumns(past, future, static[0])

    def events(self, history: History, count: int, horizon: int) -> list[dict[str, Any]]:
        """Return the columns of the first ``count`` steps of a history, an event a step: static ones with the first,
        and those that are known ahead of the horizon with the last."""
        cells = {role: self._cells(role, self._covariates.columns(role, history)) for role in ROLES if role != "static"}
        columns = {name: each for of_role in cells.values() for name, each in of_role.items()}
        events = [{name: each[step] for name, each in columns.items()} for step in range(count)]
        static = self._cells("static", self._covariates.columns("static", history)[None])
        events[0] |= {name: cell for name, (cell,) in static.items()}
        events[-1] |= {name: each[count - 1 : count + horizon] for name, each in cells["future"].items()}
        return events

    def _cells(self, role: str, rows: Floats) -> dict[str, list[Any]]:
        """Return the cells of each column of rows (steps, W): numbers or texts, None where missing."""
        cells: dict[str, list[Any]] = {}
        for name, (texts, places) in self._columns[role].items():
            block = rows[:, places].tolist()
            cells[name] = [
                None if row[0] != row[0] else texts[row.index(max(row))] if texts else row[0] for row in block
            ]
        return cells

    def _rows(self, role: str, event: Mapping[str, Any], count: int) -> Floats:
        """Return the numbers of the columns of a role, (steps, W), in the order of training."""
        blocks = []
        for name, (texts, places) in self._columns[role].items():
            cells = event.get(name)
            cells = list(cells) if isinstance(cells, list | tuple | np.ndarray) else [cells]
            if name in event:
                _check_count(role, name, len(cells), count)
            read = [_flags(name, cell, texts) if texts else [number_of(cell, f"event: {name}")] for cell in cells]
            blocks.append((places, np.array(read).reshape(len(cells), len(places))))
        steps = max((len(block) for _, block in blocks), default=0)
        rows = np.full((max(steps, 1), len(getattr(self._covariates, role).names)), np.nan)
        for places, block in blocks:
            rows[: len(block), places] = block
        return rows

    def check_static(self, thing: str, columns: LiveColumns, earlier: LiveColumns | None) -> None:
        """Raise unless a series begins with its static columns, and never changes them."""
        for index, name in enumerate(self._covariates.static.names):
            column, now = name.partition("=")[0], columns.static[index]
            if earlier is None and np.isnan(now):
                fix = "The first event of a series says it."
                raise InputError(describe(f"{thing}: {column}", Phrase("none"), "one, as in training", fix))
            if earlier is not None and not np.isnan(now) and now != earlier.static[index]:
                got = f"another than the {earlier.static[index]:g} of before" if column == name else "another text"
                raise InputError(describe(f"{thing}: {column}", Phrase(got), "one for the whole series"))

    def lacking(self, columns: LiveColumns, end: int, horizon: int) -> str:
        """Return which column is not known at all steps of the horizon, as a phrase; empty if all are.

        Args:
            columns: of the series.
            end: steps up to its last value.
            horizon: steps to forecast.
        """
        names = self._covariates.future.names
        if not names:
            return ""
        rows = columns.future[end : end + horizon]
        told = np.concatenate([~np.isnan(rows), np.zeros((horizon - len(rows), len(names)), bool)])
        if told.all():
            return ""
        index = int(np.argmin(told.all(axis=0)))
        column = names[index].partition("=")[0]
        return f"'{column}' is known at {int(told[:, index].sum())} of the {horizon} steps ahead"


def _check_count(role: str, name: str, got: int, count: int) -> None:
    """Raise unless a column of an event has as many cells as values: one if static, and also more if known ahead."""
    least = 1 if role == "static" else count
    if got < least or (got > least and role != "future"):
        expected = {"static": "1, for the whole series", "future": f"{count}, as values, or more, of the steps ahead"}
        raise InputError(describe(f"event: cells of '{name}'", got, expected.get(role, f"{count}, as values")))


def _flags(name: str, cell: Any, texts: Sequence[str]) -> list[float]:
    """Return 1 for the text of a cell and 0 for the others; all are missing where the cell is."""
    if is_missing_label(cell):
        return [np.nan] * len(texts)
    text = code_of(cell, f"event: {name}")
    if text not in texts:
        more = f" and {len(texts) - _FEW} more" if len(texts) > _FEW else ""
        expected = f"one of {', '.join(repr(each) for each in texts[:_FEW])}{more}, as in training"
        raise InputError(describe(f"event: {name}", text, expected))
    return [float(each == text) for each in texts]
