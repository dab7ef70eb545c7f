"""Plain text: a file with one item a line, and a folder with one folder a class."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from rekur.data.files import likely_file, open_text, read_lines
from rekur.data.inputs import File, Input
from rekur.data.source import Row, Source
from rekur.errors import DataError


class Lines(Source):
    """A text file: each line is one value of the column ``text``; a blank line is an empty one.

    Args:
        file: what to read, maybe packed.
        encoding: the encoding of the text.
    """

    def __init__(self, file: Input, encoding: str) -> None:
        self._file, self._encoding = file, encoding
        self.name, self.format, self.columns = file.name, "txt", ["text"]
        if next(self.rows(), None) is None:
            raise self.error("lines: got 0; expected 1 or more.")

    def rows(self) -> Iterator[Row]:
        """Yield each line without its end."""
        for number, line in enumerate(read_lines(self._file, self._encoding), 1):
            yield Row({"text": line.rstrip("\r\n")}, number)

    def lines(self) -> Iterator[str]:
        """Yield each line with its end."""
        return read_lines(self._file, self._encoding)


class ClassFolders(Source):
    """A folder that holds one folder a class, each with ``.txt`` files of one item.

    Columns are ``text`` and ``label``, the name of the folder. Rows come in order of the names, so that they
    are the same on every machine; hidden entries are passed over.

    Args:
        path: the folder.
        encoding: the encoding of the texts.
    """

    unit = "file"

    def __init__(self, path: Path, encoding: str) -> None:
        self._path, self._encoding = path, encoding
        self.name, self.format, self.columns = str(path), "folder", ["text", "label"]
        classes = self._classes()
        if not classes:
            expected = "expected a file, or a folder with one folder for each class"
            fix = " A folder of tables, each a sequence, is read with --time COL or --group file."
            likely = likely_file(path)
            raise self.error(f"file: got a folder without folders; {expected}.{likely}{fix if likely else ''}")
        for folder in classes:
            files = _texts(folder)
            if not files:
                raise self.error(f"class folder: got '{folder.name}' without .txt files; expected 1 or more.")
            if odd := [file for file in files if not file.is_file()]:
                raise DataError("class folder: got something that is no file; expected text files.", odd[0])

    def rows(self) -> Iterator[Row]:
        """Yield each file's whole text with the name of its folder; the number counts files."""
        for number, (folder, file) in enumerate(self._files(), 1):
            with open_text(File(file), self._encoding) as text:
                yield Row({"text": text.read(), "label": folder.name}, number)

    def error(self, text: str, line: int | None = None) -> DataError:
        """Return the error, with the file it is about."""
        if line is None:
            return DataError(text, self.name)
        _, file = next(islice(self._files(), line - 1, line))
        return DataError(text, file)

    def _classes(self) -> list[Path]:
        return sorted(p for p in self._path.iterdir() if p.is_dir() and not p.name.startswith("."))

    def _files(self) -> Iterator[tuple[Path, Path]]:
        return ((folder, file) for folder in self._classes() for file in _texts(folder))


def _texts(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() == ".txt" and not p.name.startswith("."))
