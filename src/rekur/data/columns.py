"""What stands in each column: filled cells, examples, and a guess at what it is."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rekur._values import CellError, is_missing_label, number_of
from rekur.data.annotations import is_annotation
from rekur.data.cells import numbers_in_text, time_of
from rekur.data.source import Source
from rekur.data.spans import spans_of

_MOST_DISTINCT = 1000
_MOST_CLASSES = 100
_MOST_NUMBER_CLASSES = 20
_MOST_LETTERS = 26  # of one case: DNA, RNA and protein codes
_SHORTEST_SYMBOLS = 10
_EXAMPLES = 3


@dataclass(frozen=True)
class ColumnSummary:
    """What stands in a column.

    Attributes:
        name: its name.
        type: a guess: ``text``, ``symbols``, ``series``, ``class``, ``number``, ``date``, ``id``, ``names`` (lists
            of text), ``spans`` (of a text) or ``empty``.
        filled: share of rows with a value, in [0, 1].
        distinct: how many different values; None beyond a thousand, and for lists.
        examples: the first few different values, shortened.
    """

    name: str
    type: str
    filled: float
    distinct: int | None
    examples: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain JSON."""
        return asdict(self)


def summarise(source: Source) -> tuple[int, list[ColumnSummary]]:
    """Return the number of rows and what stands in each column, after one pass over the source."""
    counts = {name: _Counts() for name in source.columns}
    rows = 0
    for row in source.rows():
        rows += 1
        for name, count in counts.items():
            count.add(row.get(name))
    return rows, [count.summary(name, rows) for name, count in counts.items()]


class _Counts:
    """Running counts over the values of one column."""

    def __init__(self) -> None:
        self.filled = self.numbers = self.whole = self.dates = self.lists = self.series = self.spans = 0
        self.length = self.spaced = self.codes = 0  # of cells that are neither numbers nor dates
        self.distinct: set[str] = set()
        self.letters: set[str] = set()
        self.examples: list[str] = []

    def add(self, value: Any) -> None:
        is_list = isinstance(value, list | tuple | np.ndarray)
        if not is_list and is_missing_label(value):
            return
        self.filled += 1
        if is_list:
            self.lists += 1
            self.spans += _holds_spans(value)
            self.series += not (len(value) and isinstance(value[0], str))
        else:
            shown = str(value).strip()
            if len(self.distinct) <= _MOST_DISTINCT:
                self.distinct.add(shown)
            self._add_cell(value, shown)
        if len(self.examples) < _EXAMPLES:
            shown = " ".join(str(value).split()) if is_list else shown
            short = shown if len(shown) <= 40 else shown[:39] + "…"
            if short not in self.examples:
                self.examples.append(short)

    def _add_cell(self, value: Any, shown: str) -> None:
        if isinstance(value, str) and shown[0] not in "+-.0123456789[":
            self._add_text(shown)
            return
        try:
            self.whole += number_of(value).is_integer()
            self.numbers += 1
            return
        except CellError:
            pass
        try:
            time_of(value)
            self.dates += 1
        except CellError:
            self.series += _holds_numbers(shown)
            self._add_text(shown)

    def _add_text(self, shown: str) -> None:
        self.length += len(shown)
        self.spaced += " " in shown
        self.codes += any(mark in shown for mark in "0123456789_")
        if len(self.letters) <= _MOST_LETTERS:
            self.letters.update(shown)

    def summary(self, name: str, rows: int) -> ColumnSummary:
        many = len(self.distinct) > _MOST_DISTINCT or self.lists > 0
        share = self.filled / rows if rows else 0.0
        return ColumnSummary(name, self._type(), share, None if many else len(self.distinct), self.examples)

    def _type(self) -> str:
        if not self.filled:
            return "empty"
        if self.spans and self.spans == self.filled:
            return "spans"
        if self.series == self.filled:
            return "series"
        if self.lists:
            return "names"
        if self.dates == self.filled:
            return "date"
        repeats = len(self.distinct) * 2 <= self.filled
        if self.numbers == self.filled:
            few = self.whole == self.filled and len(self.distinct) <= _MOST_NUMBER_CLASSES
            return "class" if few and repeats else "number"
        if repeats and len(self.distinct) <= _MOST_CLASSES:
            return "class"
        if self.spaced * 10 > self.filled:
            return "text"
        if self.codes * 10 > 9 * self.filled:
            return "id"
        one_case = all(a.isupper() for a in self.letters) or all(a.islower() for a in self.letters)
        if len(self.letters) <= _MOST_LETTERS and one_case and self.length >= _SHORTEST_SYMBOLS * self.filled:
            return "symbols"
        return "id" if len(self.distinct) == self.filled else "text"


def _holds_spans(value: Any) -> bool:
    """Return whether a list holds spans of a text, or annotations with such; an empty one may."""
    if all(map(is_annotation, value)):
        return True
    try:
        spans_of(value)
    except CellError:
        return False
    return True


def _holds_numbers(shown: str) -> bool:
    if shown.startswith("["):
        pieces = shown.replace(",", " ").replace("[", " ").replace("]", " ").split()
        return _all_numbers(pieces)
    try:
        return len(numbers_in_text(shown, "")) > 1
    except CellError:
        return False


def _all_numbers(pieces: list[str]) -> bool:
    try:
        return len([number_of(piece) for piece in pieces[:20]]) > 1
    except CellError:
        return False
