"""The columns of a source by their roles: items, label, group, time and id; or source and target of pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rekur.data.source import Source, check_column
from rekur.errors import InputError, describe


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which column is what. Exactly one of ``text``, ``symbols``, ``series`` and ``values`` is given.

    A *long table* has one row an event: ``group`` names the sequence a row belongs to and ``time`` orders the
    rows inside it. Without ``group``, all rows of a table with ``time``, or with a list for ``series``, are one
    sequence. In a list of columns, ``"a..d"`` stands for all columns from a to d.

    Attributes:
        text: the text of an item; in a long table, one text an event, joined by blanks.
        symbols: letters, or codes with blanks between, or a list of codes; in a long table, one code an event.
        series: one column with whole series (nested lists, or text with the numbers of one channel), or a list of
            columns, the channels: with numbers of a long table, or where neither ``group`` nor ``time`` is given with a
            whole series of one channel a cell.
        values: number columns of a wide table, one row an item: its steps in order, one channel.
        label: the column with the label; several for several numbers.
        group: the column that names the sequence, in a long table.
        time: the column with a number or an ISO date that orders the rows of a sequence.
        id: the column that names the item in results; in a long table the group does where it is not given.
        split_by: the column by which items stay together on one side of a split, such as the person who was recorded.
    """

    text: str | None = None
    symbols: str | None = None
    series: str | Sequence[str] | None = None
    values: Sequence[str] | None = None
    label: str | Sequence[str] | None = None
    group: str | None = None
    time: str | None = None
    id: str | None = None
    split_by: str | None = None

    def __post_init__(self) -> None:
        roles = ("text", "symbols", "series", "values")
        given = [role for role in roles if getattr(self, role) not in (None, "", [], ())]
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise InputError(f"item columns: got {got}; expected one of text, symbols, series and values.")
        if self.values is not None and (self.group is not None or self.time is not None):
            fix = "Name the channels with series."
            raise InputError(f"values: got them with group or time; expected a table with one row an item. {fix}")

    @property
    def kind(self) -> str:
        """What an item is: ``"text"``, ``"symbols"`` or ``"series"``."""
        return "text" if self.text else "symbols" if self.symbols else "series"

    @property
    def is_long(self) -> bool:
        """Whether a row is an event and not an item."""
        return is_long(vars(self))

    def items(self) -> list[str]:
        """Return the columns of the item."""
        given = self.text or self.symbols or self.series or self.values or ()
        return [given] if isinstance(given, str) else list(given)

    def labels(self) -> list[str]:
        """Return the columns of the label, maybe none."""
        if self.label is None:
            return []
        return [self.label] if isinstance(self.label, str) else list(self.label)


@dataclass(frozen=True, kw_only=True)
class PairColumns:
    """Which columns of a table hold the pairs.

    A name with a dot, such as ``translation.fr``, is a key of the objects in a column, where no column has that name.
    Numbers from 1 name the columns of a csv or tsv whose first line has no names.

    Attributes:
        source: the column with the text that is read.
        target: the column with the text that is to be written, or several with one reference each; a cell may also
            hold a list of references.
        id: the column that names a pair in results.
    """

    source: str | None = None
    target: str | Sequence[str] | None = None
    id: str | None = None

    def targets(self) -> list[str]:
        """Return the columns of the references, maybe none."""
        return [self.target] if isinstance(self.target, str) else list(self.target or ())


def is_long(columns: Mapping[str, Any]) -> bool:
    """Return whether columns by their roles say that a row is an event and not an item.

    Example:
        >>> is_long({"text": "word", "group": "sentence"}), is_long({"label": "upos"})
        (True, False)
    """
    series = columns.get("series")
    listed = series is not None and not isinstance(series, str)
    return listed or any(columns.get(role) is not None for role in ("group", "time"))


def channels(source: Source, columns: Columns) -> list[str] | None:
    """Return the names of the channels of a series where columns are channels, as in a long table; else None.

    Example:
        >>> from rekur.data.memory import from_memory
        >>> table = from_memory({"who": ["a"], "x": [1], "y": [2]})
        >>> channels(table, Columns(series=["x..y"], group="who"))
        ['x', 'y']
    """
    if columns.series is None or not columns.is_long:
        return None
    return expand(source, "series", columns.items())


def expand(source: Source, role: str, names: list[str]) -> list[str]:
    """Return the columns after checking each; ``a..d`` stands for all from a to d."""
    columns: list[str] = []
    for name in names:
        first, dots, last = name.partition("..")
        if dots and name not in source.columns:
            start, end = (source.columns.index(check_column(source, role, end)) for end in (first, last))
            if end < start:
                expected = "a column and one that stands behind it"
                raise source.error(describe(f"{role} columns", name, expected, f"Write '{last}..{first}'."))
            columns += [check_column(source, role, column) for column in source.columns[start : end + 1]]
        else:
            columns.append(check_column(source, role, name))
    return columns
