"""Rows gathered by group whatever their order in the file, in memory or, when many, in a temporary database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from rekur._values import CellError, code_of
from rekur.data.cells import Time, time_of
from rekur.data.source import Row, Source

ROW_LIMIT = 500_000


class Groups:
    """Rows of bytes by group; each group comes out ordered by time, equal times in the order of their lines.

    Args:
        row_limit: rows held in memory; beyond it all go to a temporary database on disk, which sorts them there.

    Attributes:
        ties: number of rows with the time of an earlier row of their group; counted while groups are read.
        first_tie: the smallest line of such a row; 0 if all times differ.
    """

    def __init__(self, row_limit: int = ROW_LIMIT) -> None:
        self._limit = row_limit
        self._rows: list[tuple[int, Time, int, bytes]] = []
        self._base: sqlite3.Connection | None = None
        self.ties = self.first_tie = 0

    def add(self, group: int, time: Time, line: int, payload: bytes) -> None:
        """Add one row of a group; lines must increase."""
        self._rows.append((group, time, line, payload))
        if len(self._rows) > self._limit:
            self._flush()

    def __iter__(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield each group's number and its rows in order, groups by number."""
        self.ties = self.first_tie = 0
        if self._base is not None:
            self._flush()
            with closing(self._base.execute("SELECT g, t, n, row FROM rows ORDER BY g, t, n")) as rows:
                yield from self._by_group(rows)
        else:
            self._rows.sort(key=lambda row: row[:3])
            yield from self._by_group(self._rows)

    def _by_group(self, sorted_rows: Any) -> Iterator[tuple[int, list[bytes]]]:
        for group, rows in groupby(sorted_rows, key=lambda row: row[0]):
            payloads: list[bytes] = []
            previous: Any = None
            for _, time, line, payload in rows:
                if payloads and time == previous:
                    self.ties += 1
                    self.first_tie = min(self.first_tie or line, line)
                previous = time
                payloads.append(payload)
            yield int(group), payloads

    def close(self) -> None:
        """Remove the database, if there is one."""
        if self._base is not None:
            self._base.close()

    def _flush(self) -> None:
        if self._base is None:
            self._base = sqlite3.connect("")  # a private file in the temporary folder, gone when closed
            self._base.execute("CREATE TABLE rows (g INTEGER, t BLOB, n INTEGER, row BLOB)")
        rows = ((group, sortable(time), line, payload) for group, time, line, payload in self._rows)
        self._base.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", rows)
        self._rows.clear()
        self._limit = min(self._limit, 10_000)


@dataclass(frozen=True)
class Sequence:
    """The rows of one sequence of a long table.

    Attributes:
        name: its value in the column ``group``; empty without such a column.
        line: of its first row in the source, from 1.
        payloads: what was made of each row, ordered by time, else as the rows stand in the source.
    """

    name: str
    line: int
    payloads: list[bytes]


def gather(
    source: Source,
    payload: Callable[[Row, str], bytes],
    *,
    group: str | None,
    time: str | None,
    row_limit: int,
    tell: Callable[[str], None],
) -> Iterator[Sequence]:
    """Yield the sequences of a long table in the order of their first rows.

    Args:
        source: one row a step.
        payload: makes bytes of a row and of the name of its sequence; a CellError is raised with the place of the row.
        group: the column that names the sequence; None puts all rows into one.
        time: the column that orders the rows of a sequence; None keeps the order of the source.
        row_limit: rows that are held in memory; more are sorted on disk.
        tell: is given a sentence where rows of a sequence have equal times.

    Raises:
        DataError: a cell of the group or the time is empty or cannot be read, or times are of two kinds.
    """
    numbers: dict[str, int] = {}
    lines: list[int] = []
    time_kind = ""
    source.keeps_digits = time is not None
    groups = Groups(row_limit)
    try:
        for row in source.rows():
            try:
                name = _group_of(row, group)
                kind, when = time_of(row.get(time), "time") if time else ("", row.line)
                made = payload(row, name)
            except CellError as error:
                raise source.error(str(error), row.line) from None
            if kind != (time_kind or kind):
                raise source.error(f"time: got a {kind}; expected a {time_kind}, as above.", row.line)
            time_kind = kind
            number = numbers.setdefault(name, len(numbers))
            if number == len(lines):
                lines.append(row.line)
            groups.add(number, when, row.line, made)
        names = list(numbers)
        for number, payloads in groups:
            yield Sequence(names[number], lines[number], payloads)
        if groups.ties:
            rows = f"{groups.ties} rows have" if groups.ties > 1 else "1 row has"
            tell(
                f"{source.name}: {rows} the time of a row before in the same sequence, first in "
                f"{source.where(groups.first_tie)}; equal times keep the order of the file."
            )
    finally:
        groups.close()


def _group_of(row: Row, column: str | None) -> str:
    if column is None:
        return ""
    name = code_of(row.get(column), "group")
    if not name:
        fix = "Write it in each row."
        raise CellError(f"group: got nothing; expected the name of a sequence in every row. {fix}")
    return name


def sortable(number: Time) -> bytes:
    """Return bytes that compare exactly as the numbers do; equal numbers give equal bytes.

    They are the sign, the power of ten of the first digit (8 bytes), and the digits; negative numbers invert all bits.

    Example:
        >>> sortable(-2) < sortable(Decimal("-1.5")) < sortable(0) < sortable(0.5) < sortable(10) == sortable(10.0)
        True
    """
    sign, digits, exponent = Decimal(number).as_tuple()
    written = "".join(map(str, digits)).lstrip("0")
    if not written:
        return b"\1"
    power = int(exponent) + len(written) + 2**63
    size = power.to_bytes(8, "big") + written.rstrip("0").encode()
    return b"\2" + size if not sign else b"\0" + bytes(255 - byte for byte in size) + b"\xff"
