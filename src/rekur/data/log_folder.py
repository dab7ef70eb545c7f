"""A folder of tables, one file a sequence, as one long table."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from pathlib import Path

from rekur.data.files import ENDINGS, inner_name
from rekur.data.inputs import File
from rekur.data.source import Row, Source
from rekur.errors import DataError, describe

#: formats with one row a step
_TABLES = ("csv", "tsv", "jsonl", "parquet")


class LogFolder(Source):
    """Tables of a folder, one behind the other in the order of their names; the column ``file`` names that of a row.

    A row's number counts the rows and lines of all files; errors say the file and the line in it.

    Args:
        folder: it holds tables alone; hidden entries are passed over.
        format: of all files; None takes that of each file's ending.
        open_table: opens a file as rows with named columns.

    Raises:
        DataError: an entry is no table, or a table has a column ``file``.
    """

    format = "folder"
    group = "file"

    def __init__(self, folder: Path, format: str | None, open_table: Callable[[Path], Source]) -> None:
        self.name = str(folder)
        files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        if not files:
            raise self.error("files: got 0 in this folder; expected one or more tables.")
        for path in files:
            _check_table(path, format)
        self.tables = [open_table(path) for path in files]
        self._files, self._starts = files, [0]
        for table in self.tables:
            if self.group in table.columns:
                fix = "Rename it: in a folder this name is that of the file."
                raise table.error(describe("column name", self.group, "another name", fix))
        self.columns = [self.group, *self.tables[0].columns]

    def rows(self) -> Iterator[Row]:
        """Yield the rows of each file with its name; the number of a row counts on from file to file."""
        self._starts = [0]
        for path, table in zip(self._files, self.tables, strict=True):
            table.keeps_digits, start, line = self.keeps_digits, self._starts[-1], 0
            for row in table.rows():
                line = row.line
                yield Row({self.group: path.name, **row}, start + line)
            self._starts.append(start + line)

    def notes(self) -> list[str]:
        """Return sentences about what the last whole pass over each file read over."""
        return [
            f"{path.name}: {note}"
            for path, table in zip(self._files, self.tables, strict=True)
            for note in table.notes()
        ]

    def where(self, line: int) -> str:
        """Return the line and the file of a row that was read."""
        number, line = self._place(line)
        return f"{self.tables[number].where(line)} of {self._files[number].name}"

    def error(self, text: str, line: int | None = None) -> DataError:
        """Return the error about a row, with its file."""
        if line is None:
            return DataError(text, self.name)
        number, line = self._place(line)
        return self.tables[number].error(text, line)

    def _place(self, line: int) -> tuple[int, int]:
        """Return the number of the file of a row, and the row's number in it."""
        number = min(bisect_right(self._starts, line - 1), len(self.tables)) - 1
        return number, line - self._starts[number]


def _check_table(path: Path, format: str | None) -> None:
    """Raise unless an entry of a folder is a table."""
    if path.is_dir():
        raise DataError(f"folder of tables: got the folder '{path.name}' in it; expected tables alone.", path.parent)
    ending = inner_name(File(path)).suffix.lower()
    if (format or ENDINGS.get(ending)) not in _TABLES:
        fix = "Take it out of the folder, or name the format of all files, as with --format csv."
        raise DataError(describe("folder of tables", path.name, f"files in {', '.join(_TABLES)}", fix), path.parent)
