"""Rows to examples: which columns are the item, the label, the group and the time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._check import choice
from rekur._numbers import counted
from rekur._values import CellError, code_of, is_missing, is_missing_label, number_of
from rekur.data.cells import symbols_of, tags_of, text_of
from rekur.data.chosen_columns import Columns, expand
from rekur.data.groups import ROW_LIMIT, gather
from rekur.data.row_series import begun, series_in
from rekur.data.source import Repeats, Row, Source, Tagged, check_column
from rekur.data.spans import may_be_spans
from rekur.data.step_labels import labelled_steps
from rekur.errors import DataError, DataWarning, InputError, describe

LABEL_TYPES = ("class", "classes", "number", "tags")


@dataclass(frozen=True, slots=True)
class Example:
    """One item with its label.

    Attributes:
        item: str for text; str or a list of str for symbols; float64 (T, D) for series, NaN where missing; a list of
            str where the label is tags, and str where it is spans.
        label: str, a sorted tuple of str (``classes``), a float or a tuple of floats (``number``), a list of tags or
            of spans, or None.
        line: where it begins in the source, from 1.
        id: what the source calls it, or None.
        weight: how much it counts in the loss of a training, above 0.
        lines: where each of its steps stands in the source, from 1, (T,); None where they stand in one row.
        group: what it stays together with on one side of a split; None for what equals it alone.
    """

    item: Any
    label: Any
    line: int
    id: str | None
    weight: float = 1.0
    lines: NDArray[np.int64] | None = None
    group: str | None = None


def warn(text: str) -> None:
    """Give a :class:`~rekur.errors.DataWarning`."""
    warnings.warn(text, DataWarning, stacklevel=2)


def warn_of_a_file(items: Any, fix: str) -> None:
    """Warn where the only item of a list is the name of a file; it is read as a text."""
    if isinstance(items, list) and len(items) == 1 and isinstance(items[0], str) and os.path.isfile(items[0]):
        warn(f"X[0]: got '{items[0]}', the name of a file; it is read as a text. {fix}")


def examples(
    source: Source,
    columns: Columns,
    *,
    label_type: str = "class",
    label_separator: str | None = None,
    empty: str = "error",
    labels: Container[str] = (),
    row_limit: int = ROW_LIMIT,
    tell: Callable[[str], None] = warn,
) -> Iterator[Example]:
    """Return an iterator over the examples of a source; items of a long table in order of first appearance.

    Args:
        source: rows from a file or from memory.
        columns: which column is what; checked at once, before the first row is read.
        label_type: ``"class"``, one name; ``"classes"``, a list of names, or text cut at ``label_separator``;
            ``"number"``, a finite number; or ``"tags"``, a list of tags, one for each word of the list in ``text``.
        label_separator: between the names of several classes in a text cell; ``None`` for lists.
        empty: ``"error"`` refuses an item without steps and a missing label; ``"keep"`` gives the item as it is,
            and None for the label.
        labels: classes of a trained model; one that reads like a missing value, such as ``none``, is a label.
        row_limit: rows of a long table that are gathered in memory; more are sorted on disk.
        tell: is given a sentence where rows of a sequence have equal times; by default a warning.

    Raises:
        InputError: for an option of the wrong kind.
        DataError: for a column that is not there, and, when it is reached, for a row that cannot be used.

    Example:
        >>> from rekur.data.memory import from_memory
        >>> table = from_memory({"who": ["a", "b", "a"], "x": [1, 5, 2]})
        >>> [(e.id, e.item.ravel().tolist()) for e in examples(table, Columns(series=["x"], group="who"))]
        [('a', [1.0, 2.0]), ('b', [5.0])]
    """
    choice("label_type", label_type, LABEL_TYPES)
    choice("empty", empty, ("error", "keep"))
    columns = _by_file(source, columns)
    if label_type == "tags":
        if columns.split_by is not None:
            expected = "none for labels of steps, whose items are split as they come"
            raise InputError(describe("split_by column", columns.split_by, expected))
        if columns.is_long:
            labelled_steps(source, columns, row_limit=row_limit, tell=tell)  # checks the columns now
            return _labelled(source, columns, row_limit, tell)
        return _sentences(source, columns, empty)
    reader = _Reader(source, columns, label_type, label_separator, empty, labels, tell)
    return reader.long(row_limit) if columns.is_long else reader.rows()


def _by_file(source: Source, columns: Columns) -> Columns:
    """Return the columns with the group that a folder of tables has."""
    if not source.group or columns.group == source.group:
        return columns
    if columns.group is not None:
        expected = f"'{source.group}' for a folder, where each file is a sequence"
        fix = f"Write --group {source.group}, or put the files into one."
        raise source.error(describe("group column", columns.group, expected, fix))
    return replace(columns, group=source.group)


def _labelled(source: Source, columns: Columns, row_limit: int, tell: Callable[[str], None]) -> Iterator[Example]:
    """Yield the items of a long table with a label for each step; or those of rows that hold whole series."""
    rows, holds_series = begun(source, columns)
    if holds_series and rows is not None:
        yield from _series(source, columns, rows)
        return
    for each in labelled_steps(source, columns, row_limit=row_limit, tell=tell, rows=rows):
        yield Example(each.steps, each.labels, int(each.lines[0]), each.name, lines=each.lines)


def _series(source: Source, columns: Columns, rows: Iterator[Row]) -> Iterator[Example]:
    """Yield the series of rows with a list of labels for each."""
    names = expand(source, "series", columns.items())
    series = ", ".join(names)
    labels = next((check_column(source, "label", name) for name in columns.labels()), None)
    for row in rows:
        try:
            steps = series_in(row, names)
            tags = None if labels is None else tags_of(row.get(labels), labels, takes_flags=True)
            if tags is not None and len(tags) != len(steps):
                got = f"{counted(len(steps), 'step')} and {counted(len(tags), 'label')}"
                raise CellError(f"{series} and {labels}: got {got}; expected one label a step.")
            name = code_of(row.get(columns.id), "id") if columns.id else ""
        except CellError as error:
            raise source.error(str(error), row.line) from None
        yield Example(steps, tags, row.line, name or None)


def _sentences(source: Source, columns: Columns, empty: str) -> Iterator[Example]:
    """Return an iterator over lists of words with their tags."""
    if isinstance(columns.series, str):
        return _series(source, columns, source.rows())
    if columns.text is None:
        raise InputError("item columns: got others; expected one with lists of words. Name it: --text tokens.")
    words = check_column(source, "text", columns.text)
    tags = next((check_column(source, "label", name) for name in columns.labels()), None)
    name = check_column(source, "id", columns.id) if columns.id else ""
    if words == tags:
        raise source.error(describe("label column", words, "another than that of the words"))

    def example(sentence: Tagged) -> Example:
        if not sentence.words and empty == "error":
            fix = "Take the row out, or fill it."
            raise source.error(f"{words}: got nothing; expected one word or more. {fix}", sentence.lines[0])
        steps = None  # of a prediction, rows come in the order of the sentences whatever the lines
        if sentence.tags is not None and len(sentence.lines) == len(sentence.words) > 1:
            steps = np.array(sentence.lines)
        return Example(sentence.words, sentence.tags, sentence.lines[0], sentence.id, lines=steps)

    return map(example, source.tagged(words, tags, name))


class _Reader:
    """Reads the cells of rows by the chosen columns; every error names the line."""

    def __init__(
        self,
        source: Source,
        columns: Columns,
        label_type: str,
        separator: str | None,
        empty: str,
        trained_labels: Container[str],
        tell: Callable[[str], None],
    ) -> None:
        self._source, self._columns, self._trained_labels, self._tell = source, columns, trained_labels, tell
        self._label_type, self._separator, self._keeps_empty = label_type, separator, empty == "keep"
        role = next(r for r in ("text", "symbols", "series", "values") if getattr(columns, r))
        self._items = expand(source, role, columns.items())
        self._labels = expand(source, "label", columns.labels())
        for name in ("group", "time", "id", "split_by"):
            if getattr(columns, name) is not None:
                check_column(source, name, getattr(columns, name))
        if len(self._labels) > 1 and label_type != "number":
            raise InputError(describe("label columns", len(self._labels), "1, unless labels are numbers"))
        if len(self._items) > 1 and columns.kind != "series":
            raise InputError(describe(f"{role} columns", len(self._items), "1"))
        for name in self._labels:
            if name in self._items:  # what a model is to say would stand in what it reads
                fix = f"Take it out of {role}, or name another."
                raise source.error(describe("label column", name, "one that items are not read from", fix))
        if separator is not None and label_type != "classes":
            fix = "Several classes an item need --multi-label (multi_label=True)."
            raise InputError(describe("label separator", separator, f"none for labels of type {label_type}", fix))
        self._channels: tuple[int, int] | None = None  # of the first series that has steps, and its line

    def rows(self, begun_rows: Iterator[Row] | None = None) -> Iterator[Example]:
        key = self._columns.id or (self._source.key if self._source.key not in self._labels else "")
        repeats = Repeats(self._source, key, self._tell)
        for row in self._source.rows() if begun_rows is None else begun_rows:
            line = row.line
            try:
                item, label, together = self._item(row), self._label(row), self._split_by(row)
            except CellError as error:
                raise self._source.error(str(error), line) from None
            self._check_item(item, line)
            if key:
                repeats.add(code_of(row.get(key), key), line)
            yield Example(item, label, line, self._id(row), group=together)

    def long(self, row_limit: int) -> Iterator[Example]:
        rows, holds_series = begun(self._source, self._columns)
        if holds_series:
            yield from self.rows(rows)
            return
        heads: dict[str, tuple[Any, int, str | None, str | None]] = {}  # label, line, id, split_by of each group

        def payload(row: Row, name: str) -> bytes:
            event, label, together = self._event(row), self._label(row), self._split_by(row)
            head = heads.get(name)
            if head is None:
                heads[name] = (label, row.line, self._id(row) or name or None, together)
            elif label != head[0]:
                raise self._changed_label(label, head, name, row.line)
            elif together != head[3]:
                expected = f"'{head[3]}' in all rows of a sequence, as in {self._source.where(head[1])}"
                raise CellError(describe(str(self._columns.split_by), together, expected))
            return event

        group, time = self._columns.group, self._columns.time
        how: dict[str, Any] = {"row_limit": row_limit, "tell": self._tell, "rows": rows}
        for sequence in gather(self._source, payload, group=group, time=time, **how):
            label, line, shown, together = heads[sequence.name]
            item = self._joined(sequence.payloads)
            self._check_item(item, line)
            yield Example(item, label, line, shown, group=together)

    def _item(self, row: Row) -> Any:
        name = self._items[0]
        if self._columns.kind == "text":
            return text_of(row.get(name), name)
        if self._columns.kind == "symbols":
            return symbols_of(row.get(name), name)
        if self._columns.values is not None:
            return np.asarray([[number_of(row.get(step), step)] for step in self._items])
        return series_in(row, self._items)

    def _event(self, row: Row) -> bytes:
        if self._columns.kind == "series":
            return np.asarray([_number_of_row(row.get(name), name) for name in self._items]).tobytes()
        name = self._items[0]
        read = text_of if self._columns.kind == "text" else code_of
        event = read(row.get(name), name)
        if not event.strip():
            raise CellError(f"{name}: got nothing; expected an event in every row.")
        return event.encode("utf-8", errors="surrogatepass")

    def _joined(self, payloads: list[bytes]) -> Any:
        if self._columns.kind == "series":
            return np.frombuffer(b"".join(payloads)).reshape(len(payloads), len(self._items)).copy()
        events = [payload.decode("utf-8", errors="surrogatepass") for payload in payloads]
        return " ".join(events) if self._columns.kind == "text" else events

    def _id(self, row: Row) -> str | None:
        return code_of(row.get(self._columns.id), "id") or None if self._columns.id else None

    def _split_by(self, row: Row) -> str | None:
        name = self._columns.split_by
        if name is None:
            return None
        if not (together := code_of(row.get(name), name)):
            raise CellError(f"{name}: got nothing; expected what items are split by in every row.")
        return together

    def _label(self, row: Row) -> Any:
        if not self._labels:
            return None
        cells = [row.get(name) for name in self._labels]
        for name, cell in zip(self._labels, cells, strict=True):
            if is_missing_label(cell, self._trained_labels) or (_is_empty_list(cell) and self._label_type != "classes"):
                if self._keeps_empty:
                    return None
                raise CellError(_no_label(name, cell))
        if self._label_type == "number":
            return self._numbers(cells)
        if self._label_type == "classes":
            return self._classes(cells[0])
        if isinstance(cells[0], list | tuple | np.ndarray):
            fix = "For several classes an item, add --multi-label (multi_label=True)."
            if may_be_spans(cells[0]):
                fix = "For spans of a text: rekur fit tag."
            raise CellError(describe(self._labels[0], cells[0], "one class", fix))
        return code_of(cells[0], self._labels[0])

    def _numbers(self, cells: list[Any]) -> float | tuple[float, ...]:
        if len(cells) == 1 and isinstance(cells[0], list | tuple | np.ndarray):
            return tuple(self._number(cell, self._labels[0]) for cell in cells[0])
        numbers = tuple(self._number(cell, name) for name, cell in zip(self._labels, cells, strict=True))
        return numbers[0] if len(numbers) == 1 else numbers

    def _number(self, cell: Any, name: str) -> float:
        number = number_of(cell, name)
        if np.isnan(number):
            raise CellError(_no_label(name, cell))
        return number

    def _classes(self, cell: Any) -> tuple[str, ...]:
        name = self._labels[0]
        if isinstance(cell, str):
            cell = cell.split(self._separator) if self._separator else [cell]
        if not isinstance(cell, list | tuple | np.ndarray):
            raise CellError(describe(name, cell, "a list of classes"))
        parts = [part for part in cell if not is_missing(part)]
        for part in parts:
            if is_missing_label(part, self._trained_labels):
                raise CellError(_no_label(name, part))
        return tuple(sorted({code_of(part, name) for part in parts}))

    def _check_item(self, item: Any, line: int) -> None:
        if isinstance(item, np.ndarray) and len(item):
            first = self._channels = self._channels or (item.shape[1], line)
            if item.shape[1] != first[0]:
                expected = f"{first[0]}, as in {self._source.where(first[1])}"
                raise self._source.error(describe("channels", item.shape[1], expected), line)
        elif not self._keeps_empty and not (item.strip() if isinstance(item, str) else len(item)):
            fix = "Take the row out, or fill it."
            raise self._source.error(f"{self._items[0]}: got nothing; expected one step or more. {fix}", line)

    def _changed_label(self, label: Any, head: tuple[Any, ...], name: str, line: int) -> DataError:
        where = f"as in {self._source.where(head[1])}" + (f" of group '{name}'" if name else "")
        advice = "Does each row have its own? Train with: rekur fit tag; describe with: rekur data --label-type tags."
        fix = f"All rows of a sequence have one label. {advice}"
        return self._source.error(describe("label", label, f"'{head[0]}', {where}", fix), line)


def _number_of_row(cell: Any, name: str) -> float:
    """Return the number of a cell of a long table."""
    if isinstance(cell, list | tuple | np.ndarray):
        fix = "Does each row hold a whole series? Leave out --group and --time; --split-by keeps rows together."
        raise CellError(describe(name, cell, "a number in each row of a long table", fix))
    return number_of(cell, name)


def _no_label(name: str, cell: Any) -> str:
    if isinstance(cell, str) and cell.strip():
        fix = "Fill it, take the row out, or give the class another name if it is one."
        return f"{name}: got '{cell}', which stands for a missing value; expected a label in every row. {fix}"
    return f"{name}: got nothing; expected a label in every row."


def _is_empty_list(cell: Any) -> bool:
    return isinstance(cell, list | tuple | np.ndarray) and len(cell) == 0
