"""Rows gathered by group whatever their order in the file, in memory or, when many, in a temporary database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby

Time = float | int
ROW_LIMIT = 500_000


class Groups:
    """Rows of bytes by group; each group comes out ordered by time, equal times in the order they came in.

    Args:
        row_limit: rows held in memory; beyond it all go to a temporary database on disk, which sorts them there.
    """

    def __init__(self, row_limit: int = ROW_LIMIT) -> None:
        self._limit = row_limit
        self._rows: list[tuple[int, Time, int, bytes]] = []
        self._count = 0
        self._base: sqlite3.Connection | None = None

    def add(self, group: int, time: Time, payload: bytes) -> None:
        """Take one row of a group."""
        self._rows.append((group, time, self._count, payload))
        self._count += 1
        if len(self._rows) > self._limit:
            self._flush()

    def __iter__(self) -> Iterator[tuple[int, list[bytes]]]:
        """Yield each group's number and its rows in order, groups by number."""
        if self._base is not None:
            self._flush()
            with closing(self._base.execute("SELECT g, t, n, row FROM rows ORDER BY g, t, n")) as found:
                for group, rows in groupby(found, key=lambda row: row[0]):
                    yield int(group), [row[3] for row in rows]
        else:
            self._rows.sort(key=lambda row: row[:3])
            for group, rows in groupby(self._rows, key=lambda row: row[0]):
                yield group, [row[3] for row in rows]

    def close(self) -> None:
        """Remove the database, if there is one."""
        if self._base is not None:
            self._base.close()

    def _flush(self) -> None:
        if self._base is None:
            self._base = sqlite3.connect("")  # a private file in the temporary folder, gone when closed
            self._base.execute("CREATE TABLE rows (g INTEGER, t NUMERIC, n INTEGER, row BLOB)")
        self._base.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", self._rows)
        self._rows.clear()
        self._limit = min(self._limit, 10_000)
