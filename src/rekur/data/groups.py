"""Rows gathered by group whatever their order in the file, in memory or, when many, in a temporary database."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rekur._numbers import counted
from rekur._values import CellError, code_of
from rekur.data.cells import Time, time_of
from rekur.data.source import Row, Source

ROW_LIMIT = 500_000
#: share of the times between rows of a sequence that are alike where it is regular
_REGULAR = 0.9
#: a gap is longer than usual by this factor; other times of a regular sequence differ by less than a half
_GAP = 1.75
#: times between rows below which none is usual
_FEWEST_STEPS = 10
#: units of durations in nanoseconds
_UNITS = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}


class Groups:
    """Rows of bytes by group; each group comes out ordered by time, equal times in the order of their lines.

    Args:
        row_limit: rows held in memory; beyond it all go to a temporary database on disk, which sorts them there.
        gaps: is given the times of each group while groups are read.

    Attributes:
        ties: number of rows with the time of an earlier row of their group; counted while groups are read.
        first_tie: the smallest line of such a row; 0 if all times differ.
    """

    def __init__(self, row_limit: int = ROW_LIMIT, gaps: Gaps | None = None) -> None:
        self._limit, self._gaps = row_limit, gaps
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
            with closing(self._base.execute("SELECT g, t, n, row, x FROM rows ORDER BY g, t, n")) as rows:
                yield from self._by_group(rows)
        else:
            self._rows.sort(key=lambda row: row[:3])
            yield from self._by_group((*row, row[1]) for row in self._rows)

    def _by_group(self, sorted_rows: Any) -> Iterator[tuple[int, list[bytes]]]:
        for group, rows in groupby(sorted_rows, key=lambda row: row[0]):
            payloads: list[bytes] = []
            times, lines = array("d"), array("q")
            previous: Any = None
            for _, time, line, payload, number in rows:
                if self._gaps is not None:
                    times.append(number)
                    lines.append(line)
                if payloads and time == previous:
                    self.ties += 1
                    self.first_tie = min(self.first_tie or line, line)
                previous = time
                payloads.append(payload)
            if self._gaps is not None:
                self._gaps.add(np.asarray(times), np.asarray(lines))
            yield int(group), payloads

    def close(self) -> None:
        """Remove the database, if there is one."""
        if self._base is not None:
            self._base.close()

    def _flush(self) -> None:
        if self._base is None:
            self._base = sqlite3.connect("")  # a private file in the temporary folder, gone when closed
            self._base.execute("CREATE TABLE rows (g INTEGER, t BLOB, n INTEGER, row BLOB, x REAL)")
        rows = ((group, sortable(time), line, payload, float(time)) for group, time, line, payload in self._rows)
        self._base.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?)", rows)
        self._rows.clear()
        self._limit = min(self._limit, 10_000)


class Gaps:
    """Counts the gaps in the times of sequences whose rows stand at equal distances otherwise.

    Example:
        >>> gaps = Gaps()
        >>> gaps.add(np.array([*range(20), 50.0]), np.arange(2, 23))
        >>> gaps.sentence("number", "line {}".format)
        '1 gap in time, before line 22: 31, where 1 is usual; a row counts as a step, whatever the time between two.'
    """

    def __init__(self) -> None:
        self._count = self._line = 0
        self._longest = self._usual = 0.0

    def add(self, times: NDArray[np.float64], lines: NDArray[np.int64]) -> None:
        """Take the times of a sequence in their order, (T,), and the line of each row."""
        steps = np.diff(times)
        if len(steps) < _FEWEST_STEPS or not (usual := float(np.median(steps))) > 0:
            return
        places = np.flatnonzero(steps > _GAP * usual)
        if not len(places) or np.mean(np.abs(steps - usual) < usual / 2) < _REGULAR:
            return
        self._count += len(places)
        line = int(lines[places[0] + 1])
        self._line = min(self._line or line, line)
        if (longest := float(steps.max())) > self._longest:
            self._longest, self._usual = longest, usual

    def sentence(self, kind: str, where: Callable[[int], str]) -> str:
        """Return what a person should know of the gaps; an empty text without any.

        Args:
            kind: of the times, as :func:`~rekur.data.cells.time_of` has it.
            where: the line of a row -> its place in words.
        """
        if not self._count:
            return ""
        first, longest = ("first ", "the longest ") if self._count > 1 else ("", "")
        sizes = f"{longest}{_shown_time(self._longest, kind)}, where {_shown_time(self._usual, kind)} is usual"
        told = f"{counted(self._count, 'gap')} in time, {first}before {where(self._line)}: {sizes}"
        return f"{told}; a row counts as a step, whatever the time between two."


def _shown_time(size: float, kind: str) -> str:
    """Return a distance in time with its unit, where that is known."""
    if kind == "number":
        return f"{size:.6g}"
    unit = max((unit for unit in _UNITS if _UNITS[unit] <= size), key=_UNITS.__getitem__, default="ns")
    return f"{size / _UNITS[unit]:.4g} {unit}"


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
    tells_gaps: bool = False,
    rows: Iterable[Row] | None = None,
) -> Iterator[Sequence]:
    """Yield the sequences of a long table in the order of their first rows.

    Args:
        source: one row a step.
        payload: makes bytes of a row and of the name of its sequence; a CellError is raised with the place of the row.
        group: the column that names the sequence; None puts all rows into one.
        time: the column that orders the rows of a sequence; None keeps the order of the source.
        row_limit: rows that are held in memory; more are sorted on disk.
        tell: is given a sentence where rows of a sequence have equal times.
        tells_gaps: it is given one about gaps in time too.
        rows: those of the source, where some were read already.

    Raises:
        DataError: a cell of the group or the time is empty or cannot be read, or times are of two kinds.
    """
    numbers: dict[str, int] = {}
    lines: list[int] = []
    time_kind = ""
    source.keeps_digits = time is not None
    gaps = Gaps() if tells_gaps and time is not None else None
    groups = Groups(row_limit, gaps)
    try:
        for row in source.rows() if rows is None else rows:
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
            ties = f"{groups.ties} rows have" if groups.ties > 1 else "1 row has"
            tell(
                f"{source.name}: {ties} the time of a row before in the same sequence, first in "
                f"{source.where(groups.first_tie)}; equal times keep the order of the file."
            )
        if gaps is not None and (told := gaps.sentence(time_kind, source.where)):
            tell(f"{source.name}: {told}")
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
